"""Counting what was asked and called, hour by hour; one SQLite file, every method of ``Hours`` waits for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import anyio.to_thread

from plughost.contracts import CacheStats, Clock, OwnDatabase, own_folder
from plughost_dashboard.protocols import SourceUsage, UsageHour
from plughost_upstream.protocols import CallRecord

_KEPT_HOURS: Final = 90 * 24
_COUNTED: Final = ("reads", "stale", "calls", "errors", "ms", "loads")
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS usage_hour (
    hour INTEGER, source TEXT, reads INTEGER, stale INTEGER, calls INTEGER, errors INTEGER, ms INTEGER,
    loads INTEGER, PRIMARY KEY (hour, source)
) WITHOUT ROWID;
"""


class Hours:
    """The file.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        own_folder(path.parent)
        self._file = OwnDatabase(path, _prepare)
        self._file.open()

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def add(self, rows: Iterable[UsageHour]) -> None:
        """Add to what was asked, and let go what is older than 90 days."""
        adding = ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTED)
        values = [(row.hour, row.source, *(getattr(row, name) for name in _COUNTED)) for row in rows]
        if not values:
            return
        with self._file.connected() as connection, closing(connection.cursor()) as cursor:
            _prepare(connection)
            cursor.execute("BEGIN IMMEDIATE")
            try:
                cursor.executemany(
                    f"INSERT INTO usage_hour VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET {adding}",  # noqa: S608
                    values,
                )
                oldest = max(value[0] for value in values) - _KEPT_HOURS
                cursor.execute("DELETE FROM usage_hour WHERE hour < ?", (oldest,))
                cursor.execute("COMMIT")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise

    def since(self, hour: int) -> list[UsageHour]:
        """Return what was asked since an hour."""
        statement = "SELECT * FROM usage_hour WHERE hour >= ? ORDER BY hour, source"
        with self._file.connected() as connection:
            _prepare(connection)
            with closing(connection.execute(statement, (hour,))) as cursor:
                rows = cursor.fetchall()
        return [UsageHour(**dict(zip(("hour", "source", *_COUNTED), row, strict=True))) for row in rows]


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, or put the column into it that files and backups from before have not."""
    connection.executescript(_TABLE)
    columns = {row[1] for row in connection.execute("PRAGMA table_info(usage_hour)").fetchall()}
    if "loads" not in columns:
        connection.execute("ALTER TABLE usage_hour ADD COLUMN loads INTEGER")
        connection.execute("UPDATE usage_hour SET loads = calls")


class CountedUsage:
    """Implements ``Usage``.

    Args:
        hours: Where figures stay.
        clock: Time.
    """

    def __init__(self, hours: Hours, clock: Clock) -> None:
        self._hours, self._clock = hours, clock
        self._pending: dict[tuple[int, str], UsageHour] = {}
        self._seen: dict[str, tuple[int, int, int]] = {}

    @property
    def hour(self) -> int:
        """Hours since the epoch."""
        return int(self._clock.time() // 3600)

    def called(self, batch: Sequence[CallRecord]) -> None:
        """Count calls; those that were never sent are none."""
        for record in batch:
            if record.attempts:
                failed = record.outcome not in ("ok", "missing", "left")
                self._add(
                    source_of(record.origin, "-"),
                    calls=record.attempts,
                    errors=failed,
                    ms=round(1000 * record.seconds),
                )

    def read(self, stats: Mapping[str, CacheStats]) -> None:
        """Count what was read of the caches since the last time."""
        for name, one in stats.items():
            now = one.hits + one.misses, one.stale, one.loads + one.load_errors
            before = self._seen.get(name, (0, 0, 0))
            if now[0] < before[0]:  # somebody set the figures to zero
                before = (0, 0, 0)
            # What is loaded while nobody reads is counted with the next read.
            if "." in name and now[:2] != before[:2]:
                self._seen[name] = now
                reads, stale, loads = (max(0, new - old) for new, old in zip(now, before, strict=True))
                self._add(source_of(name, "."), reads=reads, stale=stale, loads=loads)

    async def flush(self) -> None:
        """Write what was counted; what cannot be written is counted on."""
        pending, self._pending = self._pending, {}
        try:
            await anyio.to_thread.run_sync(self._hours.add, list(pending.values()))
        except Exception:
            for row in pending.values():
                self._keep(row)
            raise

    def hours(self, since: int = 0) -> Sequence[UsageHour]:
        """Return what was asked since an hour, what is not written yet included."""
        rows = {(row.hour, row.source): row for row in self._hours.since(since)}
        for place, row in tuple(self._pending.items()):
            if row.hour >= since:
                rows[place] = _sum(rows[place], row) if place in rows else row
        return [rows[place] for place in sorted(rows)]

    def sources(self, since: int = 0) -> Sequence[SourceUsage]:
        """Return the same summed up by source."""
        sums: dict[str, UsageHour] = {}
        for row in self.hours(since):
            sums[row.source] = _sum(sums[row.source], row) if row.source in sums else row
        return [_of_source(sums[name]) for name in sorted(sums)]

    def _add(self, source: str, **counted: int) -> None:
        self._keep(UsageHour(hour=self.hour, source=source, **counted))

    def _keep(self, row: UsageHour) -> None:
        place = row.hour, row.source
        self._pending[place] = _sum(self._pending[place], row) if place in self._pending else row


def source_of(name: str, sign: str) -> str:
    """Return the source that a cache (``tmdb.details``) or an origin (``tmdb-images``) belongs to."""
    return name.partition(sign)[0]


def _sum(one: UsageHour, other: UsageHour) -> UsageHour:
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in _COUNTED})


def _of_source(total: UsageHour) -> SourceUsage:
    return SourceUsage(
        source=total.source,
        reads=total.reads,
        stale=total.stale,
        calls=total.calls,
        errors=total.errors,
        mean_ms=round(total.ms / total.calls, 1) if total.calls else 0.0,
        saved=max(0.0, round(1 - total.loads / total.reads, 4)) if total.reads else 0.0,
    )
