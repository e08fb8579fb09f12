"""What a tier in memory keeps under a key."""

from __future__ import annotations

from math import inf
from typing import Any

import msgspec


class Entry(msgspec.Struct, eq=False):
    """One value with the moments of its life, on the monotonic clock.

    A struct of msgspec and shared floats keep it near 100 bytes. The policies use ``uses`` for their own
    book-keeping, so that no second object is needed per key.

    Attributes:
        value: What was stored.
        fresh_until: From here on it is stale.
        refresh_at: From here on a reader begins a new load in the background; ``fresh_until`` when none
            shall.
        dead_at: From here on it is not kept any more.
        ttl: Seconds from being stored to ``fresh_until``.
        tags: Tags it can be invalidated by.
        weight: Bytes it counts for; 0 when nobody counts.
        uses: The eviction policy's own.
        key: Set by policies whose queues hold entries.
    """

    value: Any
    fresh_until: float = inf
    refresh_at: float = inf
    dead_at: float = inf
    ttl: float = inf
    tags: tuple[str, ...] = ()
    weight: int = 0
    uses: int = 0
    key: str = ""

    __repr__ = object.__repr__  # values are for nobody's log

    def take_over(self, other: Entry) -> None:
        """Become the other one, in an order that no reader without a lock can misread.

        Readers look at the time first and at the value second, so the value is replaced first: whoever sees
        the new time sees the new value.
        """
        self.value = other.value
        self.tags = other.tags
        self.weight = other.weight
        self.ttl = other.ttl
        self.dead_at = other.dead_at
        self.refresh_at = other.refresh_at
        self.fresh_until = other.fresh_until

    def age(self, now: float) -> float:
        """Seconds since it was stored; 0.0 for one that never ends."""
        return 0.0 if self.ttl == inf else max(0.0, now - (self.fresh_until - self.ttl))
