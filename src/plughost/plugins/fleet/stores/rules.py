"""What a fleet's store decides, for engines that run Python: one call is one step, on tables that it reads and writes.

The Redis store says the same in Lua; ``FleetStoreSuite`` holds both to it.
"""

from __future__ import annotations

from msgspec.structs import replace

from plughost.contracts import (
    MOST_EVENTS,
    Beat,
    DrainedMember,
    EventPage,
    Greeting,
    Heard,
    NextStep,
    Proposal,
    Proposed,
    Steering,
    StoredMember,
    StoredRevision,
    Telling,
    Told,
    View,
    Welcome,
)
from plughost.plugins.fleet.stores.job_rules import JobRules
from plughost.plugins.fleet.stores.tables import FleetTeller

KEPT = 86_400_000
"""Milliseconds for which members that left or were lost are remembered."""

_TOLD = (
    "ready",
    "draining",
    "applied",
    "refused",
    "calls",
    "failures",
    "calls_before",
    "failures_before",
)
"""What a beat tells of a member."""


class FleetRules(JobRules):
    """One step of a fleet's store.

    Args:
        documents: What is kept.
        now: The time of the step, in milliseconds.
    """

    def join(self, greeting: Greeting) -> Welcome:
        """Enter a process under a name."""
        before, teller = self._member(greeting.member), self._teller(greeting.member)
        lives = before is not None and before.lives(self._now)
        is_same = bool(greeting.process) and greeting.process == teller.process
        if before is not None and is_same and (lives or before.gone):
            if lives:
                self._put_member(replace(before, seen=self._now, card=greeting.card))
            head = self._head()
            return Welcome(now=self._now, epoch=head.epoch, incarnation=before.incarnation, event=head.event)
        incarnation = max(self._now, before.incarnation + 1 if before else 0)
        for key, _ in self._documents.items("job"):
            self._documents.delete(f"carrier {key}", greeting.member)
        self._put_member(
            StoredMember(
                member=greeting.member, incarnation=incarnation, joined=self._now, seen=self._now,
                ttl=greeting.ttl, card=greeting.card,
            )
        )  # fmt: skip
        self._put_teller(greeting.member, teller if is_same else FleetTeller(greeting.process))
        head = self._change_roster()
        return Welcome(
            now=self._now, epoch=head.epoch, incarnation=incarnation, replaced=lives, event=head.event
        )

    def beat(self, beat: Beat) -> Heard:
        """Hear that a member lives."""
        member = self._known(beat.member, beat.incarnation)
        if member is None:
            return Heard(known=False, now=self._now)
        self._put_member(replace(member, seen=self._now, **{name: getattr(beat, name) for name in _TOLD}))
        # Who was not heard of in time is lost, and dropped when it was away for long.
        for other in self._members():
            if not other.gone and not other.lost and other.expires <= self._now:
                self._put_member(replace(other, lost=True, ready=False))
                self._change_roster()
            elif not other.lives(self._now) and other.seen + KEPT <= self._now:
                self._drop_member(other.member)
        lost = tuple(run.token for run in beat.runs if not self._extend(run, beat.lease))
        living = [one for one in self._members() if one.lives(self._now)]
        head = self._head()
        mine = f"{beat.member} {beat.incarnation}"
        able = beat.may_lead and not beat.draining
        if leads := able and (head.lead == mine or head.lead_until <= self._now):
            head = replace(head, lead=mine, lead_until=member.ttl + self._now)
            self._put_head(head)
        return Heard(
            known=True,
            now=self._now,
            epoch=head.epoch,
            members=len(living),
            roster=head.roster,
            expires=min(one.expires for one in living),
            step=head.step,
            leads=leads,
            overdue=self._overdue(beat.member),
            lost_runs=lost,
            event=head.event,
        )

    def describe(self, member: str, incarnation: int, card: bytes) -> bool:
        """Replace what others may read of a member."""
        known = self._known(member, incarnation)
        if known is None:
            return False
        self._put_member(replace(known, card=card))
        self._change_roster()
        return True

    def leave(self, member: str, incarnation: int) -> None:
        """Hear that a process ends in order."""
        known = self._known(member, incarnation)
        if known is not None:
            self._put_member(replace(known, gone=self._now, ready=False))
            self._change_roster()

    def view(self) -> View:
        """Return everything."""
        jobs = (self._job(key) for key, _ in self._documents.items("job"))
        return View(
            now=self._now,
            epoch=self._head().epoch,
            members=tuple(self._members()),
            jobs=tuple(job for job in jobs if job is not None),
        )

    def propose(self, proposal: Proposal) -> Proposed:
        """Make a revision, when the newest is the one that is expected."""
        head = self._head()
        if proposal.expect != head.newest or proposal.number <= head.newest:
            return Proposed(accepted=False, newest=head.newest)
        active = proposal.number if proposal.at_once else head.active
        self._put_revision(proposal.number, proposal.document, active)
        self._put_head(
            replace(head, step=head.step + 1, newest=proposal.number, active=active, roll=proposal.roll)
        )
        return Proposed(accepted=True, newest=proposal.number)

    def drain(self, member: str, order: bytes) -> bool:
        """Note that a member is to take no more work, or that it may."""
        if self._member(member) is None:
            return False
        if order:
            self._documents.put("drain", member, order)
        else:
            self._documents.delete("drain", member)
        head = self._head()
        self._put_head(replace(head, step=head.step + 1))
        return True

    def steering(self) -> Steering:
        """Return what holds for all members now."""
        head = self._head()
        drains = tuple(DrainedMember(member, order) for member, order in self._documents.items("drain"))
        return Steering(step=head.step, active=head.active, newest=head.newest, roll=head.roll, drains=drains)

    def go_on(self, step: NextStep) -> bool:
        """Take a roll-out further, when nothing else happened since."""
        head = self._head()
        if step.after != head.step:
            return False
        newest, active = max(head.newest, step.number), max(head.active, step.active)
        if step.number > head.newest:
            self._put_revision(step.number, step.document, active)
        self._put_head(replace(head, step=head.step + 1, newest=newest, active=active, roll=step.roll))
        return True

    def revisions(self) -> tuple[StoredRevision, ...]:
        """Return the last revisions, newest first."""
        found = reversed(self._documents.items("revision"))
        return tuple(StoredRevision(number=int(key), document=document) for key, document in found)

    def revision(self, number: int) -> bytes | None:
        """Return the document of one of them."""
        return self._documents.get("revision", f"{number:012}")

    def tell(self, telling: Telling) -> Told:
        """Number events in one order for all members."""
        head = self._head()
        if self._known(telling.member, telling.incarnation) is None:
            return Told(known=False, last=head.event)
        teller = self._teller(telling.member)
        unheard = telling.events[max(0, teller.told + 1 - telling.first) :]
        last = head.event
        for event in unheard:
            last += 1
            self._documents.put("event", _in_order(last), event)
            self._documents.delete("event", _in_order(last - MOST_EVENTS))
        told = max(teller.told, telling.first + len(telling.events) - 1)
        self._put_teller(telling.member, replace(teller, told=told))
        self._put_head(replace(head, event=last))
        return Told(known=True, last=last)

    def events_after(self, number: int, most: int) -> EventPage:
        """Return the events with larger numbers, the oldest first."""
        last = self._head().event
        first = max(number + 1, last - MOST_EVENTS + 1, 1)
        keys = [*map(_in_order, range(first, min(first + most, last + 1)))]
        return EventPage(first, last, tuple(self._documents.some("event", keys)))

    def forget(self, member: str) -> bool:
        """Drop what is known of a member that does not live."""
        known = self._member(member)
        if known is None or known.lives(self._now):
            return False
        self._drop_member(member)
        self._change_roster()
        return True


def _in_order(number: int) -> str:
    return f"{number:015}"
