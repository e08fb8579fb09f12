"""What the facade asks of a tier that other processes share.

Every method may raise ``StoreUnavailableError``; what was to be invalidated is then noted by the tier and
done when it is back, so the facade only has to go on with what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from plughost.contracts import Tier
from plughost.plugins.cache.freshness import Lifetime
from plughost.plugins.cache.patterns import KeyPattern


class Snapshot(msgspec.Struct, frozen=True):
    """Where the shared logical clock stood.

    Attributes:
        epoch: Name of the clock; another one after data was lost.
        seq: Its count.
    """

    epoch: bytes
    seq: int


class Found(msgspec.Struct, frozen=True):
    """A value of the shared tier.

    Attributes:
        value: The value.
        age: Seconds since it was stored.
        fresh_for: Seconds it has left; 0 or less when stale.
        kept_for: Seconds until it is gone.
        tags: Its tags.
    """

    value: Any
    age: float
    fresh_for: float
    kept_for: float
    tags: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True):
    """What a read found.

    Attributes:
        snapshot: Where the shared clock stood; a load that begins now is stored against it.
        found: The value; None when there is none.
    """

    snapshot: Snapshot
    found: Found | None


class Lease(msgspec.Struct, frozen=True):
    """The right to be the one who loads.

    Attributes:
        key: The key.
        token: Proof of it; empty when somebody else has it.
        snapshot: Where the shared clock stood when it was asked for.
        found: A fresh value that had come meanwhile.
    """

    key: str
    token: str
    snapshot: Snapshot
    found: Found | None = None


class Parcel(msgspec.Struct, frozen=True):
    """A value on its way to the shared tier.

    Attributes:
        key: The key.
        payload: The encoded value.
        life: How long it lives.
        tags: Its tags.
        since: For what was loaded: the clock when the load began. None for what somebody stores.
        token: Lease to give back with it; empty for none.
    """

    key: str
    payload: bytes
    life: Lifetime
    tags: tuple[str, ...] = ()
    since: Snapshot | None = None
    token: str = ""


class Remote(Protocol):
    """A shared tier, for one named cache.

    Whatever changes something makes the memory in front of it forget that once more when the server has answered,
    even if the caller has been cancelled meanwhile.
    """

    kind: Tier
    """What stands there."""

    @property
    def available(self) -> bool:
        """Whether it answers."""

    def away(self) -> float:
        """Return how many seconds it has not answered since the start."""

    @property
    def coherent(self) -> bool:
        """Whether changes by others are heard of, so that a tier in memory may answer."""

    @property
    def echoes(self) -> bool:
        """Whether our own writes are told to us as changes too."""

    async def read(self, key: str) -> Answer:
        """Return what is there and where the shared clock stands."""

    async def read_many(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        """The same for several keys, in one round trip."""

    async def write(self, parcels: Sequence[Parcel]) -> Sequence[bool]:
        """Store values; which of them were stored."""

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove keys and overtake their loads; how many had a fresh value."""

    async def invalidate_tags(self, tags: Sequence[str]) -> None:
        """Invalidate by tag and overtake loads."""

    async def invalidate_matching(self, pattern: KeyPattern) -> int:
        """Invalidate by pattern and overtake loads; how many were removed."""

    async def clear(self) -> None:
        """Invalidate everything and overtake loads."""

    async def increment(self, key: str, by: int, life: Lifetime) -> int:
        """Add to an integer; ``life`` counts when it is made."""

    async def update(self, key: str, change: Callable[[Any, bool], Any], life: Lifetime) -> Any:
        """Replace a value by ``change(value, present)``, again if somebody else was faster."""

    async def replace(
        self, key: str, value: Any, wanted: Callable[[Any, bool], bool], life: Lifetime, tags: Sequence[str]
    ) -> bool:
        """Store if ``wanted(value, present)`` says so of what is there, again if somebody else was faster."""

    async def touch(self, key: str, life: Lifetime) -> bool:
        """Begin the life of a fresh value again; whether there was one."""

    async def lease(self, key: str, patience: float, tags: Sequence[str] = ()) -> Lease:
        """Ask to be the one who loads; wait at most that long for somebody else who is."""

    def give_back(self, lease: Lease, hold_for: float = 0.0) -> None:
        """Let others load, at once or after a while; does not wait, and tells nobody of failure."""

    async def keys(self, limit: int) -> list[str]:
        """Return some of the keys."""

    async def cleanup(self) -> int:
        """Remove what was invalidated but still takes room; how many entries that were."""

    def forget(self) -> None:
        """Called in a forked child: never answer again."""
