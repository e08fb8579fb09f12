"""A store of somebody else over time: there, away, back again.

The first question that fails or takes too long counts as its absence: from then on everybody goes on in memory, at the
cost of looking at one flag. One task tries to come back, makes the invalidations that were missed, and lets everybody
ask again.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import anyio
import anyio.abc
import anyio.from_thread
from anyio.lowlevel import EventLoopToken, current_token

from plughost.contracts import SYSTEM_CLOCK, BytesStore, Clock, OpenedStore, error_line, get_logger
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.codec import Codec
from plughost.plugins.cache.config import CacheConfig, CacheSettings
from plughost.plugins.cache.memory import MemoryEntries
from plughost.plugins.cache.presence import Presence
from plughost.plugins.cache.remote import Remote
from plughost.plugins.cache.stats import Counts
from plughost.plugins.cache.stores.records import PROBE
from plughost.plugins.cache.stores.tier import StoreTier

_log = get_logger("plughost.cache.store")
T = TypeVar("T")


class StoreLink(Presence):
    """Implements ``manager.Link`` over a store.

    Args:
        config: The plugin's configuration.
        store: The store, not yet opened.
        now: Returns the time in seconds since 1970; it never goes back.
        clock: Measures how long the store is away.
    """

    def __init__(
        self, config: CacheConfig, store: BytesStore, now: Callable[[], float], *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        super().__init__(clock)
        self.config = config
        self.store = store
        self.now = now
        self.name = str(getattr(store, "name", type(store).__name__))
        self.thread: int | None = None
        self._tiers: dict[str, StoreTier] = {}
        self._token: EventLoopToken | None = None
        self._lost = anyio.Event()
        self._is_open = False

    # What the manager asks

    def attach(self, name: str, settings: CacheSettings, codec: Codec) -> Remote:
        """Return the shared tier of one cache."""
        return self._tiers.setdefault(name, StoreTier(self, name, codec))

    def bind(self, name: str, memory: MemoryEntries, counts: Counts) -> None:
        """Say where what was corrupt is counted; memory stands in front of no store."""
        self._tiers[name].counts = counts

    def status(self) -> Mapping[str, object]:
        """How it does."""
        return {
            "mode": "store",
            "server": self.name,
            "available": self.available,
            "away_seconds": round(self.away(), 3),
            "journal": sum(len(tier.journal) for tier in self._tiers.values()),
            "error": self._error,
        }

    # What the tiers ask

    async def ask(self, method: Callable[..., Coroutine[Any, Any, T]], *args: object) -> T:
        """Call a method of the store, within its limit.

        Raises:
            StoreUnavailableError: It failed, whatever of, or took too long; it counts as away from now on.
        """
        try:
            with anyio.fail_after(self.config.store_timeout):
                return await method(*args)
        except Exception as error:
            if self._note_away(error_line(error)):
                _log.warning("the store of the caches is away", store=self.name, error=self._error)
                self._tell(flush=False)
            self._lost.set()
            raise StoreUnavailableError(f"cache store {self.name!r} is away: {error_line(error)}") from error

    def call_home(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function in the store's loop, from a thread."""
        if self._token is None:
            raise StoreUnavailableError(f"cache store {self.name!r} is away")
        return anyio.from_thread.run(function, *args, token=self._token)

    # Coming and going

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Open the store, and come back to it until cancelled."""
        self.thread, self._token = threading.get_ident(), current_token()
        pause = self.config.backoff
        try:
            while True:
                self._lost = anyio.Event()
                came = await self._come()
                task_status.started()
                task_status = anyio.TASK_STATUS_IGNORED
                if came:
                    pause = self.config.backoff
                    await self._lost.wait()
                await self._clock.sleep(random.uniform(0, pause))  # noqa: S311 # spreads load, hides nothing
                pause = min(self.config.backoff_cap, pause * 2)
        finally:
            self.available = False
            if self._is_open and isinstance(self.store, OpenedStore):
                with anyio.CancelScope(shield=True):
                    try:
                        with anyio.move_on_after(self.config.store_timeout):
                            await self.store.close()
                    except Exception as error:
                        # A stranger's store may raise anything, and nothing follows from it.
                        _log.warning(
                            "the store of the caches did not close", store=self.name, error=error_line(error)
                        )

    async def _come(self) -> bool:
        """Try whether it is there; make what was missed before anybody else may ask."""
        try:
            if isinstance(self.store, OpenedStore) and not self._is_open:
                await self.ask(self.store.open)
                self._is_open = True
            await self.ask(self.store.find, PROBE)
            for tier in self._tiers.values():
                await tier.replay()
        except StoreUnavailableError:
            return False
        self._note_there()
        _log.info("the store of the caches is there", store=self.name)
        self._tell(flush=True)
        return True
