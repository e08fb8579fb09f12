"""Ways to misbehave, for tests of what must survive them.

A fault is put in the place of a method of a plugin, which keeps its name, its arguments and its marks::

    Broken = faults.inject(MyPlugin, start=faults.hang)
    Rude = faults.inject(MyPlugin, after_auth=faults.fail(OSError("disk full")))

Whatever ``leak_task`` and ``leak_thread`` leave behind ends when the test calls ``faults.end_leaks()``; the
fixture ``faults`` of the pytest plugin does so by itself.
"""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import anyio

P = TypeVar("P", bound=type | ModuleType)
Fault = Callable[..., Any]
"""Called in place of the method, with its arguments."""

_LONGEST = 60.0
"""Seconds after which even the most stubborn fault gives in: a test run must come to its end."""

_over = threading.Event()


async def hang(*_: Any, **__: Any) -> None:
    """Never return; a cancellation is let through."""
    await anyio.sleep_forever()


async def swallow_cancellation(*_: Any, **__: Any) -> None:
    """Take no notice of being cancelled, until ``end_leaks`` is called or a minute is over."""
    over, end = _over, time.monotonic() + _LONGEST
    while not over.is_set() and time.monotonic() < end:
        try:
            await anyio.sleep(0.02)
        except anyio.get_cancelled_exc_class():
            # The very mistake that a host must survive.
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.02)


def block(seconds: float = 0.2) -> Fault:
    """Return a fault that stops the whole event loop for so long."""

    async def blocking(*_: Any, **__: Any) -> None:
        time.sleep(seconds)  # noqa: ASYNC251  the very mistake

    return blocking


def fail(error: BaseException | None = None) -> Fault:
    """Return a fault that raises ``error``; a ``RuntimeError`` by default."""

    async def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError("injected fault") if error is None else error

    return failing


def fail_times(times: int, error: Exception | None = None) -> Fault:
    """Return a fault that raises so many times, and then does nothing."""
    left = times

    async def failing(*_: Any, **__: Any) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            raise RuntimeError("injected fault") if error is None else error

    return failing


def give(value: object) -> Fault:
    """Return a fault that returns ``value``, whatever was asked."""

    async def giving(*_: Any, **__: Any) -> object:
        return value

    return giving


async def leak_thread(*_: Any, **__: Any) -> None:
    """Start a thread and forget it."""
    threading.Thread(target=_over.wait, name="leaked-by-a-fault", daemon=True).start()


async def leak_task(*_: Any, **__: Any) -> None:
    """Start a task that nobody owns, and forget it; works on asyncio and on trio."""
    import sniffio

    if sniffio.current_async_library() == "trio":
        import trio

        trio.lowlevel.spawn_system_task(_wait_until_over, name="leaked-by-a-fault")
    else:
        import asyncio

        task = asyncio.get_running_loop().create_task(_wait_until_over(), name="leaked-by-a-fault")
        _leaked.append(task)


_leaked: list[object] = []
"""Keeps tasks from being collected: a leaked task is one that lives."""


async def _wait_until_over() -> None:
    over = _over
    while not over.is_set():  # noqa: ASYNC110  an event of threads, because it is set from anywhere
        await anyio.sleep(0.02)


def end_leaks() -> None:
    """End what ``leak_task``, ``leak_thread`` and ``swallow_cancellation`` left running; soon, not at once."""
    global _over
    _over.set()
    _over = threading.Event()
    _leaked.clear()


def inject(plugin: P, **faults: Fault) -> P:
    """Return a plugin like ``plugin``, with faults in the place of some of its functions.

    Args:
        plugin: A plugin class, or a module with hook implementations.
        faults: Name of a function (``start``, ``stop``, a hook it implements) to what happens instead.

    Raises:
        AttributeError: The plugin has no such function.
    """
    made: Any
    if isinstance(plugin, ModuleType):
        made = ModuleType(f"faulty_{plugin.__name__}")
        vars(made).update({name: value for name, value in vars(plugin).items() if name != "__name__"})
        vars(made).update(
            {name: _standing_in(getattr(plugin, name), fault) for name, fault in faults.items()}
        )
        return made  # type: ignore[no-any-return]
    kind: Any = plugin
    methods = {name: _standing_in(getattr(kind, name), _of_method(fault)) for name, fault in faults.items()}
    made = type(f"Faulty{kind.__name__}", (kind,), {"__module__": kind.__module__, **methods})
    return made  # type: ignore[no-any-return]


def _of_method(fault: Fault) -> Fault:
    """Return the fault of something that is called with an instance first."""
    return lambda _self, *args, **kwargs: fault(*args, **kwargs)


def _standing_in(original: Callable[..., Any], fault: Fault) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)  # keeps the marks of a hook and, by __wrapped__, its arguments
        async def faulty(*args: Any, **kwargs: Any) -> Any:
            return await fault(*args, **kwargs)

        return faulty

    @functools.wraps(original)
    def plainly_faulty(*args: Any, **kwargs: Any) -> Any:
        coroutine = fault(*args, **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        coroutine.close()
        raise TypeError(
            f"{original.__qualname__} is a plain function, and this fault waits: inject it into an async one"
        )

    return plainly_faulty
