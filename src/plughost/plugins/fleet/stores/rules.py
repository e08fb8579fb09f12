"""What a fleet's store decides, for engines that run Python: one call is one step, on tables that it reads and writes.

The Redis store says the same in Lua; ``FleetStoreSuite`` holds both to it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from plughost.contracts import (
    MOST_REVISIONS,
    Beat,
    Claimed,
    ClaimVerdict,
    Enlisted,
    Enlistment,
    Greeting,
    Heard,
    HeldRun,
    JobClaim,
    NextStep,
    Proposal,
    Proposed,
    RunEnd,
    Steering,
    StoredJob,
    StoredMember,
    StoredRevision,
    View,
    Welcome,
)

T = TypeVar("T")

MOST_OVERDUE = 8
MOST_DEFINITIONS = 8
KEPT = 86_400_000
"""Milliseconds for which members that left or were lost are remembered."""


class Documents(Protocol):
    """Documents by kind and key, all within one transaction."""

    def get(self, kind: str, key: str) -> bytes | None:
        """Return one."""

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Write one."""

    def delete(self, kind: str, key: str) -> None:
        """Remove one, if it is there."""

    def items(self, kind: str) -> list[tuple[str, bytes]]:
        """Return all of a kind, by key."""


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """What the fleet has one of."""

    epoch: str
    roster: int = 0
    token: int = 0
    active: int = 0
    newest: int = 0
    step: int = 0
    roll: bytes = b""
    lead: str = ""
    lead_until: int = 0


