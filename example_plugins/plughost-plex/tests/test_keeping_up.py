"""What is loaded before anybody asks."""

from __future__ import annotations

import pytest

from plughost.contracts import CacheManager

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


@pytest.mark.parametrize("job", [SYNC, WARM])
async def test_a_server_that_is_away_ends_no_job_and_takes_nothing_that_is_kept(suite, ada, job):
    assert (await ada.get("/api/plex/library/1/all")).status_code == 200
    ada.fakes.home.begin("away")
    record = await suite.host.jobs.run_now(job)
    assert record.failures == 0
    assert (await ada.get("/api/plex/library/1/all")).status_code == 200
    assert (await suite.host.use(CacheManager).get("plex.library").keys()) != []
