"""Errors as libraries really raise them, and which handlers meant for ordinary ones do not expect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import trio


class PanicException(BaseException):
    """As extension modules written in Rust raise it: not an ``Exception``."""


class MuteError(Exception):
    """An error whose text cannot be made.

    Args:
        instead: What its ``__str__`` and ``__repr__`` raise.
    """

    def __init__(self, instead: BaseException | None = None) -> None:
        super().__init__()
        self._instead = instead or RuntimeError("no text")

    def __str__(self) -> str:
        raise self._instead

    __repr__ = __str__


@dataclass(frozen=True)
class FrozenError(Exception):
    """An error on which nothing can be set: no note, no cause, and by Python's own context managers no traceback."""

    reason: str


class _Hiding(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # that is the point
        raise RuntimeError("no name")


class NamelessError(Exception, metaclass=_Hiding):
    """An error whose class does not tell its name."""


class Odd:
    """A value that raises whatever one does with it.

    Args:
        raises: What raises.
    """

    def __init__(self, raises: Callable[..., Any]) -> None:
        object.__setattr__(self, "_raises", raises)

    def _raise(self, *_: object) -> Any:
        object.__getattribute__(self, "_raises")()

    __repr__ = __str__ = __eq__ = __hash__ = __bool__ = __len__ = __iter__ = __format__ = _raise
    __getattribute__ = __getitem__ = __contains__ = __call__ = __lt__ = keys = items = _raise


KINDS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "OSError": (lambda: OSError("disk full"), "disk full"),
    "KeyError": (lambda: KeyError("lamp"), "lamp"),
    "StopIteration": (StopIteration, "StopIteration"),
    "StopAsyncIteration": (StopAsyncIteration, "StopAsyncIteration"),
    "RecursionError": (lambda: RecursionError("too deep"), "too deep"),
    "MemoryError": (MemoryError, "MemoryError"),
    "SystemExit": (lambda: SystemExit(3), "xit"),
    "SystemExit with an odd code": (lambda: SystemExit(MuteError()), "xit"),
    "GeneratorExit": (GeneratorExit, "GeneratorExit"),
    "panic": (lambda: PanicException("overflow"), "overflow"),
    "asyncio's cancellation": (asyncio.CancelledError, "Cancelled"),
    "trio's cancellation": (trio.Cancelled._create, "Cancelled"),
    "no text": (MuteError, "MuteError"),
    "no name": (NamelessError, ""),
    "frozen": (lambda: FrozenError("disk full"), "disk full"),
    "text that exits": (lambda: MuteError(SystemExit(4)), "MuteError"),
    "group": (lambda: ExceptionGroup("all", [OSError("disk full"), MuteError()]), "disk full"),
    "group of panics": (
        lambda: BaseExceptionGroup("all", [PanicException("overflow"), SystemExit(5)]),
        "overflow",
    ),
    "interrupt": (KeyboardInterrupt, "KeyboardInterrupt"),
    "group with an interrupt": (
        lambda: BaseExceptionGroup("all", [KeyboardInterrupt()]),
        "KeyboardInterrupt",
    ),
}
"""Each kind of error -> how to make one, and what whoever is told of it reads."""

INTERRUPTS = frozenset({"interrupt", "group with an interrupt"})
"""Those that are a plugin's own only where the person's cannot come: in any thread but the main one."""


def raising(kind: str) -> Callable[..., Any]:
    """Return a function that raises an error of that kind, whatever it is given."""

    def raises(*_: object, **__: object) -> Any:
        error = KINDS[kind][0]()
        raise error

    return raises
