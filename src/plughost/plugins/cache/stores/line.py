"""A store as a tier sees it: how to ask it, and whether it is there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from plughost.contracts import BytesStore
from plughost.plugins.cache.config import CacheConfig

T = TypeVar("T")


class StoreLine(Protocol):
    """The store over time, as far as tiers need it."""

    config: CacheConfig
    store: BytesStore
    now: Callable[[], float]
    name: str
    available: bool
    thread: int | None

    def away(self) -> float:
        """Return how many seconds the store has been away."""

    async def ask(self, method: Callable[..., Coroutine[Any, Any, T]], *args: object) -> T:
        """Call a method of the store, within its limit."""

    def call_home(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function in the store's own loop, from a thread."""
