"""A plugin that recommends by genre: what TMDB has of the genres of a list. The demo loads it; copy it for your own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import json

from plughost import Plugin, PluginContext, hookimpl
from plughost.exceptions import ServiceError
from plughost_media.people import Kind, Listed
from plughost_tmdb.protocols import KeyNeededError, KeyRefusedError, Tmdb
from plughost_upstream.protocols import UpstreamError

_LATEST: Final = 5


class ByGenrePlugin(Plugin):
    """Implements ``recommend``."""

    name = "by-genre"
    after = ("media", "tmdb")

    async def start(self, context: PluginContext) -> None:
        """Begin; TMDB is asked for at each use."""
        self._context = context

    @hookimpl(optionalhook=True)
    async def recommend(self, user: str, seeds: Sequence[Listed]) -> Sequence[Listed] | None:
        """Recommend what is discovered under the genre that most of the latest titles have."""
        genres: Counter[tuple[Kind, int]] = Counter()
        try:
            for seed in seeds[:_LATEST]:
                found = await self._asked(f"{seed.kind}/{seed.id}", user)
                genres.update((seed.kind, genre["id"]) for genre in found.get("genres", ()))
            for (kind, genre), _ in genres.most_common(1):
                found = await self._asked(f"discover/{kind}", user, {"with_genres": str(genre)})
                return list(_titles(kind, found))
        except (UpstreamError, ServiceError, KeyNeededError, KeyRefusedError):
            return None  # another plugin may know something
        return None

    async def _asked(self, path: str, user: str, params: dict[str, str] | None = None) -> dict[str, Any]:
        answer = await self._context.use(Tmdb).answer(path, params, user=user)
        return {} if answer is None else json.decode(answer.body)


def _titles(kind: Kind, found: dict[str, Any]) -> Iterator[Listed]:
    for item in found.get("results", ()):
        name = item.get("title") or item.get("name") or "?"
        yield Listed(kind, item["id"], name[:300], item.get("poster_path") or "")
