"""`plughost backup`: saved, listed, checked and brought back, with real SQLite files."""

from __future__ import annotations

import re
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
[apps.blog]
url = "sqlite:///{folder}/shop.db"
"""


@pytest.fixture
def shop(folder: Path) -> Path:
    write_revisions(folder / "shop", ["a", "b"])
    (folder / "plughost.toml").write_text(CONFIG.format(folder=folder))
    return folder / "shop.db"


def content(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def change(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()


def destroy(file: Path) -> None:
    for path in file.parent.glob("shop.db*"):
        path.unlink()


def test_what_was_destroyed_comes_back_row_for_row(cli: Any, shop: Path) -> None:
    assert cli("run", "--once").code == 0
    change(shop, "INSERT INTO shop_a VALUES (1, 'apple')")
    made = cli("backup", "run", "--json")
    assert made.code == 0
    assert [(entry["plugin"], entry["name"]) for entry in made.document["entries"]] == [
        ("database", "blog/database.sqlite")
    ]
    before = content(shop)
    destroy(shop)
    back = cli("backup", "restore", made.document["backup_id"], "--json")
    assert (back.code, back.document["restored"]) == (0, ["blog/database.sqlite"])
    assert content(shop) == before
    assert cli("run", "--once").code == 0


def test_nothing_is_overwritten_without_yes(cli: Any, shop: Path) -> None:
    made = cli("backup", "run", "--json").document["backup_id"]
    change(shop, "INSERT INTO shop_a VALUES (2, 'later')")
    changed = content(shop)
    refused = cli("backup", "restore", made)
    assert refused.code == 1
    assert "--yes" in refused.err
    assert content(shop) == changed
    assert cli("backup", "restore", made, "--yes").code == 0
    assert content(shop) != changed


def test_backups_are_listed_with_what_they_are(cli: Any, shop: Path) -> None:
    assert cli("backup", "list").out.strip() == "There are no backups."
    made = cli("backup", "run", "--json").document
    listed = cli("backup", "list", "--json").document["backups"]
    assert [(row["backup_id"], row["uri"], row["reason"]) for row in listed] == [
        (made["backup_id"], made["uri"], "manual")
    ]
    assert made["backup_id"] in cli("backup", "list").out


def test_a_whole_archive_is_said_to_be_whole(cli: Any, shop: Path) -> None:
    made = cli("backup", "run", "--json").document
    path = made["uri"].removeprefix("file://")
    for name in (made["backup_id"], path):
        checked = cli("backup", "verify", name, "--json")
        assert (checked.code, checked.document["ok"]) == (0, True)


def test_a_damaged_archive_is_a_problem_and_is_not_restored(cli: Any, shop: Path) -> None:
    made = cli("backup", "run", "--json").document
    archive = Path(made["uri"].removeprefix("file://"))
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    before = content(shop)
    checked = cli("backup", "verify", str(archive), "--json")
    assert (checked.code, checked.document["ok"]) == (3, False)
    assert cli("backup", "restore", str(archive), "--yes").code == 1
    assert content(shop) == before


def test_an_archive_whose_first_bytes_are_damaged_is_still_found_by_its_id(cli: Any, shop: Path) -> None:
    made = cli("backup", "run", "--json").document
    archive = Path(made["uri"].removeprefix("file://"))
    whole = archive.read_bytes()
    for place in (0, 4, 5, 6):  # the frame's mark, its descriptor, its window
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        checked = cli("backup", "verify", made["backup_id"], "--json")
        assert (checked.code, checked.document["ok"]) == (3, False)
        refused = cli("backup", "restore", made["backup_id"], "--yes")
        assert refused.code == 1
        assert archive.name in refused.err


def test_an_archive_that_is_not_there_is_a_failure_and_not_a_problem(cli: Any, shop: Path) -> None:
    missing = cli("backup", "verify", "nowhere")
    assert missing.code == 1
    assert "there is no archive 'nowhere'" in missing.err


def test_one_app_alone_can_be_saved_and_an_unknown_one_cannot(cli: Any, shop: Path) -> None:
    assert cli("backup", "run", "--app", "shop").code == 0
    unknown = cli("backup", "run", "--app", "shopp")
    assert unknown.code == 1
    assert "'shopp'" in unknown.err


def test_a_backup_that_would_lack_an_app_is_not_made(cli: Any, shop: Path) -> None:
    shop.write_bytes(b"no database" * 500)
    failed = cli("backup", "run")
    assert failed.code == 1
    assert "cannot be saved" in failed.err
    assert cli("backup", "list", "--json").document == {"backups": []}


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file:{folder}/odd.db?uri=true",
     "sqlite:///file:odd?mode=memory&uri=true", "sqlite:////proc/none/odd.db",
     "postgresql+psycopg://nobody@127.0.0.1:1/odd"],
)  # fmt: skip
def test_an_app_that_no_copy_can_be_made_of_fails_the_backup_by_name(
    cli: Any, shop: Path, folder: Path, url: str
) -> None:
    with (folder / "plughost.toml").open("a") as file:
        file.write(f'[apps.odd]\nurl = "{url.format(folder=folder)}"\n')
    failed = cli("backup", "run")
    assert failed.code == 1
    assert re.search("odd.* cannot be saved", failed.err)
    assert cli("backup", "list", "--json").document == {"backups": []}
    assert cli("backup", "run", "--app", "odd").code == 1
    assert cli("backup", "run", "--app", "shop").code == 0


def test_a_restoration_does_not_open_or_migrate_the_databases_first(cli: Any, shop: Path) -> None:
    made = cli("backup", "run", "--json").document["backup_id"]
    destroy(shop)
    cli("backup", "verify", made)
    cli("backup", "list")
    assert not shop.exists()
