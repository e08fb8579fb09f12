"""Where a fleet meets: what a store must do, and what it is told and answers.

Whatever two members could both do at once is one call here, and one step in the store. Times are the store's own,
in whole milliseconds since the epoch; nothing depends on the clocks of the members, and nothing that is kept ends by
itself. ``FleetStoreSuite`` in ``plughost.testing`` says in tests what these docstrings say in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

MOST_REVISIONS = 50
"""How many revisions are kept, besides the one that is active."""

MOST_EVENTS = 10_000
"""How many events are kept for members that did not hear them yet."""

OVERDUE_AFTER = 2_000
"""Milliseconds after which a slot that nobody claimed is called overdue."""


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """A process joins under a name.

    Attributes:
        member: Its name in the fleet.
        ttl: Milliseconds after its last beat until it counts as lost.
        card: What others may read of it; opaque to the store.
        process: Another text for each process: one that joins twice under its name, because an answer was lost or a
            call came late, stays what it is. Empty makes each call another process.
    """

    member: str
    ttl: int
    card: bytes = b""
    process: str = ""


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a greeting.

    Attributes:
        now: The store's time.
        epoch: Made once, when the store was empty.
        incarnation: Larger than that of any process that joined under this name before.
        replaced: Whether another process was thought to live under this name: it is lost.
        event: The number of the last event; 0 before the first.
    """

    now: int
    epoch: str
    incarnation: int
    replaced: bool = False
    event: int = 0


class HeldRun(msgspec.Struct, frozen=True):
    """A run that a member is at."""

    job: str
    token: int


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A member tells that it lives. All that is to be done in each interval is this one call.

    Attributes:
        member: Its name.
        incarnation: Which process it is.
        ready: Whether its host is ready.
        draining: Whether it wants no more work.
        may_lead: Whether it can take roll-outs further.
        applied: The revision it follows.
        refused: Why it could not follow that in everything; empty when it could.
        calls: What its plugins were asked for in the last minute, as far as that is since it followed ``applied``.
        failures: How many of these failed.
        calls_before: What they were asked for in the minute before it followed that.
        failures_before: How many of these failed.
        runs: The runs it is at; their leases are extended.
        lease: Milliseconds by which they are extended, counted from now.
    """

    member: str
    incarnation: int
    ready: bool = True
    draining: bool = False
    may_lead: bool = True
    applied: int = 0
    refused: str = ""
    calls: int = 0
    failures: int = 0
    calls_before: int = 0
    failures_before: int = 0
    runs: tuple[HeldRun, ...] = ()
    lease: int = 20_000


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a beat.

    Attributes:
        known: Whether the member is one. If not, it was lost or another has its name: it must join anew.
        now: The store's time.
        epoch: As in ``Welcome``.
        members: How many members live.
        roster: Grows whenever a member joins, leaves or is lost.
        expires: When the first member will be lost, unless it beats; 0 when there are none.
        step: Grows whenever a revision is proposed, a roll-out goes on, or a member is drained; ``Steering`` says what
            holds then.
        leads: Whether it is this member that takes a roll-out further, until its next beat.
        overdue: Keys of jobs, at most eight, that should have been claimed by now; those that wait longest first.
        lost_runs: Tokens of ``runs`` that are not the member's any more.
        event: The number of the last event.
    """

    known: bool
    now: int
    epoch: str = ""
    members: int = 0
    roster: int = 0
    expires: int = 0
    step: int = 0
    leads: bool = False
    overdue: tuple[str, ...] = ()
    lost_runs: tuple[int, ...] = ()
    event: int = 0


class Enlistment(msgspec.Struct, frozen=True, kw_only=True):
    """A member has a job, and may run it.

    Attributes:
        job: Its key.
        member: Name of the member.
        incarnation: Which process it is.
        definition: Its schedule, as a short text that changes with it; empty when the member has it no more.
        schedule: The same for people.
        following: Its next slot.
    """

    job: str
    member: str
    incarnation: int
    definition: str = ""
    schedule: str = ""
    following: int = 0


