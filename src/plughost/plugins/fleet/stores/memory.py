"""A fleet in the memory of one process: for tests, and for a host that is to stay alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio

from plughost.contracts import SYSTEM_CLOCK, Word
from plughost.plugins.fleet.stores.rules import FleetRules
from plughost.plugins.fleet.stores.stepping import SteppingStore

T = TypeVar("T")


class MemoryFleetStore(SteppingStore):
    """A ``FleetStore`` that members of one process share by having the same object.

    Args:
        now: Returns the time in seconds since the epoch.
    """

    name = "memory"

    def __init__(self, now: Callable[[], float] = SYSTEM_CLOCK.time) -> None:
        self._now = now
        self._documents = _Dictionaries()
        self._waiting: anyio.Event | None = None
        self._word = Word()

    async def open(self) -> None:
        """Do nothing: it is there."""

    async def close(self) -> None:
        """Keep everything: others may go on."""

    async def wait_for_word(self) -> Word:
        """Return when somebody proposed or told something."""
        if self._waiting is None:
            self._waiting = anyio.Event()
        await self._waiting.wait()
        return self._word

    async def _step(
        self, step: Callable[[FleetRules], T], *, durable: bool = False, reads: bool = False
    ) -> T:
        return step(FleetRules(self._documents, round(self._now() * 1000)))

    async def _wake(self, word: Word) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._word = word
            waiting.set()


class _Dictionaries:
    """``Documents`` in dictionaries."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, bytes]] = {}

    def get(self, kind: str, key: str) -> bytes | None:
        return self._kinds.get(kind, {}).get(key)

    def put(self, kind: str, key: str, value: bytes) -> None:
        self._kinds.setdefault(kind, {})[key] = value

    def delete(self, kind: str, key: str) -> None:
        self._kinds.get(kind, {}).pop(key, None)

    def some(self, kind: str, keys: Sequence[str]) -> list[bytes]:
        found = self._kinds.get(kind, {})
        return [found[key] for key in keys if key in found]

    def items(self, kind: str) -> list[tuple[str, bytes]]:
        return sorted(self._kinds.get(kind, {}).items())
