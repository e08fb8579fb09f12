"""What this plugin tells others of servers and of what was seen, and asks them: by hooks of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio.lowlevel
import pytest

from plughost import Plugin, hookimpl
from plughost.contracts import CacheManager
from plughost_media.fakes.plex_tv import Connection
from plughost_plex import servers
from plughost_plex.protocols import Account, Server, Way
from plughost_upstream.protocols import Upstreams

pytestmark = pytest.mark.anyio

PROBE = "plex connections"


class Watching(Plugin):
    """Hears what is marked, and looks around while it does."""

    name = "watching"

    def __init__(self, look: Callable[[], Any]) -> None:
        self.look = look
        self.heard: list[tuple[Any, ...]] = []

    @hookimpl(optionalhook=True)
    async def media_watched(
        self, account: Account, machine: str, key: str, seen: bool
    ) -> None:  # and not when
        self.heard.append((account.username, machine, key, seen, await self.look()))


class Guarding(Plugin):
    """Hears of servers."""

    name = "guarding"

    def __init__(self) -> None:
        self.heard: list[tuple[str, bool, Any]] = []

    @hookimpl(optionalhook=True)
    async def server_state_changed(self, server: Server, reachable: bool) -> None:
        self.heard.append((server.name, reachable, server.reached_by if reachable else None))


class Broken(Plugin):
    """Fails whatever it hears."""

    name = "broken"

    @hookimpl(optionalhook=True)
    async def media_watched(self, account: Any, machine: Any, key: Any, seen: Any) -> None:
        raise RuntimeError("no")

    @hookimpl(optionalhook=True)
    async def server_state_changed(self, server: Any, reachable: Any) -> None:
        raise RuntimeError("no")


async def test_what_was_marked_is_told_once_the_server_has_it_and_nothing_old_is_kept(suite, ada):
    home = ada.fakes.home

    async def look() -> tuple[bool, int]:
        return (1001, "102") in home.watched, len(
            await suite.host.use(CacheManager).get("plex.ondeck").keys()
        )

    watching = Watching(look)
    await suite.host.load_plugin(Broken())
    await suite.host.load_plugin(watching)
    for mark in ("scrobble", "unscrobble"):
        await ada.get("/api/plex/ondeck")
        assert (await ada.post(f"/api/plex/{mark}", {"id": "102"})).status_code == 204
    assert watching.heard == [
        ("ada", "machine-home", "102", True, (True, 0)),
        ("ada", "machine-home", "102", False, (False, 0)),
    ]


async def test_what_the_server_refused_and_a_rating_are_no_watching(suite, ada):
    watching = Watching(anyio.lowlevel.checkpoint)
    await suite.host.load_plugin(watching)
    assert (await ada.post("/api/plex/rate", {"id": "102", "rating": 8})).status_code == 204
    assert (await ada.post("/api/plex/scrobble", {"id": "999999"})).status_code == 404
    ada.fakes.home.begin("500")
    assert (await ada.post("/api/plex/scrobble", {"id": "102"})).status_code == 502
    assert watching.heard == []


async def test_a_server_that_goes_and_comes_back_is_told_once_each(suite, ada):
    guarding = Guarding()
    await suite.host.load_plugin(Broken())
    await suite.host.load_plugin(guarding)
    home, upstreams = ada.fakes.home, suite.host.use(Upstreams)
    for away in (False, False, True, True, False):
        if away:
            home.begin("away")
        else:
            home.end()
        for name in upstreams.names():
            upstreams.remove(name)  # none is left alone because it failed too often
        assert (await suite.host.jobs.run_now(PROBE)).failures == 0
    of_home = [told for told in guarding.heard if told[0] == "Home"]
    assert of_home == [("Home", True, "local"), ("Home", False, None), ("Home", True, "local")]
    assert [told for told in guarding.heard if told[0] == "Far"] == [("Far", True, "relay")]


async def test_a_server_that_wants_to_be_asked_later_has_not_gone(suite, ada):
    guarding = Guarding()
    await ada.get("/api/plex/libraries")
    await suite.host.load_plugin(guarding)
    ada.fakes.home.begin("429")
    assert (await suite.host.jobs.run_now(PROBE)).failures == 0
    assert [told for told in guarding.heard if told[0] == "Home"] == []
    [home] = [one for one in (await ada.get("/api/plex/servers")).json()["servers"] if one["name"] == "Home"]
    assert home["reached_by"] == "local"


class Chooser(Plugin):
    """Answers what it was made with, or fails with it."""

    name = "chooser"

    def __init__(self, choose: Callable[[Sequence[Way]], Any]) -> None:
        self.choose = choose
        self.asked: list[tuple[str, list[str]]] = []

    @hookimpl(optionalhook=True)
    async def choose_connection(self, server: Server, candidates: Sequence[Way]) -> Any:
        self.asked.append((server.machine, [way.kind for way in candidates]))
        return self.choose(candidates)


def fail(_candidates: Sequence[Way]) -> Any:
    raise RuntimeError("no")


@pytest.mark.parametrize(
    ("choose", "reached_by"),
    [
        pytest.param(lambda candidates: candidates[-1], "remote", id="the last"),
        pytest.param(lambda _candidates: None, "local", id="any"),
        pytest.param(
            lambda _candidates: Way(uri="http://127.0.0.1:9", kind="relay"), "local", id="none of them"
        ),
        pytest.param(lambda _candidates: "remote", "local", id="no way at all"),
        pytest.param(fail, "local", id="fails"),
    ],
)
async def test_a_plugin_says_which_way_is_tried_first(suite, browser, monkeypatch, choose, reached_by):
    """The ways lead to the same place: which one is found says which was tried first, for the next one never is."""
    monkeypatch.setattr(servers, "_HEAD_START", 600.0)
    monkeypatch.setattr(servers, "_LATEST_START", 600.0)
    plex_tv, address = browser.fakes.plex_tv, browser.fakes.addresses["home"]
    plex_tv._shares.clear()
    plex_tv.share(
        plex_tv.accounts[0], browser.fakes.home, [Connection(address), Connection(address, "remote")]
    )
    chooser = Chooser(choose)
    await suite.host.load_plugin(chooser)
    await browser.sign_in()
    shown = (await browser.post("/api/plex/servers/machine-home/probe")).json()
    assert shown["reached_by"] == reached_by
    assert chooser.asked == [("machine-home", ["local", "remote"])]
    assert browser.fakes.home.count("/identity") == 1