class Enlisted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an enlistment.

    Attributes:
        known: Whether the member is one.
        slot: The newest slot that was given out or accounted for; of a new job, the present moment, since what is
            past was never its.
        carriers: How many living members have the job.
        new: Whether the store knew nothing of the job until now.
    """

    known: bool
    slot: int = 0
    carriers: int = 0
    new: bool = False


class JobClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A member wants to run a slot of a job.

    Attributes:
        job: Its key.
        member: Who.
        incarnation: Which process.
        definition: The schedule by which it knows the slot.
        slot: The slot.
        previous: The newest slot before it that the member knows to be settled, or that its schedule has.
        following: The slot after it.
        lease: Milliseconds until the run counts as lost, unless beats extend it.
        retries: How often a slot is given again.
        retry_pause: Milliseconds after a failure until it is.
        missed: How many slots between ``previous`` and this one passed with nobody there.
        skipped: How many passed while the run before had not ended.
        start: Whether it is to be started; otherwise the slot is only accounted for, as missed.
        keep: Whether the slot stays open when the run before has not ended, instead of being skipped.
    """

    job: str
    member: str
    incarnation: int
    definition: str
    slot: int
    previous: int
    following: int
    lease: int = 20_000
    retries: int = 0
    retry_pause: int = 5_000
    missed: int = 0
    skipped: int = 0
    start: bool = True
    keep: bool = False


ClaimVerdict = Literal["run", "noted", "taken", "running", "early", "gap", "old", "stranger", "unknown"]
"""What came of a claim.

``run``: it is the member's; the slot is another one when a failed run is tried again, or one was asked for. ``noted``:
accounted for, as asked. ``taken``: it was given out or accounted for before. ``running``: the run before has not ended,
and the slot is skipped unless it is kept. ``early``: it has not come yet. ``gap``: slots passed since the last one that
is accounted for, or some of those counted here were accounted for meanwhile. ``old``: a living member has a newer
definition. ``stranger``: no such member any more, it must join. ``unknown``: no such job, it must enlist.
"""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a claim.

    Attributes:
        verdict: What came of it.
        now: The store's time.
        slot: The slot to run, which is that of the failed run when it is given again, and the moment for which a
            run was asked; otherwise the newest slot that was given out or accounted for.
        token: The number of the run.
        attempt: Which try of the slot it is.
        ended: When the last run ended; 0 while it runs.
    """

    verdict: ClaimVerdict
    now: int = 0
    slot: int = 0
    token: int = 0
    attempt: int = 0
    ended: int = 0


class RunAsked(msgspec.Struct, frozen=True):
    """What came of asking for a run out of turn.

    Attributes:
        verdict: ``asked``: whoever has the job and claims it next is given the run. ``running``: the run before has not
            ended. ``nobody``: no living member has it. ``unknown``: there is no such job.
        slot: The moment for which it was asked, which becomes the slot of the run.
    """

    verdict: Literal["asked", "running", "nobody", "unknown"]
    slot: int = 0


class RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A run ended; ``error`` is empty when it went well."""

    job: str
    token: int
    error: str = ""


