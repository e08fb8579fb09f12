"""`plughost fleet`, as it is typed, over a store that nobody serves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
from msgspec.structs import replace

from plughost.cli import main
from plughost.contracts import Beat, FleetChange, FleetJobRecord, Greeting, MemberPlugin, Telling
from plughost.plugins.fleet.cards import MemberCard
from plughost.plugins.fleet.config import FleetConfig
from plughost.plugins.fleet.host_commands import job_row
from plughost.plugins.fleet.reaching import author
from plughost.plugins.fleet.relay import SentEvent
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.stores.redis import RedisFleetStore
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
from servers import end
from servers import server as running_server

Typed = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """``code, document, stderr = typed("fleet", "status")`` in a folder of its own."""
    (tmp_path / "plughost.toml").write_text('[host]\nname = "shop"\ndata_dir = "data"\n')
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, Any, str]:
        with pytest.raises(SystemExit) as ended:
            main(["--json", *words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), json.loads(out) if out else None, err

    return run


def joined(folder: Path, ttl: int = 60_000, card: bytes = b"", fleet: str = "") -> None:
    async def join() -> None:
        store = SqliteFleetStore(folder / "data/fleet/fleet.db", fleet=fleet)
        await store.open()
        await store.join(Greeting(member="a", ttl=ttl, card=card))
        await store.close()

    anyio.run(join)


@pytest.mark.parametrize("made_by", ["shop", ""])
def test_the_fleet_of_a_host_whose_name_stands_in_its_program_is_found_and_left_to_it(
    typed: Typed, tmp_path: Path, made_by: str
) -> None:
    (tmp_path / "plughost.toml").write_text('[host]\ndata_dir = "data"\n')
    joined(tmp_path, fleet=made_by)
    _, status, _ = typed("fleet", "status")
    assert [member["id"] for member in status["members"]] == ["a"]

    async def seen_by_the_host() -> list[str]:
        store = SqliteFleetStore(tmp_path / "data/fleet/fleet.db", fleet="shop")
        await store.open()
        view = await store.view()
        await store.close()
        return [member.member for member in view.members]

    assert anyio.run(seen_by_the_host) == ["a"]


def test_without_a_name_the_only_fleet_of_a_shared_file_is_found_and_several_are_named(
    typed: Typed, tmp_path: Path
) -> None:
    shared = tmp_path / "data/fleet/fleet.db"
    (tmp_path / "plughost.toml").write_text(
        f'[host]\ndata_dir = "other"\n[plugins.fleet.config]\npath = "{shared}"\n'
    )
    _, _, said = typed("fleet", "hosts")
    assert "No host has joined fleet 'plughost' here yet." in said
    assert "PLUGHOST_HOST__NAME=THAT_NAME" in said
    joined(tmp_path, fleet="acme")
    _, status, said = typed("fleet", "status")
    assert (status["name"], [one["id"] for one in status["members"]], said) == ("acme", ["a"], "")
    joined(tmp_path, fleet="lamps")
    for words in (["status"], ["disable", "lamp"], ["jobs"], ["forget", "a"]):
        code, _, said = typed("fleet", *words)
        assert (code, "There are acme, lamps: write [host] name = 'acme'" in said) == (1, True)


def test_whoever_looks_for_a_fleet_that_is_not_there_hears_which_are(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined(tmp_path, fleet="acme")
    code, status, said = typed("fleet", "status")
    assert (code, status["members"]) == (0, [])
    assert "No host has joined fleet 'shop' here yet. Fleets that are here: acme." in said
    monkeypatch.setenv("PLUGHOST_HOST__NAME", "acme")
    (tmp_path / "plughost.toml").write_text('[host]\ndata_dir = "data"\n')
    _, status, said = typed("fleet", "status")
    assert ([one["id"] for one in status["members"]], said) == (["a"], "")


def test_without_a_name_the_fleets_of_a_server_are_named_and_none_is_taken(
    typed: Typed, tmp_path: Path
) -> None:
    async def join(url: str, name: str) -> None:
        store = RedisFleetStore(url, prefix=f"pl[u]g:fleet:{name}")
        await store.open()
        await store.join(Greeting(member="a", ttl=60_000))
        await store.close()

    with running_server() as server:
        (tmp_path / "plughost.toml").write_text(
            "[host]\ndata_dir = 'data'\n[plugins.fleet.config]\n"
            f"store = 'redis'\nredis_prefix = 'pl[u]g'\nredis_url = '{server.url}'\n"
        )
        assert typed("fleet", "hosts")[0] == 0
        anyio.run(join, server.url, "acme")
        code, _, said = typed("fleet", "hosts")
        assert (code, "There is acme: write [host] name = 'acme'" in said) == (1, True)
        anyio.run(join, server.url, "plughost")
        _, found, said = typed("fleet", "hosts")
        assert ([one["id"] for one in found["members"]], said) == (["a"], "")


def test_a_fleet_that_nobody_has_joined_is_empty(typed: Typed) -> None:
    code, found, _ = typed("fleet", "status")
    assert (code, found["name"], found["store"], found["members"]) == (0, "shop", "sqlite", [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["config", "push", "lamp", "colour=\udcff"], "Write texts in UTF-8"),
        (["disable", "lamp", "--reason", "\udcff"], "Write texts in UTF-8"),
        (["enable", "l\udcffmp", "--force"], "Write texts in UTF-8"),
        (["config", "push", "lamp", f"watts={2**70}"], "whole numbers of up to 64 bits"),
        (["config", "push", "lamp", f"deep={'[' * 5000}{']' * 5000}"], "'deep' is nested too deep"),
        (["config", "push", "lamp", f"colour={'x' * 70_000}"], "put what is large into a file on each host"),
        (["config", "push", "lamp", "token=12345"], "token may be secret"),
        (["config", "push", "lamp", "url=https://ada:geheim@example.org/"], "url may be secret"),
        (
            ["upgrade", "lamp", "--url", "https://ada:geheim@example.org/x.whl", "--sha256", "0" * 64],
            "have the file where the hosts need none",
        ),
        (["disable", "", "--force"], "say which plugin"),
        (["rollout", "pause", "7"], "`plughost fleet status` shows what is on its way"),
        (["drain", "n\udcffrth"], "`plughost fleet hosts` shows them"),
        (["forget", "n\udcffrth"], "`plughost fleet hosts`"),
        (["jobs", "run", "c\udcffunt"], "no job"),
    ],
    ids=lambda words: (
        " ".join(words)[:30].encode("ascii", "replace").decode() if isinstance(words, list) else ""
    ),
)
def test_what_cannot_be_told_to_all_is_refused_in_words_and_changes_nothing(
    typed: Typed, tmp_path: Path, words: list[str], said: str
) -> None:
    joined(tmp_path)
    code, document, told = typed("fleet", *words)
    assert (code, said in told) == (1, True), (document, told)
    assert "Traceback" not in told
    assert typed("fleet", "config", "history")[1]["revisions"] == []


def test_a_reason_tells_no_password(typed: Typed) -> None:
    for act in ("disable", "quarantine"):
        typed("fleet", act, "lamp", "--reason", "moved to https://ada:geheim@example.org/")
    shown = typed("fleet", "config", "history")[1]
    assert [one["reason"].startswith("moved to https://ada:") for one in shown["revisions"]] == [True, True]
    assert "geheim" not in json.dumps(shown)


def test_a_lost_member_is_a_problem_until_it_is_forgotten(typed: Typed, tmp_path: Path) -> None:
    joined(tmp_path, ttl=0)
    code, found, _ = typed("fleet", "status")
    assert (code, found["counts"]) == (3, {"lost": 1})
    assert typed("fleet", "forget", "a")[0] == 0
    assert typed("fleet", "status")[0] == 0
    assert typed("fleet", "forget", "a")[0] == 1


def test_a_host_that_does_not_follow_for_long_lags_and_is_not_given_up(
    typed: Typed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seal = FleetConfig().make_seal(tmp_path / "data/fleet")
    ago = 100.0

    async def be_slow() -> None:
        past, present = (
            SqliteFleetStore(tmp_path / "data/fleet/fleet.db", now)
            for now in (lambda: time.time() - ago, time.time)
        )
        for one in (past, present):
            await one.open()
        for name, store in (("early", past), ("stubborn", past), ("late", present)):
            card = msgspec.msgpack.encode(MemberCard(follows=name != "stubborn"))
            incarnation = (await store.join(Greeting(member=name, ttl=10**9, card=card))).incarnation
            await store.beat(Beat(member=name, incarnation=incarnation))
        change = FleetChange("disable", "lamp")
        await Revisions(past, seal).propose(change, None, expect=None, author="ada")
        for one in (past, present):
            await one.close()

    anyio.run(be_slow)
    code, found, _ = typed("fleet", "status")
    assert (code, found["counts"]) == (3, {"lagging": 1, "alive": 2})
    with pytest.raises(SystemExit):
        main(["fleet", "hosts"])
    (early,) = [line for line in capsys.readouterr().out.splitlines() if "early" in line]
    assert re.search(r" lagging .* it has not followed revision 1 for 1\d\d s$", early)
    (early, *_) = typed("fleet", "hosts")[1]["members"]
    assert (early["state"], early["connected"]) == ("lagging", True)


def test_a_change_on_another_revision_is_refused_and_with_no_host_there_nobody_is_waited_for(
    typed: Typed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("fleet", "disable", "lamp")[1]["state"] == "done"
    code, _, said = typed("fleet", "enable", "lamp", "--now", "--expect", "0")
    assert code == 1
    assert "at revision 1 (disable lamp" in said
    assert typed("fleet", "config", "rollback", "7")[0] == 1
    code, refused, said = typed("fleet", "rollout", "show", "7")
    assert (code, refused["code"], "there is no revision 7" in said) == (1, "fleet_error", True)
    assert typed("fleet", "enable", "lamp", "--now", "--expect", "1")[1]["revision"] == 2
    assert typed("fleet", "config", "rollback", "1", "--reason", "as it was")[1]["revision"] == 3
    revisions = typed("fleet", "config", "history")[1]["revisions"]
    assert [one["change"] for one in revisions] == ["back to revision 1", "enable lamp", "disable lamp"]
    assert [one["plugins"]["lamp"]["enabled"] for one in revisions] == [False, True, False]
    assert revisions[0]["reason"] == "as it was"
    assert all(1.7e9 < one["made"] <= revisions[0]["made"] for one in revisions)
    with pytest.raises(SystemExit):
        main(["fleet", "config", "history"])
    last = datetime.fromtimestamp(revisions[0]["made"], UTC).isoformat(timespec="seconds")
    assert capsys.readouterr().out.splitlines()[0].split("  ")[-4:-1] == [
        last,
        "back to revision 1",
        f"by {author()}",
    ]


@pytest.mark.parametrize(
    "words",
    [("disable", "lmap"), ("reload", "lmap"), ("upgrade", "lmap"), ("config", "push", "lmap", "watts=40")],
    ids=" ".join,
)
def test_a_plugin_that_no_host_has_is_changed_only_when_that_is_meant(
    typed: Typed, tmp_path: Path, words: tuple[str, ...]
) -> None:
    card = MemberCard(plugins=(MemberPlugin(name="lamp"),))
    joined(tmp_path, card=msgspec.msgpack.encode(card))
    code, refused, said = typed("fleet", *words, "--now", "--detach")
    assert (code, refused["code"], "Did you mean 'lamp'?" in said) == (1, "fleet_error", True)
    code, rollout, _ = typed("fleet", *words, "--now", "--detach", "--force")
    assert (code, rollout["revision"]) == (0, 1)


def test_a_change_that_waits_says_what_for(
    typed: Typed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joined(tmp_path, ttl=10**9)

    async def be_drained() -> None:
        store = SqliteFleetStore(tmp_path / "data/fleet/fleet.db")
        await store.open()
        incarnation = (await store.join(Greeting(member="b", ttl=10**9))).incarnation
        await store.beat(Beat(member="b", incarnation=incarnation, draining=True))
        await store.close()

    anyio.run(be_drained)
    code, rollout, _ = typed("fleet", "disable", "lamp", "--detach")
    waits = "a host that can be spared: a is not ready, b is drained, and max_unavailable is 1"
    assert (code, rollout["state"], rollout["waits_for"]) == (0, "proposed", waits)
    status = typed("fleet", "status")[1]
    assert (status["rollout"]["revision"], status["rollout"]["waits_for"]) == (1, waits)
    for words in (("status",), ("rollout", "show", "1")):
        with pytest.raises(SystemExit):
            main(["fleet", *words])
        assert f"Revision 1: proposed, waits for {waits}\n" in capsys.readouterr().out
    typed("fleet", "disable", "lamp", "--now", "--detach")
    assert typed("fleet", "rollout", "show", "2")[1]["waits_for"] == "a, b to follow"


def test_events_are_shown_with_who_told_them_and_those_that_nobody_signed_as_such(
    typed: Typed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("fleet", "events")[1] == {"events": []}
    seal = FleetConfig().make_seal(tmp_path / "data/fleet")
    payload = msgspec.msgpack.encode({"number": 7})
    event = SentEvent(name="orders.changed", version=1, payload=payload, member="a", number=1, at=86_400.0)

    async def tell() -> None:
        store = SqliteFleetStore(tmp_path / "data/fleet/fleet.db")
        await store.open()
        incarnation = (await store.join(Greeting(member="a", ttl=60_000))).incarnation
        told = (seal.close(event), b"x" * 40, seal.close(replace(event, number=2)))
        await store.tell(Telling(member="a", incarnation=incarnation, first=1, events=told))
        await store.close()

    anyio.run(tell)
    forged, last = typed("fleet", "events", "--last", "2")[1]["events"]
    assert "not signed" in forged["error"]
    assert last == {
        "number": 3, "name": "orders.changed", "version": 1, "member": "a", "told": "1970-01-02T00:00:00+00:00",
        "data": {"number": 7},
    }  # fmt: skip
    with pytest.raises(SystemExit):
        main(["fleet", "events"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["1", "2", "3"]


def test_events_are_followed_until_somebody_stops_it(tmp_path: Path) -> None:
    (tmp_path / "plughost.toml").write_text('[host]\nname = "shop"\ndata_dir = "data"\n')
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "plughost", "fleet", "events", "--follow", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:

        async def tell() -> None:
            store = SqliteFleetStore(tmp_path / "data/fleet/fleet.db")
            await store.open()
            incarnation = (await store.join(Greeting(member="a", ttl=60_000))).incarnation
            for first in (1, 2):
                telling = Telling(member="a", incarnation=incarnation, first=first, events=(b"x" * 40,))
                await store.tell(telling)
                told = await anyio.to_thread.run_sync(process.stdout.readline)  # type: ignore[union-attr]
                assert json.loads(told)["number"] == first
            await store.close()

        anyio.run(tell)
    finally:
        end(process)


def test_a_store_that_cannot_be_reached_has_a_code_of_its_own(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PLUGHOST_PLUGINS__FLEET__CONFIG__PATH", str(tmp_path))
    code, refused, _ = typed("fleet", "status")
    assert (code, refused["code"]) == (1, "store_unavailable_error")


def test_a_plugin_without_a_version_and_a_job_that_never_ran_are_told_as_such(
    typed: Typed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = MemberCard(plugins=(MemberPlugin(name="lamp"),))
    joined(tmp_path, card=msgspec.msgpack.encode(card))
    with pytest.raises(SystemExit):
        main(["fleet", "plugins"])
    assert capsys.readouterr().out.split() == ["lamp", "-", "on", "1"]
    assert job_row(FleetJobRecord(job="lamp:dust", schedule="every 1 h")).split("  ")[-2:] == [
        "never started",
        "(0 started, 0 failed, 0 missed, 0 skipped)",
    ]


def test_a_fleet_in_memory_cannot_be_seen_from_outside(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGHOST_PLUGINS__FLEET__CONFIG__STORE", "memory")
    code, _, said = typed("fleet", "status")
    assert code == 1
    assert "nothing to see from outside" in said
