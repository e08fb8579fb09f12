"""All parts in one host, in front of the fakes, as somebody runs them: what no part can show by itself."""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import redis
import zstandard

from plughost import Host, Plugin, hookimpl
from plughost.contracts import Artifact
from plughost.http import create_app
from plughost.testing import redis_server
from plughost_media.demo import OWN_KEY, DemoFakes, settings
from plughost_media.fakes import serving

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


class Suite:
    """The host, the fakes, and a browser in which Ada is signed in."""

    def __init__(self, host: Host, app: Any, fakes: DemoFakes, ada: httpx2.AsyncClient) -> None:
        self.host, self.app, self.fakes, self.ada = host, app, fakes, ada

    async def do(self, method: str, path: str, json: Any = None) -> httpx2.Response:
        """Change something."""
        answer = await self.ada.request(method, path, json=json or {}, headers={"Origin": "http://127.0.0.1"})
        assert answer.is_success, (path, answer.text)
        return answer


@asynccontextmanager
async def running(folder: Path, *more: type[Plugin], **configs: dict[str, Any]) -> AsyncIterator[Suite]:
    """Run everything for the time of the block.

    Args:
        folder: Where its files are.
        more: Plugins beside.
        configs: More of the configuration of some plugins.
    """
    fakes = DemoFakes()
    with serving(*fakes.all) as served:
        fakes.furnish(served)
        config = settings(served, fakes, folder)
        for name, own in configs.items():
            of_plugin = config["plugins"].setdefault(name, {"config": {}})["config"]
            of_plugin.update(own)
        config["http"] = {"rate_limits": {"auth": 1000, "read": 100_000, "write": 10_000}}
        async with Host("media", config=config, environ={}) as host:
            for plugin in more:
                await host.load_plugin(plugin)
            assert not host.report.failed
            app = create_app(host)
            transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1), raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as ada:
                suite = Suite(host, app, fakes, ada)
                begun = (await suite.do("POST", "/api/auth/plex")).json()
                code = begun["address"].partition("code=")[2].partition("&")[0]
                assert fakes.plex_tv.allow(code, fakes.plex_tv.accounts[0])
                assert (await ada.get(f"/api/auth/plex/{begun['handle']}")).status_code == 200
                yield suite
            app.close()


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


async def test_what_belongs_to_people_is_in_a_backup_and_comes_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running(data) as suite:
        await suite.do("PUT", "/api/tmdb/key", {"key": OWN_KEY})
        await suite.do("PUT", "/api/plex/servers/current", {"id": "machine-far"})
        await suite.host.backups.run()
        await suite.do("DELETE", "/api/tmdb/key")
        with closing(sqlite3.connect(data / "plex" / "plex.db", timeout=30)) as file, file:
            file.executescript("DELETE FROM account; DELETE FROM server")
        assert (await suite.ada.get("/api/plex/ondeck")).status_code == 409

        archive = next((data / "backups").glob("*.tar.zst"))
        await suite.host.backups.restore(archive, overwrite=True)

        shown = (await suite.ada.get("/api/plex/servers")).json()["servers"]
        assert [server["id"] for server in shown if server["current"]] == ["machine-far"]
        assert (await suite.ada.get("/api/plex/ondeck")).status_code == 200  # with the token that was sealed
        assert (await suite.ada.get("/api/tmdb/usage")).json()["key"]["last4"] == OWN_KEY[-4:]
        suite.fakes.tmdb.forget()
        assert (await suite.ada.get("/api/tmdb/movie/104")).status_code == 200
        assert suite.fakes.tmdb.calls[0].headers["authorization"] == f"Bearer {OWN_KEY}"
    saved = dict(saved_in(archive))
    assert {"plex/plex.db", "tmdb/tmdb.db"} <= saved.keys()
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
        yield key + repr(read[server.type(key)](key)).encode()


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
        cache = {**own, "compress_above": None}  # a secret is not to be looked for in what is compressed
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
    assert any(
        b"plex.metadata" in kept and b"Metropolis" in kept for kept in in_redis
    )  # and can be read by us
    assert {"keeper/plex/plex.db", "keeper/tmdb/tmdb.db", "manifest.json"} <= in_archive.keys()
    assert any(b"ada" in kept for name, kept in in_archive.items() if name.startswith("keeper/plex/"))
    for what, secret in secrets.items():
        assert not any(secret.encode() in kept for kept in in_redis), what
        assert not any(secret.encode() in kept for kept in in_archive.values()), what
    for cookie in cookies:
        assert not any(cookie.encode() in kept for kept in in_archive.values())
