"""Alembic's revisions, run on a connection that is handed in and inside its transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from msgspec import Struct
from sqlalchemy.engine import Connection

from plughost.contracts import error_line, get_logger
from plughost.exceptions import ConfigError
from plughost.plugins.database.found import MigrationNotes, Note, enums_in

_log = get_logger("plughost.database")

_REVISION_ID = re.compile(r"^revision\s*(?::[^=\n]*)?=\s*[\"']([^\"'\n]+)", re.MULTILINE)


class RevisionFailedError(Exception):
    """A revision raised; the cause is attached.

    Attributes:
        revision: Its id.
    """

    def __init__(self, revision: str) -> None:
        super().__init__(revision)
        self.revision = revision


class Before(Struct, frozen=True):
    """What the database was like before a registration touched it: where its undo goes back to.

    Attributes:
        note: The app's note; None when it came for the first time.
        version_table: The version table that was used.
        table_there: Whether it existed.
        revisions: What was in it.
        enums: The named enumerations that the registration made, with their schemas. Migrations that make
            them in passing seldom drop them on the way back.
    """

    note: Note | None
    version_table: str
    table_there: bool
    revisions: tuple[str, ...]
    enums: frozenset[tuple[str, str]] = frozenset()


class Moved(Struct, frozen=True):
    """How a schema moved.

    Attributes:
        before: What there was before.
        note: What is noted of the app now.
        applied: Revisions that were run, in order.
    """

    before: Before
    note: Note
    applied: tuple[str, ...]


class Migrations:
    """One folder of revisions.

    Args:
        folder: The folder, with ``versions/`` inside it.
        path: Dotted name of the setting that named it, for messages.

    Raises:
        ConfigError: It is not there, is no such folder, or a revision in it cannot be imported.
    """

    def __init__(self, folder: Path, *, path: str) -> None:
        if not (folder / "versions").is_dir():
            raise ConfigError(
                f"{path}: {folder} is not a folder of Alembic revisions: there is no {folder / 'versions'}",
                path=path,
            )
        self._config = Config()
        self._config.set_main_option("script_location", str(folder.absolute()).replace("%", "%%"))
        self._config.set_main_option("path_separator", "os")
        self._uses_env = _takes_connection(folder / "env.py")
        try:
            self._script = ScriptDirectory.from_config(self._config)
            self._script.get_heads()  # reads them all
        except Exception as error:
            raise ConfigError(
                f"{path}: a revision in {folder} cannot be read: {error_line(error)}", path=path
            ) from error
        # Of two files with one id, Alembic takes the one it reads last, and warns.
        known = {Path(script.path).resolve(): script.revision for script in self._script.walk_revisions()}
        for file in sorted((folder / "versions").glob("*.py")):
            if file.resolve() in known or file.name.startswith((".#", "__init__")):
                continue
            told = _REVISION_ID.search(file.read_text("utf-8", "replace"))
            twin = next(
                (one.name for one, revision in known.items() if told and revision == told[1]), "another file"
            )
            raise ConfigError(
                f"{path}: {file.name} and {twin} in {folder / 'versions'} have the same revision id, and only one "
                "of them would run; give one of them an id of its own",
                path=path,
            )

    def upgrade(self, connection: Connection, app_name: str, version_table: str | None) -> Moved:
        """Bring the app's schema to the newest revision and note what was found, in the open transaction."""
        ledger = MigrationNotes(connection)
        earlier = ledger.read(app_name)
        note = self._note(ledger, earlier, app_name, version_table)
        table = note.version_table
        there, revisions, enums = ledger.has(table), ledger.revisions(table), enums_in(connection)
        applied = self._run(connection, table, self._steps_up)
        made = enums_in(connection) - enums if applied else frozenset()
        if note != earlier:
            ledger.write(note)
        return Moved(Before(earlier, table, there, revisions, made), note, applied)

    def downgrade(self, connection: Connection, table: str, revisions: Sequence[str]) -> tuple[str, ...]:
        """Take the schema back to those revisions; to nothing when there are none.

        Returns:
            The revisions that were undone, in order.
        """
        undone: list[str] = []
        if set(MigrationNotes(connection).revisions(table)) != set(revisions):
            for target in tuple(revisions) or ("base",):
                undone.extend(self._run(connection, table, partial(self._steps_down, target)))
        return tuple(undone)

    def pending(self, connection: Connection, app_name: str, version_table: str | None) -> tuple[str, ...]:
        """Return the revisions that ``upgrade`` would run, oldest first."""
        now = self.present(connection, app_name, version_table)
        return tuple(str(step.revision.revision) for step in self._steps_up(now))

    def present(self, connection: Connection, app_name: str, version_table: str | None) -> tuple[str, ...]:
        """Return the revisions that the app's schema is at."""
        ledger = MigrationNotes(connection)
        return ledger.revisions(
            self._note(ledger, ledger.read(app_name), app_name, version_table).version_table
        )

    def _note(self, ledger: MigrationNotes, earlier: Note | None, app_name: str, wanted: str | None) -> Note:
        """Return the app's note, or what one would say that is written now."""
        if earlier is not None and earlier.version_table and wanted in {None, earlier.version_table}:
            return earlier
        table = wanted or ledger.choose_table(self._script, app_name)
        seeds = earlier.seeds if earlier is not None else ""
        return Note(app_name, table, ledger.has(table), ledger.revisions(table), seeds)

    # Alembic's own commands plan their steps with these two; there is no public spelling, and every program
    # that runs Alembic on its own connection uses them.
    def _steps_up(self, now: Any) -> list[Any]:
        return list(self._script._upgrade_revs("heads", now))

    def _steps_down(self, target: str, now: Any) -> list[Any]:
        return list(self._script._downgrade_revs(target, now))

    def _run(
        self, connection: Connection, table: str, plan: Callable[[Any], Sequence[Any]]
    ) -> tuple[str, ...]:
        done: list[str] = []

        def steps(now: Any, _context: Any) -> Iterator[Any]:
            for step in plan(now):
                done.append(str(step.revision.revision))
                yield step

        self._config.attributes["connection"] = connection
        try:
            with EnvironmentContext(self._config, self._script, fn=steps, version_table=table) as environment:
                if self._uses_env:
                    self._script.run_env()
                else:
                    environment.configure(connection=connection)
                    with environment.begin_transaction():
                        environment.run_migrations()
        except Exception as error:
            if not done:
                raise
            raise RevisionFailedError(done[-1]) from error
        return tuple(done)


def _takes_connection(env: Path) -> bool:
    # An env.py that `alembic init` wrote opens a connection of its own: outside of our transaction, and on
    # SQLite against our lock. The recipe for sharing a connection reads config.attributes["connection"].
    if not env.is_file():
        return False
    takes = "attributes" in env.read_text("utf-8")
    if not takes:
        _log.info(
            "env.py of the migrations is passed over",
            path=str(env),
            hint="it does not use config.attributes['connection']",
        )
    return takes
