"""Between what an application sees of a session and what a store keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from plughost.contracts import Session, StoredSession
from plughost.exceptions import SessionUnreadableError
from plughost.plugins.sessions.codec import About, decode_about, decode_value, encode_about, encode_value
from plughost.plugins.sessions.crypto import Envelope, Owner

_ABOUT = "\x00about"
"""No field can have this name's bytes and this row's place at once: fields are kept apart."""


class RowCodec:
    """Closes values into envelopes bound to their session, and opens them.

    Args:
        envelope: Plain or sealed.
    """

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self.unreadable = 0

    def close_fields(self, owner: Owner, fields: Mapping[str, Any]) -> dict[str, bytes]:
        """Return the fields as bytes.

        Raises:
            SessionDataError: One of them cannot be kept.
        """
        return {
            name: self._envelope.close(owner, f"f{name}", encode_value(name, value))
            for name, value in fields.items()
        }

    def close_about(self, owner: Owner, about: About) -> bytes:
        """Return name, roles and metadata as bytes."""
        return self._envelope.close(owner, _ABOUT, encode_about(about))

    def close_again(self, row: StoredSession, owner: Owner) -> tuple[bytes, dict[str, bytes]]:
        """Return what is in a row, name, roles and metadata first, closed for the session that takes its place.

        Raises:
            SessionUnreadableError: Something in it cannot be opened.
        """
        move = self._envelope
        about = move.close(owner, _ABOUT, move.open(row, _ABOUT, row.about))
        fields = {
            name: move.close(owner, f"f{name}", move.open(row, f"f{name}", value))
            for name, value in row.fields.items()
        }
        return about, fields

    def open_field(self, row: StoredSession, name: str) -> Any:
        """Return the value of a field that is there.

        Raises:
            SessionUnreadableError: Its bytes cannot be opened; that is counted.
        """
        try:
            return decode_value(self._envelope.open(row, f"f{name}", row.fields[name]))
        except SessionUnreadableError:
            self.unreadable += 1
            raise
        except msgspec.MsgspecError as error:
            raise self._damaged(row) from error

    def open_fields(self, row: StoredSession) -> dict[str, Any]:
        """Return all fields."""
        return {name: self.open_field(row, name) for name in row.fields}

    def open_about(self, row: StoredSession) -> About:
        """Return name, roles and metadata."""
        try:
            return decode_about(self._envelope.open(row, _ABOUT, row.about))
        except SessionUnreadableError:
            self.unreadable += 1
            raise
        except msgspec.MsgspecError as error:
            raise self._damaged(row) from error

    def same_value(self, row: StoredSession, name: str, value: object) -> bool:
        """Whether a field still has the value it was loaded with."""
        opened = self._envelope.open(row, f"f{name}", row.fields[name])
        return opened == encode_value(name, value)

    def open_session(self, row: StoredSession, session_id: str = "") -> Session:
        """Return all of it, opened."""
        return self._session(row, session_id, self.open_about(row), self.open_fields(row))

    def list_session(self, row: StoredSession) -> Session:
        """Return what a list shows; one that cannot be opened is listed too, so that it can be ended."""
        try:
            return self._session(row, "", self.open_about(row), {})
        except SessionUnreadableError:
            return self._session(row, "", About(metadata={"unreadable": True}), {})

    def is_current(self, row: StoredSession) -> bool:
        """Whether everything in it is closed the way it would be now."""
        return all(map(self._envelope.is_current, (row.about, *row.fields.values())))

    def _damaged(self, row: StoredSession) -> SessionUnreadableError:
        self.unreadable += 1
        return SessionUnreadableError(
            f"session {row.handle} is damaged: its bytes were not written by plughost. It is kept"
        )

    def _session(self, row: StoredSession, session_id: str, about: About, fields: dict[str, Any]) -> Session:
        return Session(
            session_id=session_id,
            handle=row.handle,
            user_id=row.subject,
            username=about.username,
            roles=about.roles,
            fields=MappingProxyType(fields),
            metadata=MappingProxyType(about.metadata),
            created_at=row.created_at,
            last_seen_at=row.touched_at,
            expires_at=row.expires_at,
            absolute_expires_at=row.deadline,
        )
