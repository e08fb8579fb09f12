"""The connection to Redis as those see it who ask through it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from plughost.plugins.cache.config import CacheConfig
from plughost.plugins.cache.redis.coherence import Coherence
from plughost.plugins.cache.redis.lane import Question
from plughost.plugins.cache.redis.rights import Rights

T = TypeVar("T")


class Line(Protocol):
    """The connection, as far as tiers, locks and limits need it."""

    config: CacheConfig
    sender: bytes
    coherence: Coherence
    thread: int | None
    generation: int
    available: bool
    gone: list[bytes]
    rights: Rights

    def away(self) -> float:
        """Return how many seconds the server has been away."""

    @property
    def coherent(self) -> bool:
        """Whether changes by others are heard of."""

    @property
    def echoes(self) -> bool:
        """Whether we are told of our own writes."""

    @property
    def tracking(self) -> bool:
        """Whether the server itself tells which entries change."""

    @property
    def shards(self) -> int:
        """Hash slots of a cache."""

    def put(self, question: Question) -> None:
        """Ask something."""

    def put_first(self, question: Question) -> None:
        """Ask something on a connection that is being set up."""

    def scan(self, pattern: bytes) -> Any:
        """Iterate over pages of matching key names."""

    async def finish(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run something to its end, whatever becomes of the caller."""

    def call_home(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function in the line's own loop, from a thread."""
