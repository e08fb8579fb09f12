"""The least that a store of somebody else can be, for sessions and for caches: bytes under keys, in three methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec


class StoreSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What a store is made with.

    A store is installed by a callable that takes one of these and returns the store, not yet open: mostly its class.
    ``store`` in the configuration of the plugin ``sessions`` or ``cache`` names it, as ``module:Class`` or by the name
    of an entry point in ``plughost.session_stores`` or ``plughost.cache_stores``.

    Attributes:
        host_name: Name of the host; hosts of different names must not see each other's values.
        data_dir: The plugin's data folder, for stores that keep files.
        now: Returns the time in seconds since 1970; it never goes back.
        settings: ``store_settings`` of the configuration: a mapping, or what ``Config`` of the class (a struct of
            msgspec, as a plugin's ``Config``) makes of it.
    """

    host_name: str
    data_dir: Path
    now: Callable[[], float]
    settings: Any = None

    def __repr__(self) -> str:
        """Show no settings: there may be a password among them."""
        return f"StoreSetup(host_name={self.host_name!r}, data_dir={str(self.data_dir)!r})"


@runtime_checkable
class BytesStore(Protocol):
    """Values under keys, each replaced only by whoever knows it.

    Each call is one step, and durable when it returns. A value may be dropped once its time is over, not before: some
    values say that others are not valid any more. What cannot be reached raises ``StoreUnavailableError``. A store that
    has to be opened offers ``open`` and ``close`` too, one that can list its keys ``list_keys``.
    """

    async def find(self, key: str) -> bytes | None:
        """Return the value, or None."""

    async def commit(self, key: str, value: bytes, instead_of: bytes | None, expires_at: float) -> bool:
        """Store a value if what is there is ``instead_of``, None for nothing; whether it was stored.

        Args:
            key: Up to 80 letters, digits and colons.
            value: What to store.
            instead_of: What has to be there, byte for byte; None: nothing may be there.
            expires_at: Until when it is needed, in seconds since 1970.
        """

    async def delete(self, key: str, value: bytes) -> bool:
        """Remove the value if it is this one; whether it was removed."""


@runtime_checkable
class OpenedStore(Protocol):
    """A store that has to be opened, such as one with a connection."""

    async def open(self) -> None:
        """Called once before anything else."""

    async def close(self) -> None:
        """Called once at the end; everything acknowledged is stored."""


@runtime_checkable
class ListingStore(Protocol):
    """A store that can say which keys it has: caches can then be looked through, and invalidated by pattern."""

    async def list_keys(self, prefix: str, after: str, limit: int) -> Sequence[str]:
        """Return at most ``limit`` keys that begin with ``prefix`` and come after ``after``, in alphabetical order."""
