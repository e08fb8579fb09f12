"""What people see by other players is known here within five minutes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from conftest import running
from plughost import Plugin, hookimpl
from plughost.testing import FakeClock
from plughost_plex import Plex

pytestmark = pytest.mark.anyio

SYNC, HISTORY, BEFORE = "plex history sync", "/status/sessions/history", 1_760_000_000


class Diary(Plugin):
    """Writes down who saw what."""

    name = "diary"

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.written = anyio.Event()

    @hookimpl(optionalhook=True)
    async def media_watched(self, account: Any, machine: str, key: str, seen: bool, at: float) -> None:
        self.seen.append((account.username, machine, key, seen, at))
        self.written.set()


@pytest.fixture
async def diary(suite, ada) -> Diary:
    """Give one that hears of all since the first look."""
    diary = Diary()
    await ada.get("/api/plex/servers")
    ada.fakes.home.watch(1001, "103", at=BEFORE)
    assert (await suite.host.jobs.run_now(SYNC)).failures == 0
    await suite.host.load_plugin(diary)
    return diary


async def test_each_five_minutes_the_server_is_asked_and_what_is_new_is_told(fakes, tmp_path: Path) -> None:
    clock, diary = FakeClock(), Diary()
    async with running(fakes, tmp_path, jobs=clock) as suite:
        await suite.host.load_plugin(diary)
        await suite.browser().sign_in()
        fakes.home.watch(1001, "101", at=BEFORE)
        await suite.host.jobs.run_now(SYNC)  # notes where it ends
        fakes.home.watch(1001, "102", at=BEFORE + 10)
        fakes.home.forget()
        await clock.advance(299)
        assert (fakes.home.count(HISTORY), diary.seen) == (0, [])
        await clock.advance(1)
        with anyio.fail_after(60):
            await diary.written.wait()
    assert diary.seen == [("ada", "machine-home", "102", True, float(BEFORE + 10))]


async def test_it_is_told_once_to_whom_it_belongs_the_oldest_first(suite, ada, diary):
    await suite.browser().sign_in(1)
    home = ada.fakes.home
    ada_id, guest = (account.id for account in ada.fakes.plex_tv.accounts)
    home.watch(guest, "101", at=BEFORE + 20)
    home.watch(1, "102", at=BEFORE + 10)  # so a server calls its owner
    home.watch(4711, "102", at=BEFORE + 15)  # somebody who has never been here
    # Of what is not in the library any more.
    home.history.append({"viewedAt": BEFORE + 16, "accountID": ada_id})
    for _ in range(3):
        assert (await suite.host.jobs.run_now(SYNC)).failures == 0
    name = ada.fakes.plex_tv.accounts[1].username
    assert diary.seen == [
        ("ada", "machine-home", "102", True, float(BEFORE + 10)),
        (name, "machine-home", "101", True, float(BEFORE + 20)),
    ]


async def test_of_views_in_one_second_those_that_come_after_a_look_are_told_too(suite, ada, diary):
    """And none is told twice; those of the second at which the first look ended are as good as any other."""
    for number, at in enumerate((BEFORE, BEFORE + 10, BEFORE + 10, BEFORE + 10)):
        ada.fakes.home.watch(1001, f"10{number + 1}" if number != 2 else "110", at=at)
        for _ in range(2):
            assert (await suite.host.jobs.run_now(SYNC)).failures == 0
    await suite.host.reload_plugin("plex")
    await suite.host.jobs.run_now(SYNC)
    assert [(key, at - BEFORE) for _, _, key, _, at in diary.seen] == [
        ("101", 0), ("102", 10), ("110", 10), ("104", 10)
    ]  # fmt: skip


async def test_all_views_of_the_second_in_which_the_first_look_ends_are_from_before_it(suite, ada):
    diary = Diary()
    await ada.get("/api/plex/servers")
    await suite.host.load_plugin(diary)
    for key in ("101", "102"):
        ada.fakes.home.watch(1001, key, at=BEFORE)
    for _ in range(2):
        assert (await suite.host.jobs.run_now(SYNC)).failures == 0
    assert diary.seen == []


async def test_what_is_kept_of_it_is_forgotten(suite, ada, diary):
    home = ada.fakes.home
    home.play(1001, "102")
    before = (await ada.get("/api/plex/watch-history")).json()["MediaContainer"]["size"]
    assert "Metadata" in (await ada.get("/api/plex/ondeck")).json()["MediaContainer"]
    home.watch(1001, "102", at=BEFORE + 10)
    await suite.host.jobs.run_now(SYNC)
    assert "Metadata" not in (await ada.get("/api/plex/ondeck")).json()["MediaContainer"]
    assert (await ada.get("/api/plex/watch-history")).json()["MediaContainer"]["size"] == before + 1


@pytest.mark.parametrize("begun_anew", [False, True])
async def test_what_was_marked_here_is_not_told_again_and_stays_taken_back(suite, ada, diary, begun_anew):
    for mark in ("scrobble", "unscrobble"):
        assert (await ada.post(f"/api/plex/{mark}", {"id": "102"})).status_code == 204
    if begun_anew:
        await suite.host.reload_plugin("plex")
    ada.fakes.home.watch(1001, "101", at=int(time.time()))
    await suite.host.jobs.run_now(SYNC)
    assert [(key, seen) for _, _, key, seen, _ in diary.seen] == [
        ("102", True),
        ("102", False),
        ("101", True),
    ]


async def test_what_was_told_is_not_kept_for_ever(suite, ada, diary):
    shelf, account = suite.host.use(Plex).shelf, (await suite.host.use(Plex).accounts())[0]
    assert (await ada.post("/api/plex/scrobble", {"id": "102"})).status_code == 204
    assert await shelf.told_at(account, "machine-home", "102") is not None
    ada.fakes.home.watch(1001, "101", at=int(time.time()) + 3600)
    await suite.host.jobs.run_now(SYNC)
    assert await shelf.told_at(account, "machine-home", "102") is None


async def test_what_was_seen_while_nobody_could_ask_is_told_later_even_after_a_restart(suite, ada, diary):
    ada.fakes.home.watch(1001, "101", at=BEFORE + 10)
    ada.fakes.home.begin("500")
    record = await suite.host.jobs.run_now(SYNC)
    assert (record.failures, diary.seen) == (0, [])
    ada.fakes.home.end()
    await suite.host.reload_plugin("plex")
    await suite.host.jobs.run_now(SYNC)
    assert [key for _, _, key, _, _ in diary.seen] == ["101"]
