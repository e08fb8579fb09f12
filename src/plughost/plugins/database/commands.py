"""``plughost database``: what the databases of the configured apps are like, and their migrations by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio.to_thread
import click

from plughost.contracts import CommandLine, json_option
from plughost.exceptions import PlughostError
from plughost.plugins.database.config import DatabaseConfig
from plughost.plugins.database.database import Database
from plughost.plugins.database.found import MigrationNotes
from plughost.plugins.database.migrations import Migrations
from plughost.plugins.database.settings import DatabaseSettings
from plughost.plugins.database.urls import parse_url, printable


@click.group()
def database() -> None:
    """Inspect and migrate the databases of the configured apps."""


@database.command("status")
@json_option
@click.pass_obj
def status(line: CommandLine) -> None:
    """Show where each app's schema is and what would run. Changes nothing. Exits 3 when something is pending."""

    async def look_at_all(apps: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        rows = [await _look(name, config) for name, config in apps.items()]
        return [row for row in rows if row["url"] or row["problem"]]

    rows = anyio.run(look_at_all, dict(line.host().config.apps))
    told: list[str] = []
    for row in rows:
        at, pending = ", ".join(row["revisions"]) or "no revision", row["pending"]
        waiting = f"{len(pending)} to run: {', '.join(pending)}" if pending else "nothing to run"
        told.append(f"{row['app']}: {row['problem'] or f'at {at}, {waiting}'} ({row['url']})")
    line.show({"apps": rows}, "\n".join(told) or "No app of the configuration has a database.")
    if any(row["problem"] or row["pending"] for row in rows):
        raise click.exceptions.Exit(3)


@database.command("migrate")
@json_option
@click.pass_obj
def migrate(line: CommandLine) -> None:
    """Register every app once, which migrates and seeds its database. Exits 3 when one could not be."""

    async def registered(host: Any) -> dict[str, Any]:
        return {
            "apps": {
                name: [result.detail for result in app.results.values()] for name, app in host.apps.items()
            },
            "problems": {name: str(error) for name, error in host.app_errors.items()},
        }

    document = line.run(registered)
    said = [f"{name}: {', '.join(results) or 'nothing to do'}" for name, results in document["apps"].items()]
    said += [f"{name}: {problem}" for name, problem in document["problems"].items()]
    line.show(document, "\n".join(said))
    if document["problems"]:
        raise click.exceptions.Exit(3)


async def _look(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"app": name, "url": "", "revisions": (), "pending": (), "problem": ""}
    try:
        settings = DatabaseSettings.of(name, config)
        url = parse_url(name, settings.url) if settings.url else None
        if url is None:
            return row
        row["url"] = printable(url)
        known = DatabaseConfig()
        found = Database(url, connect_timeout=known.connect_timeout, lock_timeout=known.lock_timeout)
        try:
            row |= await _compare(name, settings, found)
        finally:
            await found.close()
    except PlughostError as error:
        row["problem"] = str(error)
    return row


async def _compare(name: str, settings: DatabaseSettings, database: Database) -> dict[str, Any]:
    if not await anyio.to_thread.run_sync(database.exists):
        return {"problem": "there is no database file yet"}
    await database.open()
    if settings.migrations is None:
        return {}
    migrations = Migrations(settings.migrations, path=f"apps.{name}.migrations")
    note = await database.run(lambda connection: MigrationNotes(connection).read(name))
    table = settings.version_table or (note.version_table if note else None)
    pending = await database.run(lambda connection: migrations.pending(connection, name, table))
    revisions = await database.run(lambda connection: migrations.present(connection, name, table))
    return {"revisions": revisions, "pending": pending}
