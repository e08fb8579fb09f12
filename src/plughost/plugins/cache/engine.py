"""One cache's parts, put together: tiers, codec, counters, and how a value goes into and out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from plughost.contracts import Clock, get_logger, several
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.codec import Codec
from plughost.plugins.cache.config import CacheSettings
from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.flight import Flights
from plughost.plugins.cache.freshness import Freshness, Lifetime
from plughost.plugins.cache.listeners import Happening, Listeners
from plughost.plugins.cache.loadbreaker import LoadBreaker
from plughost.plugins.cache.memory import MemoryEntries
from plughost.plugins.cache.policies import policy_named
from plughost.plugins.cache.remote import Found, Remote
from plughost.plugins.cache.stats import Counts
from plughost.plugins.cache.tasks import OwnLoop

_LONGEST_KEY: Final = 4096
_MOST_TAGS: Final = 65_535
log = get_logger("plughost.cache")


def check_key(key: object) -> str:
    """Return a key that can be one in every tier.

    Raises:
        TypeError: It is not a string.
        ValueError: It is empty, too long, or cannot be written as UTF-8.
    """
    if not isinstance(key, str):
        raise TypeError(f"a key is a string, not {type(key).__name__}: build one with CacheKeys")
    if not key or len(key) > _LONGEST_KEY:
        raise ValueError(f"a key has from 1 to {_LONGEST_KEY} signs, not {len(key)}")
    if not key.isascii():
        key.encode()
    return key


def tags_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags that were checked, each once.

    Raises:
        TypeError: It is one string, or one of them is not a string.
        ValueError: One is empty, or there are more than an entry on a server can name.
    """
    if not tags:
        return ()
    checked = tuple(dict.fromkeys(check_key(tag) for tag in several("tags", tags)))
    if len(checked) > _MOST_TAGS:
        raise ValueError(
            f"an entry has at most {_MOST_TAGS} tags, not {len(checked)}: tag it by what they share"
        )
    return checked


def _find_nothing(key: str) -> None:
    """The hit path's look-up while the tier in memory may not answer."""


