"""What servers say by themselves: that a library changed, or that somebody stopped watching."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import anyio
from anyio.abc import TaskGroup

from plughost.contracts import Clock
from plughost.exceptions import LoadTimeoutError, ServiceError
from plughost_plex.protocols import Account, PlexError, Server
from plughost_plex.service import PlexService
from plughost_upstream.protocols import Call, ReplyStream, Upstream, UpstreamError, UpstreamGarbageError

_LOOK_EACH: Final = 15.0
"""Seconds between looks at whom to listen to: after so many a stream that broke off begins anew."""

_CALM: Final = 2.0
"""Seconds in which more of the same is waited for: a scan says something for every file."""

_LONGEST_SILENCE: Final = 600.0
_ENDLESS: Final = 1 << 50
_MOST_EVENT: Final = 1 << 20
_UNREACHED: Final = (PlexError, UpstreamError, ServiceError, LoadTimeoutError)


class Notifications:
    """Listens to the current servers of their owners.

    Args:
        plex: The accounts, and what servers are asked by.
        watched: Tells what was seen since it was told last.
        clock: Time.
    """

    def __init__(self, plex: PlexService, watched: Callable[[], Awaitable[object]], clock: Clock) -> None:
        self._plex, self._watched, self._clock = plex, watched, clock
        self._held: dict[str, tuple[Upstream, anyio.CancelScope]] = {}

    async def run(self) -> None:
        """Listen for ever."""
        async with anyio.create_task_group() as tasks:
            while True:
                await self._look(tasks)
                await self._clock.sleep(_LOOK_EACH)

    async def _look(self, tasks: TaskGroup) -> None:
        found: dict[str, Upstream] = {}
        for owner in await self._plex.accounts():
            server = await self._plex.shelf.current(owner.user_id)
            if server is None or not server.owned or server.machine in found:
                continue
            try:
                origin = self._plex.servers_of_all.at(server)
            except _UNREACHED:
                continue  # nobody has found the way to it yet
            found[server.machine] = origin
            if server.machine not in self._held:
                scope = anyio.CancelScope()
                self._held[server.machine] = origin, scope
                tasks.start_soon(self._hold, owner, server, origin, scope)
        for machine, (origin, scope) in self._held.items():
            if found.get(machine) is not origin:
                scope.cancel()

    async def _hold(self, owner: Account, server: Server, origin: Upstream, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                await self._listen(owner, server, origin)
        except* _UNREACHED:
            pass  # the next look begins anew
        finally:
            del self._held[server.machine]

    async def _listen(self, owner: Account, server: Server, origin: Upstream) -> None:
        call = Call(
            path="/:/eventsource/notifications", params={"filters": "timeline,playing"}, expect="bytes",
            headers={"Accept": "text/event-stream"}, secrets=await self._plex.servers_of_all.secret(server),
            user=owner.user_id, priority="sync", most=_ENDLESS, deadline=_LONGEST_SILENCE,
        )  # fmt: skip
        due: set[str] = set()
        came = anyio.Event()

        async def act() -> None:
            nonlocal due, came
            while True:
                await came.wait()
                await self._clock.sleep(_CALM)
                names, due, came = due, set(), anyio.Event()
                await self._act(owner, server, names)

        async with origin.stream(call) as reply, anyio.create_task_group() as tasks:
            tasks.start_soon(act)
            async for name, data in events_of(reply):
                if name == "timeline" or (name == "playing" and b'"stopped"' in data):
                    due.add(name)
                    came.set()
            tasks.cancel_scope.cancel()

    async def _act(self, owner: Account, server: Server, names: set[str]) -> None:
        try:
            if "playing" in names:
                await self._watched()
            if "timeline" in names:
                for section in await self._plex.sections.look(owner, server):
                    await self._plex.sections.page(owner, server, section)
        except _UNREACHED:
            return  # the jobs find it out, too


async def events_of(reply: ReplyStream) -> AsyncIterator[tuple[str, bytes]]:
    """Give name and data of each event of a stream.

    Raises:
        UpstreamGarbageError: One is too long.
    """
    kept, name, data = b"", "", b""
    async for piece in reply:
        *lines, kept = (kept + piece).split(b"\n")
        for line in lines:
            field, _, value = line.rstrip(b"\r").partition(b":")
            if field == b"event":
                name = value.strip().decode("ascii", "replace")
            elif field == b"data":
                data += value
            elif not field and not value and name:
                yield name, data
                name, data = "", b""
        if len(kept) + len(data) > _MOST_EVENT:
            raise UpstreamGarbageError("an event of the server has no end")
