"""A session as one request knows it: what was stored, what was looked at, what changed."""

from __future__ import annotations

from collections.abc import KeysView
from typing import Any

from plughost.contracts import SessionPatch, StoredSession, get_logger
from plughost.plugins.sessions.codec import About
from plughost.plugins.sessions.records import SessionRecords
from plughost.plugins.sessions.rows import RowCodec

_log = get_logger("plughost.sessions")

_CANNOT_CHANGE = (str, int, float, bool, bytes, type(None))


class Loaded:
    """What a request knows of its session; values are opened one by one, when they are asked for.

    Args:
        codec: Opens and closes values.
        session_id: The id a request carries; None when it carries none.
        row: The session it leads to; None when there is none.

    Attributes:
        session_id: The id it is known by to the browser; None when there is none, or none that lives.
        row: The session as it is stored; None when there is none.
        looked_at: Whether the handler looked at it, so that the response depends on the cookie.
        abandoned: Ids of sessions that are to be ended when the response begins, and why.
        news: What the browser must be told: an id, empty to forget the one it sent, or None for nothing.
    """

    __slots__ = (
        "_about",
        "_codec",
        "_may_differ",
        "_removed",
        "_set",
        "_values",
        "abandoned",
        "looked_at",
        "news",
        "row",
        "session_id",
    )

    def __init__(self, codec: RowCodec, session_id: str | None, row: StoredSession | None) -> None:
        self._codec = codec
        self.session_id = session_id if row is not None else None
        self.row = row
        self.looked_at = True
        self.abandoned: list[tuple[str, str]] = []
        # An id that leads nowhere is taken out of the browser, so that it is not asked for again and again.
        self.news = "" if session_id is not None and row is None else None
        self._values: dict[str, Any] = {}
        self._set: dict[str, None] = {}  # in the order the handler set them
        self._removed: dict[str, None] = {}
        self._about: About | None = None
        self._may_differ = False

    @property
    def handle(self) -> str:
        """Public name of the session; empty when there is none."""
        return self.row.handle if self.row is not None else ""

    def about(self) -> About:
        """Return name, roles and metadata."""
        if self._about is None:
            self._about = About() if self.row is None else self._codec.open_about(self.row)
        return self._about

    def get(self, name: str) -> Any:
        """Return a value.

        Raises:
            KeyError: Not found.
        """
        if name in self._values:
            return self._values[name]
        if self.row is None or name in self._removed or name not in self.row.fields:
            raise KeyError(name)
        value = self._values[name] = self._codec.open_field(self.row, name)
        if not isinstance(value, _CANNOT_CHANGE):
            self._may_differ = True
        return value

    def set(self, name: str, value: Any) -> None:
        """Set a value."""
        self._values[name] = value
        self._set[name] = None
        self._removed.pop(name, None)

    def delete(self, name: str) -> None:
        """Remove a value.

        Raises:
            KeyError: Not found.
        """
        if name not in self.names():
            raise KeyError(name)
        self._values.pop(name, None)
        self._set.pop(name, None)
        if self.row is not None and name in self.row.fields:
            self._removed[name] = None

    def names(self) -> KeysView[str]:
        """Return the names of all values."""
        stored = self.row.fields if self.row is not None else {}
        names = dict.fromkeys(name for name in stored if name not in self._removed)
        return (names | dict.fromkeys(self._values)).keys()

    def abandon(self) -> None:
        """Drop everything; the stored session is to be ended."""
        if self.session_id is not None:
            self.abandoned.append((self.session_id, "logout"))
        self.lose()

    def lose(self) -> None:
        """There is no session any more; the browser is to forget the id it sent."""
        if self.session_id is not None:
            self.news = ""
        self.session_id, self.row, self._about = None, None, None
        self._values, self._set, self._removed = {}, {}, {}
        self._may_differ = False

    def changes(self) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the values to write, nested changes of those looked at included, and the names to remove."""
        values = {name: self._values[name] for name in self._set}
        row = self.row
        if row is not None:
            for name, value in self._values.items():
                may_differ = name not in self._set and not isinstance(value, _CANNOT_CHANGE)
                if may_differ and not self._codec.same_value(row, name, value):
                    values[name] = value
        return values, tuple(self._removed)

    async def save(self, records: SessionRecords) -> None:
        """Merge what changed into the stored session; one that ended meanwhile stays ended."""
        row = self.row
        if row is None or not (self._set or self._removed or self._may_differ):
            return
        values, removed = self.changes()
        if not (values or removed):
            return
        closed = self._codec.close_fields(row, values)
        patch = SessionPatch(set=closed, remove=removed, max_bytes=records.rules.max_bytes, base=row)
        stored = await records.store.patch(row.digest, patch)
        if stored is None:
            _log.info("changes came too late, the session had ended", handle=row.handle)
            self.lose()
        else:
            self._is_stored(stored)

    def given(self, session_id: str, row: StoredSession) -> None:
        """Everything is stored, under an id that the browser must be told."""
        self._is_stored(row)
        self.session_id = self.news = session_id

    def _is_stored(self, row: StoredSession) -> None:
        """Everything that changed is stored, as this row."""
        self.row = row
        # Values in the handler's hands stay the same objects; others may have been changed by another
        # request.
        self._values = {name: value for name, value in self._values.items() if name in row.fields}
        self._set.clear()
        self._removed.clear()
        self._may_differ = any(not isinstance(value, _CANNOT_CHANGE) for value in self._values.values())
