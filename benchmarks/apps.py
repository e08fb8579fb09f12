"""Registration of 50 apps on SQLite, against the same work by bare SQLAlchemy and Alembic calls.

Run: ``python benchmarks/apps.py``. Each app has a file of its own, three revisions and a seed. The bare program
does what a careful author would write by hand, one app after the other: an async engine that is proved to
work, Alembic's ``upgrade`` in one transaction, the seeds awaited, the models imported. Both run in turn, five
times; the figure is the quotient of the best times.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from hosting import hosted

from revisions import write_revisions

Work = Callable[[], Awaitable[None]]
Program = Callable[[AsyncExitStack, Path, str], Awaitable[Work]]
APPS = 50
ROUNDS = 5
CODE = """
import sqlalchemy as sa

metadata = sa.MetaData()


async def plant(engine):
    async with engine.begin() as connection:
        await connection.execute(sa.text("INSERT INTO shop_a (id, text) VALUES (1, 'apple')"))
"""
ENV = """
from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
"""


async def with_plughost(stack: AsyncExitStack, folder: Path, revisions: str) -> Work:
    host = await stack.enter_async_context(hosted("database"))
    configs: dict[str, dict[str, Any]] = {
        f"app{number}": {
            "url": f"sqlite:///{folder / f'{number}.db'}",
            "migrations": revisions,
            "seeds": "bench_code:plant",
            "models": "bench_code",
        }
        for number in range(APPS)
    }

    async def work() -> None:
        errors = await host.apps.register_all(configs)
        assert errors == {}, errors

    return work


async def by_hand(stack: AsyncExitStack, folder: Path, revisions: str) -> Work:
    async def work() -> None:
        for number in range(APPS):
            engine = await one_by_hand(f"{folder / f'{number}.db'}", revisions)
            stack.push_async_callback(engine.dispose)

    return work


async def one_by_hand(file: str, revisions: str) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
    transactional(engine.sync_engine)
    async with engine.connect() as connection:
        await connection.execute(sa.text("SELECT 1"))
    await asyncio.to_thread(upgrade, file, revisions)
    import bench_code

    await bench_code.plant(engine)
    return engine


def upgrade(file: str, revisions: str) -> None:
    config = Config()
    config.set_main_option("script_location", revisions)
    config.set_main_option("path_separator", "os")
    engine = sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool)
    transactional(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")


def transactional(engine: sa.Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")


def measure(program: Program, env: bool) -> tuple[float, float]:
    folder = Path(tempfile.mkdtemp(prefix="plughost-bench-"))
    try:
        revisions = write_revisions(folder / "shop", ["a", "b", "c"])
        if env:
            (folder / "shop" / "env.py").write_text(ENV)

        async def run() -> tuple[float, float]:
            async with AsyncExitStack() as stack:
                work = await program(stack, folder, revisions)
                began, busy = time.perf_counter(), time.process_time()
                await work()
                return time.perf_counter() - began, time.process_time() - busy

        return asyncio.run(run())
    finally:
        shutil.rmtree(folder)


def main() -> None:
    code = Path(tempfile.mkdtemp(prefix="plughost-bench-"))
    (code / "bench_code.py").write_text(CODE)
    sys.path.insert(0, str(code))
    times: dict[str, list[tuple[float, float]]] = {"plughost": [], "by hand": []}
    for _ in range(ROUNDS):
        times["by hand"].append(measure(by_hand, env=True))
        times["plughost"].append(measure(with_plughost, env=False))
    wall = {name: min(wall for wall, _ in values) for name, values in times.items()}
    busy = {name: min(busy for _, busy in values) for name, values in times.items()}
    quotients = {
        "quotient": wall["plughost"] / wall["by hand"],
        "quotient of processor time": busy["plughost"] / busy["by hand"],
    }
    print(json.dumps({"apps": APPS, "seconds": wall, "processor seconds": busy, **quotients}, indent=2))
    shutil.rmtree(code)


if __name__ == "__main__":
    main()
