"""The calls that were made: the latest for people, figures for reports, batches for the hook."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from plughost_upstream.protocols import CallRecord

_LATEST: Final = 1000
_MOST_PENDING: Final = 10_000


@dataclass(slots=True)
class Totals:
    """Sums over the calls to one origin.

    Attributes:
        outcomes: How the calls ended.
        attempts: How often something was sent.
        received: Bytes.
        seconds: How long they took together.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    received: int = 0
    seconds: float = 0.0


class Ledger:
    """Notes each call once, when it is over."""

    def __init__(self) -> None:
        self._latest: deque[CallRecord] = deque(maxlen=_LATEST)
        self._pending: deque[CallRecord] = deque(maxlen=_MOST_PENDING)
        self.totals: dict[str, Totals] = {}

    def note(self, record: CallRecord) -> None:
        """Note a call."""
        self._latest.appendleft(record)
        self._pending.append(record)
        totals = self.totals.setdefault(record.origin, Totals())
        totals.outcomes[record.outcome] += 1
        totals.attempts += record.attempts
        totals.received += record.received
        totals.seconds += record.seconds

    def latest(self, limit: int) -> tuple[CallRecord, ...]:
        """Return the latest calls, the newest first."""
        return tuple(self._latest)[: max(0, limit)]

    def take(self) -> tuple[CallRecord, ...]:
        """Return what was noted since the last time."""
        taken = tuple(self._pending)
        self._pending.clear()
        return taken

    def forget(self, origin: str) -> None:
        """Forget the sums of an origin that is gone."""
        self.totals.pop(origin, None)
