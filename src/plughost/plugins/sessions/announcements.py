"""What happened to sessions, told in order to whoever listens, after it is durable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

Kind = Literal["created", "rotated", "ended"]


class SessionChange(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to one session, or to all of a subject.

    Attributes:
        kind: ``created``, ``rotated`` or ``ended``.
        handle: Public name of the session; empty when all of the subject ended at once.
        subject: Whose it is, or None.
        reason: Why: ``created``, ``sign-in``, ``rotation``, ``destroyed``, ``logout``, ``user ended``,
            ``expired``, ``dead id reused``.
        spared: When all of the subject ended: the handle of the one that did not.
    """

    kind: Kind
    handle: str
    subject: str | None
    reason: str
    spared: str = ""


Listener = Callable[[SessionChange], None]
"""Called at once, in the event loop's thread; must be quick and must not raise."""


class SessionListeners:
    """Tells listeners, one after the other."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell ``listener`` from now on; returns the way to stop it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, announcement: SessionChange) -> None:
        """Tell everybody."""
        for listener in tuple(self._listeners):
            listener(announcement)
