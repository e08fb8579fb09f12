"""The statistics of a media server: made of what the plugin plex knows, each minute, and never while somebody waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from plughost.contracts import Cache, CacheManager, Clock, error_type_name
from plughost.exceptions import ServiceError
from plughost_plex.protocols import Answer, Monitored, Plex, PlexError
from plughost_upstream.protocols import UpstreamError

EVERY: Final = 60.0
LIVE_FOR: Final = 30.0
KEY: Final = "dashboard"
_KEPT: Final = 3 * EVERY
_LIVE: Final[tuple[Monitored, ...]] = ("activities", "sessions")
_ALL: Final[tuple[Monitored, ...]] = (*_LIVE, "history", "recent", "libraries")
_MOST_WATCHED: Final = 10


class Statistics:
    """Computes and keeps them.

    Args:
        plex: Returns the service; raises ``ServiceError`` while nobody provides it.
        caches: The caches of the host.
        sections: Asks other plugins for theirs.
        clock: Time.
    """

    def __init__(
        self,
        plex: Callable[[], Plex],
        caches: CacheManager,
        sections: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]],
        clock: Clock,
    ) -> None:
        self._plex, self._sections, self._clock = plex, sections, clock
        self._cache: Cache = caches.get("media.stats", load_timeout=30.0)
        self._live_cache: Cache = caches.get(
            "media.live", stale_for=300.0, soft_timeout=0.05, load_timeout=10.0
        )

    def begin(self) -> Callable[[], None]:
        """Compute now and each minute; returns what stops it."""
        return self._cache.precompute(KEY, self.compute, EVERY)

    async def renew(self) -> None:
        """Compute now."""
        await self._cache.warm(KEY, self.compute, ttl=_KEPT)

    async def dashboard(self) -> Mapping[str, Any] | None:
        """Return what was computed last, with its age; None before the first time. Asks nobody."""
        entry = await self._cache.entry(KEY)
        return None if entry is None else {**entry.value, "age": round(entry.age, 1), "stale": entry.stale}

    async def compute(self) -> Mapping[str, Any]:
        """Return the statistics, of those parts that can be had."""
        parts, away = await self._parts(_ALL)
        return {
            "at": self._clock.time(),
            **_figures(parts),
            "away": away,
            "sections": list(await self._sections()),
        }

    async def live(self) -> Mapping[str, Any]:
        """Return what goes on now, half a minute old at most while the server answers."""

        async def load() -> Mapping[str, Any]:
            parts, away = await self._parts(_LIVE)
            if not parts:
                raise PlexError(502, "plex_away", "no server answers")
            return {**_figures(parts), "away": away}

        entry = await self._live_cache.get_or_set_entry("live", load, LIVE_FOR)
        return {**entry.value, "age": round(entry.age, 1), "stale": entry.stale}

    async def _parts(self, wanted: Sequence[Monitored]) -> tuple[dict[Monitored, Answer], dict[str, str]]:
        found: dict[Monitored, Answer] = {}
        away: dict[str, str] = {}
        for what in wanted:
            try:
                found[what] = await self._plex().monitor(what)
            except (PlexError, UpstreamError) as error:
                away[what] = error.code
            except ServiceError:
                away[what] = "plugin_plex_away"
            except Exception as error:  # one part that fails is not worth the others
                away[what] = error_type_name(error)
        return found, away


def _figures(parts: Mapping[Monitored, Answer]) -> dict[str, Any]:
    """Return figures about the parts there are; a missing list in an answer is an empty one."""
    figures: dict[str, Any] = {}
    if "activities" in parts:
        figures["activities"] = len(_list(parts["activities"], "Activity"))
    if "sessions" in parts:
        sessions = _list(parts["sessions"], "Metadata")
        figures["sessions"] = len(sessions)
        figures["transcoding"] = sum("TranscodeSession" in one for one in sessions)
    if "libraries" in parts:
        kinds = Counter(str(one.get("type", "other")) for one in _list(parts["libraries"], "Directory"))
        figures["libraries"] = dict(sorted(kinds.items()))
    if "recent" in parts:
        figures["recent"] = [_title(one) for one in _list(parts["recent"], "Metadata")[:_MOST_WATCHED]]
    if "history" in parts:
        watched = _list(parts["history"], "Metadata")
        figures["watched"] = len(watched)
        figures["most_watched"] = Counter(map(_title, watched)).most_common(_MOST_WATCHED)
    return figures


def _list(answer: Answer, name: str) -> Sequence[Mapping[str, Any]]:
    found = answer.data.get(name, ())
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list | tuple) else []


def _title(item: Mapping[str, Any]) -> str:
    return str(item.get("grandparentTitle") or item.get("title") or "?")
