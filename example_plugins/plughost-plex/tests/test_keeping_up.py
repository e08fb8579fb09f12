"""What is loaded before anybody asks."""

from __future__ import annotations

import anyio
import pytest

from conftest import running
from plughost.contracts import CacheManager
from plughost.testing import FakeClock

pytestmark = pytest.mark.anyio

SYNC, WARM = "plex library sync", "warm what is watched next"


async def test_a_section_that_changed_is_loaded_anew_and_the_others_are_not(suite, ada):
    home = ada.fakes.home
    for section in (1, 2):
        assert (await ada.get(f"/api/plex/library/{section}/all")).status_code == 200
    await suite.host.jobs.run_now(SYNC)
    home.library.items["101"]["title"] = "Aelita"  # a film came, or got another name
    home.forget()
    await suite.host.jobs.run_now(SYNC)
    assert home.count("/library/sections/1/all") == 0  # the server did not say so yet
    home.library.changed_sections["1"] = home.library.changed_at + 60
    await suite.host.jobs.run_now(SYNC)
    assert (home.count("/library/sections/1/all"), home.count("/library/sections/2/all")) == (1, 0)
    home.forget()
    titles = [
        item["title"]
        for section in (1, 2)
        for item in (await ada.get(f"/api/plex/library/{section}/all")).json()["MediaContainer"]["Metadata"]
    ]
    assert "Aelita" in titles
    assert home.calls == []


async def test_what_somebody_watches_next_is_there_before_it_is_asked_for(suite, ada):
    home = ada.fakes.home
    first, second = [key for key, item in home.library.items.items() if item["type"] == "episode"][:2]
    home.play(1001, first)
    home.play(1001, "102")
    await ada.get("/api/plex/servers")
    await suite.host.jobs.run_now(WARM)
    home.forget()
    for key in (first, second, "102"):
        assert (await ada.get(f"/api/plex/metadata/{key}")).status_code == 200
    assert home.calls == []


async def test_an_item_with_a_strange_key_keeps_the_others_from_nothing(suite, ada):
    home = ada.fakes.home
    episode = next(key for key, item in home.library.items.items() if item["type"] == "episode")
    home.library.items[episode]["grandparentRatingKey"] = "../../:/prefs"
    home.play(1001, episode)
    home.play(1001, "102")
    await ada.get("/api/plex/servers")
    assert (await suite.host.jobs.run_now(WARM)).failures == 0
    home.forget()
    assert (await ada.get("/api/plex/metadata/102")).status_code == 200
    assert home.calls == []


@pytest.mark.parametrize("job", [SYNC, WARM, "plex history sync"])
@pytest.mark.parametrize(
    "trouble", [{"kind": "away"}, {"kind": "garbage", "garbage": "askew"}], ids=["away", "askew"]
)
async def test_a_server_that_is_away_ends_no_job_and_takes_nothing_that_is_kept(suite, ada, job, trouble):
    assert (await ada.get("/api/plex/library/1/all")).status_code == 200
    ada.fakes.home.begin(**trouble)
    record = await suite.host.jobs.run_now(job)
    assert record.failures == 0
    assert (await ada.get("/api/plex/library/1/all")).status_code == 200
    assert (await suite.host.use(CacheManager).get("plex.library").keys()) != []


async def test_sections_are_kept_for_a_day_and_compared_each_five_minutes(fakes, tmp_path):
    """Nobody waits for the comparison; pages of what changed are forgotten with it, those of the rest stay."""
    clock, home = FakeClock(), fakes.home
    async with running(fakes, tmp_path, clock) as suite:
        ada = suite.browser()
        await ada.sign_in()
        libraries, pages = "/api/plex/libraries", [f"/api/plex/library/{section}/all" for section in (1, 2)]
        await ada.get(libraries)
        await clock.advance(200)
        for path in pages:
            assert (await ada.get(path)).status_code == 200
        home.library.changed_sections["1"] = home.library.changed_at + 60
        home.forget()
        await clock.advance(99)
        await ada.get(libraries)
        assert home.calls == []

        await clock.advance(2)
        answer = await ada.get(libraries)
        assert answer.headers["age"] == "301"
        with anyio.fail_after(60):
            while answer.headers["age"] != "0":
                await anyio.sleep(0.01)
                answer = await ada.get(libraries)
        for path in pages:
            await ada.get(path)
    assert [home.count(f"/library/sections/{section}/all") for section in (1, 2)] == [1, 0]


async def test_sections_that_cannot_be_compared_are_good_for_their_day(fakes, tmp_path):
    clock = FakeClock()
    async with running(fakes, tmp_path, clock) as suite:
        ada = suite.browser()
        await ada.sign_in()
        await ada.get("/api/plex/libraries")
        fakes.home.begin("away")
        for passed, told in (("86399", False), ("86401", True)):
            await clock.advance(int(passed) - clock.monotonic())
            answer = await ada.get("/api/plex/libraries")
            assert answer.status_code == 200
            assert (answer.headers["age"], "detail" in answer.headers["cache-status"]) == (passed, told)
