"""What people saw by other players: servers are asked for it, and plugins told as if it had been marked here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import anyio
import msgspec

from plughost_plex.protocols import Account, PlexError, Server
from plughost_plex.service import PlexService
from plughost_upstream.protocols import UpstreamError

_OWNER: Final = 1
"""What a server calls its owner; everybody else goes by the number of the account."""

_CLOCKS_DIFFER: Final = 60.0
"""Seconds by which the clock of a server may be ahead of ours."""

_MOST_AT_ONCE: Final = 50
"""How many views there are in one second, at most."""


class _Event(
    msgspec.Struct, frozen=True, rename={"key": "ratingKey", "account": "accountID", "at": "viewedAt"}
):
    key: str
    account: int
    at: int

    @property
    def id(self) -> str:
        """Tells it from others in its second."""
        return f"{self.account}:{self.key}"

    def is_beside(self, until: int, known: Collection[str]) -> bool:
        """Whether it is in a second of which others are known."""
        return self.at == until and bool(known) and self.id not in known


class Elsewhere:
    """Does the work of a job. The first look at a server only notes where its history ends.

    Args:
        plex: The accounts, and what servers are asked by.
    """

    def __init__(self, plex: PlexService) -> None:
        self._plex = plex
        self._turn = anyio.Lock()

    async def told(self, account: Account, machine: str, key: str, at: float) -> None:
        """Note that others know of an item at a time: the server will say so, too, even if it was taken back here."""
        await self._plex.shelf.note_told(account, machine, key, at)

    async def sync(self) -> int:
        """Tell what was seen since the last look, by whoever is linked; how much there was."""
        async with self._turn:
            return await self._sync_all()

    async def _sync_all(self) -> int:
        people = {account.plex_id: account for account in await self._plex.accounts()}
        count, asked = 0, set[str]()
        for owner in people.values():
            server = await self._plex.shelf.current(owner.user_id)
            if server is None or not server.owned or server.machine in asked:
                continue
            asked.add(server.machine)
            try:
                count += await self._sync(owner, server, people)
            except (PlexError, UpstreamError):
                continue  # at the next look it is told, too
        return count

    async def _sync(self, owner: Account, server: Server, people: Mapping[int, Account]) -> int:
        told = await self._plex.shelf.told_until(server.machine)
        if told is None:
            found = await self._plex.history(owner, server, most=_MOST_AT_ONCE)
            await self._plex.shelf.tell_until(server.machine, *_edge(list(_events(found))))
            return 0
        until, known = told
        found = await self._plex.history(owner, server, since=until)
        # Of two views in one second the other may not have been there at the last look.
        new = (event for event in _events(found) if event.at > until or event.is_beside(until, known))
        events = sorted(new, key=lambda event: event.at)
        if not events:
            return 0
        await self._plex.answers.forget(owner, server, "history")
        count = 0
        for event in events:
            account = owner if event.account == _OWNER else people.get(event.account)
            count += account is not None and await self._tell(account, server, event)
        until, ids = _edge(events)
        await self._plex.shelf.tell_until(server.machine, until, ids | known if until == told[0] else ids)
        await self._plex.shelf.forget_told(server.machine, until - _CLOCKS_DIFFER)
        return count

    async def _tell(self, account: Account, server: Server, event: _Event) -> bool:
        known = await self._plex.shelf.told_at(account, server.machine, event.key)
        if known is not None and event.at <= known + _CLOCKS_DIFFER:
            return False
        await self._plex.answers.forget_watched(account, server, event.key)
        await self._plex.hooks.media_watched(
            account=account, machine=server.machine, key=event.key, seen=True, at=float(event.at)
        )
        return True


def _edge(events: Sequence[_Event]) -> tuple[int, frozenset[str]]:
    """Return the last second of some views, and which of them are in it."""
    until = max((event.at for event in events), default=0)
    return until, frozenset(event.id for event in events if event.at == until)


def _events(container: Mapping[str, Any] | None) -> Iterator[_Event]:
    for item in (container or {}).get("Metadata", ()):
        try:
            yield msgspec.convert(item, _Event, strict=False)
        except msgspec.ValidationError:
            continue  # of what was removed since, a server does not say what it was
