"""What is heard of changes made elsewhere, and what memory does about it.

The server tells which entries changed, whoever changed them (tracking), and our own scripts tell what a server
cannot know: that a tag, a pattern or a whole cache was invalidated, and that a lease was given back. Without
tracking the scripts tell of changed keys too. Memory drops what it hears of and overtakes the fills under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import msgspec

from plughost.contracts import get_logger
from plughost.plugins.cache.memory import MemoryEntries
from plughost.plugins.cache.patterns import pattern_of
from plughost.plugins.cache.redis.names import entry_prefix, parse_entry

_log = get_logger("plughost.cache.redis")
_decode = msgspec.msgpack.Decoder(tuple[str, str, str, list[str]]).decode


class Coherence:
    """Hands what is heard to the memory it concerns.

    Args:
        namespace: Whose entries concern us.
        sender: What our names begin with, one for each connection: what we told ourselves we knew already.
        flushed: Called when the server was emptied.
    """

    def __init__(self, namespace: str, sender: bytes, flushed: Callable[[], None]) -> None:
        self._prefix = entry_prefix(namespace)
        self._sender = sender.decode()
        self._flushed = flushed
        self._memories: dict[str, MemoryEntries] = {}
        self._watchers: dict[tuple[str, str], set[anyio.Event]] = {}

    def bind(self, cache: str, memory: MemoryEntries) -> None:
        """From now on changes of that cache concern this memory."""
        self._memories[cache] = memory

    @contextmanager
    def watch(self, cache: str, key: str) -> Iterator[Callable[[], anyio.Event]]:
        """Be woken when a key changes or its lease is given back; yields the way to get the next event."""
        watchers = self._watchers.setdefault((cache, key), set())
        mine: list[anyio.Event] = []

        def following() -> anyio.Event:
            watchers.difference_update(mine)
            mine[:] = [anyio.Event()]
            watchers.update(mine)
            return mine[0]

        try:
            yield following
        finally:
            watchers.difference_update(mine)
            if not watchers and self._watchers.get((cache, key)) is watchers:
                del self._watchers[cache, key]

    def wake_all(self) -> None:
        """The connection is lost: nobody will be told anything."""
        for watchers in self._watchers.values():
            for event in watchers:
                event.set()

    def _wake(self, cache: str, key: str) -> None:
        for event in self._watchers.get((cache, key), ()):
            event.set()

    def heard(self, message: list[Any]) -> None:
        """Called with whatever the server says by itself."""
        push = bytes(message[0])
        if push == b"invalidate":
            self._tracked(message[1])
        if push != b"message":
            return
        try:
            sender, kind, cache, items = _decode(message[2])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            _log.warning("a message about cached values cannot be read", size=len(message[2]))
            return
        if kind in {"r", "k"}:
            for key in items:
                self._wake(cache, key)
        if not sender.startswith(self._sender):
            self.apply(cache, kind, items)

    def _tracked(self, keys: list[bytes] | None) -> None:
        if keys is None:
            self._flushed()
            return
        changed: dict[str, list[str]] = {}
        for name in keys:
            place = parse_entry(self._prefix, name)
            if place is not None:
                changed.setdefault(place[0], []).append(place[1])
        for cache, names in changed.items():
            memory = self._memories.get(cache)
            # Without a key: somebody who may not publish has changed more than entries.
            if memory is not None and "" in names:
                memory.clear()
            elif memory is not None:
                memory.drop(names)
            if self._watchers:
                for key in names:
                    self._wake(cache, key)

    def apply(self, cache: str, kind: str, items: Sequence[str]) -> None:
        """Let the memory of a cache forget what was changed: by others, or by ourselves once the server has answered.

        Args:
            cache: Name of the cache.
            kind: ``k`` keys, ``t`` tags, ``c`` everything, ``p`` a pattern.
            items: The keys or tags; kind and source of the pattern.
        """
        memory = self._memories.get(cache)
        if memory is None:
            return
        if kind == "k":
            memory.drop(items)
        elif kind == "t":
            memory.invalidate_tags(items)
        elif kind == "c":
            memory.clear()
        elif kind == "p":
            try:
                memory.invalidate_matching(pattern_of(*items))
            except ValueError:  # from a version that knows other patterns
                memory.clear()
