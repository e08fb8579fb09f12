"""A fleet in the memory of one process: for tests, and for a host that is to stay alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from plughost.contracts import (
    SYSTEM_CLOCK,
    Beat,
    Claimed,
    Enlisted,
    Enlistment,
    Greeting,
    Heard,
    JobClaim,
    NextStep,
    Proposal,
    Proposed,
    RunEnd,
    Steering,
    StoredRevision,
    View,
    Welcome,
)
from plughost.plugins.fleet.stores.rules import FleetRules


class MemoryFleetStore:
    """A ``FleetStore`` that members of one process share by having the same object.

    Args:
        now: Returns the time in seconds since the epoch.
    """

    name = "memory"

    def __init__(self, now: Callable[[], float] = SYSTEM_CLOCK.time) -> None:
        self._now = now
        self._documents = _Dictionaries()
        self._word: anyio.Event | None = None

    async def open(self) -> None:
        """Do nothing: it is there."""

    async def close(self) -> None:
        """Keep everything: others may go on."""

    async def hazards(self) -> Sequence[str]:
        """Return nothing: memory is not taken away."""
        return ()

    async def join(self, greeting: Greeting) -> Welcome:
        """Enter a process."""
        return self._step.join(greeting)

    async def beat(self, beat: Beat) -> Heard:
        """Hear that a member lives."""
        return self._step.beat(beat)

    async def describe(self, member: str, incarnation: int, card: bytes) -> bool:
        """Replace what others may read of a member."""
        return self._step.describe(member, incarnation, card)

    async def leave(self, member: str, incarnation: int) -> None:
        """Hear that a process ends in order."""
        self._step.leave(member, incarnation)

    async def enlist(self, enlistment: Enlistment) -> Enlisted:
        """Note that a member has a job, or has it no more."""
        return self._step.enlist(enlistment)

    async def claim(self, claim: JobClaim) -> Claimed:
        """Give a slot to one of those who ask for it."""
        return self._step.claim(claim)

    async def finish(self, end: RunEnd) -> bool:
        """Note the end of a run."""
        return self._step.finish(end)

    async def view(self) -> View:
        """Return everything at one moment."""
        return self._step.view()

    async def propose(self, proposal: Proposal) -> Proposed:
        """Make a revision, when the newest is the one that is expected."""
        answer = self._step.propose(proposal)
        self._tell()
        return answer

    async def steering(self) -> Steering:
        """Return what holds for all members now."""
        return self._step.steering()

    async def go_on(self, step: NextStep) -> bool:
        """Take a roll-out further, when nothing else happened since."""
        went = self._step.go_on(step)
        self._tell()
        return went

    async def revisions(self) -> Sequence[StoredRevision]:
        """Return the last revisions, newest first."""
        return self._step.revisions()

    async def revision(self, number: int) -> bytes | None:
        """Return the document of one of them."""
        return self._step.revision(number)

    async def wait_for_word(self) -> None:
        """Return when somebody proposed something."""
        if self._word is None:
            self._word = anyio.Event()
        await self._word.wait()

    async def forget(self, member: str) -> bool:
        """Drop what is known of a member that does not live."""
        return self._step.forget(member)

    def _tell(self) -> None:
        waiting, self._word = self._word, None
        if waiting is not None:
            waiting.set()

    @property
    def _step(self) -> FleetRules:
        return FleetRules(self._documents, round(self._now() * 1000))


class _Dictionaries:
    """``Documents`` in dictionaries."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, bytes]] = {}

    def get(self, kind: str, key: str) -> bytes | None:
        return self._kinds.get(kind, {}).get(key)

    def put(self, kind: str, key: str, value: bytes) -> None:
        self._kinds.setdefault(kind, {})[key] = value

    def delete(self, kind: str, key: str) -> None:
        self._kinds.get(kind, {}).pop(key, None)

    def items(self, kind: str) -> list[tuple[str, bytes]]:
        return sorted(self._kinds.get(kind, {}).items())
