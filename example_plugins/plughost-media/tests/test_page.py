"""The page as the server makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from whole_suite import running

from plughost_media import boxes
from plughost_media.demo_service import DemoPlugin

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page wait for all of its boxes: a busy machine is not a part that is slow."""
    for name in ("_PATIENCE", "_PATIENCE_FOR_NAMES"):
        monkeypatch.setattr(boxes, name, 60.0)


async def test_a_box_in_which_something_strange_stands_takes_no_other_with_it(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as suite:
        suite.fakes.home.library.items["101"]["thumb"] = 7
        page = await suite.ada.get("/media/")
        assert (page.status_code, page.text.count("What came makes no sense.")) == (200, 1)
        assert "<h3>Judex</h3>" in page.text
        assert "What came makes no sense." in (await suite.ada.get("/media/box/library")).text


async def test_a_wall_that_there_is_not_is_the_one_of_the_week_and_other_settings_are_named(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "data") as suite:
        await suite.do("PUT", "/api/media/settings", {"wall": "../../admin", "subtitles": "de"})
        page = (await suite.ada.get("/media/")).text
        assert "Trending this week <small" in page
        assert "Kept for other pages of yours: subtitles." in page


async def test_what_was_seen_on_a_server_that_does_not_name_it_is_shown_without_a_name(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "data") as suite:
        await suite.do("POST", "/api/plex/scrobble", {"id": "101"})
        assert "<span>Metropolis</span>" in (await suite.ada.get("/media/box/history")).text
        await suite.do("PUT", "/api/plex/servers/current", {"id": "machine-far"})
        # It is asked of the server that it was seen on.
        assert "<span>Metropolis</span>" in (await suite.ada.get("/media/box/history")).text
        await suite.host.unload_plugin("plex")
        assert "An item that its server does not name now" in (await suite.ada.get("/media/box/history")).text


async def test_a_guest_is_told_that_what_the_server_does_is_its_owner_s_business(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as suite, suite.other_browser() as guest:
        begun = (await guest.post("/api/auth/plex", json={})).json()
        code = begun["address"].partition("code=")[2].partition("&")[0]
        assert suite.fakes.plex_tv.allow(code, suite.fakes.plex_tv.accounts[1])
        assert (await guest.get(f"/api/auth/plex/{begun['handle']}")).status_code == 200
        shown = (await guest.get("/media/box/activities")).text
        assert '<small class="age ">for the owner of the server</small>' in shown
        assert "data-away" not in shown


@pytest.mark.parametrize(("kind", "said"), [
    ("500", "Plex: the service answers 500."),
    ("404", "Plex: the service has no such thing."),
    ("", "The part that signs in with Plex is away."),
])  # fmt: skip
async def test_whoever_cannot_sign_in_is_told_whose_fault_it_is(tmp_path: Path, kind: Any, said: str) -> None:
    async with running(tmp_path / "data") as suite, suite.other_browser() as browser:
        if kind:
            suite.fakes.plex_tv.begin(kind)
        else:
            await suite.host.unload_plugin("plex")
        assert (await browser.post("/media/sign-in")).status_code == 303
        assert said in (await browser.get("/media/")).text


async def test_a_part_that_comes_back_brings_those_that_stopped_with_it(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as suite:
        await suite.host.load_plugin(DemoPlugin(suite.fakes.all))
        for do, state in (("unload", "stopped"), ("load", "ready")):
            await suite.do("POST", "/api/media/demo/part", {"name": "cache", "do": do})
            assert {str(suite.host.plugins[name].state) for name in ("cache", "dashboard", "tmdb")} == {state}
            assert str(suite.host.plugins["plex"].state) == "ready"
