"""Locks that run out: one holder among all tasks, threads and processes, as far as that can be had.

A lease that ran out says nothing to a holder that was paused, so a lock like this saves work; what has to be right
needs the fencing token, which the guarded resource compares. What is promised here: nobody goes on without the
lock, the holder is told when it is lost, and a cancelled caller leaves none behind.
"""

from __future__ import annotations

import secrets
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Final, Protocol

import anyio

from plughost.contracts import SYSTEM_CLOCK, Clock, Lock, LockStats, Seconds, get_logger
from plughost.exceptions import LockLostError, LockTimeoutError, StoreUnavailableError
from plughost.plugins.cache.engine import check_key
from plughost.plugins.cache.freshness import bounded_seconds
from plughost.plugins.cache.stats import percentiles
from plughost.plugins.cache.tasks import current_task

_log = get_logger("plughost.cache.locks")
_LOOK_AGAIN: Final = 0.25
"""Seconds after which a waiter looks again although nobody woke it: a message may be lost."""


class LockStore(Protocol):
    """Where locks are kept."""

    backend: str

    async def take(self, name: str, token: str, lease: float) -> int:
        """Take a lock; returns the fencing token, or 0 when somebody else has it. Cancelled, it leaves none."""

    async def extend(self, name: str, token: str, lease: float) -> bool:
        """Begin the lease again; False when it is somebody else's or nobody's."""

    async def free(self, name: str, token: str) -> bool:
        """Give it back; False when it is somebody else's or nobody's."""

    def watch(self, name: str) -> AbstractContextManager[Callable[[], anyio.Event]]:
        """Be woken when it may be free; yields the way to get the next event."""


