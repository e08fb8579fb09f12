"""The same cache for callers without an event loop: scripts, threads, WSGI.

What memory can answer is answered in the caller's thread. A miss is loaded in that thread too, in a flight
that tasks and other threads join. Only what needs Redis goes through the host's loop.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar, cast

from plughost.contracts import Loader, Seconds
from plughost.plugins.cache.circles import waiting_for
from plughost.plugins.cache.conditional import Conditions
from plughost.plugins.cache.engine import Engine, check_key, tags_of
from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.flight import Abandoned, CarrierLost
from plughost.plugins.cache.load import Load
from plughost.plugins.cache.loading import Loads, lost_once
from plughost.plugins.cache.looking import Looks
from plughost.plugins.cache.portal import PortalRemote
from plughost.plugins.cache.remote import Remote
from plughost.plugins.cache.writing import Writes

T = TypeVar("T")


def step_without_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never has to wait for a loop.

    Raises:
        RuntimeError: It had to.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    coroutine.close()
    raise RuntimeError("this loader waits for an event loop: give the blocking cache a plain function")


class BlockingCache:
    """Implements ``plughost.contracts.SyncCache``; see there for what each method promises."""

    def __init__(
        self, engine: Engine, loads: Loads, writes: Writes, looks: Looks, conditions: Conditions
    ) -> None:
        self._engine = engine
        self._counts = engine.counts
        self._monotonic = engine.monotonic
        self._loads = loads
        self._writes = writes
        self._looks = looks
        self._conditions = conditions
        self._find = engine.find
        self.follow(engine.find)
        self._portal = None if engine.remote is None else PortalRemote(engine.remote, engine.home)

    def follow(self, find: Callable[[str], Entry | None]) -> None:
        """Called when another tier has to answer first."""
        self._find = find
        policy = self._engine.memory.policy
        self.__dict__.pop("get", None)
        if find == policy.find:  # nobody listens in between
            flat = policy.getter(self._monotonic, self._counts, self._get_slowly)
            if flat is not None:
                self.__dict__["get"] = flat

    def get(self, key: str, default: Any = None) -> Any:
        """Return the fresh value of ``key``, or ``default``."""
        entry = self._find(key)
        if entry is not None and self._monotonic() < entry.fresh_until:
            self._counts.hits += 1
            return entry.value
        return self._get_slowly(key, default)

    def _get_slowly(self, key: str, default: Any) -> Any:
        check_key(key)
        self._engine.after_fork()
        answered, value = False, _NOTHING
        if self._portal is not None and self._portal.available:
            answered, found = self._engine.home.call(self._engine.ask_remote, key)
            value = found.value if found is not None and found.fresh_for > 0 else _NOTHING
        if not answered:
            entry = self._engine.memory.peek(key)
            answered = entry is not None and self._monotonic() < entry.fresh_until
            value = entry.value if entry is not None else None
        if answered and value is not _NOTHING:
            self._counts.hits += 1
            return value
        self._counts.misses += 1
        self._engine.listeners.tell("miss", key)
        return default

    def exists(self, key: str) -> bool:
        """Whether a fresh value is there."""
        return self._run(self._looks.exists, check_key(key))

    def set(self, key: str, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()) -> bool:
        """Store a value."""
        if self._engine.light:
            self._engine.after_fork()
            return self._writes.set_here(check_key(key), value, ttl, tags_of(tags))
        return bool(self._run(self._writes.set_many, {check_key(key): value}, ttl, tags_of(tags)))

    def add(self, key: str, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()) -> bool:
        """Store a value if no fresh one is there."""
        return self._run(self._conditions.add, check_key(key), value, ttl, tags_of(tags))

    def touch(self, key: str, ttl: Seconds | None = None) -> bool:
        """Begin the life of a fresh value again."""
        return self._run(self._conditions.touch, check_key(key), ttl)

    def compare_and_set(
        self, key: str, expected: Any, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> bool:
        """Store a value if the fresh one that is there equals ``expected``."""
        return self._run(
            self._conditions.compare_and_set, check_key(key), expected, value, ttl, tags_of(tags)
        )

    def delete(self, key: str) -> bool:
        """Remove a key."""
        return bool(self._run(self._writes.delete, [check_key(key)]))

    def invalidate_tag(self, *tags: str) -> int:
        """Invalidate by tag."""
        return self._run(self._writes.invalidate_tags, tags_of(tags))

    def clear(self) -> None:
        """Invalidate everything."""
        self._run(self._writes.clear)

    def _run(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        self._engine.after_fork()
        if self._portal is not None and self._engine.home.running:
            return self._engine.home.call(function, *args)
        return step_without_loop(function(*args))

    def get_or_set(
        self,
        key: str,
        loader: Loader,
        ttl: Seconds | None = None,
        tags: Iterable[str] = (),
        *,
        refresh_threshold: float | None = None,
        stale_for: Seconds | None = None,
    ) -> Any:
        """Return the value of ``key``; on a miss let one loader make it, in this thread."""
        entry = self._find(key)
        if (
            entry is not None
            and refresh_threshold is None
            and self._monotonic() < entry.refresh_at <= entry.fresh_until
        ):
            self._counts.hits += 1
            return entry.value
        self._engine.after_fork()
        load = Load(check_key(key), loader, ttl, tags_of(tags), refresh_threshold, stale_for, threaded=True)
        if inspect.iscoroutinefunction(loader):
            return self._engine.home.call(self._loads.value_of, load)
        return self._load(load)

    def _load(self, load: Load) -> Any:
        lost: CarrierLost | None = None
        while True:
            entry = self._engine.memory.peek(load.key) if self._loads.may_answer() else None
            if entry is not None and self._loads.answers(entry, load):
                return entry.value
            flight, carries = self._engine.flights.join(load.key, load.tags)
            if carries:
                remote = cast("Remote | None", self._portal)
                step_without_loop(self._loads.carry(flight, load, remote))
            elif flight.thread == threading.get_ident():
                # Carried by a task of this very thread, which cannot be waited for.
                with waiting_for(flight):
                    return step_without_loop(load.run(self._engine))
            try:
                value = flight.wait_blocking()
            except Abandoned as end:
                lost = lost_once(end, lost)
                continue
            self._loads.count(flight, carries, load.key)
            return value


_NOTHING = object()
