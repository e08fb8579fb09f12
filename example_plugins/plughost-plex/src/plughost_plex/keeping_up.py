"""What is loaded before anybody asks: sections that changed on a server, and what people will watch next."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from plughost_plex.protocols import Account, PlexError, Server
from plughost_plex.service import PlexService
from plughost_upstream.protocols import Call, UpstreamError

_MOST_ON_DECK: Final = 20
_KEY: Final = re.compile(r"[0-9]{1,18}")
_UNREACHED: Final = (PlexError, UpstreamError)


class KeepingUp:
    """Does the work of two jobs. An account or a server that gives no answer keeps the others from nothing.

    Args:
        plex: The accounts, and what servers are asked by.
    """

    def __init__(self, plex: PlexService) -> None:
        self._plex, self._answers = plex, plex.answers

    async def sync(self) -> int:
        """Load anew the first page of each section that changed since the last look; how many there were."""
        count = 0
        async for account, server in self._current():
            try:
                count += await self._sync(account, server)
            except _UNREACHED:
                continue
        return count

    async def warm(self) -> int:
        """Load the details of what is on deck, and of the episodes that follow; how many."""
        count = 0
        async for account, server in self._current():
            try:
                for key in await self._next(account, server):
                    await self._plex.details(account, server, key)
                    count += 1
            except _UNREACHED:
                continue
        return count

    async def _current(self) -> AsyncIterator[tuple[Account, Server]]:
        for account in await self._plex.accounts():
            server = await self._plex.shelf.current(account.user_id)
            if server is not None:
                yield account, server

    async def _sync(self, account: Account, server: Server) -> int:
        changed = await self._plex.sections.look(account, server)
        for section in changed:
            await self._plex.sections.page(account, server, section)
        return len(changed)

    async def _next(self, account: Account, server: Server) -> list[str]:
        deck = await self._answers.get(account, server, "ondeck", "/library/onDeck")
        keys: list[str] = []
        for item in deck.data.get("Metadata", ())[:_MOST_ON_DECK]:
            keys += _key_in(item, "ratingKey")
            if item.get("type") == "episode":
                keys += await self._after(account, server, item)
        return list(dict.fromkeys(keys))

    async def _after(self, account: Account, server: Server, episode: Mapping[str, Any]) -> list[str]:
        for series in _key_in(episode, "grandparentRatingKey"):
            path = f"/library/metadata/{series}/allLeaves"
            call = Call(path=path, user=account.user_id, priority="warm")
            found = await self._answers.ask(server, call, "metadata")
            keys = [key for leaf in (found or {}).get("Metadata", ()) for key in _key_in(leaf, "ratingKey")]
            place = (
                keys.index(str(episode.get("ratingKey")))
                if str(episode.get("ratingKey")) in keys
                else len(keys)
            )
            return keys[place + 1 : place + 2]
        return []


def _key_in(item: Mapping[str, Any], name: str) -> list[str]:
    """Return the key under a name; none where a server says none, or something that is no key."""
    key = str(item.get(name, ""))
    return [key] if _KEY.fullmatch(key) else []
