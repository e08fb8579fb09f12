"""Invalidations that could not be made while the shared tier was away, to be made first when it is back.

Only invalidations are remembered, never values: what was stored meanwhile is invalidated too, so that no older
value comes to light. When there are too many, one that invalidates everything takes their place.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from plughost.plugins.cache.patterns import KeyPattern


class MissedInvalidations(msgspec.Struct):
    """What has to be invalidated in one cache.

    Attributes:
        limit: How many items are remembered one by one.
        keys: Keys.
        tags: Tags.
        patterns: Patterns.
        everything: Whether it all has to go.
    """

    limit: int
    keys: dict[str, None] = msgspec.field(default_factory=dict)
    tags: dict[str, None] = msgspec.field(default_factory=dict)
    patterns: dict[KeyPattern, None] = msgspec.field(default_factory=dict)
    everything: bool = False

    def __len__(self) -> int:
        return len(self.keys) + len(self.tags) + len(self.patterns) + self.everything

    def note_keys(self, keys: Iterable[str]) -> None:
        """Remember keys."""
        self.keys.update(dict.fromkeys(keys))
        self._bound()

    def note_tags(self, tags: Iterable[str]) -> None:
        """Remember tags."""
        self.tags.update(dict.fromkeys(tags))
        self._bound()

    def note_pattern(self, pattern: KeyPattern) -> None:
        """Remember a pattern."""
        self.patterns[pattern] = None
        self._bound()

    def note_everything(self) -> None:
        """Remember that all has to go, which makes the rest superfluous."""
        self._empty()
        self.everything = True

    def _bound(self) -> None:
        if self.everything or len(self) > self.limit:
            self.note_everything()

    def _empty(self) -> None:
        self.keys, self.tags, self.patterns = {}, {}, {}
        self.everything = False

    def take(self) -> MissedInvalidations:
        """Return what is remembered and begin an empty one."""
        taken = MissedInvalidations(self.limit, self.keys, self.tags, self.patterns, self.everything)
        self._empty()
        return taken

    def put_back(self, other: MissedInvalidations) -> None:
        """Remember again what could not be made after all."""
        if other.everything:
            self.note_everything()
        self.note_keys(other.keys)
        self.note_tags(other.tags)
        for pattern in other.patterns:
            self.note_pattern(pattern)
