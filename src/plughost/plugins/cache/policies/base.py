"""What the memory tier asks of an eviction policy, and how one looks like a cachetools cache.

A policy keeps ``Entry`` objects under keys, at most ``maxsize`` of them. ``find`` counts as a use; it is the
hit path and takes no lock: one dictionary look-up and a note are each atomic, so a reader in another thread
sees the entry or does not. ``put``, ``discard`` and ``evict`` are called under the store's lock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.stats import Counts

OnEvict = Callable[[str, Entry], None]


Get = Callable[..., Any]
"""``get(key, default=None)`` of a synchronous cache."""


class EvictionPolicy(ABC):
    """What the memory tier needs."""

    on_evict: OnEvict = staticmethod(lambda _key, _entry: None)  # until somebody wants to know

    @abstractmethod
    def find(self, key: str) -> Entry | None:
        """Return the entry and count a use of it; None when it is not there."""

    @abstractmethod
    def peek(self, key: str) -> Entry | None:
        """Return the entry without counting."""

    @abstractmethod
    def put(self, key: str, entry: Entry) -> None:
        """Store; what has to go for it is told to ``on_evict``."""

    @abstractmethod
    def discard(self, key: str) -> Entry | None:
        """Remove and return; None when it is not there."""

    @abstractmethod
    def evict(self) -> tuple[str, Entry]:
        """Remove and return what is worth least. Raises ``KeyError`` when empty."""

    @abstractmethod
    def keys_now(self) -> list[str]:
        """Return the keys at this moment."""

    @abstractmethod
    def wipe(self) -> None:
        """Remove everything."""

    @abstractmethod
    def __len__(self) -> int: ...

    def getter(self, now: Callable[[], float], counts: Counts, slow: Callable[[str, Any], Any]) -> Get | None:
        """Return a synchronous hit in one piece, or None: a method call costs most of what such a hit costs.

        Args:
            now: Returns the time.
            counts: Where a hit is counted.
            slow: Called with key and default when there is no hit.
        """
        return None


class Policy(EvictionPolicy, MutableMapping[str, Any]):
    """A policy that can also be used by itself, wherever a cachetools cache can.

    Args:
        maxsize: How many entries it keeps; at least 1.
        getsizeof: As in cachetools; this class counts entries, so only None is taken.
    """

    def __init__(self, maxsize: int, getsizeof: Callable[[Any], float] | None = None) -> None:
        if maxsize < 1:
            raise ValueError(f"maxsize must be at least 1, not {maxsize}")
        if getsizeof is not None:
            raise ValueError("this policy counts entries; bound bytes by the cache's max_bytes")
        self.maxsize = maxsize

    @property
    def currsize(self) -> int:
        """How many entries there are."""
        return len(self)

    def __getitem__(self, key: str) -> Any:
        entry = self.find(key)
        return self.__missing__(key) if entry is None else entry.value

    def __missing__(self, key: str) -> Any:
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self.put(key, Entry(value))

    def __delitem__(self, key: str) -> None:
        if self.discard(key) is None:
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.peek(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys_now())

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value and count a use, or the default."""
        entry = self.find(key)
        return default if entry is None else entry.value

    def popitem(self) -> tuple[str, Any]:
        """Evict one entry and return it, as cachetools does."""
        key, entry = self.evict()
        return key, entry.value

    def clear(self) -> None:
        """Remove everything; nothing is told to ``on_evict``."""
        self.wipe()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(maxsize={self.maxsize}, currsize={len(self)})"
