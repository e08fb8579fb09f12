"""A host with a thousand caches or plugins has pages that a person can read: a hundred rows, a search, and more."""

from __future__ import annotations

import re

import pytest

from plughost import Plugin, hookimpl
from plughost.contracts import AdminPanel, CacheManager
from plughost.exceptions import PluginStartError
from plughost.plugins.admin import AdminPlugin, charts, rendering, views
from plughost.plugins.cache.plugin import CachePlugin

pytestmark = pytest.mark.anyio
MANY = 25


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Board(Plugin):
    name = "board"

    @hookimpl
    def register_admin_panels(self) -> list[AdminPanel]:
        figures = {"filter": "mine", "page": 7, "view": "theirs"}
        return [AdminPanel(name="board", title="Board", scope="board:read", data=lambda: figures)]


@pytest.fixture
async def client(serve, monkeypatch):
    monkeypatch.setattr(views, "PAGE", 10)
    monkeypatch.setattr(rendering, "_HOOKS_SHOWN", 10)
    monkeypatch.setattr(rendering, "_ADVICE_SHOWN", 2)
    monkeypatch.setattr(charts, "_MOST_ROWS", 10)
    async with serve(CachePlugin, AdminPlugin, Board) as served:
        for number in range(MANY):
            await served.host.use(CacheManager).get(f"shelf-{number:02}").set("k", number)

            class Lamp(Plugin):
                name = f"lamp-{number:02}"

                @hookimpl
                async def after_auth(self, attempt, principal): ...

            await served.host.load_plugin(Lamp)
        async with served.client(token=served.token("*"), base="http://testserver/admin/system/") as client:
            client.served = served
            yield client


def rows(tab: str, text: str) -> list[str]:
    pattern = {
        "cache": r'<section class="card cache">\s*<div class="row"><h2>(\S+)',
        "plugins": r'<tr id="plugin-(\S+)"',
    }
    return re.findall(pattern[tab], text)


async def page(client, address: str) -> str:
    answer = await client.get(address, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    return answer.text


@pytest.mark.parametrize("tab", ["cache", "plugins"])
async def test_a_long_list_comes_in_pages_and_each_row_once(client, tab):
    seen, address = [], tab
    while address:
        text = await page(client, address)
        assert 0 < len(rows(tab, text)) <= 10
        seen += rows(tab, text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        address = following[1].replace("&amp;", "&") if following else ""
    host = client.served.host
    assert sorted(seen) == sorted(host.plugins if tab == "plugins" else host.use(CacheManager).names())


@pytest.mark.parametrize("tab", ["cache", "plugins"])
async def test_a_search_finds_what_is_on_any_page(client, tab):
    text = await page(client, f"{tab}?q=-2")
    assert [name[-2:] for name in rows(tab, text)] == ["20", "21", "22", "23", "24"]
    assert "1 to 5 of 5" in text
    assert "Nothing is found" in await page(client, f"{tab}?q=attic")


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "page=99", "page=" + "9" * 5000])
async def test_a_page_that_there_is_not_is_the_nearest(client, query):
    text = await page(client, f"cache?{query}")
    assert rows("cache", text)[-1] == ("shelf-24" if query == "page=99" else "shelf-09")


@pytest.mark.parametrize("tab", ["cache", "plugins"])
@pytest.mark.parametrize("query", ["", "?page=2", "?q=-0&page=1", "?page=99"])
async def test_what_comes_live_are_the_pieces_of_that_very_page(client, tab, query):
    text = await page(client, f"{tab}{query}")
    shape, events, poll = re.search(
        r'data-shape="(\w+)" data-events="([^"]+)" data-poll="([^"]+)"', text
    ).groups()
    look = (await client.get(poll.replace("&amp;", "&"))).json()
    assert look["shape"] == shape
    assert (
        events.partition("as=parts")[2].replace("&amp;", "&").lstrip("&")
        == poll.replace("&amp;", "&").partition("?")[2]
    )


async def test_a_list_that_is_short_is_there_as_a_whole(client, monkeypatch):
    monkeypatch.setattr(views, "PAGE", 100)
    text = await page(client, "plugins?q=lamp-07")
    assert len(rows("plugins", text)) == len(client.served.host.plugins)
    assert "data-filter" in text
    assert 'rel="next"' not in text
    assert 'as=parts"' in text


async def test_nothing_else_on_the_page_grows_with_the_plugins(client):
    text = await page(client, "plugins")
    assert "and 15 more plugins, whose pages show what they did" in text
    assert text.count('class="fall"') == 10
    assert "The slowest 10 of 28." in text


async def test_advice_is_told_to_a_length_that_is_read(client):
    for number in range(5):

        class Broken(Plugin):
            name = f"broken-{number}"

            async def start(self, context):
                raise RuntimeError("no bulb")

        with pytest.raises(PluginStartError):
            await client.served.host.load_plugin(Broken)
    text = await page(client, "plugins")
    assert text.count('class="advice fail"') == 2
    assert "And 3 more;" in text


async def test_the_figures_of_a_panel_are_shown_as_they_are_whatever_they_are_called(client):
    text = await page(client, "board?q=lamp&page=2")
    for row in ("filter</th><td>mine", "page</th><td>7", "view</th><td>theirs"):
        assert row in text
