"""Several processes that come to one database at the same moment, as the workers of a server do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from postgres import PostgresServer, postgres
from revisions import write_revisions

__all__ = ["postgres"]  # a fixture of this module

PROCESSES = 4

PROGRAM = """
import asyncio, sys, time
from pathlib import Path
from plughost import Host

async def main(url, migrations, data, go):
    config = {"host": {"data_dir": data, "allow": ["database"]}}
    async with Host(config=config) as host:
        print("ready", flush=True)
        while not Path(go).exists():
            await asyncio.sleep(0.001)
        app = await host.apps.register(
            "shop", {"url": url, "migrations": migrations, "seeds": "process_seeds:sow"}
        )
        print(app.state, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""

SEEDS = """
import asyncio
import sqlalchemy as sa

async def sow(engine):
    async with engine.begin() as connection:
        await connection.execute(sa.text("INSERT INTO shop_a (text) VALUES ('seed')"))
    await asyncio.sleep(0.05)
"""

ENUM = "sa.Enum('small', 'large', name='size').create(op.get_bind())"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create(f"many_{abs(hash(request.node.name)) % 10_000_000}")


def together(folder: Path, url: str, migrations: str, processes: int = PROCESSES) -> list[str]:
    """Register the app in several processes at once; return what each says of it."""
    (folder / "process_seeds.py").write_text(SEEDS)
    (folder / "program.py").write_text(PROGRAM)
    go = folder / "go"
    go.unlink(missing_ok=True)
    running = [
        subprocess.Popen(
            [sys.executable, "program.py", url, migrations, str(folder / f"data-{number}"), str(go)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()
        go.touch()
        return [" ".join(process.communicate(timeout=90)).strip() for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()


def count(url: str, statement: str) -> int:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.connect() as connection:
            return int(connection.execute(sa.text(statement)).scalar_one())
    finally:
        engine.dispose()


def test_one_of_several_processes_migrates_and_seeds_and_all_have_the_app(url: str, tmp_path: Path) -> None:
    up = ENUM if url.startswith("postgresql") else "pass"
    told = together(tmp_path, url, write_revisions(tmp_path / "shop", ["a", "b"], up=up))
    assert told == ["registered"] * PROCESSES
    assert count(url, "SELECT count(*) FROM shop_a") == 1
    assert count(url, "SELECT count(*) FROM alembic_version") == 1


def test_one_of_several_processes_upgrades_and_all_have_the_app(url: str, tmp_path: Path) -> None:
    first = write_revisions(tmp_path / "shop", ["a"])
    assert together(tmp_path, url, first, 1) == ["registered"]
    assert together(tmp_path, url, write_revisions(tmp_path / "shop", ["a", "b", "c"])) == (
        ["registered"] * PROCESSES
    )
    assert count(url, "SELECT count(*) FROM shop_c") == 0
    assert count(url, "SELECT count(*) FROM shop_a") == 1


CONFIG = """
[host]
data_dir = "data"
allow = ["database"]
load_timeout = 100

[apps.loans]
required = true
url = {{ "$env" = "LOANS" }}
migrations = {migrations!r}
seeds = "process_seeds:sow"
"""


def test_hosts_of_one_data_folder_that_the_command_starts_at_once_all_have_their_app(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'loans.db'}"
    migrations = write_revisions(tmp_path / "loans", ["first", "second"])
    (tmp_path / "plughost.toml").write_text(CONFIG.format(migrations=migrations))
    (tmp_path / "process_seeds.py").write_text(SEEDS.replace("shop_a", "loans_first"))
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PLUGHOST_")}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "plughost", "run", "--once", "--json"],
            cwd=tmp_path, env=environ | {"LOANS": url}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    try:
        told = [(process.communicate(timeout=100), process.returncode) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert [code for _, code in told] == [0, 0, 0], told
    assert [json.loads(out)["ready"] for (out, _), _ in told] == [True, True, True]
    assert count(url, "SELECT count(*) FROM loans_first") == 1
    assert count(url, "SELECT count(*) FROM loans_second") == 0
