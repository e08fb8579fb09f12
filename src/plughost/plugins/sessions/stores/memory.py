"""Sessions in the memory of this process: for tests, and for hosts that may forget."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from msgspec.structs import replace

from plughost.contracts import (
    NewSession,
    PurgedSession,
    ReplacedSession,
    SessionPatch,
    SessionStats,
    StoredSession,
    VersionConflict,
    born_session,
    patched_session,
    touched_session,
)
from plughost.exceptions import StoreUnavailableError


class _Subject:
    """One subject's epoch and the digests made in it; those of earlier epochs wait to be purged."""

    __slots__ = ("dead", "digests", "epoch")

    def __init__(self) -> None:
        self.epoch = 0
        self.digests: dict[bytes, None] = {}
        self.dead = 0


class MemoryStore:
    """A ``SessionStore`` and ``ImmediateStore`` of dictionaries. No call waits, so each is one step.

    A heap of deadlines tells what is over without looking at each session: an entry whose session lives
    longer than it did when the entry was made is put back when its old time has come.

    Args:
        now: Returns the time.
    """

    name = "memory"

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._rows: dict[bytes, StoredSession] = {}
        self._subjects: dict[str, _Subject] = {}
        self._replaced: dict[bytes, tuple[bytes, float, float]] = {}
        self._endings: list[tuple[float, bytes]] = []
        self._over: dict[bytes, None] = {}
        self._ended: deque[dict[bytes, None]] = deque()
        self._ended_count = 0
        self._users = 0
        self._frozen = False

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close: the sessions stay for whoever holds the store."""

    @property
    def frozen(self) -> bool:
        """Whether its sessions have moved to another store."""
        return self._frozen

    def freeze(self) -> None:
        """Refuse every call from now on: the sessions are moved to another store. Pages can still be read."""
        self._frozen = True

    def thaw(self) -> None:
        """Take calls again: the move failed."""
        self._frozen = False

    async def create(self, new: NewSession) -> StoredSession | None:
        """Store a new session."""
        self._check_not_frozen()
        if new.digest in self._rows or new.digest in self._replaced:
            return None
        return self._keep(born_session(new, self._now(), self._epoch(new.subject)))

    def read_now(self, digest: bytes) -> StoredSession | ReplacedSession | None:
        """Return the session if it is alive."""
        self._check_not_frozen()
        row = self._rows.get(digest)
        if row is not None:
            return row if self._lives(row, self._now()) else None
        if digest not in self._replaced:
            return None
        now, graceful, last = self._now(), True, digest
        while last in self._replaced:
            last, until, _ = self._replaced[last]
            graceful = graceful and now < until
        row = self._rows.get(last)
        if row is None or not self._lives(row, now):
            return None
        return replace(row, successor_of=digest) if graceful else ReplacedSession(successor=last)

    async def read(self, digest: bytes) -> StoredSession | ReplacedSession | None:
        """Return the session if it is alive."""
        return self.read_now(digest)

    async def patch(self, digest: bytes, patch: SessionPatch) -> StoredSession | None:
        """Merge a change into a living session."""
        found = self.read_now(digest)
        if not isinstance(found, StoredSession):
            return None
        row = patched_session(found, patch, self._now())
        self._rows[row.digest] = replace(row, successor_of=None)
        return row

    async def touch(self, digest: bytes) -> None:
        """Note that it is used."""
        found = self.read_now(digest)
        if isinstance(found, StoredSession) and found.successor_of is None:
            self._rows[digest] = touched_session(found, self._now())

    async def replace(
        self, digest: bytes, new: NewSession, *, version: int, grace: float
    ) -> StoredSession | None:
        """Put a new session in the place of a living one."""
        old = self.read_now(digest)
        if not isinstance(old, StoredSession) or old.successor_of is not None:
            return None
        if old.version != version:
            raise VersionConflict
        now = self._now()
        self._drop(old)
        if grace > 0:
            self._replaced[digest] = (new.digest, now + grace, old.deadline)
            heapq.heappush(self._endings, (old.deadline, digest))
        return self._keep(born_session(new, now, self._epoch(new.subject), old))

    async def delete(self, digest: bytes) -> StoredSession | None:
        """End a session."""
        found = self.read_now(digest)
        if isinstance(found, ReplacedSession):
            found = self.read_now(found.successor)
        if not isinstance(found, StoredSession):
            return None
        self._drop(found)
        return found

    async def end_subject(self, subject: str, keep: bytes | None = None) -> int:
        """End all sessions of a subject but one."""
        kept = self.read_now(keep) if keep is not None else None
        self._settle(self._now())
        state = self._subjects.get(subject)
        if state is None:
            return 0
        ended, state.digests = state.digests, {}
        state.epoch += 1
        self._users -= bool(ended)
        if isinstance(kept, StoredSession) and kept.digest in ended:
            del ended[kept.digest]
            self._rows[kept.digest] = replace(kept, epoch=state.epoch, successor_of=None)
            state.digests[kept.digest] = None
            self._users += 1
        state.dead += len(ended)
        self._ended_count += len(ended)
        self._ended.append(ended)
        return len(ended)

    async def list_subject(self, subject: str, limit: int | None = None) -> list[StoredSession]:
        """Return the living sessions of a subject, newest first."""
        self._check_not_frozen()
        now, state = self._now(), self._subjects.get(subject)
        rows = [self._rows[digest] for digest in state.digests] if state else []
        living = (row for row in rows if self._lives(row, now))
        return sorted(living, key=lambda row: (-row.created_at, row.digest))[:limit]

    async def purge(self, limit: int) -> list[PurgedSession]:
        """Remove at most ``limit`` sessions that are over, those of ended subjects first."""
        self._check_not_frozen()
        self._settle(self._now())
        removed: list[PurgedSession] = []
        while len(removed) < limit and self._ended:
            if not self._ended[0]:
                self._ended.popleft()
                continue
            digest, _ = self._ended[0].popitem()
            row = self._rows.pop(digest)
            self._ended_count -= 1
            if row.subject is not None:
                self._subjects[row.subject].dead -= 1
                self._forget_subject(row.subject)
            removed.append(PurgedSession(row.handle, row.subject, False))
        for digest in list(islice(self._over, limit - len(removed))):
            del self._over[digest]
            row = self._rows.pop(digest)
            self._forget_subject(row.subject)
            removed.append(PurgedSession(row.handle, row.subject, True))
        return removed

    async def stats(self) -> SessionStats:
        """Return the figures."""
        self._check_not_frozen()
        self._settle(self._now())
        expired = len(self._over) + self._ended_count
        return SessionStats(
            active=len(self._rows) - expired, expired=expired, users=self._users, store=self.name
        )

    async def page(self, cursor: str | None, limit: int) -> tuple[list[StoredSession], str | None]:
        """Return living sessions in pages, in the order of their digests."""
        after = bytes.fromhex(cursor or "")
        now = self._now()
        rows = heapq.nsmallest(
            limit,
            (row for digest, row in self._rows.items() if digest > after and self._lives(row, now)),
            key=lambda row: row.digest,
        )
        return rows, rows[-1].digest.hex() if len(rows) == limit else None

    async def adopt(self, sessions: Sequence[StoredSession]) -> int:
        """Take over living sessions of another store."""
        self._check_not_frozen()
        now, taken = self._now(), 0
        for row in sessions:
            if row.expires_at > now and row.digest not in self._rows:
                self._keep(replace(row, epoch=self._epoch(row.subject)))
                taken += 1
        return taken

    def _check_not_frozen(self) -> None:
        if self._frozen:
            raise StoreUnavailableError(
                "these sessions are being moved to another store: try again in a moment"
            )

    def _epoch(self, subject: str | None) -> int:
        state = self._subjects.get(subject) if subject is not None else None
        return state.epoch if state else 0

    def _lives(self, row: StoredSession, now: float) -> bool:
        return row.expires_at > now and row.epoch == self._epoch(row.subject)

    def _keep(self, row: StoredSession) -> StoredSession:
        self._rows[row.digest] = row
        heapq.heappush(self._endings, (row.expires_at, row.digest))
        if row.subject is not None:
            state = self._subjects.setdefault(row.subject, _Subject())
            self._users += not state.digests
            state.digests[row.digest] = None
        return row

    def _drop(self, row: StoredSession) -> None:
        del self._rows[row.digest]
        self._leave_subject(row)
        self._forget_subject(row.subject)

    def _leave_subject(self, row: StoredSession) -> None:
        state = self._subjects.get(row.subject) if row.subject is not None else None
        if state is not None and row.digest in state.digests:
            del state.digests[row.digest]
            self._users -= not state.digests

    def _forget_subject(self, subject: str | None) -> None:
        # An epoch may only be forgotten when no session of an earlier one is left that could match it again.
        state = self._subjects.get(subject) if subject is not None else None
        if subject is not None and state is not None and not state.digests and not state.dead:
            del self._subjects[subject]

    def _settle(self, now: float) -> None:
        while self._endings and self._endings[0][0] <= now:
            _, digest = heapq.heappop(self._endings)
            if digest in self._replaced and self._replaced[digest][2] <= now:
                del self._replaced[digest]
            row = self._rows.get(digest)
            if row is None or row.epoch != self._epoch(row.subject):
                continue
            if row.expires_at > now:
                heapq.heappush(self._endings, (row.expires_at, digest))
            else:
                self._over[digest] = None
                self._leave_subject(row)
