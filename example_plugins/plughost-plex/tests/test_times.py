"""What ends ends by the clock that the plugin was given."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import running
from plughost import Plugin, hookimpl
from plughost.testing import FakeClock

pytestmark = pytest.mark.anyio


async def test_a_sign_in_that_nobody_ends_is_over_when_its_pin_is(fakes, tmp_path):
    clock = FakeClock()
    async with running(fakes, tmp_path, clock) as suite:
        browser = suite.browser()
        begun = await browser.begin()
        path = f"/api/auth/plex/{begun['handle']}"
        await clock.advance(begun["expires_in"] - 1)
        assert (await browser.get(path)).status_code == 202
        await clock.advance(1)
        assert (await browser.get(path)).status_code == 410


async def test_a_ticket_is_good_for_four_hours(fakes, tmp_path):
    clock = FakeClock()
    async with running(fakes, tmp_path, clock) as suite:
        ada = suite.browser()
        await ada.sign_in()
        stream = (await ada.post("/api/plex/playback/101")).json()["stream"]
        await clock.advance(4 * 3600 - 1)
        assert (await ada.get(stream)).status_code == 200
        await clock.advance(1)
        assert (await ada.get(stream)).status_code == 403


async def test_servers_are_learned_anew_after_five_minutes(fakes, tmp_path):
    clock = FakeClock()
    async with running(fakes, tmp_path, clock) as suite:
        ada = suite.browser()
        await ada.sign_in()
        await clock.advance(300)
        await ada.get("/api/plex/servers")
        assert fakes.plex_tv.count("/api/v2/resources") == 1
        await clock.advance(1)
        await ada.get("/api/plex/servers")
        assert fakes.plex_tv.count("/api/v2/resources") == 2


async def test_a_mark_says_when_it_was_made(fakes, tmp_path):
    class Diary(Plugin):
        name = "diary"

        @hookimpl(optionalhook=True)
        async def media_watched(self, key: str, at: float) -> None:
            seen.append((key, at))

    clock, seen = FakeClock(), list[Any]()
    async with running(fakes, tmp_path, clock) as suite:
        await suite.host.load_plugin(Diary())
        ada = suite.browser()
        await ada.sign_in()
        await clock.advance(77)
        assert (await ada.post("/api/plex/scrobble", {"id": "102"})).status_code == 204
    assert seen == [("102", clock.time())]
