"""Locks that are held for a while by one holder among all processes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from plughost._dataclasses import dataclass
from plughost.contracts.plugin import Seconds


class Lock(Protocol):
    """A lock that was acquired.

    Attributes:
        name: Its name.
        token: The fencing token. It grows with each acquisition of this name. Pass it to what the lock
            guards and let that refuse a smaller one than it has seen: only so is a holder that was paused
            past its lease harmless.
        lease: Seconds it lasts without being extended.
        lost: Whether the lease ran out or somebody else has it.
    """

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def token(self) -> int:
        """The fencing token."""

    @property
    def lease(self) -> float:
        """Seconds it lasts."""

    @property
    def lost(self) -> bool:
        """Whether it was lost."""

    async def extend(self, lease: Seconds | None = None) -> bool:
        """Begin the lease again; False when it was lost, and it stays lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockStats:
    """Figures of the locks of this process.

    Attributes:
        backend: ``memory`` or ``redis``.
        held: Locks held by this process now.
        acquired: Acquisitions that succeeded.
        refused: Acquisitions that gave up because somebody else held the lock.
        released: Releases by the holder.
        lost: Leases that ran out while held.
        extended: Leases started again.
        wait_seconds: Median and 99th percentile of the last 512 waits.
        names: Name and seconds left of each lock held here.
    """

    backend: str
    held: int = 0
    acquired: int = 0
    refused: int = 0
    released: int = 0
    lost: int = 0
    extended: int = 0
    wait_seconds: tuple[float, float] = (0.0, 0.0)
    names: Mapping[str, float] | None = None


class LockManager(Protocol):
    """Hands locks out.

    By itself such a lock saves work; correctness needs the fencing token. Nothing ever goes on without the
    lock: when Redis is configured and away, acquiring raises.
    """

    def hold(
        self, name: str, lease: Seconds = 30.0, wait: Seconds | None = None
    ) -> AbstractAsyncContextManager[Lock]:
        """Hold a lock for the body of ``async with``; its lease is extended as long as the body runs.

        When the lease is lost all the same, the body is cancelled and ``LockLostError`` raised.

        Args:
            name: Its name.
            lease: Seconds it lasts when this process dies.
            wait: Seconds to wait for it; None waits as long as it takes, 0 not at all.

        Raises:
            LockTimeoutError: The lock was not acquired in time.
            LockLostError: It was lost while the body ran.
            StoreUnavailableError: Redis is away.
        """

    async def acquire(self, name: str, lease: Seconds = 30.0, wait: Seconds | None = 0.0) -> Lock | None:
        """Take a lock that is not extended by itself; None when somebody else kept it for all of ``wait``.

        Raises:
            StoreUnavailableError: Redis is away.
            RuntimeError: The same task holds it already and would wait for itself.
        """

    async def release(self, lock: Lock) -> bool:
        """Give it back; False when it was lost before."""

    async def stats(self) -> LockStats:
        """Return the figures."""

    async def cleanup(self) -> int:
        """Forget locks of this process whose lease ran out; how many."""
