"""What each person keeps: a list, what was watched, settings; what is recommended, and what an old page had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from whole_suite import running

from plughost import Plugin, hookimpl
from plughost_media import people
from plughost_media.by_genre import ByGenrePlugin
from plughost_media.commands import read
from plughost_media.people import FullError, Listed, People, who

pytestmark = pytest.mark.anyio

FILM = {"kind": "movie", "id": 101, "title": "Metropolis", "poster_path": ""}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_each_person_keeps_a_list_and_settings_of_their_own(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as suite:
        for number, title in ((101, "Metropolis"), (102, "The General"), (101, "Metropolis")):
            await suite.do("PUT", "/api/media/watchlist", FILM | {"id": number, "title": title})
        listed = (await suite.ada.get("/api/media/watchlist")).json()["titles"]
        assert [title["id"] for title in listed] == [102, 101]
        await suite.do("DELETE", "/api/media/watchlist/movie/102")
        again = await suite.ada.delete(
            "/api/media/watchlist/movie/102", headers={"Origin": "http://127.0.0.1"}
        )
        assert (again.status_code, again.json()["code"]) == (404, "not_listed")

        changed = await suite.do(
            "PUT", "/api/media/settings", {"volume": 0.5, "subtitles": "de", "autoplay": True}
        )
        assert changed.json()["settings"] == {"volume": 0.5, "subtitles": "de", "autoplay": True}
        await suite.do("PUT", "/api/media/settings", {"volume": None})
        assert (await suite.ada.get("/api/media/settings")).json()["settings"] == {
            "subtitles": "de",
            "autoplay": True,
        }

        token = suite.app.runtime.tokens.create("somebody", ("x:read",), 3600)[0]
        transport = httpx2.ASGITransport(app=suite.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as nobody:
            for name in ("watchlist", "history", "recommendations", "settings"):
                assert (await nobody.get(f"/api/media/{name}")).status_code == 401, name
                other = await nobody.get(f"/api/media/{name}", headers={"Authorization": f"Bearer {token}"})
                assert not any(other.json().values()), name


async def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    wrong: list[tuple[str, Any]] = [
        ("watchlist", FILM | {"kind": "person"}), ("watchlist", FILM | {"id": 0}), ("watchlist", FILM | {"title": ""}),
        ("watchlist", FILM | {"poster_path": "https://evil.example/x.jpg"}), ("watchlist", FILM | {"more": 1}),
        ("settings", {"a b": 1}), ("settings", {"x": "a" * 1025}), ("settings", {"x": ["list"]}), ("settings", [1]),
        ("settings", {f"name{number}": 1 for number in range(people.MOST_SETTINGS + 1)}),
    ]  # fmt: skip
    async with running(tmp_path / "data") as suite:
        for name, body in wrong:
            answer = await suite.ada.put(
                f"/api/media/{name}", json=body, headers={"Origin": "http://127.0.0.1"}
            )
            assert answer.status_code in (409, 422), (name, body, answer.text)
        for query in ("size=0", "size=101", "size=x", "before=x"):
            assert (await suite.ada.get(f"/api/media/history?{query}")).status_code == 422, query
        assert (await suite.ada.get("/api/media/watchlist")).json() == {"titles": []}
        assert (await suite.ada.get("/api/media/settings")).json() == {"settings": {}}


async def test_what_is_marked_as_seen_is_in_the_history_of_who_did_until_it_is_taken_back(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "data") as suite:
        for key in ("101", "102", "103"):
            await suite.do("POST", "/api/plex/scrobble", {"id": key})
        await suite.do("POST", "/api/plex/unscrobble", {"id": "102"})
        events = (await suite.ada.get("/api/media/history")).json()["events"]
        assert [(event["machine"], event["key"]) for event in events] == [
            ("machine-home", "103"), ("machine-home", "101")
        ]  # fmt: skip
        older = await suite.ada.get(f"/api/media/history?size=1&before={events[0]['at']}")
        assert [event["key"] for event in older.json()["events"]] == ["101"]


async def test_what_was_seen_by_another_player_is_in_the_history_of_who_did(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as suite:
        await suite.ada.get("/api/plex/servers")
        await suite.host.jobs.run_now("plex history sync")
        suite.fakes.home.watch(1001, "104", at=2_000_000_000)
        await suite.host.jobs.run_now("plex history sync")
        events = (await suite.ada.get("/api/media/history")).json()["events"]
        assert events == [{"machine": "machine-home", "key": "104", "at": 2_000_000_000.0}]


class Broken(Plugin):
    """Recommends nothing but trouble."""

    name = "broken"

    async def start(self, context: Any) -> None:
        pass

    @hookimpl(optionalhook=True)
    async def recommend(self, user: str, seeds: Sequence[Listed]) -> Sequence[Listed] | None:
        raise RuntimeError("boom")


class Strange(Plugin):
    name = "strange"

    @hookimpl(optionalhook=True)
    async def recommend(self, user: str, seeds: Any) -> Any:
        return [3]


async def test_what_is_recommended_is_of_the_genre_of_the_list_and_one_that_fails_takes_nothing_away(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "data", ByGenrePlugin, Broken, Strange) as suite:
        assert (await suite.ada.get("/api/media/recommendations")).json() == {"titles": []}
        await suite.do("PUT", "/api/media/watchlist", FILM)
        titles = (await suite.ada.get("/api/media/recommendations")).json()["titles"]
        assert titles
        assert 101 not in [title["id"] for title in titles]
        genres = [
            (await suite.ada.get(f"/api/tmdb/movie/{number}")).json()["genres"][0]["id"]
            for number in (101, *(title["id"] for title in titles[:3]))
        ]
        assert len(set(genres)) == 1
        await suite.do("PUT", "/api/media/watchlist", titles[0])
        after = (await suite.ada.get("/api/media/recommendations")).json()["titles"]
        assert titles[0]["id"] not in [title["id"] for title in after]
        await suite.host.unload_plugin("tmdb")
        assert (await suite.ada.get("/api/media/recommendations")).json() == {"titles": []}


def test_what_is_kept_after_the_file_was_deleted_is_in_the_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "media.db"
    with closing(People(path)) as kept:
        kept.add("ada", [Listed("movie", 1, "gone")], 1.0)
        path.unlink()
        kept.add("ada", [Listed("movie", 2, "there")], 1.0)
        with closing(People(path)) as other:
            assert [title.title for title in other.listed("ada")] == ["there"]


def test_a_list_has_an_end_and_only_the_latest_of_what_was_watched_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "MOST_TITLES", 3)
    monkeypatch.setattr(people, "_KEPT_EVENTS", 3)
    with closing(People(tmp_path / "media.db")) as kept:
        titles = [Listed("movie", number, f"film {number}") for number in range(1, 6)]
        with pytest.raises(FullError, match="3 titles"):
            kept.add("ada", titles, 1.0)
        assert kept.add("ada", titles[:3], 2.0) == 0
        assert kept.add("bob", titles[4:], 2.0) == 1
        assert [title.id for title in kept.listed("ada")] == [1, 2, 3]
        for number in range(10):
            kept.watched("ada", "home", str(number), float(number))
            kept.watched("bob", "home", "0", float(number))
        assert [event["key"] for event in kept.history("ada", 100, 1e12)] == ["9", "8", "7"]
        assert len(kept.history("bob", 100, 1e12)) == 1


OLD = {
    "app.watchlist": json.dumps([
        {"id": 101, "media_type": "movie", "title": "Metropolis", "poster_path": "/poster101v1.jpg", "vote": 8},
        {"id": 201, "name": "A series"}, {"id": "x", "title": "No number"}, 7,
    ]),
    "subtitles": "de", "volume": "0.5", "autoplay": "true", "theme": json.dumps("dark"),
    "plex_token": "canary-of-plex", "tmdb.apiKey": "canary-of-tmdb", "cache": json.dumps({"a": 1}),
}  # fmt: skip


def test_an_old_page_s_lists_settings_and_secrets_are_told_apart() -> None:
    found = read(OLD)
    assert [(title.kind, title.id) for title in found.titles] == [("movie", 101), ("tv", 201)]
    assert found.settings == {"subtitles": "de", "volume": 0.5, "autoplay": True, "theme": "dark"}
    assert found.left == {
        "app.watchlist": "no titles of TMDB: 2 entries",
        "plex_token": "it is secret",
        "tmdb.apiKey": "it is secret",
        "cache": "it is no setting: a short text, a number, or yes and no",
    }


def test_old_settings_are_taken_over_by_a_command_and_what_is_there_stays(tmp_path: Path) -> None:
    data, file, config = tmp_path / "data", tmp_path / "old.json", tmp_path / "plughost.toml"
    file.write_text(json.dumps(OLD), "utf-8")
    config.write_text(f'[host]\ndata_dir = "{data}"\nallow = ["media"]\n', "utf-8")
    (data / "media").mkdir(parents=True)
    with closing(People(data / "media" / "media.db")) as kept:
        kept.change(who("plex:1001"), {"subtitles": "fr"})
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PLUGHOST_")}
    command = [
        sys.executable,
        "-m",
        "plughost",
        "media",
        "import",
        str(file),
        "--user",
        "plex:1001",
        "--json",
    ]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environ | {"PLUGHOST_CONFIG": str(config)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["titles"] == 2
    with closing(People(data / "media" / "media.db")) as kept:
        assert {title.title for title in kept.listed(who("plex:1001"))} == {"Metropolis", "A series"}
        assert kept.settings(who("plex:1001"))["subtitles"] == "fr"
        assert kept.settings(who("plex:1001"))["theme"] == "dark"
    files = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert b"canary" not in files + ran.stdout.encode() + ran.stderr.encode()