class FleetRules:
    """One step of a fleet's store.

    Args:
        documents: What is kept.
        now: The time of the step, in milliseconds.
    """

    def __init__(self, documents: Documents, now: int) -> None:
        self._documents = documents
        self._now = now

    def join(self, greeting: Greeting) -> Welcome:
        """Enter a process under a name."""
        before = self._member(greeting.member)
        incarnation = max(self._now, before.incarnation + 1 if before else 0)
        for key, _ in self._documents.items("job"):
            self._documents.delete(f"carrier {key}", greeting.member)
        self._put_member(
            StoredMember(
                member=greeting.member, incarnation=incarnation, joined=self._now, seen=self._now,
                ttl=greeting.ttl, card=greeting.card,
            )
        )  # fmt: skip
        head = self._change_roster()
        replaced = before is not None and before.lives(self._now)
        return Welcome(now=self._now, epoch=head.epoch, incarnation=incarnation, replaced=replaced)

    def beat(self, beat: Beat) -> Heard:
        """Hear that a member lives."""
        member = self._known(beat.member, beat.incarnation)
        if member is None:
            return Heard(known=False, now=self._now)
        self._put_member(
            replace(
                member,
                seen=self._now,
                ready=beat.ready,
                draining=beat.draining,
                applied=beat.applied,
                refused=beat.refused,
            )
        )
        self._sweep()
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

    def enlist(self, enlistment: Enlistment) -> Enlisted:
        """Note that a member has a job, or has it no more."""
        if self._known(enlistment.member, enlistment.incarnation) is None:
            return Enlisted(known=False)
        key, carriers = enlistment.job, f"carrier {enlistment.job}"
        job = self._job(key)
        if not enlistment.definition:
            self._documents.delete(carriers, enlistment.member)
            return Enlisted(known=True, slot=job.slot if job else 0)
        if job is None:
            job = StoredJob(job=key, slot=self._now)
        if enlistment.definition not in job.definitions:
            known = (*job.definitions, enlistment.definition)[-MOST_DEFINITIONS:]
            job = replace(
                job, definitions=known, schedule=enlistment.schedule, following=enlistment.following
            )
        self._put_job(job)
        self._documents.put(carriers, enlistment.member, enlistment.definition.encode())
        return Enlisted(known=True, slot=job.slot, carriers=sum(1 for _ in self._carriers(key)))

    def claim(self, claim: JobClaim) -> Claimed:
        """Give a slot to one of those who ask for it."""
        job, verdict = self._judged(claim)
        if job is None:
            return Claimed(verdict=verdict, now=self._now)
        if verdict == "run":
            job = self._started(job, claim)
        elif verdict == "noted" or (verdict == "running" and not claim.keep):
            job = replace(
                self._accounted(job, claim),
                missed=job.missed + claim.missed + (verdict == "noted"),
                skipped=job.skipped + claim.skipped + (verdict == "running"),
            )
        if verdict in ("run", "noted", "running"):
            self._put_job(job)
        return Claimed(
            verdict=verdict,
            now=self._now,
            slot=job.run_slot if verdict == "run" else job.slot,
            token=job.token,
            attempt=job.attempt,
            ended=self._now if job.state == "running" else job.ended,
        )

    def finish(self, end: RunEnd) -> bool:
        """Note the end of a run."""
        job = self._job(end.job)
        if job is None or job.token != end.token or job.state != "running":
            return False
        state, failures = ("failed", job.failures + 1) if end.error else ("done", job.failures)
        self._put_job(
            replace(
                job, state=state, ended=self._now, failures=failures, error=end.error,
                retry_at=self._now + job.retry_pause,
            )
        )  # fmt: skip
        return True

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
        self._put_revision(proposal.number, proposal.document)
        active = proposal.number if proposal.at_once else head.active
        self._put_head(
            replace(head, step=head.step + 1, newest=proposal.number, active=active, roll=proposal.roll)
        )
        return Proposed(accepted=True, newest=proposal.number)

    def steering(self) -> Steering:
        """Return what holds for all members now."""
        head = self._head()
        return Steering(step=head.step, active=head.active, newest=head.newest, roll=head.roll)

    def go_on(self, step: NextStep) -> bool:
        """Take a roll-out further, when nothing else happened since."""
        head = self._head()
        if step.after != head.step:
            return False
        if step.number > head.newest:
            self._put_revision(step.number, step.document)
        newest, active = max(head.newest, step.number), max(head.active, step.active)
        self._put_head(replace(head, step=head.step + 1, newest=newest, active=active, roll=step.roll))
        return True

    def revisions(self) -> tuple[StoredRevision, ...]:
        """Return the last revisions, newest first."""
        found = reversed(self._documents.items("revision"))
        return tuple(StoredRevision(number=int(key), document=document) for key, document in found)

    def revision(self, number: int) -> bytes | None:
        """Return the document of one of them."""
        return self._documents.get("revision", f"{number:012}")

    def forget(self, member: str) -> bool:
        """Drop what is known of a member that does not live."""
        known = self._member(member)
        if known is None or known.lives(self._now):
            return False
        self._documents.delete("member", member)
        self._change_roster()
        return True

    def _judged(self, claim: JobClaim) -> tuple[StoredJob | None, ClaimVerdict]:
        if self._known(claim.member, claim.incarnation) is None:
            return None, "stranger"
        job = self._job(claim.job)
        if job is None or claim.definition not in job.definitions:
            return None, "unknown"
        if claim.slot <= job.slot:
            again = claim.start and job.is_to_be_tried_again and job.retry_at <= self._now
            return job, "run" if again else "taken"
        newer = job.definitions[job.definitions.index(claim.definition) + 1 :]
        if any(definition in newer for definition in self._carriers(claim.job)):
            return job, "old"
        if claim.slot > self._now:
            return job, "early"
        counts_passed = claim.missed or claim.skipped
        if job.slot < claim.previous or (counts_passed and job.slot != claim.previous):
            return job, "gap"
        if job.state == "running":
            return job, "running"
        return job, "run" if claim.start else "noted"

    def _started(self, job: StoredJob, claim: JobClaim) -> StoredJob:
        head = self._head()
        head = replace(head, token=max(head.token + 1, self._now * 1000))
        self._put_head(head)
        again = claim.slot <= job.slot
        if not again:
            job = replace(
                self._accounted(job, claim),
                run_slot=claim.slot,
                missed=job.missed + claim.missed,
                skipped=job.skipped + claim.skipped,
            )
        return replace(
            job, state="running", member=claim.member, token=head.token, attempt=job.attempt + 1 if again else 1,
            retries=claim.retries, retry_pause=claim.retry_pause, began=self._now, ended=0,
            until=self._now + claim.lease, starts=job.starts + 1, error="",
        )  # fmt: skip

    def _accounted(self, job: StoredJob, claim: JobClaim) -> StoredJob:
        return replace(job, slot=claim.slot, following=claim.following)

    def _extend(self, run: HeldRun, lease: int) -> bool:
        job = self._job(run.job)
        if job is None or job.token != run.token or job.state != "running":
            return False
        self._put_job(replace(job, until=self._now + lease))
        return True

    def _overdue(self, member: str) -> tuple[str, ...]:
        found = []
        for key, _ in self._documents.items("job"):
            job = self._job(key)
            if (
                job
                and job.is_overdue(self._now)
                and self._documents.get(f"carrier {key}", member) is not None
            ):
                found.append(key)
        return tuple(found[:MOST_OVERDUE])

    def _carriers(self, job: str) -> Iterator[str]:
        """Yield the definition of each living member that has the job."""
        for name, definition in self._documents.items(f"carrier {job}"):
            member = self._member(name)
            if member is not None and member.lives(self._now):
                yield definition.decode()

    def _sweep(self) -> None:
        """Mark who was not heard of in time, and drop who has been away for long."""
        for member in self._members():
            if not member.gone and not member.lost and member.expires <= self._now:
                self._put_member(replace(member, lost=True, ready=False))
                self._change_roster()
            elif not member.lives(self._now) and member.seen + KEPT <= self._now:
                self._documents.delete("member", member.member)

    def _known(self, name: str, incarnation: int) -> StoredMember | None:
        member = self._member(name)
        if member is None or member.incarnation != incarnation or not member.lives(self._now):
            return None
        return member

    def _member(self, name: str) -> StoredMember | None:
        return _decoded(StoredMember, self._documents.get("member", name))

    def _members(self) -> Iterator[StoredMember]:
        for _, document in self._documents.items("member"):
            yield msgspec.msgpack.decode(document, type=StoredMember)

    def _put_member(self, member: StoredMember) -> None:
        self._documents.put("member", member.member, msgspec.msgpack.encode(member))

    def _job(self, key: str) -> StoredJob | None:
        job = _decoded(StoredJob, self._documents.get("job", key))
        return None if job is None else job.at(self._now)

    def _put_job(self, job: StoredJob) -> None:
        self._documents.put("job", job.job, msgspec.msgpack.encode(job))

    def _head(self) -> _Head:
        head = _decoded(_Head, self._documents.get("head", ""))
        if head is None:
            head = _Head(epoch=uuid.uuid4().hex)
            self._put_head(head)
        return head

    def _put_head(self, head: _Head) -> None:
        self._documents.put("head", "", msgspec.msgpack.encode(head))

    def _put_revision(self, number: int, document: bytes) -> None:
        self._documents.put("revision", f"{number:012}", document)
        for key, _ in self._documents.items("revision")[:-MOST_REVISIONS]:
            self._documents.delete("revision", key)

    def _change_roster(self) -> _Head:
        head = self._head()
        head = replace(head, roster=head.roster + 1)
        self._put_head(head)
        return head


def _decoded(kind: type[T], document: Any) -> T | None:
    return None if document is None else msgspec.msgpack.decode(document, type=kind)
