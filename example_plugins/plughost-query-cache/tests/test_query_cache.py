"""The plugin in a real host, on a real SQLite file, with and without the cache plugin."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from plughost import Host
from plughost_query_cache import QueryCache
from plughost_query_cache.results import LocalResults

pytestmark = pytest.mark.anyio
COUNT = "SELECT count(*) AS n FROM fruit WHERE kind = :kind"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # SQLAlchemy's async engines work there only


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE fruit (kind TEXT)")
        connection.execute("INSERT INTO fruit VALUES ('apple')")
        connection.commit()
    return path


@pytest.fixture(params=["with the cache plugin", "without it"])
async def host(request: pytest.FixtureRequest, tmp_path: Path, file: Path) -> AsyncIterator[Host]:
    plugins = ["database", "query_cache", *(["cache"] if request.param.startswith("with the") else [])]
    config = {
        "host": {"data_dir": str(tmp_path / "data"), "allow": plugins},
        "apps": {"shop": {"url": f"sqlite:///{file}"}},
    }
    async with Host(config=config, environ={}) as running:
        assert not running.report.failed
        assert not running.app_errors
        yield running


async def count(host: Host, kind: str = "apple") -> int:
    [row] = await host.use(QueryCache).fetch("shop", COUNT, {"kind": kind})
    return int(row["n"])


def add_behind_its_back(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("INSERT INTO fruit VALUES ('apple')")
        connection.commit()


async def test_a_result_is_read_once(host: Host, file: Path) -> None:
    assert await count(host) == 1
    add_behind_its_back(file)
    assert await count(host) == 1
    assert host.use(QueryCache).figures("shop") == {"hits": 1, "misses": 1, "version": 0}


async def test_other_parameters_are_another_result(host: Host) -> None:
    assert (await count(host, "apple"), await count(host, "pear")) == (1, 0)


async def test_a_write_through_the_engine_is_seen_at_once(host: Host) -> None:
    assert await count(host) == 1
    async with host.apps["shop"].connection.begin() as connection:
        await connection.execute(text("INSERT INTO fruit VALUES ('apple')"))
    assert await count(host) == 2


async def test_what_is_read_while_a_write_is_not_committed_does_not_stay(host: Host) -> None:
    async with host.apps["shop"].connection.begin() as connection:
        await connection.execute(text("INSERT INTO fruit VALUES ('apple')"))
        assert await count(host) == 1
    assert await count(host) == 2


async def test_a_write_that_was_rolled_back_changes_nothing(host: Host) -> None:
    async with host.apps["shop"].connection.connect() as connection:
        await connection.execute(text("INSERT INTO fruit VALUES ('apple')"))
        await connection.rollback()
    assert await count(host) == 1


async def test_writes_that_went_past_the_engine_can_be_told(host: Host, file: Path) -> None:
    assert await count(host) == 1
    add_behind_its_back(file)
    host.use(QueryCache).invalidate("shop")
    assert await count(host) == 2


async def test_only_reading_statements_are_cached(host: Host) -> None:
    with pytest.raises(ValueError, match="only statements that begin with"):
        await host.use(QueryCache).fetch("shop", "DELETE FROM fruit")
    assert await count(host) == 1


async def test_an_app_that_is_gone_is_not_served(host: Host) -> None:
    await host.apps.unregister("shop")
    with pytest.raises(LookupError, match="'shop'"):
        await count(host)


async def test_the_small_cache_forgets_after_a_while_and_has_a_limit() -> None:
    now = [0.0]
    results = LocalResults(2, now=lambda: now[0])
    loads: list[str] = []

    async def get(key: str) -> None:
        async def load() -> str:
            loads.append(key)
            return key

        assert await results.get_or_set(key, load, ttl=10) == key

    for key in ("a", "a", "b", "c", "a"):
        await get(key)
    assert loads == ["a", "b", "c", "a"]
    now[0] = 11.0
    await get("c")
    assert loads[-1] == "c"
