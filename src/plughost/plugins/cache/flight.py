"""One load per key: everyone who asks while it is under way waits for the same flight.

A flight is finished by whatever carries it (a task of the cache, or the thread of a synchronous caller) and
waited for from any task, thread or loop. Waiters can be cancelled at will; the flight does not notice. When
the carrier itself goes down with its loop, the flight is abandoned and the waiters start again.
"""

from __future__ import annotations

import threading
from typing import Any

import anyio
import anyio.to_thread

from plughost.plugins.cache.circles import Waiting, waiting_for
from plughost.plugins.cache.clock import LogicalClock


class Abandoned(Exception):  # not an error of anybody: a reason to start again
    """The carrier was cancelled before it had a result."""


class CarrierLost(Abandoned):
    """The carrier was cancelled: with its loop, or by the loader itself, which would do so again each time."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the loader of {key!r} ended the task that ran it")


class Flight:
    """One load under way.

    Attributes:
        key: What is loaded.
        since: Where the logical clock stood when it began.
        tags: Tags the value will have, as far as they are known.
        loaded: Whether the loader ran; False when another tier had the value.
        age: Seconds since another tier has had the value.
        thread: The thread that carries it.
        waits_for: The flights its loader waits for.
    """

    __slots__ = (
        "_blocked",
        "_error",
        "_event",
        "_lock",
        "_value",
        "age",
        "done",
        "key",
        "loaded",
        "since",
        "tags",
        "thread",
        "waits_for",
    )

    def __init__(self, key: str, since: int, tags: tuple[str, ...] = ()) -> None:
        self.key = key
        self.since = since
        self.tags = tags
        self.waits_for: list[Waiting] = []
        self.loaded = False
        self.age = 0.0
        self.thread = threading.get_ident()
        self.done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._event: anyio.Event | None = None
        self._blocked: threading.Event | None = None

    def finish(self, value: Any, *, loaded: bool, age: float = 0.0) -> None:
        """End well; called once by the carrier, in its thread."""
        self._value = value
        self.loaded, self.age = loaded, age
        self._end()

    def fail(self, error: BaseException) -> None:
        """End badly: everyone who waits gets this error."""
        self._error = error
        self.loaded = True
        self._end()

    def _end(self) -> None:
        with self._lock:
            self.done = True
            if self._blocked is not None:
                self._blocked.set()
        if self._event is not None:
            self._event.set()

    async def wait(self) -> Any:
        """Return the value or raise the error.

        Raises:
            Abandoned: There will be none; ask again.
            LoadCircleError: It waits for whoever waits here.
        """
        if not self.done:
            with waiting_for(self):
                if self.thread == threading.get_ident():
                    if self._event is None:
                        self._event = anyio.Event()
                    await self._event.wait()
                else:
                    await anyio.to_thread.run_sync(self._wait_in_thread, abandon_on_cancel=True)
        return self.result()

    def _wait_in_thread(self) -> None:
        with self._lock:
            if self.done:
                return
            if self._blocked is None:
                self._blocked = threading.Event()
            blocked = self._blocked
        blocked.wait()

    def wait_blocking(self) -> Any:
        """The same for a thread that is not the carrier's."""
        if not self.done:
            with waiting_for(self):
                self._wait_in_thread()
        return self.result()

    def result(self) -> Any:
        """Return the value or raise the error of a flight that is done."""
        if self._error is not None:
            raise self._error
        return self._value


class Flights:
    """The loads under way in one cache."""

    def __init__(self, clock: LogicalClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._flights: dict[str, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: str, tags: tuple[str, ...] = ()) -> tuple[Flight, bool]:
        """Return the flight to wait for and whether the caller has to carry it.

        A flight that an invalidation has overtaken is left to those who wait for it already.
        """
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None and not flight.done and self._clock.allows(flight.since, key, flight.tags):
                return flight, False
            flight = self._flights[key] = Flight(key, self._clock.now, tags)
            return flight, True

    def under_way(self, key: str) -> bool:
        """Whether somebody loads it, with a result that may be used."""
        flight = self._flights.get(key)
        return flight is not None and not flight.done and self._clock.allows(flight.since, key, flight.tags)

    def leave(self, flight: Flight) -> None:
        """The flight is over: the next caller begins a new one."""
        with self._lock:
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]

    def after_fork(self) -> None:
        """Forget flights whose carriers stayed in the parent."""
        self._lock = threading.Lock()
        self._flights.clear()
