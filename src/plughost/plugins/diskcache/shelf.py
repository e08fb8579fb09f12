"""The files: one with the bytes and one that describes it, which is written last and makes it valid.

A body is written beside its place under a name of its own and its description points to it. Whoever crashes
in between leaves a body that nothing points to, which the next opening removes; whoever reads while it is
replaced keeps reading the old one.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import BinaryIO

import msgspec

from plughost.contracts import own_folder

_DESCRIPTION = ".json"
_BODY = ".body"


class Card(msgspec.Struct, kw_only=True):
    """The description of a kept thing.

    Attributes:
        key: Its key.
        body: Name of the file that holds it.
        size: Bytes in it.
        content_type: What they are.
        stored_at: When it was fetched, in seconds since the epoch.
        expires_at: Until when it is fresh.
        gone_at: Until when it may be given out.
        metadata: Further facts.
    """

    key: str
    body: str
    size: int
    content_type: str
    stored_at: float
    expires_at: float
    gone_at: float
    metadata: dict[str, str]


class Shelf:
    """A folder of things. Every method waits for the disk: call it in a thread.

    Args:
        folder: Where they are; made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> list[tuple[Card, float]]:
        """Return all cards with the moment of their last use; what belongs to none of them is removed."""
        own_folder(self._folder)
        for leftover in self._folder.glob("*.tmp"):
            leftover.unlink(missing_ok=True)
        found: list[tuple[Card, float]] = []
        for place in self._folder.glob(f"*{_DESCRIPTION}"):
            card = _read(place)
            body = self._folder / card.body if card is not None and "/" not in card.body else None
            # A card that leads out of the folder, or to fewer bytes than it says, is not believed.
            if card is None or body is None or not body.exists() or body.stat().st_size != card.size:
                place.unlink(missing_ok=True)
            else:
                found.append((card, place.stat().st_mtime))
        bodies = {card.body for card, _ in found}
        for path in self._folder.glob(f"*{_BODY}"):
            if path.name not in bodies:
                path.unlink(missing_ok=True)
        return found

    def path(self, card: Card) -> Path:
        """Return the file that holds the bytes of a card."""
        return self._folder / card.body

    def new_body(self, key: str) -> tuple[Path, BinaryIO]:
        """Return a new, empty file for the bytes of a key."""
        path = self._folder / f"{_name(key)}.{secrets.token_hex(4)}{_BODY}"
        return path, os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
        )

    def keep(self, card: Card) -> None:
        """Make a written body valid; the one it replaces is removed."""
        place = self._folder / f"{_name(card.key)}{_DESCRIPTION}"
        before = _read(place)
        beside = place.with_suffix(f".{secrets.token_hex(4)}.tmp")
        beside.write_bytes(msgspec.json.encode(card))
        beside.replace(place)
        if before is not None and before.body != card.body:
            (self._folder / before.body).unlink(missing_ok=True)

    def drop(self, card: Card) -> None:
        """Remove a thing: first what makes it valid, then its bytes."""
        (self._folder / f"{_name(card.key)}{_DESCRIPTION}").unlink(missing_ok=True)
        (self._folder / card.body).unlink(missing_ok=True)

    def used(self, card: Card, moment: float) -> None:
        """Note when a thing was last used, for the next opening."""
        place = self._folder / f"{_name(card.key)}{_DESCRIPTION}"
        if place.exists():
            os.utime(place, (moment, moment))


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _read(place: Path) -> Card | None:
    try:
        return msgspec.json.decode(place.read_bytes(), type=Card)
    except (OSError, msgspec.DecodeError):
        return None
