"""Who wants to know what happens in a cache."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import get_args

from plughost.contracts import CacheEvent, CacheEventKind, call_loader, check_function, error_line, get_logger
from plughost.exceptions import did_you_mean
from plughost.plugins.cache.tasks import OwnLoop

_KINDS = frozenset(get_args(CacheEventKind))
_log = get_logger("plughost.cache")

Callback = Callable[[CacheEvent], object]

Happening = tuple[str, str, CacheEventKind, str]
"""Cache, key, kind and cause: what an event is made of once somebody wants one."""


class Listeners:
    """Callbacks by kind of event; telling costs nothing while there are none.

    Attributes:
        everything: Told what happened, hits aside, for the hook ``cache_event``; None for nobody.

    Args:
        cache: Name of the cache.
        home: Where asynchronous callbacks run.
        everything: As above.
    """

    def __init__(
        self, cache: str, home: OwnLoop, everything: Callable[[Happening], object] | None = None
    ) -> None:
        self._cache = cache
        self._home = home
        self.everything = everything
        self._by_kind: dict[str, list[Callback]] = {}

    def on(self, kind: str, callback: Callback) -> Callable[[], None]:
        """Add a callback; returns the way to remove it.

        Raises:
            ValueError: There is no such kind of event.
            TypeError: The callback cannot be called.
        """
        check_function(callback, "on")
        if kind not in _KINDS:
            raise ValueError(f"there is no cache event {kind!r}.{did_you_mean(kind, _KINDS)}")
        callbacks = self._by_kind.setdefault(kind, [])
        callbacks.append(callback)

        def stop() -> None:
            if callback in callbacks:
                callbacks.remove(callback)

        return stop

    def wants(self, kind: str) -> bool:
        """Whether anybody listens to that kind in particular."""
        return bool(self._by_kind.get(kind))

    def tell(self, kind: CacheEventKind, key: str, cause: str = "") -> None:
        """Tell everyone; never raises."""
        if self.everything is not None and kind != "hit":
            self.everything((self._cache, key, kind, cause))
        if special := self._by_kind.get(kind):
            event = CacheEvent(cache=self._cache, key=key, kind=kind, cause=cause)
            for callback in tuple(special):
                try:
                    result = callback(event)
                    if inspect.isawaitable(result):
                        self._home.spawn(self._finish, result, event)
                except (Exception, SystemExit, GeneratorExit) as error:
                    self._failed(event, error)

    async def _finish(self, result: object, event: CacheEvent) -> None:
        try:
            await call_loader(lambda: result)
        except Exception as error:
            self._failed(event, error)

    def _failed(self, event: CacheEvent, error: BaseException) -> None:
        line = error_line(error)
        _log.warning("a listener of a cache failed", cache=self._cache, event_kind=event.kind, error=line)
