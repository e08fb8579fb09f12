"""What TMDB knows of an item of a library, by hooks that another plugin declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from serving_tmdb import bench

from plughost import Plugin, PluginContext, hookimpl, hookspec
from plughost.testing import HostMaker
from plughost_tmdb.enriching import number_in

pytestmark = pytest.mark.anyio


class Specs:
    @hookspec(mode="waterfall", timeout=30.0)
    async def enrich_media(self, item: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Add to an item."""

    @hookspec(mode="first", timeout=30.0)
    async def find_tmdb_id(self, guid: str) -> int | None:
        """Find the number."""


class Library(Plugin):
    """Declares the hooks, as the plugin plex does, and knows another sort of guid."""

    name = "library"

    async def start(self, context: PluginContext) -> None:
        context.register_hookspecs(Specs)

    @hookimpl
    async def find_tmdb_id(self, guid: str) -> int | None:
        return {"imdb://tt0000102": 102, "odd://0": 0, "odd://-1": -1, "odd://big": 10**12}.get(guid)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("kind", "guid", "number"), [
    ("movie", "tmdb://101", 101), ("show", "tmdb://201", 201), ("movie", "imdb://tt0000102", 102),
    ("movie", "imdb://tt9", None), ("movie", "odd://0", None), ("movie", "odd://-1", None),
    ("movie", "odd://big", None), ("movie", "tmdb://999999", None), ("episode", "tmdb://101", None),
])  # fmt: skip
async def test_it_is_added_by_the_number_that_any_plugin_finds(
    anyio_backend: str, make_host: HostMaker, kind: str, guid: str, number: int | None
) -> None:
    async with bench(make_host) as served:
        await served.host.load_plugin(Library)
        item = {"ratingKey": "7", "type": kind, "Guid": [{"id": "tvdb://1"}, {"id": guid}]}
        report = await served.host.hooks.enrich_media.report(item=item)
        assert {outcome.kind for outcome in report.outcomes} <= {"value", "skipped"}
        found = await served.host.hooks.enrich_media(item=item)
        assert {name: found[name] for name in item} == item
        assert found.get("tmdb", {}).get("id") == number


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_in_trouble_the_item_stays_as_it_is(anyio_backend: str, make_host: HostMaker) -> None:
    async with bench(make_host) as served:
        await served.host.load_plugin(Library)
        served.tmdb.begin("500")
        item = {"type": "movie", "Guid": [{"id": "tmdb://101"}]}
        assert await served.host.hooks.enrich_media(item=item) == item
        for odd in (None, {"id": "tmdb://101"}, [7, {"id": 8}]):
            assert await served.host.hooks.enrich_media(item={"type": "movie", "Guid": odd}) == {
                "type": "movie",
                "Guid": odd,
            }


@pytest.mark.parametrize(
    "guid", ["", "tmdb://", "tmdb://1x", "tmdb://-1", "tmdb://\u0661", "tmdb://" + "9" * 10, "imdb://1"]
)
def test_what_is_no_number_of_tmdb_is_none(guid: str) -> None:
    assert number_in(guid) is None
