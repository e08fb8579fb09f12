"""Counting who asked what, hour by hour: in memory, and each minute into the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import anyio.to_thread

from plughost.contracts import Clock
from plughost_tmdb.protocols import KeyKind, UsageRow
from plughost_tmdb.store import Store

FLUSH_EACH: Final = 60.0


class Meter:
    """Counts.

    Args:
        store: Where figures stay.
        clock: Time.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._pending: dict[tuple[int, str, KeyKind], UsageRow] = {}

    @property
    def hour(self) -> int:
        """Hours since the epoch."""
        return int(self._clock.time() // 3600)

    def called(self, user: str, key: KeyKind, seconds: float, *, failed: bool) -> None:
        """Count a call to TMDB."""
        row = self._row(user, key)
        self._keep(
            replace(row, calls=row.calls + 1, errors=row.errors + failed, ms=row.ms + round(1000 * seconds))
        )

    def hit(self, user: str, key: KeyKind, *, stale: bool) -> None:
        """Count an answer from the cache."""
        row = self._row(user, key)
        self._keep(replace(row, hits=row.hits + 1, stale=row.stale + stale))

    async def flush(self) -> None:
        """Write what was counted; what cannot be written is counted on."""
        pending, self._pending = self._pending, {}
        try:
            await anyio.to_thread.run_sync(self._store.add_usage, list(pending.values()))
        except Exception:
            for place, row in pending.items():
                self._pending[place] = _sum(row, self._pending[place]) if place in self._pending else row
            raise

    def usage(self, since: int = 0, user: str | None = None) -> Sequence[UsageRow]:
        """Return what was asked since an hour, what is not written yet included. Waits for the file."""
        rows = {(row.hour, row.user, row.key): row for row in self._store.usage(since, user)}
        for place, row in tuple(self._pending.items()):
            if row.hour >= since and user in (None, row.user):
                rows[place] = _sum(rows[place], row) if place in rows else row
        return [rows[place] for place in sorted(rows)]

    def _row(self, user: str, key: KeyKind) -> UsageRow:
        hour = self.hour
        return self._pending.get((hour, user, key)) or UsageRow(hour=hour, user=user, key=key)

    def _keep(self, row: UsageRow) -> None:
        self._pending[row.hour, row.user, row.key] = row


def _sum(one: UsageRow, other: UsageRow) -> UsageRow:
    counted = ("calls", "hits", "stale", "errors", "ms")
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in counted})
