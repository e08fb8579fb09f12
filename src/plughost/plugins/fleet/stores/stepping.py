"""A store made of the rules: each call is one step on documents, and some wake everybody."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

from plughost.contracts import (
    Beat,
    Claimed,
    Enlisted,
    Enlistment,
    EventPage,
    Greeting,
    Heard,
    JobClaim,
    NextStep,
    Proposal,
    Proposed,
    RunAsked,
    RunEnd,
    Steering,
    StoredRevision,
    Telling,
    Told,
    View,
    Welcome,
    Word,
)
from plughost.plugins.fleet.stores.rules import FleetRules

T = TypeVar("T")

_STEP = Word(step=True)


class SteppingStore(ABC):
    """The calls of a ``FleetStore`` as steps of ``FleetRules``; an engine says how a step is made."""

    @abstractmethod
    async def _step(
        self, step: Callable[[FleetRules], T], *, durable: bool = False, reads: bool = False
    ) -> T:
        """Make one step, which nobody else's comes between.

        Args:
            step: What is done.
            durable: Whether it must outlive a power cut.
            reads: Whether it only reads.
        """

    @abstractmethod
    async def _wake(self, word: Word) -> None:
        """Wake everybody who waits for a word."""

    async def fleets(self) -> Sequence[str]:
        """Return nothing: nobody else has documents there."""
        return ()

    async def hazards(self) -> Sequence[str]:
        """Return nothing: nobody takes documents away."""
        return ()

    async def join(self, greeting: Greeting) -> Welcome:
        """Enter a process."""
        return await self._step(lambda rules: rules.join(greeting))

    async def beat(self, beat: Beat) -> Heard:
        """Hear that a member lives."""
        return await self._step(lambda rules: rules.beat(beat))

    async def describe(self, member: str, incarnation: int, card: bytes) -> bool:
        """Replace what others may read of a member."""
        return await self._step(lambda rules: rules.describe(member, incarnation, card))

    async def leave(self, member: str, incarnation: int) -> None:
        """Hear that a process ends in order."""
        await self._step(lambda rules: rules.leave(member, incarnation))

    async def enlist(self, enlistment: Enlistment) -> Enlisted:
        """Note that a member has a job, or has it no more."""
        return await self._step(lambda rules: rules.enlist(enlistment))

    async def claim(self, claim: JobClaim) -> Claimed:
        """Give a slot to one of those who ask for it: were it forgotten in a power cut, it would start twice."""
        return await self._step(lambda rules: rules.claim(claim), durable=True)

    async def ask_for_run(self, job: str) -> RunAsked:
        """Have a job run once out of turn."""
        return await self._step(lambda rules: rules.ask_for_run(job))

    async def finish(self, end: RunEnd) -> bool:
        """Note the end of a run."""
        return await self._step(lambda rules: rules.finish(end))

    async def view(self) -> View:
        """Return everything at one moment."""
        return await self._step(lambda rules: rules.view(), reads=True)

    async def propose(self, proposal: Proposal) -> Proposed:
        """Make a revision, when the newest is the one that is expected."""
        answer = await self._step(lambda rules: rules.propose(proposal), durable=True)
        await self._wake(_STEP)
        return answer

    async def drain(self, member: str, order: bytes) -> bool:
        """Note that a member is to take no more work, or that it may."""
        answer = await self._step(lambda rules: rules.drain(member, order), durable=True)
        await self._wake(_STEP)
        return answer

    async def steering(self) -> Steering:
        """Return what holds for all members now."""
        return await self._step(lambda rules: rules.steering(), reads=True)

    async def go_on(self, step: NextStep) -> bool:
        """Take a roll-out further, when nothing else happened since."""
        answer = await self._step(lambda rules: rules.go_on(step), durable=True)
        await self._wake(_STEP)
        return answer

    async def revisions(self) -> Sequence[StoredRevision]:
        """Return the last revisions, newest first."""
        return await self._step(lambda rules: rules.revisions(), reads=True)

    async def revision(self, number: int) -> bytes | None:
        """Return the document of one of them."""
        return await self._step(lambda rules: rules.revision(number), reads=True)

    async def tell(self, telling: Telling) -> Told:
        """Number events in one order for all members."""
        answer = await self._step(lambda rules: rules.tell(telling))
        await self._wake(Word(event=True))
        return answer

    async def events_after(self, number: int, most: int) -> EventPage:
        """Return the events with larger numbers, the oldest first."""
        return await self._step(lambda rules: rules.events_after(number, most), reads=True)

    async def forget(self, member: str) -> bool:
        """Drop what is known of a member that does not live."""
        return await self._step(lambda rules: rules.forget(member))
