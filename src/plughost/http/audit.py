"""The audit trail: who did what with the administration, when, and what came of it. It only grows."""

from __future__ import annotations

from plughost._dataclasses import dataclass
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.http.access_file import AccessFile


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One action.

    Attributes:
        id: Its number; later ones are larger.
        at: When it was finished, in seconds since the epoch.
        actor: Who did it; ``anonymous`` when it was refused for that.
        verb: What was done: ``cache.clear``.
        target: What it was done to; empty when the verb says it.
        status: The status code of the answer.
        detail: One sentence on what came of it.
        address: Network address it came from.
        request_id: Names the request in logs.
    """

    id: int
    at: float
    actor: str
    verb: str
    target: str
    status: int
    detail: str
    address: str
    request_id: str


class AuditTrail:
    """The trail of one host; the file itself refuses changes and deletions of what is in it.

    Args:
        file: Where it is kept.
        clock: Dates the entries.
    """

    def __init__(self, file: AccessFile, clock: Clock = SYSTEM_CLOCK) -> None:
        self._file = file
        self._clock = clock

    def add(
        self,
        *,
        actor: str,
        verb: str,
        target: str = "",
        status: int = 200,
        detail: str = "",
        address: str = "",
        request_id: str = "",
    ) -> None:
        """Note an action, durably."""
        row = (self._clock.time(), actor, verb, target[:200], status, detail[:500], address, request_id)
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO audit (at, actor, verb, target, status, detail, address, request_id)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def latest(self, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
        """Return entries, the newest first; ``before`` is the id of the oldest one seen so far."""
        query = "SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?"
        rows = self._file.read(query, 1 << 62 if before is None else before, limit)
        return [AuditEntry(**dict(row)) for row in rows]
