"""Whether this host is a member, until when, and what time it is in the fleet."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from plughost.contracts import Clock, HeldRun

_WRONG_FROM = 30.0  # seconds


class Membership:
    """What this process knows of its own place in the fleet. Touched in the event loop only.

    A host must know by itself when it may have been given up: it measures from the moment at which it *sent* its last
    good beat, on its own monotonic clock, and stops a little before the store would call it lost.

    Args:
        name: Its name in the fleet.
        ttl: Seconds after a beat until the store counts it as lost.
        clock: Time.
    """

    def __init__(self, name: str, ttl: float, clock: Clock) -> None:
        self.name = name
        self.incarnation = 0
        self.epoch = ""
        self.members = 0
        self.applied = 0
        self.refused = ""
        self.draining = False
        self.understands = True  # what holds for all; who does not leads nobody
        self.error = ""
        self.ttl = ttl
        self._margin = min(1.0, ttl / 10)
        self._clock = clock
        self._until = 0.0
        self._sent: float | None = None
        self._took = 0.0
        self._offset = clock.time() - clock.monotonic()
        self._held: dict[int, tuple[HeldRun, anyio.Event]] = {}
        self._listeners: list[Callable[[], None]] = []

    @property
    def connected(self) -> bool:
        """Whether it may do what only one host does."""
        return bool(self.incarnation) and self._clock.monotonic() < self._until

    @property
    def lease(self) -> int:
        """Milliseconds for which a run is this host's after each beat: longer than it may go on by itself."""
        return round(self.ttl * 1000)

    def now(self) -> float:
        """Return the store's time, as far as it is known here."""
        return self._clock.monotonic() + self._offset

    @property
    def silence(self) -> float:
        """Seconds since what was answered last was sent; 0 before the first answer."""
        return 0.0 if self._sent is None else self._clock.monotonic() - self._sent

    @property
    def wrong_clock(self) -> str:
        """How far the wall clock here is from the store's, for people: nothing of the fleet goes by it."""
        ahead = self._clock.time() - self.now()
        if abs(ahead) < _WRONG_FROM:
            return ""
        return f"its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the store's"

    @property
    def slow_store(self) -> str:
        """For how long the store's last answer was on its way, for people, when hosts are lost by that."""
        if self._took < self.ttl / 3:
            return ""
        return (
            f"the fleet's store took {self._took:.1f} s to answer, and this host counts as lost after {self.ttl:g} s:"
            " look what keeps the store, or raise interval on all hosts"
        )

    def drain(self, *, on: bool) -> None:
        """Note whether it is to take no more work."""
        self.draining = on
        self._tell()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when the host is connected again, under another incarnation, or is drained or not."""
        self._listeners.append(listener)

    def heard(self, sent: float, now: int) -> None:
        """Note a good answer to what was sent at ``sent`` of the monotonic clock; ``now`` is the store's time."""
        was_connected = self.connected
        self._until = sent + self.ttl - self._margin
        self._sent, self._took = sent, self._clock.monotonic() - sent
        self._offset = now / 1000 - (sent + self._clock.monotonic()) / 2
        self.error = ""
        if not was_connected:
            self._tell()

    def entered(self, incarnation: int, epoch: str) -> None:
        """Note that it joined; what it held before is another's."""
        self.forget_runs()
        self.incarnation, self.epoch = incarnation, epoch
        self._tell()

    def cast_out(self) -> None:
        """Note that it belongs to the fleet no longer."""
        self.incarnation = 0
        self._until = 0.0
        self.forget_runs()

    def hold(self, run: HeldRun) -> None:
        """Note that this host is at a run."""
        self._held[run.token] = run, anyio.Event()

    def release(self, token: int) -> bool:
        """Note that it is not any more; returns whether it was until now."""
        return self._held.pop(token, None) is not None

    @property
    def held(self) -> tuple[HeldRun, ...]:
        """The runs it is at."""
        return tuple(run for run, _ in self._held.values())

    def lose(self, token: int) -> None:
        """Note that a run was given to another."""
        if token in self._held:
            self._held.pop(token)[1].set()

    def forget_runs(self) -> None:
        """Note that all of them were."""
        for token in list(self._held):
            self.lose(token)

    async def until_lost(self, token: int) -> None:
        """Return when the run is not this host's any more, or may not be."""
        if token not in self._held:
            return
        lost = self._held[token][1]
        async with anyio.create_task_group() as either:

            async def wait(event: anyio.Event) -> None:
                await event.wait()
                either.cancel_scope.cancel()

            either.start_soon(wait, lost)
            while self.connected:
                await self._clock.sleep(self._until - self._clock.monotonic())
            either.cancel_scope.cancel()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
