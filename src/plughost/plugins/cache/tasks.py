"""Where the cache's own work runs: loads, refreshes, callbacks.

A load must outlive the caller who began it, so it is nobody's child but the cache's. In the host's loop that
is the task group of ``OwnLoop``; in any other loop of the process (a blocking embedding, a test) a task of its
own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
import anyio.abc
import anyio.from_thread
from anyio.lowlevel import EventLoopToken, current_token

T = TypeVar("T")


def current_task() -> Any:
    """Return the current task itself, of whichever loop it is."""
    if current_token().backend_class.__module__.endswith("_trio"):
        import trio

        return trio.lowlevel.current_task()
    import asyncio

    return asyncio.current_task()


class OwnLoop:
    """The loop the caches belong to."""

    def __init__(self) -> None:
        self._group: anyio.abc.TaskGroup | None = None
        self._token: EventLoopToken | None = None
        self._thread: int | None = None
        self._strays: set[Any] = set()

    @property
    def running(self) -> bool:
        """Whether there is such a loop now."""
        return self._group is not None

    @property
    def here(self) -> bool:
        """Whether this thread is the one the loop runs in."""
        return self._thread == threading.get_ident()

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Be the home until cancelled; everything that was begun is cancelled with it."""
        try:
            async with anyio.create_task_group() as group:
                self._group, self._token = group, current_token()
                self._thread = threading.get_ident()
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._group = self._token = self._thread = None

    def spawn(self, function: Callable[..., Coroutine[Any, Any, object]], *args: object) -> None:
        """Run a coroutine function that raises nothing in the background of the current loop."""
        if self._group is not None and self.here:
            self._group.start_soon(function, *args)
        elif current_token().backend_class.__module__.endswith("_trio"):
            import trio

            trio.lowlevel.spawn_system_task(function, *args)
        else:
            import asyncio

            task = asyncio.get_running_loop().create_task(function(*args))
            self._strays.add(task)
            task.add_done_callback(self._strays.discard)

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function in the home loop and wait for it, from a thread without a loop.

        Raises:
            RuntimeError: Called in the loop's own thread, which would wait for itself, or there is no loop.
        """
        if self._token is None:
            raise RuntimeError("the host of this cache is not running")
        if self.here:
            raise RuntimeError("this is the thread of the host's event loop: await the async method instead")
        return anyio.from_thread.run(function, *args, token=self._token)

    def forget(self) -> None:
        """Called in a forked child, which has none of the parent's loops."""
        self._group = self._token = self._thread = None
        self._strays = set()
