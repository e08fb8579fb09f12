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


_carried: ContextVar[Waiting | None] = ContextVar("plughost_cache_carried", default=None)


@contextmanager
def carrying(flights: Sequence[Waiting]) -> Iterator[None]:
    """What is called in the body loads these, of which there is at least one.

    They end together and wait for the same: so one list is enough, and tells which flights are carried together.
    """
    first = flights[0]
    for flight in flights:
        flight.waits_for = first.waits_for
    before = _carried.set(first)
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
    own = _carried.get()
    if own is None or own.done:
        yield
        return
    own.waits_for.append(flight)
    try:
        circle = _way(flight, own)
        if circle is not None:
            keys = (circle[-1], *circle)
            chain = " waits for ".join(map(repr, keys))
            raise LoadCircleError(f"loading {chain}: give these loaders what they need", keys=keys)
        yield
    finally:
        own.waits_for.remove(flight)


def _way(start: Waiting, end: Waiting) -> tuple[str, ...] | None:
    """Return the keys from one flight to one that is carried with the other; None when no way leads there."""
    seen: set[int] = set()
    todo: list[tuple[Waiting, tuple[str, ...]]] = [(start, (start.key,))]
    while todo:
        flight, keys = todo.pop()
        if flight.waits_for is end.waits_for:
            return keys
        if id(flight) not in seen and not flight.done:
            seen.add(id(flight))
            todo += [(after, (*keys, after.key)) for after in tuple(flight.waits_for)]
    return None
