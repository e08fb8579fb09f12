"""How sessions are kept: what an author of a store implements.

A store sees digests and bytes, never a session id and never a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from plughost.contracts.session import SessionStats


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session to be stored. The store reads the clock.

    Attributes:
        digest: SHA-256 of the session id, 32 bytes: the key.
        handle: Its public name.
        subject: Whose it is, or None.
        idle: Seconds it lives without being used.
        absolute: Seconds it lives at most; None, in ``replace`` only, keeps the beginning and the limit of
            the session it replaces.
        about: Name, roles and metadata, as bytes the store does not understand.
        fields: The application's fields, each as bytes the store does not understand.
    """

    digest: bytes
    handle: str
    subject: str | None
    idle: float
    absolute: float | None
    about: bytes
    fields: dict[str, bytes] = {}


class StoredSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it is stored.

    Attributes:
        digest: The key.
        handle: Its public name.
        subject: Whose it is, or None.
        epoch: The subject's epoch it was made in. It is alive only while that is the subject's epoch.
        version: Grows with each change of fields; 1 at the beginning.
        created_at: When it began.
        touched_at: When it was last used.
        idle: Seconds it lives without being used.
        deadline: When it ends however much it is used.
        expires_at: When it ends if it is not used again; at most ``deadline``.
        about: Name, roles and metadata.
        fields: The application's fields.
        successor_of: When it was asked for under an id that was replaced a moment ago: that digest. Such a
            reader may read and change fields, but does not keep the session alive.
    """

    digest: bytes
    handle: str
    subject: str | None
    epoch: int
    version: int
    created_at: float
    touched_at: float
    idle: float
    deadline: float
    expires_at: float
    about: bytes
    fields: dict[str, bytes]
    successor_of: bytes | None = None


class ReplacedSession(msgspec.Struct, frozen=True, kw_only=True):
    """What is found under an id that was replaced longer ago than the grace: somebody kept a dead id.

    Attributes:
        successor: Digest of the session that took its place.
    """

    successor: bytes


class PurgedSession(msgspec.Struct, frozen=True):
    """A session that was over and is removed.

    Attributes:
        handle: Its public name.
        subject: Whose it was, or None.
        expired: Whether its time was over; False when its subject's sessions had been ended.
    """

    handle: str
    subject: str | None
    expired: bool


class SessionPatch(msgspec.Struct, frozen=True, kw_only=True):
    """A change of one session, merged key by key into what is stored.

    Attributes:
        set: Fields to set.
        remove: Fields to remove.
        about: New name, roles and metadata; None leaves them.
        idle: Live at least that many seconds from now, within the deadline; None leaves the clock alone.
        version: Only when the stored version is this one; None always.
        max_bytes: Keys and values together may take that much afterwards.
        base: The session as the maker of the patch read it, or None. It changes nothing about what is merged
            into what; where it is still what is stored, a store may save itself the reading.
    """

    set: dict[str, bytes] = {}
    remove: tuple[str, ...] = ()
    about: bytes | None = None
    idle: float | None = None
    version: int | None = None
    max_bytes: int = 16_384
    base: StoredSession | None = None


class VersionConflict(Exception):
    """The stored version is not the one the patch was made for: read again and retry."""


@runtime_checkable
class SessionStore(Protocol):
    """Where sessions are kept: create, patch if alive, delete; and one step that ends all of a subject.

    This is what a login needs. ``PurgingStore``, ``CountingStore``, ``MovableStore`` and the others below are offered
    beside it, each by having its methods. An author may also begin with the three methods of ``BytesStore``.

    Duties, which ``plughost.testing.suites.session_store`` checks: A session is alive when its ``expires_at``
    is in the future and its epoch is its subject's, and that is decided in each call. Only ``create``, ``replace``
    and ``adopt`` make sessions; nothing else brings one into being. A change is durable when the call returns.
    Each call is one step: parallel calls are as if one came after the other. Digests, subjects, names of fields
    and values are told apart and kept byte for byte; fields keep the order they were first set in. What cannot be
    reached raises ``StoreUnavailableError``. ``plughost.contracts.session_changes`` has what a birth, a change
    and a use make of a row.
    """

    @property
    def name(self) -> str:
        """Its name in reports."""

    async def open(self) -> None:
        """Called once before anything else."""

    async def close(self) -> None:
        """Called once at the end; everything acknowledged is stored."""

    async def create(self, new: NewSession) -> StoredSession | None:
        """Store a new session in its subject's epoch; None when the digest is taken, or was replaced with a grace."""

    async def read(self, digest: bytes) -> StoredSession | ReplacedSession | None:
        """Return the session if it is alive.

        A digest that was replaced with a grace leads to the session at the end of the chain, with
        ``successor_of``; after the grace to a ``ReplacedSession``, as long as that session lives.
        """

    async def patch(self, digest: bytes, patch: SessionPatch) -> StoredSession | None:
        """Merge a change into a living session; None when there is none.

        The version grows by one when fields are set or removed, and only then. ``patch.idle`` never shortens a
        life and never passes the deadline.

        Raises:
            VersionConflict: ``patch.version`` is not the stored version; nothing was changed.
            SessionDataError: ``about`` and the fields would take more than ``patch.max_bytes``; nothing was
                changed. Raise what ``session_too_large`` returns: it names the setting to raise.
        """

    async def touch(self, digest: bytes) -> None:
        """Note that it is used now.

        May return before that is durable, or even done; it is done before any change that is asked for later. A
        replaced digest keeps nothing alive.
        """

    async def replace(
        self, digest: bytes, new: NewSession, *, version: int, grace: float
    ) -> StoredSession | None:
        """Put a new session in the place of a living one, whose digest is dead after ``grace`` seconds.

        With a grace of 0 the old digest is unknown from then on: ``read`` returns None for it, no
        ``ReplacedSession``. None, and no new session, when there is no living one or ``digest`` itself was
        replaced.

        Raises:
            VersionConflict: The stored version is not ``version``; nothing was changed.
        """

    async def delete(self, digest: bytes) -> StoredSession | None:
        """End a session; returns what it was if it was alive. A replaced digest ends its successor."""

    async def end_subject(self, subject: str, keep: bytes | None = None) -> int:
        """End all sessions of a subject but one by raising its epoch, in constant time; returns how many.

        ``keep`` spares a living session of that subject only; an id that was replaced spares its successor within the
        grace, and nothing after.
        """

    async def list_subject(self, subject: str, limit: int | None = None) -> list[StoredSession]:
        """Return the living sessions of a subject, newest first; ``limit`` of them at most."""


