"""Connections that several apps share, opened by the first and closed by the last of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec


class _Slot(msgspec.Struct):
    """One connection, and who is on it. Its lock is held while it is opened or closed."""

    lock: anyio.Lock = msgspec.field(default_factory=anyio.Lock)
    connection: Any = None
    apps: list[str] = msgspec.field(default_factory=list)
    waiting: int = 0


class SharedConnections:
    """Counts the apps on each connection.

    While a connection is being opened or closed, whoever wants the same one waits; different ones do not wait
    for each other.
    """

    def __init__(self) -> None:
        self._slots: dict[str, _Slot] = {}

    async def acquire(
        self, key: str, app_name: str, open_it: Callable[[], Awaitable[Any]]
    ) -> tuple[Any, bool]:
        """Return the connection under ``key`` and whether it was open before.

        Args:
            key: What makes two connections the same one: the url.
            app_name: Who will be on it.
            open_it: Opens it, when nobody is on it yet. What it raises goes through, and the next one tries
                again.
        """
        slot = self._slots.setdefault(key, _Slot())
        async with self._turn(key, slot):
            reused = bool(slot.apps)
            if not reused:
                slot.connection = await open_it()
            slot.apps.append(app_name)
            return slot.connection, reused

    async def release(
        self, key: str, app_name: str, let_go: Callable[[Any, bool], Awaitable[object]]
    ) -> None:
        """Take an app off its connection.

        Args:
            key: Which connection.
            app_name: Who leaves.
            let_go: Is given the connection and whether others stay on it; closes it when nobody does. The app
                is off the connection even when this fails.
        """
        slot = self._slots[key]
        async with self._turn(key, slot):
            slot.apps.remove(app_name)
            await let_go(slot.connection, bool(slot.apps))

    def sharing(self, key: str, app_name: str) -> tuple[str, ...]:
        """Return the other apps on the same connection."""
        slot = self._slots.get(key)
        return () if slot is None else tuple(name for name in slot.apps if name != app_name)

    def _turn(self, key: str, slot: _Slot) -> _Turn:
        return _Turn(self._slots, key, slot)


class _Turn:
    """The lock of a slot; the slot goes when the last one who wanted it is through and nobody is on it."""

    __slots__ = ("_key", "_slot", "_slots")

    def __init__(self, slots: dict[str, _Slot], key: str, slot: _Slot) -> None:
        self._slots, self._key, self._slot = slots, key, slot

    async def __aenter__(self) -> None:
        self._slot.waiting += 1
        try:
            await self._slot.lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._slot.lock.release()
        self._leave()

    def _leave(self) -> None:
        self._slot.waiting -= 1
        if not self._slot.waiting and not self._slot.apps:
            self._slots.pop(self._key, None)
