"""The plugin in a real host: found by its entry point, configured, reloaded, restarted."""

from __future__ import annotations

import fcntl
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_browser import Browser
from plughost import Host, hookimpl
from plughost.contracts import Device, HttpContext, SessionManager, session_of
from plughost.exceptions import PluginError
from plughost.plugins.sessions.plugin import SessionsPlugin

pytestmark = pytest.mark.anyio

LOCKS = ("sessions.db.lock", "sessions.db.queue")
SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"


class Listener:
    """Notes what the hooks are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str | None, str]] = []
        self.news = anyio.Event()

    def _note(self, *what: Any) -> None:
        self.told.append(what)
        self.news.set()

    async def until(self, count: int) -> None:
        with anyio.fail_after(10):
            while len(self.told) < count:
                self.news = anyio.Event()
                await self.news.wait()

    @hookimpl
    def session_created(self, handle: str, subject: str | None, reason: str) -> None:
        self._note("created", handle, subject, reason)

    @hookimpl
    def session_rotated(self, handle: str, subject: str | None, reason: str) -> None:
        self._note("rotated", handle, subject, reason)

    @hookimpl
    def session_ended(self, handle: str, subject: str | None, reason: str) -> None:
        self._note("ended", handle, subject, reason)

    @hookimpl
    def describe_device(self, user_agent: str) -> Device:
        return Device(name=f"a {user_agent}")

    def start(self, context: Any) -> None: ...


def host(tmp_path: Path) -> Host:
    return Host(
        "acme", config={"host": {"data_dir": str(tmp_path / "data")}}, environ={"PLUGHOST_LOAD_PLUGINS": ""}
    )


async def load(running: Host, **config: Any) -> Any:
    await running.load_plugin(SessionsPlugin, config, name="sessions")
    return running.use(SessionManager)


async def test_sessions_survive_a_restart_by_default(tmp_path: Path) -> None:
    async with host(tmp_path) as first:
        made = await (await load(first)).create("7", fields={"views": 3})
    async with host(tmp_path) as second:
        found = await (await load(second)).get(made.session_id)
    assert found is not None
    assert found.fields == {"views": 3}


async def test_its_files_are_its_owners_alone(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        await (await load(running)).create("7")
        files = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data/sessions").iterdir()
        }
    assert set(files) == {"secret", "sessions.db", "sessions.db-wal", "sessions.db-shm", *LOCKS}
    assert set(files.values()) == {0o600}


async def test_a_made_up_secret_is_kept_and_shown_nowhere(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        await load(running)
        secret = (tmp_path / "data/sessions/secret").read_text().strip()
        assert len(secret) >= 43
        assert secret not in repr(running.plugin("sessions"))


async def test_a_configured_secret_is_not_in_the_record(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        await load(running, store="memory", secret=SECRET)
        assert SECRET not in repr(running.plugin("sessions"))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"secret": ""}, "shorter"), ({"secret": "short"}, "shorter"),
        ({"secret": "changeme" * 6}, "distinct|different|samples"),
        ({"secret": "a" * 50}, "different"), ({"store": "redis"}, "redis_url"),
        ({"store": "redis", "redis_url": "redis://localhost"}, "share a secret"),
        ({"idle_timeout": 0}, "idle_timeout"), ({"idle_timeout": 100.0, "absolute_timeout": 10.0}, "absolute"),
        ({"store": "mongo"}, "use one of sqlite"), ({"idle_timeot": 1}, "idle_timeot"), ({"max_bytes": 1}, "max_bytes"),
        ({"cookie_name": "a b"}, "cookie"), ({"trusted_origins": ["app.example"]}, "trusted_origins"),
        ({"secret_file": "/nowhere"}, "cannot be read"), ({"secret": SECRET, "secret_file": "/x"}, "beside"),
        ({"store": "redis", "redis_url": "nonsense", "secret": SECRET}, "redis://|asyncio"),
    ],
)  # fmt: skip
async def test_cve_2020_17526_what_is_wrong_with_the_configuration_is_said_and_nothing_starts(
    tmp_path: Path, config: dict[str, Any], words: str
) -> None:
    async with host(tmp_path) as running:
        with pytest.raises(PluginError, match=words) as caught:
            await load(running, **config)
    for value in config.values():
        assert not (isinstance(value, str) and len(value) > 20 and value in str(caught.value))


async def test_a_secret_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text(SECRET)
    file.chmod(0o644)
    async with host(tmp_path) as running:
        with pytest.raises(PluginError, match="chmod 600"):
            await load(running, secret_file=str(file))


async def test_hooks_hear_of_sessions_in_order(tmp_path: Path) -> None:
    listener = Listener()
    async with host(tmp_path) as running:
        await running.load_plugin(listener, name="listener")
        sessions = await load(running, store="memory")
        visitor = await sessions.create(None)
        made = await sessions.sign_in(visitor.session_id, "7")
        await sessions.rotate(made.session_id)
        other = await sessions.create("8")
        await sessions.destroy_user("7")
        await sessions.destroy(other.session_id, reason="logout")
        await listener.until(7)
    assert listener.told[:5] == [
        ("created", visitor.handle, None, "created"),
        ("ended", visitor.handle, None, "sign-in"),
        ("created", made.handle, "7", "sign-in"),
        ("rotated", made.handle, "7", "rotation"),
        ("created", other.handle, "8", "sign-in"),
    ]
    assert set(listener.told[5:]) == {
        ("ended", made.handle, "7", "user ended"),
        ("ended", other.handle, "8", "logout"),
    }


async def test_sessions_in_memory_survive_a_reload(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        made = await (await load(running, store="memory")).create("7")
        await running.reload_plugin("sessions")
        assert await running.use(SessionManager).get(made.session_id) is not None


async def test_a_reload_keeps_the_database_open_and_its_owner(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        made = await (await load(running)).create("7")
        for _ in range(3):
            await running.reload_plugin("sessions")
            assert await running.use(SessionManager).get(made.session_id) is not None
        again = await running.use(SessionManager).update(made.session_id, {"x": 1})
        assert again is not None


@pytest.mark.parametrize("then", [{}, {"store": "sqlite"}])
async def test_a_socket_that_was_open_before_a_reload_still_closes_with_its_session(
    tmp_path: Path, then: dict[str, Any]
) -> None:
    heard: list[dict[str, Any]] = []
    accepted = anyio.Event()

    async def chat(scope: Any, receive: Any, send: Any) -> None:
        session_of(scope).get("x")
        await send({"type": "websocket.accept"})
        accepted.set()
        await anyio.sleep_forever()

    async def send(message: dict[str, Any]) -> None:
        heard.append(message)

    async with host(tmp_path) as running:
        made = await (await load(running, store="memory")).create("7")
        ((middleware,),) = running.hooks.register_middleware(context=HttpContext(host_name="acme"))
        browser = Browser(None)
        browser.cookies = {"__Host-acme_session": made.session_id}
        scope = browser.scope("GET", "/ws") | {"type": "websocket", "scheme": "wss"}
        async with anyio.create_task_group() as group:
            group.start_soon(middleware.factory(chat), scope, anyio.sleep_forever, send)
            await accepted.wait()
            await running.reload_plugin("sessions", {"store": "memory"} | then)
            await running.use(SessionManager).destroy(made.session_id)
    assert [message["type"] for message in heard] == ["websocket.accept", "websocket.close"]


async def test_sessions_move_out_of_memory_when_the_configuration_changes(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        made = await (await load(running, store="memory")).create("7", fields={"x": [1]})
        await running.reload_plugin("sessions", {"store": "sqlite"})
        found = await running.use(SessionManager).get(made.session_id)
        assert found == made
        assert (await running.use(SessionManager).stats()).store == "sqlite"
    async with host(tmp_path) as restarted:
        assert await (await load(restarted)).get(made.session_id) == made


async def test_sessions_in_memory_move_into_the_database_over_a_restart(tmp_path: Path) -> None:
    left_behind = tmp_path / "data/sessions/memory-sessions"
    async with host(tmp_path) as first:
        sessions = await load(first, store="memory", carry_over=True)
        made = await sessions.create("7", fields={"x": "canary-value"})
        ended = await sessions.create("7")
        await sessions.destroy(ended.session_id)
    content = left_behind.read_bytes()
    assert stat.S_IMODE(left_behind.stat().st_mode) == 0o600
    assert b"canary-value" not in content
    assert made.session_id.encode() not in content
    async with host(tmp_path) as second:
        sessions = await load(second, store="sqlite", carry_over=True)
        assert await sessions.get(made.session_id) == made
        assert await sessions.get(ended.session_id) is None
        assert not left_behind.exists()


async def test_a_damaged_file_of_the_last_run_is_kept_aside(tmp_path: Path) -> None:
    folder = tmp_path / "data/sessions"
    folder.mkdir(parents=True)
    (folder / "memory-sessions").write_bytes(b"plughost sessions 1\n\xc1garbage")
    async with host(tmp_path) as running:
        await load(running, carry_over=True)
    assert (folder / "memory-sessions.damaged").exists()


async def test_old_secrets_open_and_the_newest_seals(tmp_path: Path) -> None:
    older = "b7Nw2Kz9Vx4Lq8Rj5Tm1Hs6Gd3Fp0Cy-AeUiOqW"
    async with host(tmp_path) as first:
        made = await (await load(first, secret=older)).create("7", fields={"x": 1})
    async with host(tmp_path) as second:
        sessions = await load(second, secret=SECRET, old_secrets=[older])
        assert await sessions.get(made.session_id) == made
        assert await sessions.reseal() == 1
        assert await sessions.reseal() == 0
    async with host(tmp_path) as third:
        assert await (await load(third, secret=SECRET)).get(made.session_id) == made


async def test_a_wrong_secret_refuses_and_keeps_every_session(tmp_path: Path) -> None:
    older = "b7Nw2Kz9Vx4Lq8Rj5Tm1Hs6Gd3Fp0Cy-AeUiOqW"
    async with host(tmp_path) as first:
        made = await (await load(first, secret=older)).create("7", fields={"x": 1})
    async with host(tmp_path) as second:
        sessions = await load(second, secret=SECRET)
        with pytest.raises(Exception, match="key ring"):
            await sessions.get(made.session_id)
        with pytest.raises(Exception, match="key ring"):
            await sessions.transform(made.session_id, lambda fields: fields.clear())
        assert (await sessions.stats()).unreadable >= 1
        health = await running_check(second)
        assert health.status == "warn"
        (listed,) = await sessions.list_user("7")
        assert listed.metadata == {"unreadable": True}
    async with host(tmp_path) as third:
        assert await (await load(third, secret=older)).get(made.session_id) == made


async def running_check(running: Host) -> Any:
    (check,) = await running.hooks.health_check(app_name=None, health_status={})
    return check


async def test_figures_are_offered_to_health_and_metrics(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        await (await load(running)).create("7")
        assert (await running_check(running)).status == "pass"
        (families,) = await running.hooks.describe_metrics()
        figures = {family.name: family.samples[0].value for family in families}
        assert figures["sessions_active"] == 1.0
        assert figures["sessions_users"] == 1.0
        assert running.plugin("sessions").status["store"] == "sqlite"


async def test_two_hosts_share_the_default_store(tmp_path: Path) -> None:
    async with host(tmp_path) as first, host(tmp_path) as second:
        made = await (await load(first)).create("7", fields={"x": 1})
        there = await load(second)
        assert await there.get(made.session_id) == made
        assert await there.destroy(made.session_id)
        assert await first.use(SessionManager).get(made.session_id) is None


async def test_sessions_in_memory_are_left_to_no_other_program(tmp_path: Path) -> None:
    async with host(tmp_path) as first:
        made = await (await load(first, store="memory")).create("7")
    async with host(tmp_path) as second:
        assert await (await load(second, store="memory")).get(made.session_id) is None
    async with host(tmp_path) as third:
        assert await (await load(third)).get(made.session_id) is None
    assert not (tmp_path / "data/sessions/memory-sessions").exists()


async def test_of_two_processes_one_takes_over_what_was_left_and_brings_nothing_back(tmp_path: Path) -> None:
    async with host(tmp_path) as first:
        made = await (await load(first, store="memory", carry_over=True)).create("7")
    left = tmp_path / "data/sessions/memory-sessions"
    late = left.open("rb")
    async with host(tmp_path) as second, host(tmp_path) as third:
        sessions = await load(second, carry_over=True)
        assert await sessions.destroy(made.session_id)
        left.write_bytes(late.read())
        with left.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert await (await load(third, carry_over=True)).get(made.session_id) is None
    late.close()
