"""Where results are kept when no cache plugin runs: in this process, for a while, the oldest going first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any


class LocalResults:
    """A small cache with the one method that is needed."""

    def __init__(self, max_entries: int, now: Callable[[], float] = time.monotonic) -> None:
        self._max_entries, self._now = max_entries, now
        self._entries: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    async def get_or_set(self, key: str, loader: Callable[[], Awaitable[Any]], *, ttl: float) -> Any:
        """Return what is kept under the key, or what the loader returns, which is kept from now on."""
        until, value = self._entries.get(key, (0.0, None))
        if until > self._now():
            return value
        value = await loader()
        self._entries[key] = (self._now() + ttl, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        return value
