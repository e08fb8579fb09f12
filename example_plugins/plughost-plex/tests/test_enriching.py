"""What other plugins add to the details of an item, and hear of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import CacheManager

pytestmark = pytest.mark.anyio


class Stars(Plugin):
    """Adds stars to what it likes, and hears of all."""

    name = "stars"

    def __init__(self, added: Any) -> None:
        self.added = added
        self.heard: list[Any] = []

    async def start(self, context: PluginContext) -> None:
        pass

    @hookimpl(optionalhook=True)
    async def enrich_media(self, item: Mapping[str, Any]) -> Any:
        if isinstance(self.added, Exception):
            raise self.added
        return {**item, "stars": self.added} if isinstance(self.added, int) else self.added

    @hookimpl(optionalhook=True)
    async def media_item_seen(self, item: Mapping[str, Any]) -> None:
        self.heard.append((item["ratingKey"], item.get("stars")))


async def test_what_is_added_is_kept_with_the_item_and_told_once(suite, ada):
    stars = Stars(5)
    await suite.host.load_plugin(stars)
    for _ in range(3):
        [item] = (await ada.get("/api/plex/metadata/101")).json()["MediaContainer"]["Metadata"]
        assert item["stars"] == 5
        assert item["title"]
    assert stars.heard == [("101", 5)]
    await suite.host.use(CacheManager).get("plex.metadata").clear()
    await suite.host.unload_plugin("stars")
    [item] = (await ada.get("/api/plex/metadata/101")).json()["MediaContainer"]["Metadata"]
    assert "stars" not in item


@pytest.mark.parametrize("added", [RuntimeError("no"), None, "no item"], ids=repr)
async def test_one_that_fails_or_adds_nonsense_takes_nothing_away(suite, ada, added):
    stars = Stars(added)
    await suite.host.load_plugin(stars)
    [item] = (await ada.get("/api/plex/metadata/102")).json()["MediaContainer"]["Metadata"]
    assert (item["ratingKey"], "stars" in item) == ("102", False)
    assert stars.heard == [("102", None)]
