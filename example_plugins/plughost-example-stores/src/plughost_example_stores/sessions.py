"""A session store of two dictionaries and a heap.

No call waits for anything, so each is one step by itself. What a store on a server adds is a transaction around
the body of each call.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from plughost.contracts import (
    NewSession,
    PurgedSession,
    ReplacedSession,
    SessionPatch,
    SessionStats,
    StoredSession,
    StoreSetup,
    VersionConflict,
    born_session,
    counted,
    patched_session,
    touched_session,
)
from plughost.exceptions import StoreUnavailableError


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[plugins.sessions.config.store_settings]``.

    Attributes:
        most: Sessions it keeps at most; more are refused.
    """

    most: int = 100_000


class _Subject:
    """A subject's epoch, the digests made in it that are not over, and how many of earlier epochs remain."""

    def __init__(self) -> None:
        self.epoch = 0
        self.living: set[bytes] = set()
        self.ended = 0


class ExampleSessions:
    """A ``SessionStore`` for programs with one process that may forget."""

    Config = Settings

    def __init__(self, setup: StoreSetup) -> None:
        self._now = setup.now
        self._most = setup.settings.most
        self._rows: dict[bytes, StoredSession] = {}
        self._subjects: dict[str, _Subject] = {}
        self._replaced: dict[bytes, tuple[bytes, float, float]] = {}  # successor, end of the grace, of all
        self._ends: list[tuple[float, bytes]] = []  # a heap; some of it is out of date
        self._over: dict[bytes, bool] = {}  # whether its time was over; False: its subject was ended
        self._users = 0

    @property
    def name(self) -> str:
        """Its name in reports."""
        return "example"

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def create(self, new: NewSession) -> StoredSession | None:
        """Store a new session."""
        if new.digest in self._rows or new.digest in self._replaced:
            return None
        if len(self._rows) >= self._most:
            raise StoreUnavailableError(
                f"{counted(self._most, 'session')} may be kept, and no more: raise `most`"
            )
        return self._keep(born_session(new, self._now(), self._epoch(new.subject)))

    async def read(self, digest: bytes) -> StoredSession | ReplacedSession | None:
        """Return the session if it is alive."""
        self._settle()
        wanted, graceful = digest, True
        while digest in self._replaced:
            digest, until, _ = self._replaced[digest]
            graceful = graceful and self._now() < until
        if digest not in self._rows or digest in self._over:
            return None
        if not graceful:
            return ReplacedSession(successor=digest)
        return replace(self._rows[digest], successor_of=None if digest == wanted else wanted)

    async def patch(self, digest: bytes, patch: SessionPatch) -> StoredSession | None:
        """Merge a change into a living session."""
        found = await self.read(digest)
        if not isinstance(found, StoredSession):
            return None
        changed = patched_session(found, patch, self._now())
        self._rows[found.digest] = replace(changed, successor_of=None)
        return changed

    async def touch(self, digest: bytes) -> None:
        """Note that it is used now; a replaced digest keeps nothing alive."""
        if digest in self._rows and isinstance(found := await self.read(digest), StoredSession):
            self._rows[digest] = touched_session(found, self._now())

    async def replace(
        self, digest: bytes, new: NewSession, *, version: int, grace: float
    ) -> StoredSession | None:
        """Put a new session in the place of a living one."""
        old = await self.read(digest)
        if not isinstance(old, StoredSession) or old.successor_of is not None:
            return None
        if old.version != version:
            raise VersionConflict
        kept = self._keep(born_session(new, self._now(), self._epoch(new.subject), old))
        self._drop(old)
        if grace > 0:
            self._replaced[digest] = (new.digest, self._now() + grace, old.deadline)
            heapq.heappush(self._ends, (old.deadline, digest))
        return kept

    async def delete(self, digest: bytes) -> StoredSession | None:
        """End a session; a replaced digest ends its successor."""
        found = await self.read(digest)
        if isinstance(found, ReplacedSession):
            found = await self.read(found.successor)
        if not isinstance(found, StoredSession):
            return None
        self._drop(found)
        return found

    async def end_subject(self, subject: str, keep: bytes | None = None) -> int:
        """End all sessions of a subject but one."""
        kept = await self.read(keep) if keep is not None else None
        self._settle()
        state = self._subjects.get(subject)
        if state is None:
            return 0
        spared = {kept.digest} & state.living if isinstance(kept, StoredSession) else set()
        ended = state.living - spared
        self._users -= bool(state.living) - bool(spared)
        state.epoch += 1
        state.living, state.ended = spared, state.ended + len(ended)
        for digest in spared:
            self._rows[digest] = replace(self._rows[digest], epoch=state.epoch)
        self._over |= dict.fromkeys(ended, False)
        return len(ended)

    async def list_subject(self, subject: str, limit: int | None = None) -> list[StoredSession]:
        """Return the living sessions of a subject, newest first."""
        self._settle()
        digests = self._subjects[subject].living if subject in self._subjects else ()
        rows = (self._rows[digest] for digest in digests)
        return sorted(rows, key=lambda row: -row.created_at)[:limit]

    async def purge(self, limit: int) -> Sequence[PurgedSession]:
        """Remove at most ``limit`` sessions that are over."""
        self._settle()
        removed = []
        for digest, expired in sorted(self._over.items(), key=lambda over: over[1])[:limit]:
            row = self._rows.pop(digest)
            del self._over[digest]
            if row.subject is not None and not expired:
                state = self._subjects[row.subject]
                state.ended -= 1
                self._forget(row.subject, state)
            removed.append(PurgedSession(row.handle, row.subject, expired))
        return removed

    async def stats(self) -> SessionStats:
        """Return the figures."""
        self._settle()
        active, expired = len(self._rows) - len(self._over), len(self._over)
        return SessionStats(active=active, expired=expired, users=self._users, store=self.name)

    async def page(self, cursor: str | None, limit: int) -> tuple[list[StoredSession], str | None]:
        """Return living sessions in pages, in the order of their digests."""
        self._settle()
        after = bytes.fromhex(cursor or "")
        rest = sorted(digest for digest in self._rows if digest > after and digest not in self._over)
        page = [self._rows[digest] for digest in rest[:limit]]
        return page, page[-1].digest.hex() if len(rest) > limit else None

    async def adopt(self, sessions: Sequence[StoredSession]) -> int:
        """Take over living sessions of another store."""
        taken = [row for row in sessions if row.expires_at > self._now() and row.digest not in self._rows]
        for row in taken:
            self._keep(replace(row, epoch=self._epoch(row.subject)))
        return len(taken)

    def _epoch(self, subject: str | None) -> int:
        state = self._subjects.get(subject) if subject is not None else None
        return state.epoch if state else 0

    def _keep(self, row: StoredSession) -> StoredSession:
        self._rows[row.digest] = row
        heapq.heappush(self._ends, (row.expires_at, row.digest))
        if row.subject is not None:
            state = self._subjects.setdefault(row.subject, _Subject())
            self._users += not state.living
            state.living.add(row.digest)
        return row

    def _drop(self, row: StoredSession) -> None:
        del self._rows[row.digest]
        self._leave(row)

    def _leave(self, row: StoredSession) -> None:
        """A living session of this subject is no more."""
        if row.subject is not None:
            state = self._subjects[row.subject]
            state.living.discard(row.digest)
            self._users -= not state.living
            self._forget(row.subject, state)

    def _forget(self, subject: str, state: _Subject) -> None:
        """Forget an epoch only when no session of an earlier one is left that could match it again."""
        if not state.living and not state.ended:
            self._subjects.pop(subject, None)

    def _settle(self) -> None:
        """Note what has ended by now, without looking at what has not."""
        now = self._now()
        while self._ends and self._ends[0][0] <= now:
            digest = heapq.heappop(self._ends)[1]
            if digest in self._replaced and self._replaced[digest][2] <= now:
                del self._replaced[digest]
            row = self._rows.get(digest)
            if row is None or digest in self._over:
                continue
            if row.expires_at > now:  # it was used since
                heapq.heappush(self._ends, (row.expires_at, digest))
            else:
                self._over[digest] = True
                self._leave(row)
