"""The example of each hook, registered in a real dispatcher and called: it does what its page says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from documented_hooks import HOOKS
from plughost.contracts import (
    AdminPanel,
    Allow,
    Archive,
    Artifact,
    AuthAttempt,
    BackupLocation,
    BackupPlan,
    BackupResult,
    CacheEvent,
    Deny,
    HealthReport,
    HttpContext,
    NewUser,
    OperationResult,
    PluginFailure,
    PluginRecord,
    Principal,
    RestorePlan,
    RestoreResult,
    UnregisterOptions,
    User,
    UserChange,
)
from plughost.core.calls.dispatch import HookDispatcher
from plughost.exceptions import AppRefused, AuthRefused, HookCallError, UserRefused
from plughost.hookspecs import CATALOGUE

pytestmark = pytest.mark.anyio

ADA = Principal("7", "ada")
ATTEMPT = AuthAttempt(username=" Ada ", address="10.0.0.1")
STORED = User(user_id="7", username="ada", email="ada@example.org")
PLAN = BackupPlan(backup_id="b-1")
LEAVING = UnregisterOptions(rollback=True)
RECORD = PluginRecord(name="hello", version="1.0.0")
CONTEXT = HttpContext(host_name="acme")


class Example:
    """The example of one hook, in a dispatcher of its own."""

    def __init__(self, name: str, code: str) -> None:
        self.module = ModuleType("example")
        exec(compile(code, f"<example of {name}>", "exec", dont_inherit=True), vars(self.module))  # noqa: S102
        dispatcher = HookDispatcher()
        for family in CATALOGUE:
            dispatcher.add_hookspecs(family)
        assert dispatcher.register("example", self.module) == (name,)
        self.call: Callable[..., Any] = getattr(dispatcher.hooks, name)

    def __getattr__(self, variable: str) -> Any:
        """A variable of the example."""
        return getattr(self.module, variable)


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Example:
    """The example of the hook that the test is about: ``test_auth_failed`` is about ``auth_failed``."""
    name = request.node.originalname.removeprefix("test_").partition("__")[0]
    return Example(name, HOOKS[name].example)


@pytest.fixture
def database() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)


def test_the_example_of_every_hook_is_called_by_a_test_of_its_name() -> None:
    named = {name.removeprefix("test_").partition("__")[0] for name in globals() if name.startswith("test_")}
    assert set(HOOKS) - named == set()


async def test_before_auth__changes_the_attempt(example: Example) -> None:
    assert (await example.call(attempt=ATTEMPT)).username == "ada"


async def test_before_auth__refuses(example: Example) -> None:
    with pytest.raises(AuthRefused, match="over the network"):
        await example.call(attempt=AuthAttempt(username="ada"))


async def test_authenticate(example: Example) -> None:
    right = AuthAttempt(username="robot", credentials={"token": "s3cret"})
    wrong = AuthAttempt(username="robot", credentials={"token": "guessed"})
    assert await example.call(attempt=right) == Allow(Principal("7", "backup-robot", ("robot",)))
    assert await example.call(attempt=wrong) == Deny("This token is not valid.")


async def test_authenticate__is_a_denial_when_all_abstain(example: Example) -> None:
    assert isinstance(await example.call(attempt=AuthAttempt(username="ada")), Deny)


async def test_after_auth(example: Example) -> None:
    await example.call(attempt=ATTEMPT, principal=ADA)
    assert example.last_seen == {"7": "10.0.0.1"}


async def test_auth_failed(example: Example) -> None:
    await example.call(attempt=ATTEMPT, reason="wrong password")
    assert example.failures["10.0.0.1"] == 1


async def test_before_logout(example: Example) -> None:
    example.drafts["h-1"] = "Dear"
    await example.call(principal=ADA, session_handle="h-1")
    assert example.drafts == {}


async def test_after_logout(example: Example) -> None:
    await example.call(principal=ADA, session_handle="h-1")
    assert example.online == set()


async def test_before_user_create__refuses(example: Example) -> None:
    with pytest.raises(UserRefused, match="12 characters"):
        await example.call(user=NewUser(username="ada", password="short"))


async def test_before_user_create__lets_pass(example: Example) -> None:
    new = NewUser(username="ada", password="long enough to pass")
    assert await example.call(user=new) is new


async def test_create_user(example: Example) -> None:
    assert (await example.call(user=NewUser(username="ada"))).username == "ada"
    with pytest.raises(UserRefused, match="taken"):
        await example.call(user=NewUser(username="ada"))


async def test_after_user_create(example: Example) -> None:
    await example.call(user=STORED)
    assert example.welcome == ["ada@example.org"]


async def test_before_user_update(example: Example) -> None:
    with pytest.raises(UserRefused):
        await example.call(change=UserChange(user_id="7", roles=("admin",)))


async def test_update_user(example: Example) -> None:
    assert (await example.call(change=UserChange(user_id="7", username="lovelace"))).username == "lovelace"
    assert await example.call(change=UserChange(user_id="8")) is None


async def test_after_user_update(example: Example) -> None:
    await example.call(user=STORED, changed=UserChange(user_id="7", password="new").changed)
    assert example.sign_out_soon == ["7"]


async def test_before_user_delete(example: Example) -> None:
    assert await example.call(user=STORED) is STORED
    with pytest.raises(UserRefused):
        await example.call(user=User(user_id="1", username="root", roles=("owner",)))


async def test_delete_user(example: Example) -> None:
    assert await example.call(user=STORED) is True
    assert await example.call(user=STORED) is False


async def test_after_user_delete(example: Example) -> None:
    await example.call(user=STORED)
    assert example.avatars == {}


async def test_find_user(example: Example) -> None:
    assert (await example.call(user_id="7", username=None)).username == "ada"
    assert (await example.call(user_id=None, username="ada")).user_id == "7"
    assert await example.call(user_id="8", username=None) is None


async def test_before_backup(example: Example) -> None:
    assert (await example.call(plan=PLAN)).staging_dir == Path("backups")


async def test_provide_backup_artifacts(example: Example) -> None:
    [[artifact]] = await example.call(plan=PLAN)
    assert b"".join(artifact.stream()) == b"first note\nsecond note\n"


async def test_store_backup(example: Example, tmp_path: Path) -> None:
    example.module.Path = lambda _: tmp_path  # type: ignore[attr-defined]
    (tmp_path / "staged").write_bytes(b"archive")
    archive = Archive(plan=PLAN, path=tmp_path / "staged", filename="b-1.tar", size=7, sha256="0")
    location = await example.call(archive=archive)
    assert location == BackupLocation(uri=(tmp_path / "b-1.tar").as_uri(), size=7)
    assert (tmp_path / "b-1.tar").read_bytes() == b"archive"


async def test_after_backup(example: Example) -> None:
    where = BackupLocation(uri="file:///b-1")
    await example.call(
        result=BackupResult(plan=PLAN, location=where, entries=(), size=7, sha256="0", duration=1.0)
    )
    assert example.sizes == [7]


async def test_backup_failed(example: Example) -> None:
    await example.call(plan=PLAN, error=OSError("disk full"))
    assert example.alerts == ["Backup b-1 failed: disk full"]


async def test_list_backups(example: Example, tmp_path: Path) -> None:
    (tmp_path / "b-1.tar.zst").write_bytes(b"archive")
    example.module.Path = lambda _: tmp_path  # type: ignore[attr-defined]
    assert await example.call() == [[BackupLocation(uri=(tmp_path / "b-1.tar.zst").as_uri(), size=7)]]


async def test_before_restore(example: Example) -> None:
    assert (await example.call(plan=RestorePlan(archive="b-1.tar"))).entries == ()


async def test_restore_artifact(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "from-archive").write_bytes(b"a note")
    mine = Artifact(name="notes.txt", path=tmp_path / "from-archive", plugin="notes")
    other = Artifact(name="notes.txt", path=tmp_path / "from-archive", plugin="shop")
    plan = RestorePlan(archive="b-1.tar")
    assert await example.call(artifact=other, plan=plan) is None
    assert await example.call(artifact=mine, plan=plan) is True
    assert (tmp_path / "notes.txt").read_bytes() == b"a note"
    with pytest.raises(HookCallError):
        await example.call(artifact=mine, plan=plan)


async def test_after_restore(example: Example) -> None:
    await example.call(result=RestoreResult(plan=RestorePlan(archive="b-1.tar"), restored=("notes.txt",)))
    assert example.remembered == {}


async def test_app_registration_started(example: Example) -> None:
    await example.call(app_name="shop", config={"url": "sqlite:///shop.db"})
    with pytest.raises(AppRefused):
        await example.call(app_name="shop", config={"url": "http://shop"})


async def test_open_connection(example: Example, tmp_path: Path) -> None:
    connection = await example.call(app_name="shop", config={"url": f"sqlite:///{tmp_path}/shop.db"})
    assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.close()
    assert await example.call(app_name="shop", config={"url": "mysql://shop"}) is None


async def test_connection_created(example: Example) -> None:
    await example.call(app_name="shop", connection=object(), reused=False)
    await example.call(app_name="stock", connection=object(), reused=True)
    assert example.opened == ["shop"]


async def test_auto_operations_started(example: Example) -> None:
    await example.call(app_name="shop", connection=None, config={})
    assert set(example.began) == {"shop"}


async def test_run_migrations(example: Example, database: sqlite3.Connection) -> None:
    result = await example.call(app_name="shop", connection=database, config={})
    assert result == OperationResult(operation="migrations", detail="table notes is there")
    assert database.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    database.close()


async def test_run_seeds(example: Example, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
    again = [await example.call(app_name="shop", connection=database, config={}) for _ in range(2)]
    assert [result.figures["added"] for result in again] == [1, 0]
    database.close()


async def test_load_models(example: Example) -> None:
    result = await example.call(app_name="shop", connection=None, config={"models": "json"})
    assert result.detail == "json is imported"


async def test_auto_operations_completed(example: Example) -> None:
    await example.call(app_name="shop", result={"migrations": OperationResult(operation="migrations")})
    assert example.migrated == {"shop"}


async def test_app_registered(example: Example) -> None:
    await example.call(app_name="shop", connection=None, config={})
    assert example.apps == {"shop"}


async def test_app_unregistration_started(example: Example) -> None:
    await example.call(app_name="shop", options=LEAVING)
    assert example.leaving == {"shop": "requested"}


async def test_app_rollback_started(
    example: Example, database: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await example.call(app_name="shop", connection=database, options=LEAVING)
    assert (tmp_path / "shop.sql").read_text().startswith("BEGIN TRANSACTION;")
    database.close()


async def test_rollback_app(example: Example, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE notes (id INTEGER)")
    assert (await example.call(app_name="shop", connection=database, options=LEAVING)).ok
    assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    database.close()


async def test_app_rollback_completed(example: Example) -> None:
    gone = OperationResult(operation="rollback", detail="table notes is gone")
    await example.call(app_name="shop", connection=None, options=LEAVING, result=gone)
    assert example.undone == ["shop: table notes is gone"]


async def test_connection_shutdown(example: Example, database: sqlite3.Connection) -> None:
    await example.call(app_name="shop", connection=database, options=UnregisterOptions(shared=True))
    database.execute("SELECT 1")
    await example.call(app_name="shop", connection=database, options=LEAVING)
    with pytest.raises(sqlite3.ProgrammingError):
        database.execute("SELECT 1")


async def test_app_unregistered(example: Example) -> None:
    await example.call(app_name="shop", options=LEAVING)
    assert example.apps == set()


async def test_operation_failed(example: Example) -> None:
    await example.call(app_name="shop", operation="run_seeds", error=OSError("disk full"), context={})
    assert example.alerts == ["run_seeds of shop failed: disk full"]


async def test_health_check(example: Example) -> None:
    [figures] = await example.call(app_name=None, health_status=HealthReport())
    assert figures["free_bytes"] > 0
    assert await example.call(app_name="shop", health_status=HealthReport()) == []


async def test_plugin_started(example: Example) -> None:
    await example.call(plugin=RECORD)
    assert example.versions == {"hello": "1.0.0"}


async def test_plugin_failed(example: Example) -> None:
    why = PluginFailure(phase="start", kind="OSError", message="no such host")
    await example.call(plugin=RECORD, phase="start", error=why)
    assert example.alerts == ["hello failed in start: no such host"]


async def test_plugin_stopped(example: Example) -> None:
    await example.call(plugin=RECORD)
    assert example.versions == {}


async def test_session_created(example: Example) -> None:
    await example.call(handle="h-1", subject="7", reason="sign-in")
    assert example.owners == {"h-1": "7"}


async def test_session_rotated(example: Example) -> None:
    await example.call(handle="h-1", subject="7", reason="sign-in")
    assert example.rotations == [("h-1", "sign-in")]


async def test_session_ended(example: Example) -> None:
    await example.call(handle="h-1", subject="7", reason="logout")
    assert example.owners == {}


async def test_describe_device(example: Example) -> None:
    assert (await example.call(user_agent="curl/8.5.0")).name == "curl"
    assert await example.call(user_agent="Mozilla/5.0") is None


async def test_cache_event(example: Example) -> None:
    await example.call(events=[CacheEvent(cache="tmdb", key="k", kind=kind) for kind in ("set", "evicted")])
    assert example.evictions == {"tmdb": 1}


async def test_warm_cache(example: Example) -> None:
    [[entry]] = await example.call(cache="money")
    assert entry.key == "rates"
    assert (await entry.loader())["EUR"] == 1.0
    assert await example.call(cache="tmdb") == []


def test_register_routes(example: Example) -> None:
    [[route]] = example.call(context=CONTEXT)
    assert (route.path, route.guard) == ("/hello", example.PUBLIC)


async def test_register_middleware(example: Example) -> None:
    [[middleware]] = example.call(context=CONTEXT)
    seen: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    for path in ("/favicon.ico", "/"):
        await middleware.factory(application)({"path": path}, None, None)
    assert seen == ["/"]


def test_register_admin_panels(example: Example) -> None:
    [[panel]] = example.call(context=CONTEXT)
    assert isinstance(panel, AdminPanel)
    assert panel.data() == {"waiting": 2}


def test_register_commands(example: Example) -> None:
    [[command]] = example.call()
    assert command.name == "hello"


def test_register_jobs(example: Example) -> None:
    [[job]] = example.call()
    assert (job.name, job.cron) == ("old-drafts", "30 3 * * *")


async def test_describe_metrics(example: Example) -> None:
    [[family]] = await example.call()
    assert [sample.value for sample in family.samples] == [2]