class Engine:
    """The parts of one cache.

    Args:
        name: Its name.
        settings: Its settings.
        clock: Time.
        home: Where background work runs.
        remote: The shared tier; None for a cache in memory only.
        codec: Encodes values; shared with ``remote``, so that both mean the same bytes.
        tell: Told of every event but hits.
    """

    def __init__(
        self,
        name: str,
        settings: CacheSettings,
        *,
        clock: Clock,
        home: OwnLoop,
        codec: Codec,
        remote: Remote | None = None,
        tell: Callable[[Happening], object] | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.home = home
        self.remote = remote
        self.codec = codec
        self.taken: Callable[[Any], Any] = (
            (lambda value: value) if settings.values == "objects" else codec.copy
        )
        """Returns a value as every tier gives it back; raises ``CacheValueError`` when it is not data."""
        self.monotonic = clock.monotonic
        self.sleep = clock.sleep
        self.counts = Counts(self.monotonic())
        self.listeners = Listeners(name, home, tell)
        policy = policy_named(settings.policy, settings.max_entries)
        self.memory = MemoryEntries(
            policy, self.monotonic, max_bytes=settings.max_bytes, on_gone=self._on_gone
        )
        self.flights = Flights(self.memory.clock)
        self.breaker = LoadBreaker(settings.load_failures, settings.load_pause, self.monotonic)
        self.freshness = Freshness.of(settings)
        self.reads: dict[str, int] = {}
        """Reads of the keys that are kept warm; the warmer puts them here and takes them out."""
        self.light = remote is None and settings.max_bytes is None
        """Whether there is memory alone and nobody counts bytes."""
        self.find: Callable[[str], Entry | None] = _find_nothing
        self._look: Callable[[str], Entry | None] = _find_nothing
        self.choose_tier()

    @property
    def tiered(self) -> bool:
        """Whether the tier in memory stands in front of Redis."""
        return self.remote is not None and self.remote.kind == "redis" and self.settings.tier != "redis"

    def choose_tier(self) -> None:
        """Decide whether memory may answer: called when Redis comes, goes, or is not heard of any more."""
        remote = self.remote
        if remote is None or not remote.available or (self.tiered and remote.coherent):
            self._look = self.memory.policy.find
        else:
            self._look = _find_nothing
        self.find = self._look_and_note if self.reads else self._look

    def _look_and_note(self, key: str) -> Entry | None:
        if key in self.reads:
            self.reads[key] += 1
        return self._look(key)

    def _on_gone(self, kind: str, key: str, cause: str) -> None:
        self.counts.gone(kind, cause)
        self.listeners.tell("evicted" if kind == "evicted" else "expired", key, cause)

    def pack(self, value: Any) -> tuple[Any, bytes | None, int]:
        """Return the value as every tier gives it back, its payload, and its weight.

        The payload is None when nothing but memory will hold the value and nobody counts bytes.

        Raises:
            CacheValueError: It is not data.
        """
        if self.light or self.settings.values == "objects":
            return self.taken(value), None, 0
        payload = self.codec.pack(value)
        return self.codec.copy(value, payload), payload, len(payload)

    def too_large(self, weight: int) -> bool:
        """Whether a value is larger than the cache takes; counts it."""
        settings = self.settings
        limit = settings.max_value_bytes if settings.max_bytes is None else min(
            settings.max_value_bytes, settings.max_bytes
        )  # fmt: skip
        if weight <= limit:
            return False
        self.counts.refused += 1
        log.warning("a value is too large for its cache", cache=self.name, size=weight, limit=limit)
        return True

    def entry(self, value: Any, life: Lifetime, tags: tuple[str, ...], weight: int) -> Entry:
        """Return what memory keeps of a value; in front of Redis for no longer than ``memory_ttl``."""
        entry = life.entry(value, self.monotonic(), tags, weight)
        if self.tiered and self.remote is not None and self.remote.available:
            self._cap(entry)
        return entry

    def _cap(self, entry: Entry) -> None:
        now = self.monotonic()
        spread = self.settings.jitter * self.freshness.random()
        cap = self.settings.memory_ttl * (1.0 - spread)
        if entry.fresh_until - now > cap:
            entry.ttl = cap
            entry.fresh_until = now + cap
            entry.refresh_at = min(entry.refresh_at, entry.fresh_until)

    def take_in(self, key: str, found: Found, since: int) -> None:
        """Put what Redis had into memory, unless something happened to it since it was asked for."""
        if self.remote is None or not self.tiered or not self.remote.coherent or found.fresh_for <= 0:
            return
        now = self.monotonic()
        entry = Entry(
            found.value,
            now + found.fresh_for,
            dead_at=now + found.kept_for,
            refresh_at=now + found.fresh_for - self.freshness.refresh * (found.age + found.fresh_for),
            ttl=found.age + found.fresh_for,
            tags=found.tags,
        )
        self._cap(entry)
        if self.settings.max_bytes is not None:
            entry.weight = len(self.codec.pack(found.value))
        self.memory.put(key, entry, since=since)

    async def ask_remote(self, key: str) -> tuple[bool, Found | None]:
        """Return whether Redis answered and what it had; takes it into memory."""
        remote = self.remote
        if remote is None or not remote.available:
            return False, None
        since = self.memory.clock.now
        try:
            answer = await remote.read(key)
        except StoreUnavailableError:
            return False, None
        if answer.found is not None:
            self.take_in(key, answer.found, since)
        return True, answer.found

    def after_fork(self) -> None:
        """In a forked child: no loop, no Redis, no flights of the parent."""
        if self.memory.after_fork():
            self.flights.after_fork()
            self.home.forget()
            if self.remote is not None:
                self.remote.forget()
            self.choose_tier()
