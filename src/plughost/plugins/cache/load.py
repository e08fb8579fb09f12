"""What a caller asked for, and running its loader."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec

from plughost.contracts import Loader, Seconds, call_loader
from plughost.exceptions import LoadTimeoutError
from plughost.plugins.cache.engine import Engine


class Load(msgspec.Struct, frozen=True):
    """What a caller asked for.

    Attributes:
        key: The key.
        loader: Makes the value.
        ttl: Seconds it lives; None takes the cache's.
        tags: Its tags.
        refresh: Refresh threshold; None takes the cache's.
        stale_for: Seconds it is kept past its time; None takes the cache's.
        blocking: The loader is a plain function that waits: run it in a worker thread.
        background: Nobody waits, there is a value, and it is early: only load if nobody else does.
        forced: Load even if there is a fresh value.
        renew_at: Age in seconds from which on a fresh value of the shared tier is loaded again, unless somebody else is
            at it; None goes by ``background`` and ``refresh``.
        threaded: Carried by the thread of a synchronous caller.
        limit: Seconds it may take when the cache has no ``load_timeout``; None for any time.
    """

    key: str
    loader: Loader
    ttl: Seconds | None = None
    tags: tuple[str, ...] = ()
    refresh: float | None = None
    stale_for: Seconds | None = None
    blocking: bool = False
    background: bool = False
    forced: bool = False
    renew_at: float | None = None
    threaded: bool = False
    limit: float | None = None

    async def run(self, engine: Engine) -> Any:
        """Run the loader under its limit, and count.

        Raises:
            StoreUnavailableError: It failed too often and is left alone for a while.
            LoadTimeoutError: It passed its limit.
        """
        engine.breaker.enter()
        began = engine.monotonic()
        try:
            value = await self._within(engine.settings.load_timeout or self.limit)
        except Exception as error:
            engine.counts.load_errors += 1
            engine.breaker.failed(error)
            raise
        engine.breaker.succeeded()
        engine.counts.loads += 1
        engine.counts.load_times.append(engine.monotonic() - began)
        return value

    async def _within(self, limit: float | None) -> Any:
        if limit is None or self.threaded:  # nothing can stop a thread
            return await call_loader(self.loader, blocking=self.blocking and not self.threaded)
        with anyio.move_on_after(limit) as scope:
            return await call_loader(self.loader, blocking=self.blocking)
        if not scope.cancelled_caught:
            raise RuntimeError("unreachable: the scope either returned or was cancelled")
        message = (
            f"the loader of {self.key!r} took longer than {limit:g} s; raise load_timeout or mend the source"
        )
        raise LoadTimeoutError(message, limit=limit)
