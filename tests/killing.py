"""Kills a process with signal 9 at random moments of register, unregister and backup, and looks at what is left.

Run as a program: ``python killing.py FOLDER ROUNDS SEED``. Each round forks a child that has everything imported,
waits until it begins, kills it somewhere in the time the same work takes undisturbed, checks the files, and has
a second child go on from there. Prints one JSON object; fails with a traceback when something is not as it must.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio

from app_host import AppHost
from plughost.flows.archive_reading import read_archive
from plughost.plugins.database import DatabasePlugin
from revisions import write_revisions

SEEDS = """
import sqlalchemy as sa


async def plant(engine):
    async with engine.begin() as connection:
        await connection.execute(sa.text("INSERT OR IGNORE INTO shop_a (id, text) VALUES (1, 'apple')"))
"""
FULL = {"mine", "shop_a", "shop_b", "shop_c", "alembic_version", "plughost_apps"}
Begin = Callable[[], None]
Work = Callable[[AppHost, Begin], Awaitable[None]]


class Range:
    """Where the killing goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "data.db"
        code = folder / "code"
        code.mkdir(parents=True)
        (code / "killing_seeds.py").write_text(SEEDS)
        sys.path.insert(0, str(code))
        self.config: dict[str, Any] = {
            "url": f"sqlite:///{self.file}",
            "migrations": write_revisions(folder / "shop", ["a", "b", "c"]),
            "seeds": "killing_seeds:plant",
        }

    def reset(self) -> None:
        """A database with a table and rows of somebody else, and a host that knows nothing."""
        for path in [*self.folder.glob("data.db*"), self.folder / "host"]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.file)) as connection:
            connection.execute("CREATE TABLE mine (a, b)")
            connection.executemany(
                "INSERT INTO mine VALUES (?, ?)", [(i, os.urandom(99)) for i in range(3000)]
            )
            connection.commit()

    def tables(self) -> set[str]:
        with closing(sqlite3.connect(self.file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT count(*) FROM mine").fetchone() == (3000,)
            rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {name for (name,) in rows}

    def child(self, work: Work, kill_after: float | None) -> tuple[int, float]:
        """Fork, let it work, and kill it so many seconds after it began; return its status and its time."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._be_the_child(work, writing)
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        began = time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        return status, time.monotonic() - began

    def _be_the_child(self, work: Work, writing: int) -> None:
        async def main() -> None:
            host = AppHost(self.folder / "host")
            host.configs["shop"] = self.config
            await host.load("database", DatabasePlugin())
            await host.apps.recover()
            await work(host, lambda: void(os.write(writing, b"1")))
            await host.close()

        try:
            anyio.run(main)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)


def void(_: object) -> None: ...


def main(folder: Path, rounds: int, seed: int) -> dict[str, Any]:
    """Kill so many times; return what was seen."""
    place = Range(folder)
    chance = random.Random(seed)  # noqa: S311 - a seed makes the moments repeatable
    works = {"register": register, "unregister": unregister, "backup": backup}
    usual = {name: undisturbed(place, works[name](place)) for name in works}
    seen: Counter[str] = Counter()
    for number in range(rounds):
        name = list(works)[number % len(works)]
        place.reset()
        status, _ = place.child(works[name](place), chance.uniform(0, 1.1 * usual[name]))
        killed = os.WIFSIGNALED(status)
        assert killed or status == 0
        state = check_files(place)
        seen[f"{name} {'killed' if killed else 'finished'} {state}"] += 1
        go_on(place)
    return {"rounds": rounds, "usual": usual, "seen": dict(sorted(seen.items()))}


def undisturbed(place: Range, work: Work) -> float:
    """How long the work takes."""
    place.reset()
    status, seconds = place.child(work, None)
    assert status == 0
    return seconds


def register(place: Range) -> Work:
    async def work(host: AppHost, begin: Begin) -> None:
        begin()
        await host.apps.register("shop", place.config)

    return work


def unregister(place: Range) -> Work:
    async def work(host: AppHost, begin: Begin) -> None:
        await host.apps.register("shop", place.config)
        begin()
        await host.apps.unregister("shop", rollback=True)

    return work


def backup(place: Range) -> Work:
    async def work(host: AppHost, begin: Begin) -> None:
        await host.apps.register("shop", place.config)
        begin()
        await host.backups.run()

    return work


def check_files(place: Range) -> str:
    """No corrupt database, no half app, no half archive."""
    found = place.tables()
    assert found in ({"mine"}, FULL), found
    archives = list((place.folder / "host" / "backups").glob("backup-*"))
    for archive in archives:
        read_archive(archive, void)
    state = "with app" if found == FULL else "without app"
    return f"{state}, {len(archives)} archives"


def go_on(place: Range) -> None:
    """The next process registers the app, saves it, takes it away: and nothing of it is left."""

    async def work(host: AppHost, begin: Begin) -> None:
        begin()
        await host.apps.register("shop", place.config)
        assert host.apps.unfinished == ()
        assert place.tables() == FULL
        with closing(sqlite3.connect(place.file)) as connection:
            assert connection.execute("SELECT * FROM shop_a").fetchall() == [(1, "apple")]
        await host.backups.run()
        assert not list((place.folder / "host" / "backups").glob(".*"))
        await host.apps.unregister("shop", rollback=True)

    status, _ = place.child(work, None)
    assert status == 0
    assert place.tables() == {"mine"}
    assert not list((place.folder / "host" / "apps").glob("*"))


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
