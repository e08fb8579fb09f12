"""Calls without ``await``: implementations run in the thread of the caller, as with pluggy, wherever that is.

The caller may hold what they need: the lock of a module that is being imported, a connection that belongs to its
thread, the context of a command line. Only what really has to be awaited is handed over to the host's event loop.
"""

from __future__ import annotations

import os
import threading
from typing import Any, NoReturn

import msgspec
from anyio.lowlevel import EventLoopToken

from plughost.core.calls.blocking import BlockingLane
from plughost.core.calls.plan import Step
from plughost.core.calls.watchdog import Watchdog
from plughost.core.forking import refuse_forked
from plughost.core.other_loop import call_there
from plughost.core.stepping import Coro
from plughost.exceptions import HostNotReadyError

_HANDING_BACK = frozenset({"collect", "first"})
"""Modes whose result can hold something to await."""


class Home(msgspec.Struct):
    """Where a host runs, while it does.

    Attributes:
        token: Its event loop; None before and after.
        thread: The thread of that.
        process: The process of that.
    """

    token: EventLoopToken | None = None
    thread: int = 0
    process: int = 0

    @property
    def is_forked(self) -> bool:
        """Whether this process was forked from that of the host, whose event loop is not in it."""
        return self.token is not None and self.process != os.getpid()

    @property
    def elsewhere(self) -> EventLoopToken | None:
        """The host's event loop, when it runs in another thread than the current one.

        Raises:
            HostNotReadyError: That thread is one of the process from which this one was forked.
        """
        if self.token is None or self.thread == threading.get_ident():
            return None
        refuse_forked(self.process)
        return self.token


class Here(msgspec.Struct, frozen=True):
    """What a call that may not wait does with implementations that do.

    Attributes:
        home: Where the host runs.
        watchdog: Keeps the limits of what is awaited there.
        lane: Runs blocking implementations there.
    """

    home: Home
    watchdog: Watchdog
    lane: BlockingLane

    def settle(self, step: Step, coroutine: Coro, mode: str) -> Any:
        """Deal with what an implementation returned to be awaited.

        In the host's own thread, and without a running host, it is handed back; from any other thread it is awaited
        on the host's event loop, within its limit.

        Raises:
            TypeError: It would be handed back, and the mode of the hook has no place for it.
            HostNotReadyError: The host's event loop is that of the process from which this one was forked.
        """
        try:
            token = self.home.elsewhere
        except HostNotReadyError:
            coroutine.close()
            raise
        if token is not None:
            return call_there(token, self.watchdog.finish_alone, coroutine, step.limit)
        if mode not in _HANDING_BACK:
            refuse_to_wait(coroutine)
        return coroutine

    def block(self, step: Step, values: dict[str, Any]) -> Any:
        """Run a blocking implementation: in its bulkhead while the caller's thread can wait for it, else here."""
        token = self.home.elsewhere
        if token is None:
            return step.call(values)

        async def block() -> Any:
            return await self.watchdog.finish_alone(self.lane.run(step, values), step.limit)

        return call_there(token, block)


def refuse_to_wait(coroutine: Coro) -> NoReturn:
    """Refuse what an implementation returned to be awaited where nobody would await it.

    Raises:
        TypeError: Always.
    """
    coroutine.close()
    raise TypeError(
        "returned a coroutine, and the mode of the hook leaves nobody to await it: call the hook with `await` "
        "host.hooks, or host.sync_hooks from another thread than the host's"
    )
