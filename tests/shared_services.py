"""Services that plugins of tests provide and use across processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Beam:
    """How bright, and in which colours."""

    lumen: int
    colours: tuple[str, ...] = ()


@runtime_checkable
class Lamp(Protocol):
    """A service that can be called from another process."""

    async def shine(self, beam: Beam, /, times: int = 1, *, by: str = "nobody") -> list[Beam]:
        """Shine."""

    async def fail(self, how: str) -> None:
        """Fail in some way."""


class Dim(Protocol):
    """A service with a member that is called without ``await``."""

    async def shine(self) -> None:
        """Shine."""

    def is_on(self) -> bool:
        """Whether it shines."""


class Valued(Protocol):
    """A service with an attribute."""

    lumen: int


class Piped(Protocol):
    """A service that hands out live objects."""

    async def pipe(self) -> LampBox:
        """Return one."""


class Wide(Protocol):
    """A service that takes anything."""

    async def take(self, *everything: int) -> None:
        """Take it."""


class LampBox:
    """A class of which no other process has a copy."""
