"""Stores in three methods for tests: in a dictionary that several may share, and one that can be taken away."""

from __future__ import annotations

import anyio
import anyio.lowlevel

from plughost.contracts import StoreSetup
from plughost.exceptions import StoreUnavailableError


class Dictionary:
    """Three methods; each gives others their turn before it does its one step."""

    name = "dictionary"

    def __init__(self, setup: StoreSetup | None = None) -> None:
        self.setup = setup
        self.values: dict[str, tuple[bytes, float]] = {}

    async def find(self, key: str) -> bytes | None:
        await anyio.lowlevel.checkpoint()
        return self._now(key)

    async def commit(self, key: str, value: bytes, instead_of: bytes | None, expires_at: float) -> bool:
        await anyio.lowlevel.checkpoint()
        assert len(key) <= 80
        assert key.replace(":", "").isalnum()
        if self._now(key) != instead_of:
            return False
        self.values[key] = (value, expires_at)
        return True

    async def delete(self, key: str, value: bytes) -> bool:
        await anyio.lowlevel.checkpoint()
        return self._now(key) == value and self.values.pop(key, None) is not None

    def _now(self, key: str) -> bytes | None:
        found = self.values.get(key)
        return None if found is None else found[0]


class Listing(Dictionary):
    """A dictionary that is opened, and lists its keys."""

    opened = 0

    async def open(self) -> None:
        self.opened += 1

    async def close(self) -> None:
        self.opened -= 1

    async def list_keys(self, prefix: str, after: str, limit: int) -> list[str]:
        await anyio.lowlevel.checkpoint()
        return sorted(key for key in self.values if key.startswith(prefix) and key > after)[:limit]


class Fading(Listing):
    """One that can be away: it refuses, or it hangs."""

    away = ""

    async def find(self, key: str) -> bytes | None:
        await self._be_there()
        return await super().find(key)

    async def commit(self, key: str, value: bytes, instead_of: bytes | None, expires_at: float) -> bool:
        await self._be_there()
        return await super().commit(key, value, instead_of, expires_at)

    async def _be_there(self) -> None:
        if self.away == "hangs":
            await anyio.sleep_forever()
        if self.away == "raises":
            raise OSError("no route to the store")
        if self.away == "says so":
            raise StoreUnavailableError("gone for lunch")