class StoredMember(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a member.

    Attributes:
        member: Its name.
        incarnation: Which process it is.
        joined: When that joined.
        seen: When it was heard of last.
        ttl: Milliseconds after that until it counts as lost.
        gone: When it left in order; 0 when it did not.
        lost: Whether it was noticed that it is lost.
        ready: As in its last beat.
        draining: As in its last beat.
        applied: As in its last beat.
        refused: As in its last beat.
        calls: As in its last beat.
        failures: As in its last beat.
        calls_before: As in its last beat.
        failures_before: As in its last beat.
        card: What it tells of itself.
    """

    member: str
    incarnation: int
    joined: int
    seen: int
    ttl: int
    gone: int = 0
    lost: bool = False
    ready: bool = False
    draining: bool = False
    applied: int = 0
    refused: str = ""
    calls: int = 0
    failures: int = 0
    calls_before: int = 0
    failures_before: int = 0
    card: bytes = b""

    @property
    def expires(self) -> int:
        """When it is lost, unless it beats."""
        return self.seen + self.ttl

    def lives(self, now: int) -> bool:
        """Whether it is a member at that moment."""
        return not self.gone and not self.lost and now < self.expires


class StoredJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job; ``FleetJobRecord`` says what most of it means.

    Attributes:
        run_slot: The slot of the last run; ``slot`` may be later, when slots were accounted for meanwhile.
        following: The slot that is due next, as far as anybody told.
        retries: How often ``run_slot`` may be given again.
        retry_pause: Milliseconds between a failure and the next try.
        retry_at: When the next try may be.
        until: End of the lease of the run.
        asked: The moment for which a run was asked that nobody claimed yet; 0 for none.
        definitions: Those that members have or had, in the order in which they became known.
    """

    job: str
    schedule: str = ""
    state: str = ""
    slot: int = 0
    run_slot: int = 0
    following: int = 0
    member: str = ""
    token: int = 0
    attempt: int = 0
    retries: int = 0
    retry_pause: int = 0
    retry_at: int = 0
    began: int = 0
    ended: int = 0
    until: int = 0
    asked: int = 0
    starts: int = 0
    failures: int = 0
    missed: int = 0
    skipped: int = 0
    error: str = ""
    definitions: tuple[str, ...] = ()

    def at(self, now: int) -> StoredJob:
        """Return the same at that moment: a run whose lease has ended is lost, and its late end counts for nothing."""
        if self.state != "running" or now < self.until:
            return self
        return msgspec.structs.replace(
            self, state="lost", ended=self.until, failures=self.failures + 1, retry_at=self.until,
            error=f"{self.member} was lost while it ran",
        )  # fmt: skip

    @property
    def is_to_be_tried_again(self) -> bool:
        """Whether the slot of the last run may be given again, from ``retry_at`` on."""
        return self.state in ("failed", "lost") and self.attempt <= self.retries

    @property
    def waits_since(self) -> int:
        """The moment from which somebody should claim it, which may be to come; 0 when there is none."""
        if self.asked:
            return self.asked
        moments = [self.retry_at] if self.is_to_be_tried_again else []
        since = min([*moments, self.following + OVERDUE_AFTER] if self.following else moments, default=0)
        # Until its lease was over nobody knew that it was lost.
        return max(since, self.until) if since and self.state == "lost" else since

    def is_overdue(self, now: int) -> bool:
        """Whether somebody should have claimed it by now."""
        return self.state != "running" and 0 < self.waits_since <= now


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A revision of what members follow is made.

    Attributes:
        number: Its number, larger than that of the newest.
        expect: The number of the newest, as the proposer knows it; 0 for none.
        document: All of it, signed; opaque to the store.
        at_once: Whether it is active from now on; otherwise a roll-out takes it to one member after the other.
        roll: What is known of the roll-out; opaque to the store.
    """

    number: int
    expect: int
    document: bytes
    at_once: bool = True
    roll: bytes = b""


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a proposal. ``newest``: the revision with the largest number now."""

    accepted: bool
    newest: int


class DrainedMember(msgspec.Struct, frozen=True):
    """A member is to take no more work.

    Attributes:
        member: Its name.
        order: Who wants it, signed; opaque to the store.
    """

    member: str
    order: bytes


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all members at one step.

    Attributes:
        step: The number of the step.
        active: The revision that members follow, unless a roll-out says otherwise; 0 when there is none.
        newest: The revision with the largest number.
        roll: What is known of the last roll-out.
        drains: The members that are drained, by name.
    """

    step: int = 0
    active: int = 0
    newest: int = 0
    roll: bytes = b""
    drains: tuple[DrainedMember, ...] = ()


class NextStep(msgspec.Struct, frozen=True, kw_only=True):
    """A roll-out goes on.

    Attributes:
        after: The step on which this was decided; at another one nothing is done.
        roll: What is known of the roll-out from now on.
        active: The revision that becomes active; 0 for no other than now. It never goes back.
        number: Number of a revision that is made with this step; 0 for none.
        document: That revision.
    """

    after: int
    roll: bytes
    active: int = 0
    number: int = 0
    document: bytes = b""


class StoredRevision(msgspec.Struct, frozen=True, kw_only=True):
    """A revision, as it was proposed."""

    number: int
    document: bytes


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """A member tells events to all.

    Attributes:
        member: Its name.
        incarnation: Which process it is.
        first: The process's own number of the first of them. It counts from 1, and goes on when it joins again; what
            it told before is not told twice.
        events: The events; opaque to the store.
    """

    member: str
    incarnation: int
    first: int
    events: tuple[bytes, ...]


class Told(msgspec.Struct, frozen=True):
    """The answer to a telling.

    Attributes:
        known: Whether the member is one; if not, nothing was told.
        last: The number of the last event of the fleet now.
    """

    known: bool
    last: int = 0


class EventPage(msgspec.Struct, frozen=True):
    """Events in the order of their numbers, without a gap.

    Attributes:
        first: The number of the first of them; of an empty page, the one that it would have.
        last: The number of the last event that there is.
        events: The events.
    """

    first: int
    last: int
    events: tuple[bytes, ...] = ()


class Word(msgspec.Struct, frozen=True):
    """Why everybody was woken.

    Attributes:
        step: Something else holds for all members.
        event: Something was told.
    """

    step: bool = False
    event: bool = False


class View(msgspec.Struct, frozen=True, kw_only=True):
    """All members and jobs at one moment of the store."""

    now: int
    epoch: str
    members: tuple[StoredMember, ...]
    jobs: tuple[StoredJob, ...]


class FleetStore(Protocol):
    """Where a fleet meets. Every method but ``close`` raises ``StoreUnavailableError`` when it cannot be reached."""

    name: str

    async def open(self) -> None:
        """Connect; called once before anything else.

        Raises:
            ConfigError: It cannot work like this; the message says what to change.
        """

    async def close(self) -> None:
        """Let go of everything."""

    async def fleets(self) -> Sequence[str]:
        """Return the names of the fleets that are kept where it keeps its own: those with members or revisions.

        It may look through all that is kept there: for people who look for theirs. Nothing when it has no names.
        """

    async def hazards(self) -> Sequence[str]:
        """Return what makes it unsafe to run a job once only, in sentences that say what to change."""

    async def join(self, greeting: Greeting) -> Welcome:
        """Enter a process; what had its name before is a stranger now, and its runs end with their leases.

        The same process joins once: as long as it lives, and after it left in order, its second greeting is answered
        with the incarnation that it has, and changes nothing but the card of one that lives.
        """

    async def beat(self, beat: Beat) -> Heard:
        """Hear that a member lives, and mark those as lost that were not heard of in time."""

    async def describe(self, member: str, incarnation: int, card: bytes) -> bool:
        """Replace what others may read of a member; returns whether it is one."""

    async def leave(self, member: str, incarnation: int) -> None:
        """Hear that a process ends in order. A stranger's word counts for nothing."""

    async def enlist(self, enlistment: Enlistment) -> Enlisted:
        """Note that a member has a job, or has it no more."""

    async def claim(self, claim: JobClaim) -> Claimed:
        """Give a slot to one of those who ask for it: once, for ever."""

    async def ask_for_run(self, job: str) -> RunAsked:
        """Have a job run once out of turn. Beats of those who have it call it overdue until one of them claims it."""

    async def finish(self, end: RunEnd) -> bool:
        """Note the end of a run; False when it is not the job's present run any more, and nothing is noted."""

    async def view(self) -> View:
        """Return everything at one moment."""

    async def propose(self, proposal: Proposal) -> Proposed:
        """Make a revision, when the newest is the one that is expected; and wake everybody who waits."""

    async def steering(self) -> Steering:
        """Return what holds for all members now."""

    async def go_on(self, step: NextStep) -> bool:
        """Take a roll-out further, when nothing else happened since; returns whether that was so. Wakes everybody."""

    async def revisions(self) -> Sequence[StoredRevision]:
        """Return the last fifty revisions, newest first, and the one that is active."""

    async def revision(self, number: int) -> bytes | None:
        """Return the document of one of them."""

    async def drain(self, member: str, order: bytes) -> bool:
        """Note that a member is to take no more work, whichever process has its name; without an order, that it may.

        It makes a step and wakes everybody. Returns whether there is such a member, be it lost; nothing is noted of
        others. It is forgotten with the member.
        """

    async def tell(self, telling: Telling) -> Told:
        """Number events in one order for all members, keep the last ``MOST_EVENTS``, and wake everybody."""

    async def events_after(self, number: int, most: int) -> EventPage:
        """Return the events with larger numbers, the oldest first, at most so many."""

    async def wait_for_word(self) -> Word:
        """Return when somebody proposed something, took it further, drained a member, or told events.

        It may return for nothing, and may miss something: beats tell.
        """

    async def forget(self, member: str) -> bool:
        """Drop what is known of a member that does not live; returns whether it was there and did not."""
