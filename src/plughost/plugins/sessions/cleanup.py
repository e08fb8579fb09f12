"""Freeing the room of sessions that are over: in small batches, one clean-up at a time."""

from __future__ import annotations

import anyio.lowlevel

from plughost.contracts import (
    SYSTEM_CLOCK,
    CleanupReport,
    Clock,
    PurgingStore,
    SessionStore,
    get_logger,
)
from plughost.plugins.sessions.announcements import SessionChange, SessionListeners

BATCH = 500  # a writer waits at most for this many deletions


class Cleaner:
    """Runs clean-ups. Whether a session is over is decided when it is read; this only gives back its room.

    Args:
        store: What to clean.
        announcer: Is told of each session that was removed.
        clock: Measures how long it took.
    """

    def __init__(self, store: SessionStore, announcer: SessionListeners, clock: Clock = SYSTEM_CLOCK) -> None:
        self._store = store
        self._announcer = announcer
        self._clock = clock
        self._lock = anyio.Lock()
        self._log = get_logger("plughost.sessions")

    async def run(self) -> CleanupReport:
        """Remove everything that is over; who comes while one runs waits and then finds little to do."""
        async with self._lock:
            began = self._clock.monotonic()
            removed = 0
            store = self._store
            while isinstance(store, PurgingStore) and (batch := await store.purge(BATCH)):
                removed += len(batch)
                for gone in batch:
                    reason = "expired" if gone.expired else "user ended"
                    self._announcer.tell(
                        SessionChange(kind="ended", handle=gone.handle, subject=gone.subject, reason=reason)
                    )
                await anyio.lowlevel.checkpoint()
            report = CleanupReport(removed=removed, duration=self._clock.monotonic() - began)
        if removed:
            self._log.info("sessions cleaned up", removed=removed, duration=report.duration)
        return report
