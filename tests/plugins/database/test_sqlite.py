"""Apps on real SQLite files."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from app_host import AppHost
from app_plugins import COMING, GOING, Trace
from plughost.contracts import AppState
from plughost.exceptions import AppError
from plughost.plugins.database import DatabasePlugin
from revisions import write_revisions

pytestmark = pytest.mark.anyio

SEEDS = """
import sqlalchemy as sa

runs = []


async def plant(engine):
    runs.append(engine)
    async with engine.begin() as connection:
        await connection.execute(sa.text("INSERT INTO shop_a (id, text) VALUES (1, 'apple')"))


async def trip(engine):
    async with engine.begin() as connection:
        await connection.execute(sa.text("INSERT INTO shop_a (id, text) VALUES (2, 'pear')"))
        raise ValueError("the bag had a hole")
"""
MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
sa.Table("shop_a", metadata, sa.Column("id", sa.Integer, primary_key=True))
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[AppHost]:
    made = AppHost(tmp_path / "host")
    await made.load("database", DatabasePlugin())
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def shop_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    code = tmp_path / "code"
    code.mkdir()
    (code / "shop_seeds.py").write_text(SEEDS)
    (code / "shop_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(code))
    yield
    for name in ("shop_seeds", "shop_models"):
        sys.modules.pop(name, None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data.db"


def schema(file: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def tables(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return {name for (name,) in rows}


def rows(file: Path, table: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - names from this file


def url(file: Path) -> str:
    return f"sqlite:///{file}"


async def test_an_app_comes_with_its_schema_its_seeds_and_its_models(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    folder = write_revisions(tmp_path / "shop", ["a", "b"])
    config = {"url": url(file), "migrations": folder, "seeds": "shop_seeds:plant", "models": "shop_models"}
    record = await host.apps.register("shop", config)
    assert {"shop_a", "shop_b"} <= tables(file)
    assert rows(file, "shop_a") == [(1, "apple")]
    assert record.results["migrations"].figures == {"applied": ("a", "b")}
    assert record.results["seeds"].figures == {"sown": True}
    assert record.results["models"].figures == {"tables": ("shop_a",)}


async def test_the_connection_is_an_async_engine_that_seeds_are_given_too(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    folder = write_revisions(tmp_path / "shop", ["a"])
    record = await host.apps.register(
        "shop", {"url": url(file), "migrations": folder, "seeds": "shop_seeds:plant"}
    )
    assert isinstance(record.connection, AsyncEngine)
    assert sys.modules["shop_seeds"].runs == [record.connection]


async def test_rolling_back_leaves_the_schema_as_it_was_found(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE mine (a, b)")
        connection.execute("CREATE INDEX mine_a ON mine (a)")
    before = schema(file)
    folder = write_revisions(tmp_path / "shop", ["a", "b"])
    await host.apps.register("shop", {"url": url(file), "migrations": folder, "seeds": "shop_seeds:plant"})
    assert schema(file) != before
    await host.apps.unregister("shop", rollback=True)
    assert schema(file) == before


async def test_without_a_rollback_the_schema_stays(host: AppHost, file: Path, tmp_path: Path) -> None:
    folder = write_revisions(tmp_path / "shop", ["a"])
    await host.apps.register("shop", {"url": url(file), "migrations": folder})
    after = schema(file)
    await host.apps.unregister("shop")
    assert schema(file) == after


async def test_registering_again_runs_only_what_is_new(host: AppHost, file: Path, tmp_path: Path) -> None:
    folder = write_revisions(tmp_path / "shop", ["a"])
    await host.apps.register("shop", {"url": url(file), "migrations": folder})
    await host.apps.unregister("shop")
    write_revisions(tmp_path / "shop", ["a", "b"])
    record = await host.apps.register("shop", {"url": url(file), "migrations": folder})
    assert record.results["migrations"].figures == {"applied": ("b",)}


async def test_a_later_process_rolls_back_to_what_the_first_one_found(file: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = schema(file)
    config = {"url": url(file), "migrations": write_revisions(tmp_path / "shop", ["a"])}
    for rollback in (False, True):
        process = AppHost(tmp_path / "host")
        await process.load("database", DatabasePlugin())
        await process.apps.register("shop", config)
        if rollback:
            await process.apps.unregister("shop", rollback=True)
        await process.close()
    assert schema(file) == before


async def test_seeds_are_sown_once_per_database(host: AppHost, file: Path, tmp_path: Path) -> None:
    config = {
        "url": url(file),
        "migrations": write_revisions(tmp_path / "shop", ["a"]),
        "seeds": "shop_seeds:plant",
    }
    await host.apps.register("shop", config)
    await host.apps.unregister("shop")
    record = await host.apps.register("shop", config)
    assert record.results["seeds"].figures == {"sown": False}
    assert rows(file, "shop_a") == [(1, "apple")]


# failures


@pytest.mark.parametrize("up", ["raise RuntimeError('boom')", "op.execute('INSERT INTO nowhere VALUES (1)')"])
async def test_a_failing_migration_leaves_the_database_as_it_was(
    host: AppHost, file: Path, tmp_path: Path, up: str
) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = schema(file)
    folder = write_revisions(tmp_path / "shop", ["a", "b", "c"], up=up)
    with pytest.raises(AppError, match="revision c of app 'shop' failed") as caught:
        await host.apps.register("shop", {"url": url(file), "migrations": folder})
    assert caught.value.step == "run_migrations"
    assert schema(file) == before  # tables of a, b and of the first half of c are gone
    assert "shop" not in host.apps


async def test_a_failing_migration_of_a_new_release_leaves_the_old_one(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    folder = write_revisions(tmp_path / "shop", ["a"])
    await host.apps.register("shop", {"url": url(file), "migrations": folder, "seeds": "shop_seeds:plant"})
    await host.apps.unregister("shop")
    before = schema(file)
    write_revisions(tmp_path / "shop", ["a", "b"], up="raise RuntimeError('boom')")
    with pytest.raises(AppError):
        await host.apps.register("shop", {"url": url(file), "migrations": folder})
    assert schema(file) == before
    assert rows(file, "shop_a") == [(1, "apple")]


async def test_failing_seeds_leave_the_database_as_it_was(host: AppHost, file: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = schema(file)
    folder = write_revisions(tmp_path / "shop", ["a"])
    with pytest.raises(AppError, match="seeds of app 'shop' failed: ValueError: the bag had a hole"):
        await host.apps.register("shop", {"url": url(file), "migrations": folder, "seeds": "shop_seeds:trip"})
    assert schema(file) == before


async def test_failing_seeds_of_a_new_release_go_back_to_the_old_schema_and_not_further(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    folder = write_revisions(tmp_path / "shop", ["a"])
    await host.apps.register("shop", {"url": url(file), "migrations": folder, "seeds": "shop_seeds:plant"})
    await host.apps.unregister("shop")
    before = schema(file)
    write_revisions(tmp_path / "shop", ["a", "b"])
    with pytest.raises(AppError):
        await host.apps.register("shop", {"url": url(file), "migrations": folder, "seeds": "shop_seeds:trip"})
    assert schema(file) == before
    assert rows(file, "shop_a") == [(1, "apple")]
    again = {"url": url(file), "migrations": folder, "seeds": "shop_seeds:plant"}
    record = await host.apps.register("shop", again)
    assert record.results["seeds"].figures == {"sown": False}  # the note of the first time is back


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("shop_seeds", "must be written 'module:callable'"),
        ("shop_seeds:nothing", "'shop_seeds' has no 'nothing'"),
        ("shop_seeds:runs", "is not callable"),
        ("no_such_module:run", "there is no module 'no_such_module'"),
    ],
)
async def test_seeds_that_cannot_be_found_say_which_setting_is_wrong(
    host: AppHost, file: Path, seeds: str, message: str
) -> None:
    with pytest.raises(AppError, match=r"apps\.shop\.seeds") as caught:
        await host.apps.register("shop", {"url": url(file), "seeds": seeds})
    assert message in str(caught.value)


async def test_a_folder_that_holds_no_revisions_says_what_is_missing(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(AppError, match=r"there is no .*shop/versions"):
        await host.apps.register("shop", {"url": url(file), "migrations": str(tmp_path / "shop")})


async def test_a_rollback_that_fails_marks_the_app_and_leaves_its_database(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    folder = write_revisions(tmp_path / "shop", ["a", "b"], back="raise RuntimeError('no way back')")
    await host.apps.register("shop", {"url": url(file), "migrations": folder})
    before = schema(file)
    with pytest.raises(AppError, match="no way back"):
        await host.apps.unregister("shop", rollback=True)
    assert host.apps["shop"].state is AppState.FAILED
    assert schema(file) == before


async def test_a_registration_that_is_called_off_during_a_long_statement_is_rolled_back(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = schema(file)
    endless = (
        "op.execute('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n')"
    )
    started = tmp_path / "started"
    folder = write_revisions(
        tmp_path / "shop", ["a"], up=f"import pathlib; pathlib.Path({str(started)!r}).touch(); {endless}"
    )
    async with anyio.create_task_group() as group:
        group.start_soon(host.apps.register, "shop", {"url": url(file), "migrations": folder})
        while not started.exists():  # noqa: ASYNC110 - a worker thread makes it
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert schema(file) == before
    assert "shop" not in host.apps


# two apps, one file


async def test_two_apps_with_histories_of_their_own_live_in_one_file(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    trace = Trace()
    await host.load("trace", trace)
    configs = {
        name: {"url": url(file), "migrations": write_revisions(tmp_path / name, [f"{name}1", f"{name}2"])}
        for name in ("shop", "blog")
    }
    assert await host.apps.register_all(configs) == {}
    assert host.apps["shop"].connection is host.apps["blog"].connection
    assert {"shop_shop1", "shop_shop2", "blog_blog1", "blog_blog2"} <= tables(file)
    await host.apps.unregister("shop", rollback=True)
    assert not [name for name in tables(file) if name.startswith("shop")]
    assert {"blog_blog1", "blog_blog2"} <= tables(file)
    await host.apps.unregister("blog", rollback=True)
    assert schema(file) == []
    missing = {"open_connection", "run_seeds", "load_models"}  # the first of the two apps opened it
    for name in ("shop", "blog"):
        seen = [hook for hook in trace.of(name) if hook != "open_connection"]
        assert seen == [hook for hook in [*COMING, *GOING] if hook not in missing]


async def test_an_app_whose_schema_another_app_uses_too_cannot_be_rolled_back(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    folder = write_revisions(tmp_path / "shop", ["a"])
    for name in ("one", "two"):
        await host.apps.register(name, {"url": url(file), "migrations": folder})
    with pytest.raises(AppError, match="'two' shares its schema"):
        await host.apps.unregister("one", rollback=True)
    assert "shop_a" in tables(file)


async def test_a_database_that_alembic_migrated_before_is_recognised(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    folder = write_revisions(tmp_path / "shop", ["a", "b"])
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE shop_a (id INTEGER PRIMARY KEY, text VARCHAR(50))")
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('a')")
        connection.commit()
    before = schema(file)
    record = await host.apps.register("shop", {"url": url(file), "migrations": folder})
    assert record.results["migrations"].figures == {"applied": ("b",)}
    await host.apps.unregister("shop", rollback=True)
    assert schema(file) == before
    assert rows(file, "alembic_version") == [("a",)]


async def test_an_env_py_that_takes_the_connection_is_run(host: AppHost, file: Path, tmp_path: Path) -> None:
    folder = write_revisions(tmp_path / "shop", ["a"])
    (tmp_path / "shop" / "env.py").write_text(
        "from alembic import context\n"
        "connection = context.config.attributes['connection']\n"
        "connection.exec_driver_sql('CREATE TABLE made_by_env (a)')\n"
        "context.configure(connection=connection)\n"
        "with context.begin_transaction():\n"
        "    context.run_migrations()\n"
    )
    await host.apps.register("shop", {"url": url(file), "migrations": folder})
    assert {"made_by_env", "shop_a"} <= tables(file)


async def test_an_env_py_that_opens_its_own_connection_is_passed_over(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    folder = write_revisions(tmp_path / "shop", ["a"])
    (tmp_path / "shop" / "env.py").write_text("raise RuntimeError('not me')\n")
    await host.apps.register("shop", {"url": url(file), "migrations": folder})
    assert "shop_a" in tables(file)


async def test_a_database_in_memory_is_migrated_and_seeded_too(host: AppHost, tmp_path: Path) -> None:
    config = {
        "url": "sqlite://",
        "migrations": write_revisions(tmp_path / "shop", ["a"]),
        "seeds": "shop_seeds:plant",
    }
    record = await host.apps.register("shop", config)
    async with record.connection.connect() as connection:
        assert (await connection.execute(sa.text("SELECT text FROM shop_a"))).scalars().all() == ["apple"]
    await host.apps.unregister("shop", rollback=True)


async def test_an_engine_is_closed_when_its_last_app_leaves(host: AppHost, file: Path) -> None:
    record = await host.apps.register("one", {"url": url(file)})
    await host.apps.register("two", {"url": url(file)})
    async with record.connection.connect() as connection:
        await connection.execute(sa.text("SELECT 1"))
    await host.apps.unregister("one")
    assert record.connection.pool.checkedin() == 1
    await host.apps.unregister("two")
    assert record.connection.pool.checkedin() == 0


async def test_what_fails_in_a_transaction_takes_its_tables_with_it(host: AppHost, file: Path) -> None:
    record = await host.apps.register("shop", {"url": url(file)})

    async def half() -> None:
        async with record.connection.begin() as connection:
            await connection.execute(sa.text("CREATE TABLE half (a)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await half()
    assert "half" not in tables(file)


@pytest.mark.parametrize(
    "commit", ["op.execute('COMMIT')", "op.execute('-- now\\n  commit')", "op.get_bind().commit()"]
)
async def test_a_revision_that_commits_and_then_fails_is_not_said_to_be_undone(
    host: AppHost, file: Path, tmp_path: Path, commit: str
) -> None:
    folder = write_revisions(tmp_path / "shop", ["a"], up=f"{commit}; raise ValueError('too late')")
    with pytest.raises(AppError, match="had committed a part of its work before, and that part stays"):
        await host.apps.register("shop", {"url": f"sqlite:///{file}", "migrations": folder})


@pytest.mark.filterwarnings("ignore")  # Alembic's, which nobody reads
async def test_two_files_with_one_revision_id_are_refused_and_named(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    folder = write_revisions(tmp_path / "shop", ["a", "b"])
    versions = Path(folder) / "versions"
    (versions / "copy_of_b.py").write_text((versions / "b.py").read_text().replace("shop_b", "shop_c"))
    with pytest.raises(AppError, match=r"b\.py and .*b\.py in .* have the same revision id"):
        await host.apps.register("shop", {"url": f"sqlite:///{file}", "migrations": folder})


def with_notes(file: Path, *notes: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE notes (text TEXT)")
        connection.executemany("INSERT INTO notes VALUES (?)", [(note,) for note in notes])
        connection.commit()


async def test_a_file_that_was_replaced_is_opened_anew_by_every_connection(
    host: AppHost, tmp_path: Path
) -> None:
    file, backup = tmp_path / "shop.db", tmp_path / "backup.db"
    with_notes(file, "before")
    with_notes(backup, "of the backup")
    await host.apps.register("shop", {"url": url(file)})
    engine: AsyncEngine = host.apps["shop"].connection
    write = sa.text("INSERT INTO notes VALUES ('after')")
    async with engine.begin() as one, engine.connect():
        await one.execute(sa.text("INSERT INTO notes VALUES ('lost with its file')"))
    backup.replace(file)
    async with engine.begin() as one, engine.connect() as other:
        await one.execute(write)
        assert (await other.execute(sa.text("SELECT text FROM notes"))).scalars().all() == ["of the backup"]
    with closing(sqlite3.connect(file)) as there:
        assert [text for (text,) in there.execute("SELECT text FROM notes")] == ["of the backup", "after"]


async def test_whoever_writes_into_a_file_that_was_deleted_is_told(host: AppHost, tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with_notes(file, "before")
    await host.apps.register("shop", {"url": url(file)})
    engine: AsyncEngine = host.apps["shop"].connection
    async with engine.begin() as connection:
        await connection.execute(sa.text("INSERT INTO notes VALUES ('lost')"))
    file.unlink()
    with pytest.raises(sa.exc.OperationalError, match="no such table"):
        async with engine.begin() as connection:
            await connection.execute(sa.text("INSERT INTO notes VALUES ('after')"))
