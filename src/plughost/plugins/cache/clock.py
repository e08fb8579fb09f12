"""The logical clock: decides whether what a load brings back is still worth storing.

Wall clocks of two machines differ, and a load's end says nothing about what it read. So every invalidation
moves a counter on, and every load remembers where the counter stood when it began. What it brings back may be
stored if, and only if, nothing that concerns its key, its tags or everything was invalidated since.

The tables are bounded, and wherever one forgets, it forgets towards "do not store": keys share buckets, and
tags that fell out of the table raise a floor. The scripts in ``redis.scripts`` keep the same clock on the
server.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

KeyMatcher = Callable[[str], object]


class LogicalClock:
    """Counts invalidations and answers whether a load has been overtaken by one.

    Whoever touches it holds the lock of the store it belongs to; asking needs none.

    Args:
        buckets: How many counters the keys share; a power of two.
        tags: How many tags are remembered one by one.
        patterns: How many patterns are remembered one by one.
    """

    def __init__(self, *, buckets: int = 1024, tags: int = 4096, patterns: int = 64) -> None:
        self.now = 0
        self._mask = buckets - 1
        self._keys = [0] * buckets
        self._tags: OrderedDict[str, int] = OrderedDict()
        self._tag_limit = tags
        self._patterns: deque[tuple[int, KeyMatcher]] = deque(maxlen=patterns)
        self._floor = 0
        self._tag_floor = 0

    def touch(self, key: str) -> None:
        """A key was invalidated, or written by somebody who knows better than any load."""
        self.now += 1
        self._keys[hash(key) & self._mask] = self.now

    def touch_keys(self, keys: Iterable[str]) -> None:
        """Keys were changed by somebody else, all at one moment."""
        self.now += 1
        moments, mask, now = self._keys, self._mask, self.now
        for key in keys:
            moments[hash(key) & mask] = now

    def touch_tags(self, tags: Iterable[str]) -> None:
        """Tags were invalidated."""
        self.now += 1
        for tag in tags:
            self._tags.pop(tag, None)
            self._tags[tag] = self.now
        while len(self._tags) > self._tag_limit:
            self._tag_floor = self._tags.popitem(last=False)[1]

    def touch_pattern(self, matches: KeyMatcher) -> None:
        """All keys that match were invalidated."""
        self.now += 1
        if len(self._patterns) == self._patterns.maxlen:
            self._floor = max(self._floor, self._patterns[0][0])
        self._patterns.append((self.now, matches))

    def touch_all(self) -> None:
        """Everything was invalidated."""
        self.now += 1
        self._floor = self.now

    def allows(self, since: int, key: str, tags: Iterable[str] = ()) -> bool:
        """Whether a load of ``key`` that began at ``since`` has been overtaken by nothing."""
        if since == self.now:
            return True
        if since < self._floor or since < self._keys[hash(key) & self._mask]:
            return False
        if any(since < self._tags.get(tag, self._tag_floor) for tag in tags):
            return False
        return not any(since < moment and matches(key) for moment, matches in tuple(self._patterns))
