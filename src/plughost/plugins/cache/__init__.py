"""The first-party cache plugin: named caches, locks and rate limits, in memory and in Redis.

``manager`` makes caches; ``cache`` is one, for who awaits, ``sync`` for who cannot. A hit ends in ``memory``, a miss
goes through ``loading``, a change through ``writing``. What processes share is behind ``remote``: ``redis``, or
``stores`` over three methods.
"""

from __future__ import annotations

from plughost.plugins.cache.plugin import CachePlugin

__all__ = ["CachePlugin"]
