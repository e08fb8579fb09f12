"""Rate limits: how often somebody may do something, and how often they still may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from plughost._dataclasses import dataclass
from plughost.contracts.plugin import Seconds

OutagePolicy = Literal["local", "open", "closed"]
"""What a limit does while Redis is away: count in this process, let pass, or refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many in so long, in a window that slides.

    Attributes:
        limit: How many.
        window: In how many seconds.
        outage: What to do while Redis is away.
        name: How configuration, reports and headers call it.
    """

    limit: int
    window: float
    outage: OutagePolicy = "local"
    name: str = ""


class LimitResult(Struct, frozen=True, kw_only=True):
    """What a check found; a frozen dataclass would take twenty times as long to make, and most requests make one.

    Attributes:
        allowed: Whether it may be done; if not, nothing was counted.
        limit: How many may be done in the window.
        remaining: How many still may be done now.
        reset_after: Seconds until all of the window is free again, if nothing more is done.
        retry_after: Seconds until the same may be asked again with success; 0.0 when allowed.
        name: Which limit decided, when several were asked.
        degraded: Whether Redis was away and the limit's outage policy decided.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_after: float
    retry_after: float = 0.0
    name: str = ""
    degraded: bool = False

    def __bool__(self) -> bool:
        """Whether it may be done."""
        return self.allowed


class RateLimiter(Protocol):
    """Counts and decides in one step; exact up to 1,000 in a window, above it to a tenth of the window."""

    async def check(
        self,
        key: str,
        window: Seconds,
        limit: int,
        cost: int = 1,
        *,
        peek: bool = False,
        outage: OutagePolicy = "local",
    ) -> LimitResult:
        """Count ``cost`` against ``key`` and say whether that was allowed.

        Args:
            key: Who and what, such as ``user:123:combat``.
            window: Length of the window.
            limit: How many are allowed in it.
            cost: How many this one counts for; 0 asks only.
            peek: Ask whether it would be allowed, and count nothing.
            outage: What to do while Redis is away.

        Raises:
            ValueError: Limit below 1, window not above 0, or cost negative.
        """

    async def check_all(
        self, limits: Mapping[str, Limit] | Sequence[tuple[str, Limit]], cost: int = 1
    ) -> LimitResult:
        """Count against several keys in one step: all or none. Returns the result of the strictest."""

    async def check_named(self, name: str, subject: str, cost: int = 1) -> LimitResult:
        """Check a ready-made limit of the configuration, such as ``auth``, ``chat``, ``combat`` or ``api``.

        Raises:
            LookupError: The configuration has no such limit.
        """

    async def reset(self, key: str, window: Seconds, limit: int) -> None:
        """Forget what was counted for a key under that window and limit."""

    @property
    def limits(self) -> Mapping[str, Limit]:
        """The ready-made limits by name."""
