"""The same host for programs without an event loop: scripts, threads, WSGI applications.

There are no synchronous twins. A ``BlockingHost`` runs one event loop in one thread of its own, and whatever
is reached through it is the host's own object seen through a window: what would have to be awaited is awaited
over there, and the caller's thread waits. Values pass both ways as they are.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from enum import Enum
from functools import cache, partial
from types import MappingProxyType, TracebackType
from typing import Any, NoReturn, Self, TypeVar

import anyio
import pluggy
from anyio.from_thread import BlockingPortal

from plughost.contracts.logs import get_logger
from plughost.contracts.plugin import Service
from plughost.core.calls.relays import HookRelay, twin_of
from plughost.core.forking import no_forks, refuse_forked
from plughost.core.importing import result_of
from plughost.core.stepping import event_library
from plughost.core.threads import context_for_a_thread
from plughost.exceptions import HostNotReadyError
from plughost.host import ConfigSource, Host

T = TypeVar("T")

_log = get_logger("plughost.host")

_PLAIN = (str, bytes, int, float, bool, type(None), dict, MappingProxyType, tuple, list, set, frozenset)
_OF_VALUES = frozenset({"datetime", "decimal", "uuid", "pathlib", "fractions", "ipaddress", "re", "zoneinfo"})
"""Modules of the standard library whose classes are values."""


class BlockingHost:
    """A ``Host`` whose every part can be used from any thread without ``await``.

    ``with BlockingHost("acme") as host: host.hooks.before_auth(attempt=attempt)``

    Args:
        name: As for ``Host``.
        config: As for ``Host``.
        backend: Event loop to run: ``asyncio`` or ``trio``.
        options: Further arguments of ``Host``.
    """

    @no_forks()
    def __init__(
        self, name: str = "plughost", *, config: ConfigSource = None, backend: str = "asyncio", **options: Any
    ) -> None:
        self._host = Host(name, config=config, **options)
        self._backend = backend
        self._running: _LoopThread | None = None

    @classmethod
    @no_forks()
    def for_pluggy(cls, name: str, hookspecs: object, *, backend: str = "asyncio", **options: Any) -> Self:
        """Make a host for an application that lived on bare pluggy and has no event loop of its own.

        Args:
            name: As for ``Host.for_pluggy``; the other arguments of that are taken as well.
            hookspecs: What the application declares.
            backend: Event loop to run: ``asyncio`` or ``trio``.
            options: Further arguments of ``Host.for_pluggy``.

        Raises:
            ConfigError: The configuration is wrong.
            ValueError: A spec promises what ``host.hooks`` cannot keep; it says which, and what to do.
        """
        made = cls.__new__(cls)
        made._host = Host.for_pluggy(name, hookspecs, **options)
        made._backend, made._running = backend, None
        return made

    @no_forks()
    def __enter__(self) -> Self:
        loop = _LoopThread(self._host, self._backend)
        loop.start()
        self._running = loop
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.refuse_own_end()  # before it is forgotten: it goes on, and is stopped by somebody else
        loop, self._running = self._running, None
        if loop is not None:
            loop.stop(cancel=error is not None)

    async def __aenter__(self) -> NoReturn:
        raise TypeError(
            "a BlockingHost is entered with `with`; where an event loop runs, `async with plughost.Host(...)` is the"
            " same host"
        )

    async def __aexit__(self, *_: object) -> None:
        """Nothing was entered; without it, Python says so before ``__aenter__`` can say what to do."""

    def start(self) -> Self:
        """Enter without ``with``, for frameworks that call back at start and at stop."""
        return self.__enter__()

    def stop(self) -> None:
        """Leave what ``start`` entered."""
        self.__exit__(None, None, None)

    def add_hookspecs(self, module: object) -> None:
        """Add a catalogue of the application's own; best before entering."""
        self._host.add_hookspecs(module)

    @property
    def pluggy(self) -> pluggy.PluginManager:
        """The host's own ``pluggy.PluginManager``; an application may fill it before it enters the host."""
        return self._host.pluggy

    @property
    def sync_hooks(self) -> Any:
        """The host's own ``sync_hooks``, which can be used from any thread as they are."""
        if self._running is not None:
            self._running.refuse_forked()
        return self._host.sync_hooks

    @property
    def hooks(self) -> Any:
        """All hooks, called without ``await``: ``host.hooks.before_auth(attempt=attempt)``."""
        return self._loop.hooks

    def use(self, service: Service[T]) -> T:
        """Return a service of a plugin, with its coroutines made into plain calls.

        Raises:
            ServiceError: No running plugin provides it.
        """
        window: Any = self._window(self._host.use(service))
        return window  # type: ignore[no-any-return]

    def run(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Await ``function(host, *args)`` in the host's event loop; it is given the host itself, not a window.

        Raises:
            HostNotReadyError: The host is not running.
        """
        returned: T = self._loop.call(function, self._host, *args)
        return returned

    def begin(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Future[T]:
        """Begin ``function(host, *args)`` in the host's event loop, and return its future without waiting.

        Raises:
            HostNotReadyError: The host is not running.
        """
        return self._loop.begin(function, self._host, *args)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        thing = getattr(self._host, name)
        waits = inspect.iscoroutinefunction(thing)
        if self._running is None and (_is_data(thing) or (inspect.ismethod(thing) and not waits)):
            return thing  # there is no other thread yet in which it would have to be called
        return self._window(thing)

    def _window(self, thing: Any) -> Any:
        return _shown(self._loop, thing)

    @property
    def _loop(self) -> _LoopThread:
        if self._running is None:
            raise HostNotReadyError(
                "the host is not running: use it inside `with BlockingHost(...) as host:`"
            )
        self._running.refuse_forked()
        return self._running


class _LoopThread:
    """An event loop in a thread of its own, in which the host lives from start to stop, and the way into it.

    Threads do not survive a fork. In the new process every way in says so, instead of waiting for a thread that
    is not there; and nothing here would wait for it when it is collected as garbage.
    """

    def __init__(self, host: Host, backend: str) -> None:
        self._host = host
        self.hooks = HooksView(self, host.hooks)  # type: ignore[arg-type] # typed as what it offers
        self._process = os.getpid()
        self._started: Future[BlockingPortal] = Future()
        self._cancel = False
        self._failure: BaseException | None = None
        self._backend = backend

    def start(self) -> None:
        if event_library.name == "trio":
            raise RuntimeError(
                "trio runs in this thread, and would stand still for every call of a host for threads:"
                " use `async with Host(...)` here, or start this one in another thread"
            )

        def begin() -> Future[BlockingPortal]:
            self._thread = threading.Thread(
                target=context_for_a_thread().run, args=(self._run,), name=self._host.name, daemon=True
            )
            self._thread.start()
            return self._started

        try:
            self._portal = result_of(begin)
        except BaseException:
            self._thread.join()
            raise

    def stop(self, *, cancel: bool) -> None:
        """Leave the host; ``cancel`` what still runs over there instead of waiting for it."""
        if self._process != os.getpid():
            return
        self._cancel = cancel
        self._portal.call(self._enough.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        self.refuse_own_thread()
        return result_of(partial(self.begin, function, *args))

    def begin(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        return context_for_a_thread().run(self._way_in.start_task_soon, function, *args)

    def entered(self, context: AbstractAsyncContextManager[T]) -> AbstractContextManager[T]:
        return self._way_in.wrap_async_context_manager(context)

    def refuse_own_thread(self) -> None:
        if self._thread.ident == threading.get_ident():
            raise RuntimeError(
                f"this is the thread of host {self._host.name!r} itself, which would wait for itself: make the hook"
                " implementation or loader `async def` and await the host's own methods, or run it in a thread that"
                " may wait: @hookimpl(blocking=True), get_or_set(..., blocking=True)"
            )

    def refuse_own_end(self) -> None:
        if self._thread.ident == threading.get_ident():
            raise RuntimeError(
                f"this is the thread of host {self._host.name!r} itself, which would wait for its own end: stop it in"
                " the thread that started it"
            )

    def refuse_forked(self) -> None:
        refuse_forked(self._process, f"host {self._host.name!r}")

    @property
    def _way_in(self) -> BlockingPortal:
        self.refuse_forked()
        return self._portal

    def _run(self) -> None:
        try:
            anyio.run(self._live, backend=self._backend)
        except BaseException as error:  # the event loop itself: raised to whoever starts or stops the host
            if self._started.done():
                self._failure = error
            else:
                self._started.set_exception(error)

    async def _live(self) -> None:
        self._enough = anyio.Event()
        # What still runs over there when the host is left has as long to end as a plugin has to stop.
        with anyio.CancelScope() as patience:
            async with BlockingPortal() as portal:
                # What the host raises is not handed to the portal, which would wrap it in an ExceptionGroup.
                try:
                    async with self._host:
                        self._started.set_result(portal)
                        await self._enough.wait()
                except BaseException as error:  # raised to whoever started or stops it
                    if self._started.done():
                        self._failure = error
                    else:
                        self._started.set_exception(error)
                patience.deadline = anyio.current_time() + self._host.config.host.shutdown_timeout
                await portal.stop(cancel_remaining=self._cancel)
        if patience.cancel_called:
            limit = self._host.config.host.shutdown_timeout
            _log.warning(
                "calls were cut, because their host was left", limit=limit, setting="host.shutdown_timeout"
            )


class ThreadView:
    """A live object of the event loop's thread as other threads see it.

    It is equal to the object it shows and of its class; handed back into the host it is that object again.
    """

    def __init__(self, loop: _LoopThread, thing: Any) -> None:
        self._loop = loop
        self._thing = thing

    @property  # type: ignore[misc] # not to be set; so that isinstance asks the thing
    def __class__(self) -> type[Any]:
        return type(self._thing)

    def __eq__(self, other: object) -> bool:
        return bool(self._thing == _inward(other))

    def __hash__(self) -> int:
        return hash(self._thing)

    def __bool__(self) -> bool:
        return bool(self._thing)

    def __getattr__(self, name: str) -> Any:
        return _shown(self._loop, getattr(self._thing, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object over there, await what must be awaited, and return the result."""
        args = tuple(map(_inward, args))
        made = self._loop.call(
            _call, self._thing, args, {key: _inward(value) for key, value in kwargs.items()}
        )
        return _given(self._loop, made, args)

    def __getitem__(self, key: Any) -> Any:
        return _given(self._loop, self._loop.call(self._thing.__getitem__, _inward(key)))

    def __dir__(self) -> list[str]:
        return dir(self._thing)

    def __contains__(self, key: object) -> bool:
        return bool(self._loop.call(self._thing.__contains__, _inward(key)))

    def __iter__(self) -> Any:
        return iter(self._loop.call(list, self._thing))

    def __len__(self) -> int:
        return int(self._loop.call(len, self._thing))

    def __enter__(self) -> Any:
        self._context: AbstractContextManager[Any] = self._loop.entered(self._thing)
        return _given(self._loop, self._context.__enter__())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._context.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<blocking {self._thing!r}>"


class HooksView(ThreadView):
    """All hooks as other threads see them."""

    def __init__(self, loop: _LoopThread, thing: HookRelay) -> None:
        super().__init__(loop, thing)
        self._views: dict[str, HookView] = {}

    def __getattr__(self, name: str) -> Any:
        hook = getattr(self._thing, name)
        if name.startswith("_"):
            return hook
        view = self._views.get(name)
        if view is None or not view.shows(hook):
            view = self._views[name] = HookView(self._loop, hook, getattr(twin_of(self._thing), name))
        return view


class HookView:
    """One hook as other threads see it; results come back as the plugins returned them."""

    def __init__(self, loop: _LoopThread, hook: Callable[..., Any], call: Callable[..., Any]) -> None:
        self._loop = loop
        self._hook = hook
        self._call = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the hook, wherever its implementations are to be called, and wait for what they wait for."""
        self._loop.refuse_own_thread()
        return self._call(*args, **{key: _inward(value) for key, value in kwargs.items()})

    def shows(self, hook: Callable[..., Any]) -> bool:
        """Whether it is of this hook, and not of one that was declared under the same name before."""
        return self._hook is hook

    def __getattr__(self, name: str) -> Any:
        return _shown(self._loop, getattr(self._hook, name))

    def __dir__(self) -> list[str]:
        return dir(self._hook)


async def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    made = function(*args, **kwargs)
    return await made if inspect.isawaitable(made) else made


def _inward(thing: Any) -> Any:
    """Return what a caller gives as the host knows it."""
    return object.__getattribute__(thing, "_thing") if issubclass(type(thing), ThreadView) else thing


def _shown(loop: _LoopThread, thing: Any) -> Any:
    """Show a part of a live object; data are data in every thread."""
    if _is_data(thing):
        return thing
    return (HooksView if type(thing) is HookRelay else ThreadView)(loop, thing)


def _is_data(thing: Any) -> bool:
    kind: Any = type(thing)
    return isinstance(thing, _PLAIN) or _is_value(kind)


def _given(loop: _LoopThread, thing: Any, args: tuple[Any, ...] = ()) -> Any:
    """Hand a result out as it is, unless it is alive over there; what was given in comes back as it was."""
    if isinstance(thing, _PLAIN) or any(thing is arg for arg in args):
        return thing
    kind: Any = type(thing)
    ours = getattr(thing if inspect.isroutine(thing) else kind, "__module__", None) or ""
    alive = ours.startswith("plughost.") or _is_live(kind)
    return ThreadView(loop, thing) if alive and not _is_value(kind) else thing


@cache
def _is_value(kind: Any) -> bool:
    """Whether objects of a class are data: records, enumerations, errors, and the standard library's own values."""
    record = hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__struct_fields__")
    module = kind.__module__.partition(".")[0]
    return record or issubclass(kind, BaseException | Enum) or module in _OF_VALUES


@cache
def _is_live(kind: Any) -> bool:
    """Whether objects of a class have to be awaited, here or there."""
    if any(hasattr(kind, name) for name in ("__aenter__", "__aiter__", "__await__")):
        return True
    parts = (part for base in kind.__mro__ for part in vars(base).values())
    return any(inspect.iscoroutinefunction(part) for part in parts)
