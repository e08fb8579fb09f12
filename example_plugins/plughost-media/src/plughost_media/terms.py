"""TMDB lets nobody keep what it says for more than six months: names on lists are renewed before that, or forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio.to_thread
from msgspec import ValidationError, convert, json

from plughost.contracts import Clock
from plughost.exceptions import ServiceError
from plughost_media.people import Listed, People
from plughost_tmdb.protocols import KeyNeededError, KeyRefusedError, Tmdb
from plughost_upstream.protocols import UpstreamError

_DAY: Final = 86_400.0
_RENEWED_AFTER: Final = 120 * _DAY
_FORGOTTEN_AFTER: Final = 140 * _DAY
"""What a page put on a list, or a cache answers, may have been said by TMDB a month before."""

_MOST_AT_ONCE: Final = 1000


class Terms:
    """Does the work of a job.

    Args:
        people: The lists.
        tmdb: Returns what TMDB is asked by; raises ``ServiceError`` while nobody provides it.
        clock: Time.
    """

    def __init__(self, people: People, tmdb: Callable[[], Tmdb], clock: Clock) -> None:
        self._people, self._tmdb, self._clock = people, tmdb, clock

    async def keep(self) -> int:
        """Renew what is old; how many titles were."""
        now = self._clock.time()
        old = await anyio.to_thread.run_sync(self._people.named_before, now - _RENEWED_AFTER, _MOST_AT_ONCE)
        count = 0
        for user, title, named in old:
            try:
                found = await self._asked(title, user)
            except (UpstreamError, ServiceError, KeyNeededError, KeyRefusedError):
                if named < now - _FORGOTTEN_AFTER:
                    await anyio.to_thread.run_sync(self._people.rename, _nameless(title), None)
                continue
            await anyio.to_thread.run_sync(self._people.rename, found, now)
            count += 1
        return count

    async def _asked(self, title: Listed, user: str) -> Listed:
        answer = await self._tmdb().answer(f"{title.kind}/{title.id}", user=user)
        if answer is None:
            return _nameless(title)
        said = json.decode(answer.body)
        name, poster = said.get("title") or said.get("name"), said.get("poster_path") or ""
        renewed = {"kind": title.kind, "id": title.id, "title": name, "poster_path": poster}
        try:
            return convert(renewed, Listed)
        except ValidationError:
            return _nameless(title)


def _nameless(title: Listed) -> Listed:
    return Listed(title.kind, title.id, f"{title.kind} {title.id}")
