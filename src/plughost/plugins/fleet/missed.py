"""Which slot a host asks for, and what is said of those that passed with nobody there."""

from __future__ import annotations

import msgspec

from plughost.contracts import Claimed, FleetJob
from plughost.plugins.fleet.membership import Membership

MOST_KEPT = 100
"""How many slots that passed are run one after the other, at most."""

_MOST_COUNTED = 1000


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the store; times in milliseconds. See ``JobClaim`` for the meaning of each."""

    slot: int
    previous: int
    following: int
    missed: int = 0
    skipped: int = 0
    start: bool = True


def first_claim(job: FleetJob, slot: float, membership: Membership) -> Claim:
    """Return what is asked when a slot has come and all before it are thought to be settled."""
    return Claim(
        slot=_milliseconds(slot),
        previous=_milliseconds(job.slots.before(slot - 0.001)),
        following=_milliseconds(job.slots.after(slot)),
        start=_is_in_time(job, slot, membership),
    )


def claim_across_gap(job: FleetJob, claim: Claim, answer: Claimed, membership: Membership) -> Claim:
    """Return what is asked when slots passed that nobody accounted for.

    Args:
        job: The job.
        claim: What was asked at first.
        answer: The store's answer, with the last slot it knows.
        membership: Tells the time.
    """
    slots = _passed(job, answer.slot / 1000, claim.slot / 1000)
    if job.missed == "all":
        wanted = [slot for slot in slots if _is_in_time(job, slot, membership)][-MOST_KEPT:]
        first = wanted[0] if wanted else slots[-1]
        return Claim(
            slot=_milliseconds(first),
            previous=answer.slot,
            following=_milliseconds(job.slots.after(first)),
            missed=slots.index(first),
            start=bool(wanted),
        )
    before = [_milliseconds(slot) for slot in slots[:-1]]
    skipped = sum(slot <= answer.ended for slot in before)
    return Claim(
        slot=claim.slot,
        previous=answer.slot,
        following=claim.following,
        missed=len(before) - skipped,
        skipped=skipped,
        start=claim.start,
    )


def slots_between(job: FleetJob, last: float, moment: float) -> int:
    """Return how many slots came after ``last`` and up to ``moment``."""
    newest = job.slots.before(moment)
    return len(_passed(job, last, newest)) if newest > last else 0


def _passed(job: FleetJob, last: float, slot: float) -> list[float]:
    """Return the slots after ``last`` up to ``slot``, oldest first; of very many the newest."""
    found = [slot]
    while len(found) < _MOST_COUNTED and (before := job.slots.before(found[-1] - 0.001)) > last:
        found.append(before)
    return found[::-1]


def _is_in_time(job: FleetJob, slot: float, membership: Membership) -> bool:
    age = membership.now() - slot
    if job.window is not None and age > job.window:
        return False
    return job.missed != "skip" or age <= 2 * membership.ttl


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)
