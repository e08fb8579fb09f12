"""All parts in one host, in front of the fakes, as somebody runs them: what no part can show by itself."""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
import redis
import zstandard
from whole_suite import running

from plughost import Plugin, hookimpl
from plughost.contracts import Artifact
from plughost.testing import redis_server
from plughost_media.by_genre import ByGenrePlugin
from plughost_media.demo import OWN_KEY
from plughost_upstream import Upstreams

pytestmark = pytest.mark.anyio

OURS = ("vault", "upstream", "tmdb", "plex", "images", "dashboard", "media")
SESSIONS = "secret-that-hosts-share-for-their-sessions-9Qx"
ASKED = (
    "/media/",
    "/api/media/state",
    "/api/plex/stats/dashboard",
    "/api/plex/ondeck",
    "/api/plex/activities",
    "/api/tmdb/trending/movie/week",
    "/api/tmdb/usage",
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # as redis-py; the parts' own tests run on both


async def test_a_reload_of_each_part_under_load_loses_no_request(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as suite:
        lost: list[tuple[str, str, int, str]] = []
        asked, reloading, over = 0, "", anyio.Event()

        async def ask(number: int) -> None:
            nonlocal asked
            while not over.is_set():
                path = ASKED[number % len(ASKED)]
                answer = await suite.ada.get(path)
                asked += 1
                if answer.status_code != 200:
                    lost.append((reloading, path, answer.status_code, answer.text[:200]))
                number += 1

        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(ask, 3 * number)
            for part in OURS:
                reloading = part
                before = asked
                assert (await suite.host.reload_plugin(part)).generation == 2
                with anyio.fail_after(60):
                    while asked < before + len(ASKED):  # noqa: ASYNC110 - until all were asked of the new one
                        await anyio.sleep(0.005)
            over.set()
        assert lost == []


TROUBLES = ("delay", "away", "500", "429", "garbage", "401", "404", "cut")
SAMPLE = ("away", "429", "garbage")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in SAMPLE else [pytest.mark.soak]) for kind in TROUBLES]
)
async def test_in_trouble_pictures_figures_lists_and_the_page_go_on(tmp_path: Path, kind: Any) -> None:
    """The routes of plex and tmdb have their own tests; these are all others that something elsewhere stands behind."""
    async with running(tmp_path / "data", ByGenrePlugin) as suite:
        item = (await suite.ada.get("/api/plex/metadata/101")).json()["MediaContainer"]["Metadata"][0]
        film = (await suite.ada.get("/api/tmdb/movie/101")).json()
        seen = [f"/api/images/plex{item['thumb']}?w=185", f"/api/images/tmdb{film['poster_path']}?w=185"]
        other = [path.replace("w=185", "w=92") for path in seen]
        before = {path: (await suite.ada.get(path)).content for path in seen}
        await suite.do(
            "PUT", "/api/media/watchlist", {"kind": "movie", "id": 115, "title": "Not asked for yet"}
        )
        known = (await suite.ada.get("/api/plex/stats/dashboard")).json()
        for fake in suite.fakes.all:
            if (kind, fake.name) != ("401", "plextv"):  # which would mean that Ada has to sign in again
                fake.begin(kind, seconds=30.0)

        for path in seen:
            assert (await suite.ada.get(path)).content == before[path], path
        for path in other:
            answer = await suite.ada.get(path)
            wanted = 404 if kind == "404" else 200
            assert (answer.status_code, answer.headers["cache-control"]) == (wanted, "no-store"), path
        assert (await suite.ada.get("/api/plex/stats/dashboard")).json().keys() == known.keys()
        for path in (
            "/api/plex/stats",
            "/api/media/usage",
            "/api/media/state",
            "/api/media/watchlist",
            "/media/",
        ):
            assert (await suite.ada.get(path)).status_code == 200, path
        assert (await suite.ada.get("/api/media/recommendations")).json() == {"titles": []}
        live = await suite.ada.get("/api/plex/stats/live")
        assert live.is_success or live.headers["content-type"] == "application/problem+json", live.text

        for fake in suite.fakes.all:
            fake.end()
        upstreams = suite.host.use(Upstreams)
        for name in upstreams.names():
            # None is left alone because it failed too often, or wants half a minute of rest.
            upstreams.remove(name)
        for path in other:
            assert "no-store" not in (await suite.ada.get(path)).headers["cache-control"], path


