"""Urls that are wrong, servers that are away, passwords that must not show."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from app_host import AppHost, app_host
from plughost.exceptions import AppError, ConfigError
from plughost.plugins.database import DatabasePlugin
from plughost.plugins.database.urls import blocking_url, parse_url, printable, scrub, sqlite_file


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///x.db", "sqlite+aiosqlite"),
        ("sqlite+pysqlite:///x.db", "sqlite+aiosqlite"),
        ("postgresql://host/db", "postgresql+psycopg"),
        ("postgres://host/db", "postgresql+psycopg"),
        ("postgresql+psycopg://host/db", "postgresql+psycopg"),
        ("postgresql+asyncpg://host/db", "postgresql+asyncpg"),
    ],
)
def test_the_async_driver_is_filled_in(given: str, driver: str) -> None:
    url = parse_url("shop", given)
    assert url is not None
    assert url.drivername == driver


@pytest.mark.parametrize("given", ["just words", "postgresql//user:sesame@host", ""])
def test_what_is_no_url_is_refused_without_being_repeated(given: str) -> None:
    with pytest.raises(ConfigError, match=r"apps\.shop\.url is not a database url") as caught:
        parse_url("shop", given)
    assert "sesame" not in str(caught.value)


def test_a_scheme_nobody_knows_is_left_to_other_plugins() -> None:
    assert parse_url("shop", "gopher://host/x") is None


@pytest.mark.parametrize(
    "given", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"]
)
def test_a_database_in_memory_has_no_file_and_no_second_way_in(given: str) -> None:
    url = parse_url("shop", given)
    assert url is not None
    assert sqlite_file(url) is None
    assert blocking_url(url) is None


def test_a_printed_url_shows_no_secret() -> None:
    url = parse_url("shop", "postgresql://me:sesame@host/db?password=open&sslmode=require")
    assert url is not None
    assert printable(url) == "postgresql+psycopg://me:***@host/db"


def test_a_password_is_taken_out_of_messages() -> None:
    url = parse_url("shop", "postgresql://me:sesame@host/db?sslpassword=key")
    assert url is not None
    assert scrub(url, "sesame opens, key too") == "*** opens, *** too"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:sesame@127.0.0.1:1/db", "check host, user and password"),
        ("sqlite:////no/such/folder/x.db", "unable to open database file"),
        ("postgresql+nodriver://me:sesame@host/db", "no running plugin opens connections to"),
        ("mysql://me:sesame@host/db", "needs the Python package 'aiomysql'"),
    ],
)
async def test_a_database_that_cannot_be_opened_is_a_clear_error_without_its_password(
    tmp_path: Path, url: str, said: str
) -> None:
    async with app_host(tmp_path) as host:
        await host.load("database", DatabasePlugin())
        with pytest.raises(AppError, match="shop") as caught:
            await host.apps.register("shop", {"url": url})
        assert said in str(caught.value)
        assert "sesame" not in repr(caught.value) + repr(caught.value.__cause__)
        assert "shop" not in host.apps


@pytest.mark.anyio
async def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"once upon a time " * 500)
    async with app_host(tmp_path) as host:
        await host.load("database", DatabasePlugin())
        with pytest.raises(AppError, match="file is not a database"):
            await host.apps.register("shop", {"url": f"sqlite:///{tmp_path / 'x.db'}"})


def test_on_trio_the_plugin_says_that_it_needs_asyncio(tmp_path: Path) -> None:
    async def main() -> None:
        host = AppHost(tmp_path)
        await host.load("database", DatabasePlugin())
        with pytest.raises(AppError, match="asyncio only"):
            await host.apps.register("shop", {"url": f"sqlite:///{tmp_path / 'x.db'}"})
        await host.close()

    anyio.run(main, backend="trio")
