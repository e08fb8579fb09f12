"""What was found when an app came to a database, kept in that database.

Rolling an app back means going back to what was there before it, also when a later process does it. So the
first registration notes the app, its version table and the revision it found in a table of this plugin, in
the same transaction as the migrations: a killed process leaves both or neither, and a backup carries both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable

_METADATA: Final = sa.MetaData()
NOTES: Final = sa.Table(
    "plughost_apps",
    _METADATA,
    sa.Column("app_name", sa.String(200), primary_key=True),
    sa.Column("version_table", sa.String(200), nullable=False),
    sa.Column("table_found", sa.Boolean, nullable=False),
    sa.Column("revisions_found", sa.String(1000), nullable=False),
    sa.Column("seeds", sa.String(500), nullable=False),
)
DEFAULT_TABLE: Final = "alembic_version"


class Note(Struct, frozen=True):
    """What is known of one app in one database.

    Attributes:
        app_name: The app.
        version_table: Where Alembic keeps the app's revision; empty for an app without migrations.
        table_found: Whether that table was there before the app.
        revisions_found: The revisions in it at that time; empty when it had none.
        seeds: The seeds that were sown since; empty when none were.
    """

    app_name: str
    version_table: str
    table_found: bool
    revisions_found: tuple[str, ...] = ()
    seeds: str = ""


class MigrationNotes:
    """The notes and version tables of one database, seen through one connection, inside one transaction.

    The names of the tables are read once: every look at a catalogue costs as much as a statement.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tables = set(sa.inspect(connection).get_table_names())

    def has(self, table: str) -> bool:
        """Whether there is a table of that name, as far as this ledger knows."""
        return table in self._tables

    # notes

    def read(self, app_name: str) -> Note | None:
        """Return what was noted of the app, or None when it never came here."""
        if not self.has(NOTES.name):
            return None
        row = self._connection.execute(sa.select(NOTES).where(NOTES.c.app_name == app_name)).first()
        if row is None:
            return None
        return Note(
            row.app_name,
            row.version_table,
            row.table_found,
            tuple(part for part in row.revisions_found.split(",") if part),
            row.seeds,
        )

    def write(self, note: Note) -> None:
        """Keep a note, in place of an earlier one."""
        if self.has(NOTES.name):
            self._connection.execute(sa.delete(NOTES).where(NOTES.c.app_name == note.app_name))
        else:  # another app may have made it since the names were read
            self._connection.execute(CreateTable(NOTES, if_not_exists=True))
            self._tables.add(NOTES.name)
        self._connection.execute(
            sa.insert(NOTES).values(
                app_name=note.app_name,
                version_table=note.version_table,
                table_found=note.table_found,
                revisions_found=",".join(note.revisions_found),
                seeds=note.seeds,
            )
        )

    def remove(self, app_name: str) -> None:
        """Forget the app, and leave no table behind when it was the last one."""
        if not self.has(NOTES.name):
            return
        self._connection.execute(sa.delete(NOTES).where(NOTES.c.app_name == app_name))
        if self._connection.execute(sa.select(sa.func.count()).select_from(NOTES)).scalar_one() == 0:
            self.drop(NOTES.name)

    def neighbours(self, note: Note) -> tuple[str, ...]:
        """Return the other apps whose schema is the same one: its rollback would pull it from under them."""
        if not note.version_table:
            return ()
        same = sa.select(NOTES.c.app_name).where(
            NOTES.c.version_table == note.version_table, NOTES.c.app_name != note.app_name
        )
        return tuple(self._connection.execute(same.order_by(NOTES.c.app_name)).scalars())

    # version tables

    def revisions(self, table: str) -> tuple[str, ...]:
        """Return the revisions a version table holds; none when there is no such table."""
        if not self.has(table):
            return ()
        version_num: sa.ColumnClause[str] = sa.column("version_num")
        rows = self._connection.execute(sa.select(version_num).select_from(sa.table(table, version_num)))
        return tuple(sorted(rows.scalars()))

    def drop(self, table: str) -> None:
        """Drop a table that was not there before."""
        if self.has(table):
            sa.Table(table, sa.MetaData()).drop(self._connection, checkfirst=False)
            self._tables.discard(table)

    def choose_table(self, script: ScriptDirectory, app_name: str) -> str:
        """Return the version table for an app that names none.

        It is the one that already holds revisions of the app's folder, so a database that Alembic migrated
        before, or that another app with the same folder uses, is recognised. Otherwise it is
        ``alembic_version``, unless another history lives there; then it is one of the app's own.
        """
        tables = sorted(name for name in self._tables if name.startswith(DEFAULT_TABLE))
        if not tables:
            return DEFAULT_TABLE
        known = {revision.revision for revision in script.walk_revisions()}
        for name in tables:
            if known.intersection(self.revisions(name)):
                return name
        noted = sa.select(NOTES.c.version_table)
        promised = self._connection.execute(noted).scalars().all() if self.has(NOTES.name) else ()
        taken = DEFAULT_TABLE in tables and (self.revisions(DEFAULT_TABLE) or DEFAULT_TABLE in promised)
        return f"{DEFAULT_TABLE}_{re.sub(r'[^a-z0-9]+', '_', app_name.lower())}" if taken else DEFAULT_TABLE


def note_seeds(connection: Connection, note: Note) -> None:
    """Change what is noted of an app's seeds, where a note of it is known to be."""
    statement = "UPDATE plughost_apps SET seeds = :seeds WHERE app_name = :app_name"
    connection.execute(sa.text(statement), {"seeds": note.seeds, "app_name": note.app_name})


def enums_in(connection: Connection) -> frozenset[tuple[str, str]]:
    """Return schema and name of PostgreSQL's named enumerations; none for another kind of database."""
    if connection.dialect.name != "postgresql":
        return frozenset()
    inspector: Any = sa.inspect(connection)
    return frozenset((found["schema"], found["name"]) for found in inspector.get_enums(schema="*"))


def drop_enums(connection: Connection, enums: Iterable[tuple[str, str]]) -> None:
    """Drop those of the enumerations that are still there."""
    quote = connection.dialect.identifier_preparer.quote
    for schema, name in sorted(enums_in(connection).intersection(enums)):
        connection.exec_driver_sql(f"DROP TYPE {quote(schema)}.{quote(name)}")
