"""What a task waits on while another thread works for it, and the door through which that thread comes back.

``anyio.Event`` would do on both event loops; a future of asyncio's own is several times cheaper to make and to wait
for, and one is made for every write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio
import sniffio


class Tickets(Protocol):
    """Tickets of one event loop."""

    def issue(self) -> Any:
        """Return a ticket; called in the loop."""

    def wait(self, ticket: Any) -> Awaitable[object]:
        """Wait until it is honoured."""

    def honour(self, ticket: Any) -> None:
        """Let its holder go on; called in the loop, also when the holder has gone."""

    def soon(self, function: Callable[[], object]) -> None:
        """Have a function called when the tasks that are ready now have had their turn; called in the loop."""

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Have a function called in the loop; called in any thread, and never waits.

        Raises:
            RuntimeError: The loop has ended.
        """


class AsyncioTickets:
    """Futures."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def issue(self) -> asyncio.Future[None]:
        """Return a future."""
        return self._loop.create_future()

    def soon(self, function: Callable[[], object]) -> None:
        """Have a function called in the loop's next turn."""
        self._loop.call_soon(function)

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Have a function called in the loop."""
        self._loop.call_soon_threadsafe(function, *args)

    def wait(self, ticket: asyncio.Future[None]) -> Awaitable[None]:
        """A future can be awaited as it is."""
        return ticket

    def honour(self, ticket: asyncio.Future[None]) -> None:
        """Set its result, unless its holder was cancelled."""
        if not ticket.done():
            ticket.set_result(None)


class TrioTickets:
    """Events."""

    def __init__(self) -> None:
        import trio

        self._token = trio.lowlevel.current_trio_token()

    def soon(self, function: Callable[[], object]) -> None:
        """Have a function called in the loop's next turn."""
        self._token.run_sync_soon(function)

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Have a function called in the loop."""
        self._token.run_sync_soon(function, *args)

    def issue(self) -> anyio.Event:
        """Return an event."""
        return anyio.Event()

    def wait(self, ticket: anyio.Event) -> Awaitable[None]:
        """Wait for it."""
        return ticket.wait()

    def honour(self, ticket: anyio.Event) -> None:
        """Set it."""
        ticket.set()


def tickets_of_this_loop() -> Tickets:
    """Return the tickets of the event loop this is called in."""
    return TrioTickets() if sniffio.current_async_library() == "trio" else AsyncioTickets()
