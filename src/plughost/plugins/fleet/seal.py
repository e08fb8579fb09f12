"""Who may steer: what the store says is signed with a secret that all members have."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

import msgspec

from plughost.exceptions import FleetError

T = TypeVar("T")

_MAC_BYTES = 32
_MOST_BYTES = 65_536


class Seal:
    """Signs revisions and roll-outs, and opens those that were signed with the same key.

    Args:
        key: The secret that all members share; empty when there is none, so that nothing can be steered.
        read: Returns it where it is still to be read; None where it is not.
    """

    def __init__(self, key: bytes, read: Callable[[], bytes] | None = None) -> None:
        self._key = key
        self._read = read

    @property
    def steers(self) -> bool:
        """Whether there is a key, or will be when there is room for it."""
        return bool(self._key) or self._read is not None

    def have_key(self) -> None:
        """Read the key, if there is one and it was not read yet.

        Raises:
            StoreUnavailableError: There is no room for it; it may be tried again.
        """
        if not self._key and self._read is not None:
            self._key = self._read()

    def close(self, written: msgspec.Struct) -> bytes:
        """Return a revision or a roll-out as it is stored.

        Raises:
            FleetError: There is no key, it is too large, or something in it cannot be written down.
        """
        self.require_key()
        try:
            text = msgspec.msgpack.encode(written)
        except (ValueError, OverflowError, TypeError, RecursionError) as error:
            raise FleetError(
                f"nothing was changed: what you gave cannot be told to other hosts ({error}). Write texts in UTF-8,"
                " whole numbers of up to 64 bits, and tables that are not nested without end"
            ) from error
        if len(text) > _MOST_BYTES:
            raise FleetError(
                f"the revision has {len(text)} bytes, and may have {_MOST_BYTES}, all settings that the fleet wants"
                " counted: put what is large into a file on each host, and its path into the settings"
            )
        return self._mac(text, type(written)) + text

    def open(self, document: bytes, kind: type[T]) -> T:
        """Return what was stored.

        Raises:
            FleetError: It was not signed with this key, or cannot be read.
        """
        self.require_key()
        mac, text = document[:_MAC_BYTES], document[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(text, kind)):
            raise FleetError(
                "what the fleet's store says was not signed with this host's secret: give all hosts the same"
                " secret_file, and look who else can write to the store"
            )
        try:
            found = msgspec.msgpack.decode(text, type=kind)
        except msgspec.MsgspecError as error:
            raise FleetError(f"the revision is of another version of plughost: {error}") from error
        # Half of what is wanted is not what is wanted; and whoever left it out would take it away from all others.
        if strays := _strays(msgspec.msgpack.decode(text), msgspec.to_builtins(found)):
            raise FleetError(
                f"the revision is of a newer plughost, and says what this one does not know ({', '.join(strays)}):"
                " upgrade plughost on this host"
            )
        return found

    def _mac(self, text: bytes, kind: type) -> bytes:
        # The kind is signed too: nobody can show the one for the other.
        return hmac.digest(self._key, kind.__name__.encode() + b"\0" + text, sha256)

    def require_key(self) -> None:
        """Refuse when there is none.

        Raises:
            FleetError: There is none.
            StoreUnavailableError: There is no room for it.
        """
        self.have_key()
        if not self._key:
            raise FleetError(
                "hosts of several machines are steered only with a secret that all of them have: set secret_file in"
                " [plugins.fleet.config]"
            )


def _strays(written: object, read: object) -> list[str]:
    """Return the names in what was written that were left out when it was read."""
    if not isinstance(written, dict) or not isinstance(read, dict):
        return []
    inner = (name for key in written.keys() & read.keys() for name in _strays(written[key], read[key]))
    return sorted({*written.keys() - read.keys(), *inner})
