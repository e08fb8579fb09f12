# ruff: noqa: ASYNC110 - another process is what is waited for
"""What Redis answers instead of doing it, servers that become replicas, and settings that cost sessions."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from plughost import Host
from plughost.contracts import HealthCheck, SessionManager
from plughost.contracts.session_store import StoredSession
from plughost.exceptions import PluginError, StoreUnavailableError
from plughost.plugins.sessions.plugin import SessionsPlugin
from plughost.plugins.sessions.stores.redis import RedisStore
from plughost.testing.suites.session_store import digest, new
from redis_gate import OF_REDIS_6, Gate, gate
from servers import Server, free_port
from servers import server as running_server

__all__ = ["gate"]  # a fixture of this module

pytestmark = pytest.mark.anyio

SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "out of memory"),
        (OF_REDIS_6 % b"-OOM command not allowed when used memory > 'maxmemory'.", "out of memory"),
        (b"-MOVED 866 127.0.0.1:7001\r\n", "cluster"),
        (b"-CLUSTERDOWN Hash slot not served\r\n", "cluster"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading"),
        (b"-NOPERM User sessions has no permissions to run the 'evalsha' command\r\n", "may not"),
        (b"-MISCONF Errors writing to the AOF file\r\n", "its log"),
    ],
)
async def test_a_refusal_is_the_failure_of_one_command_and_of_nobody_else(
    gate: Gate, answer: bytes, says: str
) -> None:
    store = RedisStore(gate.url, prefix="x")
    await store.open()
    await store.create(new("a"))
    gate.refusal = answer
    with pytest.raises(StoreUnavailableError, match=f"refused.*{says}"):
        await store.create(new("b"))
    assert isinstance(await store.read(digest("a")), StoredSession), "others are served at once"
    assert await store.delete(digest("a")) is not None
    await store.close()


@pytest.mark.parametrize("answer", [b"-%b\r\n", OF_REDIS_6.replace(b"%b", b"-%b")])
async def test_a_server_that_became_a_replica_is_left(gate: Gate, answer: bytes) -> None:
    store = RedisStore(gate.url, prefix="x")
    await store.open()
    await store.create(new("a"))
    before = gate.connections
    gate.refusal = answer % b"READONLY You can't write against a read only replica."
    with pytest.raises(StoreUnavailableError, match=r"refused.*replica"):
        await store.create(new("b"))
    assert await store.create(new("b")) is not None
    assert gate.connections > before
    await store.close()


@pytest.mark.parametrize("noticed_by", ["a write", "looking after it"])
async def test_after_a_fail_over_behind_one_address_sessions_are_those_of_the_new_primary(
    tmp_path: Path, noticed_by: str
) -> None:
    with running_server(port=free_port()) as first, running_server(port=free_port()) as second:
        address = first.folder / "primary"
        address.symlink_to(first.path)
        store = RedisStore(f"unix://{address}", prefix="x")
        await store.open()
        await store.create(new("ada"))
        await store.create(new("eve"))
        assert second.command("REPLICAOF", "127.0.0.1", str(first.port)) == b"+OK"
        with anyio.fail_after(30):
            while second.command("GET", "{x}:e:ada") == b"$-1":
                await anyio.sleep(0.05)
        second.command("REPLICAOF", "NO", "ONE")
        first.command("REPLICAOF", "127.0.0.1", str(second.port))
        address.unlink()
        address.symlink_to(second.path)
        if noticed_by == "a write":
            with pytest.raises(StoreUnavailableError, match="replica"):
                await store.delete(digest("eve"))
        else:
            await store.look_after()
        assert await store.delete(digest("eve")) is not None
        assert await store.read(digest("eve")) is None
        assert isinstance(await store.read(digest("ada")), StoredSession)
        await store.close()


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-ttl", "volatile-random", "allkeys-lfu"])
async def test_health_warns_of_every_policy_that_can_evict_sessions(
    server: Server, tmp_path: Path, policy: str
) -> None:
    async with host(tmp_path, server) as running:
        assert (await of_sessions(running)).status == "pass"
        server.command("CONFIG", "SET", "maxmemory-policy", policy)
        found = await of_sessions(running)
        assert found.status == "warn"
        assert policy in found.detail
        assert "noeviction" in found.detail


async def test_health_fails_where_sessions_can_be_read_and_not_written(
    server: Server, tmp_path: Path
) -> None:
    async with host(tmp_path, server) as running:
        sessions = running.use(SessionManager)
        made = await sessions.create("7")
        server.command("CONFIG", "SET", "maxmemory", "1")
        found = await of_sessions(running)
        assert found.status == "fail"
        assert "out of memory" in found.detail
        assert await sessions.get(made.session_id) is not None
        server.command("CONFIG", "SET", "maxmemory", "0")
        assert (await of_sessions(running)).status == "pass"


@pytest.mark.parametrize("url", ["redis+cluster://a,b", "redis+sentinel://a,b/main"])
async def test_a_cluster_or_sentinel_address_is_refused_with_the_reason(tmp_path: Path, url: str) -> None:
    environ = {"PLUGHOST_LOAD_PLUGINS": ""}
    async with Host("acme", config={"host": {"data_dir": str(tmp_path)}}, environ=environ) as running:
        config = {"store": "redis", "redis_url": url, "secret": SECRET}
        with pytest.raises(PluginError, match=r"one step.*address of one server"):
            await running.load_plugin(SessionsPlugin, config, name="sessions")


class host:
    """A host whose sessions are on that server."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.config = {"store": "redis", "redis_url": server.url, "secret": SECRET}
        self.host = Host(
            "acme",
            config={"host": {"data_dir": str(folder / "data")}},
            environ={"PLUGHOST_LOAD_PLUGINS": ""},
        )

    async def __aenter__(self) -> Host:
        await self.host.__aenter__()
        await self.host.load_plugin(SessionsPlugin, self.config, name="sessions")
        return self.host

    async def __aexit__(self, *error: object) -> None:
        await self.host.__aexit__(*error)  # type: ignore[arg-type]


async def of_sessions(running: Host) -> HealthCheck:
    (check,) = [check for check in (await running.health()).checks if check.name == "sessions"]
    return check
