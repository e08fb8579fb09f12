"""Who waits for whom: a loader that waits for its own result is told so at once.

A loader runs in a context that knows the flights it carries, and each flight knows what its loader waits for. Whoever
begins to wait looks along these lines; when they lead back to a flight of its own, nobody would ever be answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from plughost.exceptions import LoadCircleError


class Waiting(Protocol):
    """A flight, as far as it can be part of a circle."""

    key: str
    done: bool
    waits_for: list[Waiting]


_carried: ContextVar[tuple[Waiting, ...]] = ContextVar("plughost_cache_carried", default=())


@contextmanager
def carrying(flights: Sequence[Waiting]) -> Iterator[None]:
    """What is called in the body loads these."""
    before = _carried.set(tuple(flights))
    try:
        yield
    finally:
        _carried.reset(before)


@contextmanager
def waiting_for(flight: Waiting) -> Iterator[None]:
    """The body waits for a flight.

    Raises:
        LoadCircleError: The flight waits, at last, for the loader that waits here.
    """
    mine = [own for own in _carried.get() if not own.done]
    for own in mine:
        own.waits_for.append(flight)
    try:
        for own in mine:
            circle = _way(flight, own)
            if circle is not None:
                keys = (own.key, *circle)
                chain = " waits for ".join(map(repr, keys))
                raise LoadCircleError(f"loading {chain}: give these loaders what they need", keys=keys)
        yield
    finally:
        for own in mine:
            own.waits_for.remove(flight)


def _way(start: Waiting, end: Waiting) -> tuple[str, ...] | None:
    """Return the keys on the way from one flight to another; None when there is none."""
    seen: set[int] = set()
    todo: list[tuple[Waiting, tuple[str, ...]]] = [(start, (start.key,))]
    while todo:
        flight, keys = todo.pop()
        if flight is end:
            return keys
        if id(flight) not in seen and not flight.done:
            seen.add(id(flight))
            todo += [(after, (*keys, after.key)) for after in tuple(flight.waits_for)]
    return None
