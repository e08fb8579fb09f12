"""What was found when an app came to a database, kept in that database.

Rolling an app back means going back to what was there before it, also when a later process does it. So the
first registration notes the app, its version table and the revision it found in a table of this plugin, in
the same transaction as the migrations: a killed process leaves both or neither, and a backup carries both.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

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


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of one app in one database.

    Attributes:
        app_name: The app.
        version_table: Where Alembic keeps the app's revision.
        table_found: Whether that table was there before the app.
        revisions_found: The revisions in it at that time; empty when it had none.
        seeds: The seeds that were sown since; empty when none were.
    """

    app_name: str
    version_table: str
    table_found: bool
    revisions_found: tuple[str, ...] = ()
    seeds: str = ""


def read_note(connection: Connection, app_name: str) -> Note | None:
    """Return what was noted of the app, or None when it never came here."""
    if not has_table(connection, NOTES.name):
        return None
    row = connection.execute(sa.select(NOTES).where(NOTES.c.app_name == app_name)).first()
    if row is None:
        return None
    return Note(row.app_name, row.version_table, row.table_found, _split(row.revisions_found), row.seeds)


def write_note(connection: Connection, note: Note) -> None:
    """Keep a note, in place of an earlier one."""
    NOTES.create(connection, checkfirst=True)
    connection.execute(sa.delete(NOTES).where(NOTES.c.app_name == note.app_name))
    connection.execute(
        sa.insert(NOTES).values(
            app_name=note.app_name,
            version_table=note.version_table,
            table_found=note.table_found,
            revisions_found=",".join(note.revisions_found),
            seeds=note.seeds,
        )
    )


def remove_note(connection: Connection, app_name: str) -> None:
    """Forget the app, and leave no table behind when it was the last one."""
    if not has_table(connection, NOTES.name):
        return
    connection.execute(sa.delete(NOTES).where(NOTES.c.app_name == app_name))
    if connection.execute(sa.select(sa.func.count()).select_from(NOTES)).scalar_one() == 0:
        NOTES.drop(connection)


def neighbours(connection: Connection, note: Note) -> tuple[str, ...]:
    """Return the other apps whose schema is the same one: rolling one back would pull it from under them."""
    same = sa.select(NOTES.c.app_name).where(
        NOTES.c.version_table == note.version_table, NOTES.c.app_name != note.app_name
    )
    return tuple(connection.execute(same.order_by(NOTES.c.app_name)).scalars())


def look(connection: Connection, script: ScriptDirectory, app_name: str, wanted: str | None) -> Note:
    """Return the app's note, or what one would say that is written now."""
    note = read_note(connection, app_name)
    if note is not None and wanted in {None, note.version_table}:
        return note
    table = wanted or choose_table(connection, script, app_name)
    return Note(app_name, table, has_table(connection, table), revisions_in(connection, table))


def choose_table(connection: Connection, script: ScriptDirectory, app_name: str) -> str:
    """Return the version table for an app that names none.

    It is the one that already holds revisions of the app's folder, so a database that Alembic migrated
    before, or that another app with the same folder uses, is recognised. Otherwise it is ``alembic_version``,
    unless another history lives there; then it is one of the app's own.
    """
    tables = [name for name in sa.inspect(connection).get_table_names() if name.startswith(DEFAULT_TABLE)]
    known = {revision.revision for revision in script.walk_revisions()}
    for name in sorted(tables):
        if known.intersection(revisions_in(connection, name)):
            return name
    taken = DEFAULT_TABLE in tables and (
        bool(revisions_in(connection, DEFAULT_TABLE)) or _is_promised(connection, DEFAULT_TABLE)
    )
    return f"{DEFAULT_TABLE}_{re.sub(r'[^a-z0-9]+', '_', app_name.lower())}" if taken else DEFAULT_TABLE


def revisions_in(connection: Connection, table: str) -> tuple[str, ...]:
    """Return the revisions a version table holds; none when there is no such table."""
    if not has_table(connection, table):
        return ()
    version_num: sa.ColumnClause[str] = sa.column("version_num")
    rows = connection.execute(sa.select(version_num).select_from(sa.table(table, version_num)))
    return tuple(sorted(rows.scalars()))


def has_table(connection: Connection, table: str) -> bool:
    """Whether there is a table of that name."""
    return bool(sa.inspect(connection).has_table(table))


def drop_table(connection: Connection, table: str) -> None:
    """Drop a version table that was not there before."""
    sa.Table(table, sa.MetaData()).drop(connection, checkfirst=True)


def _is_promised(connection: Connection, table: str) -> bool:
    if not has_table(connection, NOTES.name):
        return False
    rows: Collection[str] = connection.execute(sa.select(NOTES.c.version_table)).scalars().all()
    return table in rows


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)
