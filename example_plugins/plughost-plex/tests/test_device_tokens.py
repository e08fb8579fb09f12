"""Tokens of a week in place of those that never end: taken by a key, renewed by it, and done without."""

from __future__ import annotations

import re

import pytest

from conftest import Browser, Fakes, Suite, running
from plughost.testing import FakeClock
from plughost_media.fakes.plex_devices import Devices, RefusedError

pytestmark = pytest.mark.anyio

UPKEEP, DAY = "plex tokens", 86_400.0
CLASSIC = "account-token-of-ada"
AUTH = "/api/v2/auth/"


@pytest.fixture
def clock(fakes: Fakes) -> FakeClock:
    """Give a clock that plex.tv goes by, too."""
    clock = FakeClock()
    fakes.plex_tv.devices = Devices(clock.time)
    return clock


async def keep_up(suite: Suite) -> None:
    assert (await suite.host.jobs.run_now(UPKEEP)).failures == 0


def token_sent(fakes: Fakes, path: str) -> str:
    """Return the token that the last call of a path came with."""
    calls = [call for call in fakes.plex_tv.calls if call.path == path]
    return calls[-1].headers["x-plex-token"]


async def learned_anew(ada: Browser, clock: FakeClock) -> int:
    """Have plex.tv asked for the servers; the status of our own answer."""
    await clock.advance(301)
    return (await ada.get("/api/plex/servers")).status_code


async def test_a_host_that_begins_anew_each_day_keeps_its_tokens_too(suite):
    """An interval counts from the start on, and would never be over."""
    schedules = {job.name: job.schedule for job in suite.host.jobs.snapshot() if job.owner == "plex"}
    assert schedules[UPKEEP] == "cron 35 3 * * *"
    assert all(float(when.split()[1]) < 3600 for when in schedules.values() if when.startswith("every"))


async def test_the_daily_job_takes_one_and_renews_it_two_days_before_its_end(fakes, tmp_path, clock):
    plex_tv = fakes.plex_tv
    async with running(fakes, tmp_path, clock) as suite:
        ada = suite.browser()
        await ada.sign_in()
        await keep_up(suite)
        assert plex_tv.revoked == {CLASSIC}
        assert await learned_anew(ada, clock) == 200
        first = token_sent(fakes, "/api/v2/resources")
        assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", first)

        plex_tv.forget()
        for _ in range(4):
            await clock.advance(DAY)
            await keep_up(suite)
        assert plex_tv.calls == []  # it is good for longer
        await clock.advance(DAY)
        await keep_up(suite)
        assert (plex_tv.count(f"{AUTH}jwk", "POST"), plex_tv.count(f"{AUTH}token", "POST")) == (0, 1)
        assert await learned_anew(ada, clock) == 200
        assert token_sent(fakes, "/api/v2/resources") != first


async def test_one_that_ended_while_nobody_looked_is_renewed_when_it_is_refused(fakes, tmp_path, clock):
    async with running(fakes, tmp_path, clock) as suite:
        ada = suite.browser()
        await ada.sign_in()
        await keep_up(suite)
        await clock.advance(30 * DAY)
        assert await learned_anew(ada, clock) == 200
        assert fakes.plex_tv.count(f"{AUTH}token", "POST") == 2
        names = [one["name"] for one in (await ada.get("/api/plex/servers")).json()["servers"]]
        assert names == ["Home", "Far"]


async def test_a_token_that_was_lost_on_its_way_is_taken_again(fakes, tmp_path, clock, monkeypatch):
    """plex.tv gave one, which ended the token before, and the answer never came."""
    devices = fakes.plex_tv.devices

    def lose(statement: str, client: str) -> tuple[int, str]:
        give(statement, client)
        fakes.plex_tv.revoked.add(CLASSIC)
        raise RefusedError(502)

    give = devices.exchange
    async with running(fakes, tmp_path, clock) as suite:
        ada = suite.browser()
        await ada.sign_in()
        with monkeypatch.context() as patched:
            patched.setattr(devices, "exchange", lose)
            await keep_up(suite)
        assert fakes.plex_tv.revoked == {CLASSIC}
        assert await learned_anew(ada, clock) == 200
        assert token_sent(fakes, "/api/v2/resources").count(".") == 2


async def test_who_took_the_device_off_their_list_has_to_sign_in_again(fakes, tmp_path, clock):
    async with running(fakes, tmp_path, clock) as suite:
        ada = suite.browser()
        await ada.sign_in()
        await keep_up(suite)
        fakes.plex_tv.devices.forget(1001)
        assert await learned_anew(ada, clock) == 409
        assert (await ada.sign_in()).status_code == 200
        await keep_up(suite)
        assert await learned_anew(ada, clock) == 200
        assert token_sent(fakes, "/api/v2/resources").count(".") == 2


async def test_a_new_sign_in_goes_on_with_the_key_that_is_known(fakes, tmp_path, clock):
    async with running(fakes, tmp_path, clock) as suite:
        for _ in range(2):
            assert (await suite.browser().sign_in()).status_code == 200
            await keep_up(suite)
        jwk, token = (fakes.plex_tv.count(f"{AUTH}{name}", "POST") for name in ("jwk", "token"))
        assert (jwk, token) == (1, 2)


@pytest.mark.parametrize(
    ("speaks", "setting"),
    [pytest.param(False, True, id="unknown there"), pytest.param(True, False, id="off here")],
)
async def test_without_them_the_one_that_never_ends_is_kept_alive(fakes, tmp_path, clock, speaks, setting):
    fakes.plex_tv.speaks_jwt = speaks
    async with running(fakes, tmp_path, clock, device_tokens=setting) as suite:
        ada = suite.browser()
        await ada.sign_in()
        for _ in range(3):
            await clock.advance(DAY)
            await keep_up(suite)
        assert fakes.plex_tv.count("/api/v2/ping") == 3
        assert fakes.plex_tv.revoked == set()
        assert await learned_anew(ada, clock) == 200
        assert token_sent(fakes, "/api/v2/resources") == CLASSIC


@pytest.mark.parametrize("trouble", ["away", "500", "429", "garbage"])
async def test_trouble_takes_nobody_s_token(fakes, tmp_path, clock, trouble):
    async with running(fakes, tmp_path, clock) as suite:
        ada = suite.browser()
        await ada.sign_in()
        fakes.plex_tv.begin(trouble)
        await keep_up(suite)
        fakes.plex_tv.end()
        assert fakes.plex_tv.revoked == set()
        assert (await ada.get("/api/plex/servers")).status_code == 200


async def test_keys_and_tokens_are_in_no_file_and_no_log_and_survive_another_key_of_the_vault(
    fakes, tmp_path, clock, caplog
):
    caplog.set_level("DEBUG")
    async with running(fakes, tmp_path, clock) as suite:
        ada = suite.browser()
        await ada.sign_in()
        await keep_up(suite)
        await learned_anew(ada, clock)
        token = token_sent(fakes, "/api/v2/resources")
        places = {str(file): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
        assert any("plex.db" in name for name in places)
        assert [name for name, kept in places.items() if token.encode() in kept] == []
        assert token not in caplog.text
        assert not any(token in str(call.query) for call in fakes.plex_tv.calls)
        counts = await suite.host.hooks.reseal_secrets(reseal=lambda sealed, owner, purpose: sealed)
        assert counts == [4]  # of an account, its key, and two servers