async def test_what_belongs_to_people_is_in_a_backup_and_comes_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running(data) as suite:
        await suite.do("PUT", "/api/tmdb/key", {"key": OWN_KEY})
        await suite.do("PUT", "/api/plex/servers/current", {"id": "machine-far"})
        await suite.do("PUT", "/api/media/watchlist", {"kind": "movie", "id": 101, "title": "Metropolis"})
        await suite.do("PUT", "/api/media/settings", {"subtitles": "de"})
        await suite.host.backups.run()
        await suite.do("DELETE", "/api/tmdb/key")
        await suite.do("DELETE", "/api/media/watchlist/movie/101")
        await suite.do("PUT", "/api/media/settings", {"subtitles": None})
        with closing(sqlite3.connect(data / "plex" / "plex.db", timeout=30)) as file, file:
            file.executescript("DELETE FROM account; DELETE FROM server")
        assert (await suite.ada.get("/api/plex/ondeck")).status_code == 409

        archive = next((data / "backups").glob("*.tar.zst"))
        await suite.host.backups.restore(archive, overwrite=True)

        shown = (await suite.ada.get("/api/plex/servers")).json()["servers"]
        assert [server["id"] for server in shown if server["current"]] == ["machine-far"]
        assert (await suite.ada.get("/api/plex/ondeck")).status_code == 200  # with the token that was sealed
        assert (await suite.ada.get("/api/tmdb/usage")).json()["key"]["last4"] == OWN_KEY[-4:]
        listed = (await suite.ada.get("/api/media/watchlist")).json()["titles"]
        assert [title["title"] for title in listed] == ["Metropolis"]
        assert (await suite.ada.get("/api/media/settings")).json()["settings"] == {"subtitles": "de"}
        suite.fakes.tmdb.forget()
        assert (await suite.ada.get("/api/tmdb/movie/104")).status_code == 200
        assert suite.fakes.tmdb.calls[0].headers["authorization"] == f"Bearer {OWN_KEY}"
    saved = dict(saved_in(archive))
    assert {"plex/plex.db", "tmdb/tmdb.db", "media/media.db"} <= saved.keys()
    tokens = [OWN_KEY, *suite.fakes.home.accounts, suite.fakes.plex_tv.accounts[0].token]
    assert not any(token.encode() in kept for kept in saved.values() for token in tokens)


class Keeper(Plugin):
    """Saves every file that the parts keep, as somebody's own backup would."""

    name = "keeper"

    async def start(self, context: Any) -> None:
        self.data = context.data_dir.parent

    @hookimpl
    def provide_backup_artifacts(self) -> list[Artifact]:
        files = (file for part in OURS for file in (self.data / part).rglob("*") if file.is_file())
        return [Artifact(name=str(file.relative_to(self.data)), path=file) for file in files]


def kept_in(server: redis.Redis) -> Iterator[bytes]:
    """Give every key of a server with all that it holds."""
    read: dict[bytes, Callable[[bytes], object]] = {
        b"string": server.get,
        b"hash": server.hgetall,
        b"set": server.smembers,
        b"list": lambda key: server.lrange(key, 0, -1),
        b"zset": lambda key: server.zrange(key, 0, -1, withscores=True),
        b"stream": server.xrange,
    }
    for key in server.scan_iter():
        kept = read.get(server.type(key))  # none when its time came since it was named
        if kept is not None:
            yield key + repr(kept(key)).encode()


def saved_in(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Give all that is in an archive, by its name there."""
    unpacking = zstandard.ZstdDecompressor()
    with (
        archive.open("rb") as raw,
        unpacking.stream_reader(raw) as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        for member in tar:
            file = tar.extractfile(member)
            yield member.name, b"" if file is None else file.read()


async def test_no_secret_is_in_redis_or_in_a_backup(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with redis_server() as url, redis.Redis.from_url(url) as server:
        own = {"redis_url": url}
        # A secret is not to be looked for in what is compressed.
        cache = {
            **own,
            "op_timeout": 5.0,
            "compress_above": None,
        }
        sessions = {**own, "store": "redis", "secret": SESSIONS}
        async with running(data, Keeper, cache=cache, sessions=sessions) as suite:
            await suite.do("PUT", "/api/tmdb/key", {"key": OWN_KEY})
            for path in (*ASKED, "/api/plex/servers", "/api/plex/metadata/101", "/api/plex/sessions"):
                assert (await suite.ada.get(path)).status_code == 200, path
            played = (await suite.do("POST", "/api/plex/playback/101")).json()["stream"]
            assert (await suite.ada.get(played)).status_code == 200
            cookies = [cookie.value for cookie in suite.ada.cookies.jar if cookie.value]
            assert cookies
            secrets = {
                "own key": OWN_KEY,
                "shared key": "shared-tmdb-key",
                "account": suite.fakes.plex_tv.accounts[0].token,
                **{
                    f"server {token}": token
                    for token in (*suite.fakes.home.accounts, *suite.fakes.far.accounts)
                },
                "sessions": SESSIONS,
                "ticket": played.split("/")[4],
            }
            in_redis = list(kept_in(server))
            await suite.host.backups.run()
    in_archive = dict(saved_in(next((data / "backups").glob("*.tar.zst"))))
    # And can be read by us.
    assert any(b"plex.metadata" in kept and b"Metropolis" in kept for kept in in_redis)
    assert {"keeper/plex/plex.db", "keeper/tmdb/tmdb.db", "manifest.json"} <= in_archive.keys()
    assert any(b"ada" in kept for name, kept in in_archive.items() if name.startswith("keeper/plex/"))
    for what, secret in secrets.items():
        assert not any(secret.encode() in kept for kept in in_redis), what
        assert not any(secret.encode() in kept for kept in in_archive.values()), what
    for cookie in cookies:
        assert not any(cookie.encode() in kept for kept in in_archive.values())
