"""A note on disk for every operation whose effects outlive the process, so that the next one can go on.

An app's configuration is never written: it holds secrets.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import msgspec

from plughost.contracts.files import own_folder, replace_file
from plughost.contracts.logs import get_logger

_log = get_logger("plughost.apps")


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """An operation on an app that was begun and not finished.

    Attributes:
        app_name: Name of the app.
        operation: ``register`` or ``unregister``.
        step: The step that was being done.
        started_at: When the operation began, in seconds since the epoch.
        problem: Why it is unfinished, when the process lived to say so; empty when it was killed.
    """

    app_name: str
    operation: str
    step: str
    started_at: float
    problem: str = ""

    def __str__(self) -> str:
        """One sentence for a person: what was cut short, and what to do."""
        verb = "registration" if self.operation == "register" else "unregistration"
        why = f": {self.problem}" if self.problem else " because the process ended"
        advice = {
            "register": "registering it again goes on from there",
            "unregister": "unregister it with a rollback again, or register it to keep it",
        }[self.operation]
        return f"the {verb} of app {self.app_name!r} stopped in {self.step}{why}; {advice}"


class Journal(msgspec.Struct, frozen=True):
    """The notes, one small file for each app.

    They are written without a sync and without a thread: what the kernel has survives the process, and a note
    that a power failure takes only warns less, because databases keep their own account of what was done.

    Attributes:
        folder: Where they are; made when the first one is written.
    """

    folder: Path

    def note(self, entry: Unfinished) -> None:
        """Write a note in place of the app's earlier one, at once and in one piece."""
        own_folder(self.folder)
        path = self._path(entry.app_name)
        replace_file(path, msgspec.json.encode(entry))

    def done(self, app_name: str) -> None:
        """Remove the note of an app. One that cannot be removed is logged: it only warns later."""
        path = self._path(app_name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("a note about an app could not be removed", path=str(path), error=str(error))

    def note_if_possible(self, entry: Unfinished) -> None:
        """Write a note about a failure; one that cannot be written must not hide the failure."""
        try:
            self.note(entry)
        except OSError as error:
            _log.error("a note about an app could not be written", entry=str(entry), error=str(error))

    def unfinished(self) -> tuple[Unfinished, ...]:
        """Return all notes, sorted by app."""
        found: list[Unfinished] = []
        for path in sorted(self.folder.glob("*.json")) if self.folder.is_dir() else ():
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Unfinished))
            except (OSError, msgspec.MsgspecError) as error:
                _log.warning("a note about an app cannot be read", path=str(path), error=str(error))
        return tuple(found)

    def _path(self, app_name: str) -> Path:
        return self.folder / f"{quote(app_name, safe='')}.json"