@runtime_checkable
class PurgingStore(Protocol):
    """A store that has to be told to give back the room of what is over; any other does so by itself."""

    async def purge(self, limit: int) -> Sequence[PurgedSession]:
        """Remove at most ``limit`` sessions that are over and say which; nothing when none is left."""


@runtime_checkable
class CountingStore(Protocol):
    """A store that keeps figures."""

    async def stats(self) -> SessionStats:
        """Return the figures without looking at each session: as fast with a million as with ten.

        What is over and not yet purged counts as expired; ``users`` are subjects with a session that is not over.
        """


@runtime_checkable
class MovableStore(Protocol):
    """A store whose sessions can be moved: to another store, out of another, or under a newer secret."""

    async def page(self, cursor: str | None, limit: int) -> tuple[list[StoredSession], str | None]:
        """Return living sessions in pages, for migration and re-encryption; the cursor is None at the end."""

    async def adopt(self, sessions: Sequence[StoredSession]) -> int:
        """Take over living sessions of another store with their clocks; those already here are left alone."""


@runtime_checkable
class ImmediateStore(Protocol):
    """A store that can read without waiting, so that a plain look at a request's session can load it."""

    def read_now(self, digest: bytes) -> StoredSession | ReplacedSession | None:
        """As ``SessionStore.read``."""


@runtime_checkable
class WaitingStore(Protocol):
    """A store over the network that can be read by a look that does not await, while its whole thread waits.

    Without this the session of every request that carries a cookie is loaded before its handler runs.
    """

    def read_waiting(self, digest: bytes) -> StoredSession | ReplacedSession | None:
        """As ``SessionStore.read``, in whichever thread; the event loop may be among those who wait."""


@runtime_checkable
class SelfCheckingStore(Protocol):
    """A store that can tell more of how it is than its figures do, and mend what changed around it."""

    async def self_check(self) -> str:
        """Called by the health check: write something and return what a deployer should mend, or nothing.

        Raises:
            StoreUnavailableError: Sessions cannot be written now.
        """

    async def look_after(self) -> None:
        """Called each second: notice that what it is connected to is another by now; cheap when it is not.

        Raises:
            StoreUnavailableError: It is another, and cannot be used.
        """
