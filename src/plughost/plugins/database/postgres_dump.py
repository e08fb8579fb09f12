"""PostgreSQL saved and restored by its own tools, when they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import anyio
from sqlalchemy import inspect
from sqlalchemy.engine import URL, Connection

from plughost.exceptions import BackupError
from plughost.plugins.database.urls import printable, scrub


async def dump(url: URL, target: Path, *, program: str) -> None:
    """Write a consistent copy of the database into a file, in the custom format and uncompressed.

    Raises:
        BackupError: The tool is not installed, or it failed.
    """
    arguments = ["--format=custom", "--compress=0", "--no-password", f"--file={target}"]
    target.touch(mode=0o600)  # noqa: ASYNC240 - one system call; the tool then writes into this file
    await _run(url, _find(program), arguments)


async def restore(url: URL, source: Path, *, program: str) -> None:
    """Bring the database back to what the file holds, in one transaction: all of it or nothing.

    Raises:
        BackupError: The tool is not installed, or it failed.
    """
    arguments = [
        "--clean",
        "--if-exists",
        "--single-transaction",
        "--exit-on-error",
        "--no-owner",
        "--no-password",
    ]
    await _run(url, _find(program), [*arguments, f"--dbname={url.database}", str(source)])


def _find(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise BackupError(
            f"{program!r} is not installed; without it no PostgreSQL database can be saved or restored; "
            "install PostgreSQL's client programs, or set save_postgresql = false for the database plugin"
        )
    return path


async def _run(url: URL, program: str, arguments: list[str]) -> None:
    # The password goes through the environment: arguments can be read by everyone on the machine.
    known = {
        "PGHOST": url.host or _text(url.query.get("host")),
        "PGPORT": str(url.port or _text(url.query.get("port")) or ""),
        "PGUSER": url.username or _text(url.query.get("user")),
        "PGPASSWORD": url.password or _text(url.query.get("password")),
        "PGDATABASE": url.database or "",
        "PGSSLMODE": _text(url.query.get("sslmode")),
    }
    environment = {name: value for name, value in known.items() if value}
    result = await anyio.run_process(
        [program, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if result.returncode:
        said = scrub(url, " ".join((result.stderr or b"").decode("utf-8", "replace").split()))
        raise BackupError(f"{Path(program).name} failed for {printable(url)}: {said[-500:]}")


def _text(value: str | tuple[str, ...] | None) -> str:
    return value if isinstance(value, str) else ",".join(value or ())


def count_tables(connection: Connection) -> int:
    """Return how many tables the database has, in any schema of its own."""
    schemas = [name for name in inspect(connection).get_schema_names() if name != "information_schema"]
    return sum(len(inspect(connection).get_table_names(schema=name)) for name in schemas)
