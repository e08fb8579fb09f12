"""What a tier in memory keeps under a key."""

from __future__ import annotations

from typing import Any


class Entry:
    """One value with the moments of its life, on the monotonic clock.

    ``slots`` and shared floats keep it near 100 bytes. The policies use ``uses`` for their own book-keeping,
    so that no second object is needed per key.

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

    __slots__ = ("dead_at", "fresh_until", "key", "refresh_at", "tags", "ttl", "uses", "value", "weight")

    def __init__(
        self,
        value: Any,
        fresh_until: float = float("inf"),
        *,
        refresh_at: float | None = None,
        dead_at: float | None = None,
        ttl: float = float("inf"),
        tags: tuple[str, ...] = (),
        weight: int = 0,
    ) -> None:
        self.value = value
        self.fresh_until = fresh_until
        self.refresh_at = fresh_until if refresh_at is None else refresh_at
        self.dead_at = fresh_until if dead_at is None else dead_at
        self.ttl = ttl
        self.tags = tags
        self.weight = weight
        self.uses = 0
        self.key = ""

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
        return 0.0 if self.ttl == float("inf") else max(0.0, now - (self.fresh_until - self.ttl))
