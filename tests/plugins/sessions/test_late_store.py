# ruff: noqa: ASYNC110, ASYNC230 - files in the way are what these tests are about
"""A store that cannot be opened when the host starts: 503 until it can, and readiness says so."""

from __future__ import annotations

import fcntl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from full_disk import fill_disk
from plughost import Host, hookimpl
from plughost.contracts import Allow, AuthAttempt, Principal, SessionManager
from plughost.exceptions import PluginError, StoreUnavailableError
from plughost.http import create_app
from plughost.plugins.sessions.plugin import SessionsPlugin
from servers import server as running_server

pytestmark = pytest.mark.anyio

SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"


class Door:
    """Lets everybody in."""

    def start(self, context: Any) -> None: ...

    @hookimpl
    def authenticate(self, attempt: AuthAttempt) -> Allow:
        return Allow(Principal("7", attempt.username))


@asynccontextmanager
async def serving(tmp_path: Path, **config: Any) -> AsyncIterator[tuple[Host, httpx2.AsyncClient]]:
    host = Host(
        "acme",
        config={"host": {"data_dir": str(tmp_path / "data")}},
        environ={"PLUGHOST_LOAD_PLUGINS": ""},
    )
    async with host:
        await host.load_plugin(SessionsPlugin, config, name="sessions")
        await host.load_plugin(Door(), name="door")
        transport = httpx2.ASGITransport(create_app(host), client=("127.0.0.1", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield host, client


def sign_in(client: httpx2.AsyncClient) -> Any:
    return client.post("/api/auth/login", json={"username": "ada", "password": "x"})


async def until_ready(client: httpx2.AsyncClient) -> None:
    with anyio.fail_after(30):
        while (await client.get("/readyz")).status_code != 200:
            await anyio.sleep(0.02)


async def refused_until(client: httpx2.AsyncClient, mend: Callable[[], object]) -> None:
    """Nothing that needs a session is answered but 503, and readiness says so; then it is mended."""
    assert (await client.get("/readyz")).status_code == 503
    verbose = (await client.get("/readyz?verbose")).json()
    assert verbose["checks"]["plugin:sessions"][0]["status"] == "fail"
    assert (await client.get("/readyz?exclude=sessions")).status_code == 200
    assert (await client.get("/livez")).status_code == 200
    for _ in range(2):
        assert (await sign_in(client)).status_code == 503
    assert (await client.get("/health/detailed")).json()["checks"]["sessions"][0]["status"] == "fail"
    mend()
    await until_ready(client)
    assert (await sign_in(client)).status_code == 200
    assert (await client.get("/api/auth/validate")).json()["valid"] is True
    assert (await client.get("/health/detailed")).json()["checks"]["sessions"][0]["status"] == "pass"


async def test_a_file_in_the_way_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "data/sessions/sessions.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"precious notes, not a database" * 100)
    async with serving(tmp_path) as (host, client):
        assert "kept" in str(host.plugin("sessions").status["waiting_for"])  # type: ignore[union-attr]
        with pytest.raises(StoreUnavailableError):
            await host.use(SessionManager).create("7")
        await refused_until(client, path.unlink)


async def test_a_file_that_an_older_plughost_holds_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plughost.plugins.sessions.turns.LONGEST_WAIT", 0.05)
    path = tmp_path / "data/sessions/sessions.db"
    path.parent.mkdir(parents=True)
    with Path(f"{path}.lock").open("w") as older:
        fcntl.flock(older, fcntl.LOCK_EX)
        async with serving(tmp_path) as (_, client):
            await refused_until(client, lambda: fcntl.flock(older, fcntl.LOCK_UN))


async def test_room_for_the_secret_on_a_full_disk_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch)
    async with serving(tmp_path) as (host, client):
        told = str(host.plugin("sessions").status["waiting_for"])  # type: ignore[union-attr]
        assert "secret cannot be made: No space left on device. Make room for it" in told
        await refused_until(client, monkeypatch.undo)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_redis_that_comes_up_later_is_waited_for(tmp_path: Path, anyio_backend: str) -> None:
    with running_server() as server:
        server.kill()
        async with serving(tmp_path, store="redis", redis_url=server.url, secret=SECRET) as (_, client):
            await refused_until(client, server.start)


async def test_a_reload_of_a_plugin_that_waits_waits_on(tmp_path: Path) -> None:
    path = tmp_path / "data/sessions/sessions.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"precious notes, not a database" * 100)
    async with serving(tmp_path) as (host, client):
        await host.reload_plugin("sessions")
        await refused_until(client, path.unlink)


async def test_a_reload_onto_a_store_that_cannot_be_opened_is_refused_and_the_old_one_serves_on(
    tmp_path: Path,
) -> None:
    wrong = tmp_path / "wrong.db"
    wrong.write_bytes(b"precious notes, not a database" * 100)
    async with serving(tmp_path, store="memory") as (host, client):
        assert (await sign_in(client)).status_code == 200
        with pytest.raises(PluginError, match="kept"):
            await host.reload_plugin("sessions", {"store": "sqlite", "path": str(wrong)})
        assert (await client.get("/api/auth/validate")).json()["valid"] is True


async def test_wrong_settings_still_fail_at_once(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="share a secret"):
        async with serving(tmp_path, store="redis", redis_url="redis://127.0.0.1:1"):
            pass


async def test_stopping_while_it_waits_is_prompt(tmp_path: Path) -> None:
    path = tmp_path / "data/sessions/sessions.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"precious notes, not a database" * 100)
    with anyio.fail_after(20):
        async with serving(tmp_path):
            pass
