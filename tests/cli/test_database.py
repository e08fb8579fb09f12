"""`plughost database`: what is there, what would run, and running it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from revisions import write_revisions

CONFIG = """
[host]
data_dir = "data"
allow = ["database"]
[apps.shop]
url = "sqlite:///{folder}/shop.db"
migrations = "{folder}/shop"
[apps.plain]
"""


@pytest.fixture
def shop(folder: Path) -> Path:
    write_revisions(folder / "shop", ["a", "b"])
    (folder / "plughost.toml").write_text(CONFIG.format(folder=folder))
    return folder / "shop.db"


def test_a_database_that_is_not_there_yet_is_said_and_not_made(cli: Any, shop: Path) -> None:
    said = cli("database", "status", "--json")
    assert said.code == 3
    assert [(row["app"], row["problem"]) for row in said.document["apps"]] == [
        ("shop", "there is no database file yet")
    ]
    assert not shop.exists()


def test_migrating_brings_every_app_up_to_date(cli: Any, shop: Path) -> None:
    migrated = cli("database", "migrate", "--json")
    assert (migrated.code, migrated.document["apps"]["shop"]) == (0, ["2 migrations applied"])
    [row] = cli("database", "status", "--json").document["apps"]
    assert (row["revisions"], row["pending"]) == (["b"], [])


def test_what_is_pending_is_listed_and_not_run(cli: Any, shop: Path) -> None:
    cli("database", "migrate")
    write_revisions(shop.parent / "shop", ["a", "b", "c"])
    said = cli("database", "status")
    assert said.code == 3
    assert "1 to run: c" in said.out
    with closing(sqlite3.connect(shop)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("b",)]


def test_an_app_that_cannot_be_migrated_is_a_problem(cli: Any, shop: Path) -> None:
    write_revisions(shop.parent / "shop", ["a", "b"], up="raise RuntimeError('boom')")
    failed = cli("database", "migrate")
    assert failed.code == 3
    assert "revision b of app 'shop' failed" in failed.out