class HeldLock:
    """Implements ``plughost.contracts.Lock``."""

    def __init__(self, owner: Locks, name: str, secret: str, token: int, lease: float, since: float) -> None:
        self.name = name
        self.token = token
        self.lease = lease
        self.secret = secret
        self.valid_until = since + lease
        self.task = weakref.ref(current_task())  # never its address, which the next task may be given
        self._owner = owner
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether the lease ran out or somebody else has it."""
        return self._lost or self._owner.now() >= self.valid_until

    def lose(self) -> None:
        """Called when it is known to be gone."""
        self._lost = True

    async def extend(self, lease: Seconds | None = None) -> bool:
        """Begin the lease again; False when it was lost."""
        return await self._owner.extend(
            self, self.lease if lease is None else bounded_seconds(lease, "lease")
        )

    def __repr__(self) -> str:
        return f"<lock {self.name!r} token={self.token}{' lost' if self.lost else ''}>"


class Locks:
    """Implements ``plughost.contracts.LockManager``.

    Args:
        store: Where locks are kept.
        clock: Time.
    """

    def __init__(self, store: LockStore, clock: Clock = SYSTEM_CLOCK) -> None:
        self._store = store
        self._clock = clock
        self._held: dict[str, HeldLock] = {}
        self._acquired = self._refused = self._released = self._lost = self._extended = 0
        self._waits: deque[float] = deque(maxlen=512)

    def now(self) -> float:
        """The monotonic time that leases are measured on."""
        return self._clock.monotonic()

    async def acquire(self, name: str, lease: Seconds = 30.0, wait: Seconds | None = 0.0) -> HeldLock | None:
        """Take a lock that is not extended by itself; None when it was not acquired in time."""
        length = bounded_seconds(lease, "lease")
        if length <= 0:
            raise ValueError(f"a lease is above 0, not {lease!r}")
        began = self.now()
        deadline = None if wait is None else began + bounded_seconds(wait, "wait")
        check_key(name)
        if deadline is None or deadline > began:
            task = current_task()
            for held in self._held.values():
                if held.name == name and held.task() is task and not held.lost:
                    raise RuntimeError(f"this task holds the lock {name!r} already and would wait for itself")
        lock = await self._take_until(name, length, deadline)
        self._waits.append(self.now() - began)
        if lock is None:
            self._refused += 1
            return None
        self._acquired += 1
        self._held[lock.secret] = lock
        return lock

    async def _take_until(self, name: str, lease: float, deadline: float | None) -> HeldLock | None:
        secret = secrets.token_hex(12)
        with self._store.watch(name) as following:
            while True:
                freed = following()
                since = self.now()  # before asking: what travels is taken off the lease
                token = await self._store.take(name, secret, lease)
                if token:
                    return HeldLock(self, name, secret, token, lease, since)
                left = None if deadline is None else deadline - self.now()
                if left is not None and left <= 0:
                    return None
                await self._wait(freed, _LOOK_AGAIN if left is None else min(left, _LOOK_AGAIN))

    async def _wait(self, freed: anyio.Event, limit: float) -> None:
        async with anyio.create_task_group() as group:

            async def look_again() -> None:
                await self._clock.sleep(limit)
                group.cancel_scope.cancel()

            group.start_soon(look_again)
            await freed.wait()
            group.cancel_scope.cancel()

    async def extend(self, lock: HeldLock, lease: float) -> bool:
        """Begin a lease again; see ``Lock.extend``."""
        if lock.lost:
            self._note_lost(lock)
            return False
        since = self.now()
        if not await self._store.extend(lock.name, lock.secret, lease):
            self._note_lost(lock)
            return False
        lock.valid_until = since + lease
        self._extended += 1
        return True

    def _note_lost(self, lock: HeldLock) -> None:
        lock.lose()
        if self._held.pop(lock.secret, None) is not None:
            self._lost += 1
            _log.warning("a lock was lost", lock=lock.name, token=lock.token)

    async def release(self, lock: Lock) -> bool:
        """Give it back; False when it was lost before."""
        if not isinstance(lock, HeldLock):
            raise TypeError(f"{lock!r} is not a lock of this manager")
        in_time = not lock.lost
        with anyio.CancelScope(shield=True):
            freed = await self._store.free(lock.name, lock.secret)
        if not (freed and in_time):
            self._note_lost(lock)
            return False
        self._held.pop(lock.secret, None)
        self._released += 1
        lock.lose()
        return True

    def hold(
        self, name: str, lease: Seconds = 30.0, wait: Seconds | None = None
    ) -> AbstractAsyncContextManager[Lock]:
        """Hold a lock for the body of ``async with``; its lease is extended as long as the body runs."""
        return self._hold(name, lease, wait)

    @asynccontextmanager
    async def _hold(self, name: str, lease: Seconds, wait: Seconds | None) -> AsyncIterator[Lock]:
        lock = await self.acquire(name, lease, wait)
        if lock is None:
            raise LockTimeoutError(f"the lock {name!r} was not free within {wait!r} s", name=name)
        failure: BaseException | None = None
        try:
            with anyio.CancelScope() as body:
                keeper = _Keeper(self, lock, body, self._clock)
                async with anyio.create_task_group() as group:
                    group.start_soon(keeper.run)
                    try:
                        yield lock
                    except BaseException as error:
                        failure = error  # kept out of the group, which would wrap it
                    group.cancel_scope.cancel()
            if failure is not None and not (
                keeper.lost and isinstance(failure, anyio.get_cancelled_exc_class())
            ):
                raise failure
        finally:
            released = await self._release_quietly(lock)
        if keeper.lost or not released:
            raise LockLostError(f"the lock {name!r} was lost while it was held", name=name)

    async def _release_quietly(self, lock: HeldLock) -> bool:
        try:
            return await self.release(lock)
        except StoreUnavailableError:
            if lock.lost:
                self._note_lost(lock)
                return False
            self._held.pop(lock.secret, None)
            return True  # it runs out by itself, and did not while the body ran

    async def stats(self) -> LockStats:
        """Return the figures."""
        await self.cleanup()  # what ran out since anybody looked is lost, and told so
        now = self.now()
        return LockStats(
            backend=self._store.backend,
            held=len(self._held),
            acquired=self._acquired,
            refused=self._refused,
            released=self._released,
            lost=self._lost,
            extended=self._extended,
            wait_seconds=percentiles(self._waits),
            names={lock.name: lock.valid_until - now for lock in tuple(self._held.values())},
        )

    async def cleanup(self) -> int:
        """Forget locks of this process whose lease ran out; how many."""
        gone = [lock for lock in tuple(self._held.values()) if lock.lost]
        for lock in gone:
            self._note_lost(lock)
        return len(gone)


class _Keeper:
    """Extends a lease while a body runs, and cancels the body when that fails for good."""

    def __init__(self, locks: Locks, lock: HeldLock, body: anyio.CancelScope, clock: Clock) -> None:
        self._locks = locks
        self._lock = lock
        self._body = body
        self._clock = clock
        self.lost = False

    async def run(self) -> None:
        """Extend at each third of the lease; while Redis is away, try until the lease is over."""
        pause = self._lock.lease / 3
        while True:
            left = self._lock.valid_until - self._locks.now()
            await self._clock.sleep(max(0.0, min(pause, left)))
            try:
                kept = await self._locks.extend(self._lock, self._lock.lease)
            except StoreUnavailableError:
                kept = not self._lock.lost
                pause = min(pause, 0.1)
            else:
                pause = self._lock.lease / 3
            if not kept:
                self.lost = True
                self._body.cancel()
                return


class MemoryLocks:
    """Locks of this process alone: what there is without Redis."""

    backend = "memory"

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: dict[str, tuple[str, float]] = {}
        self._watchers: dict[str, set[anyio.Event]] = {}
        self._last_token = 0

    async def take(self, name: str, token: str, lease: float) -> int:
        """Take a lock; returns the fencing token, or 0."""
        with self._lock:
            now = self._clock.monotonic()
            holder = self._taken.get(name)
            if holder is not None and now < holder[1]:
                return 0
            self._taken[name] = (token, now + lease)
            self._last_token = max(self._last_token + 1, int(self._clock.time() * 1_000_000))
            return self._last_token

    async def extend(self, name: str, token: str, lease: float) -> bool:
        """Begin the lease again."""
        with self._lock:
            now = self._clock.monotonic()
            holder = self._taken.get(name)
            if holder is None or holder[0] != token or now >= holder[1]:
                return False
            self._taken[name] = (token, now + lease)
            return True

    async def free(self, name: str, token: str) -> bool:
        """Give it back."""
        with self._lock:
            holder = self._taken.get(name)
            if holder is None or holder[0] != token:
                return False
            del self._taken[name]
            in_time = self._clock.monotonic() < holder[1]
        for event in tuple(self._watchers.get(name, ())):
            event.set()
        return in_time

    def watch(self, name: str) -> AbstractContextManager[Callable[[], anyio.Event]]:
        """Be woken when it may be free."""
        return _Watch(self._watchers, name)


class _Watch(AbstractContextManager[Callable[[], anyio.Event]]):
    def __init__(self, watchers: dict[str, set[anyio.Event]], name: str) -> None:
        self._watchers = watchers
        self._name = name
        self._mine: anyio.Event | None = None

    def __enter__(self) -> Callable[[], anyio.Event]:
        def following() -> anyio.Event:
            self._forget()
            self._mine = anyio.Event()
            self._watchers.setdefault(self._name, set()).add(self._mine)
            return self._mine

        return following

    def _forget(self) -> None:
        events = self._watchers.get(self._name)
        if events is not None and self._mine is not None:
            events.discard(self._mine)
            if not events:
                del self._watchers[self._name]

    def __exit__(self, *_: object) -> None:
        self._forget()
