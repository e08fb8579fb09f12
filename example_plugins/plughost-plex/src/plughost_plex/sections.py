"""The sections of servers: kept for a day, compared each five minutes, and with what is kept of them forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from plughost_plex.answers import Answers
from plughost_plex.protocols import Account, Answer, Server
from plughost_upstream.protocols import Call

FIRST_PAGE: Final = {"X-Plex-Container-Start": "0", "X-Plex-Container-Size": "50"}
SORTED: Final = "titleSort:asc"
_PATH: Final = "/library/sections"


class Sections:
    """Sections and their pages, through the caches.

    A server says of each section when its content changed and when it was scanned; what is kept of its pages is
    forgotten when that is not what it was, whoever has looked.

    Args:
        answers: The caches.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._changed_at: dict[tuple[str, int, str], tuple[object, object]] = {}

    async def all(self, account: Account, server: Server) -> Answer:
        """Return the sections of a server."""

        async def compared(container: Mapping[str, Any]) -> Mapping[str, Any]:
            await self._changed(account, server, container)
            return container

        return await self._answers.get(account, server, "libraries", _PATH, then=compared)

    async def page(
        self,
        account: Account,
        server: Server,
        section: str,
        *,
        sort: str = SORTED,
        page: Mapping[str, str] = FIRST_PAGE,
    ) -> Answer:
        """Return a page of a section."""
        path, ask = f"{_PATH}/{section}/all", partial(self._answers.get, account, server, "library")
        return await ask(path, {"sort": sort}, headers=page, section=section)

    async def look(self, account: Account, server: Server) -> list[str]:
        """Ask the server now which sections changed since the last look; their keys."""
        call = Call(path=_PATH, user=account.user_id, priority="sync")
        found = await self._answers.ask(server, call, "libraries")
        changed = await self._changed(account, server, found or {})
        if changed:
            await self._answers.forget(account, server, "libraries")
        return changed

    async def _changed(self, account: Account, server: Server, container: Mapping[str, Any]) -> list[str]:
        changed = []
        for section in container.get("Directory", ()):
            place = (server.machine, account.plex_id, str(section.get("key", "")))
            now = (section.get("contentChangedAt"), section.get("scannedAt"))
            before = self._changed_at.get(place)
            self._changed_at[place] = now
            if before is None or before == now or not place[2].isdecimal():
                continue
            changed.append(place[2])
            await self._answers.forget_section(account, server, place[2])
        return changed
