"""How a change goes from one member to the next: what comes next follows from what is known, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from plughost.contracts import RolloutPlan, RolloutState, StoredMember
from plughost.plugins.fleet.failing import fails_more_often

OPEN: frozenset[RolloutState] = frozenset({"proposed", "rolling", "settling", "paused", "reverting"})
"""States in which a roll-out goes on."""


class Roll(msgspec.Struct, frozen=True, kw_only=True):
    """One roll-out. Times are the store's, in milliseconds.

    Attributes:
        revision: What is rolled out.
        plan: How.
        state: How far it has come.
        since: When it came to that.
        moved: When a member followed last.
        turn: The members whose turn has come, in that order.
        returning: Those of them whose turn to go back has come.
        reason: What went wrong.
        back: The revision that takes it back; 0 for none.
        resume: What a paused one goes on with.
    """

    revision: int
    plan: RolloutPlan = RolloutPlan()
    state: RolloutState = "proposed"
    since: int = 0
    moved: int = 0
    turn: tuple[str, ...] = ()
    returning: tuple[str, ...] = ()
    reason: str = ""
    back: int = 0
    resume: RolloutState = "rolling"

    def wanted_of(self, member: str, active: int, applied: int) -> int:
        """Return the revision that a member is to follow, which follows ``applied`` now."""
        if member not in self.turn:
            return active
        if self.state in ("proposed", "rolling", "settling", "paused", "failed"):
            return max(self.revision, active)
        waits = self.state in ("reverting", "stuck") and member not in self.returning
        return applied if waits and applied == self.revision and active <= self.back else active

    def moved_to(self, state: RolloutState, now: int, reason: str = "") -> Roll:
        """Return the same in another state."""
        return replace(self, state=state, since=now, reason=reason or self.reason)

    def given_up(self, now: int, reason: str) -> Roll:
        """Return the same after something went wrong."""
        return self.moved_to("reverting" if self.plan.revert else "failed", now, reason)


def check(plan: RolloutPlan) -> str:
    """Return what is wrong with a plan; empty when nothing is."""
    share = plan.batch.removesuffix("%")
    if not share.isdecimal() or not 0 < int(share) <= (100 if plan.batch.endswith("%") else 1_000_000):
        return f"batch is a number of hosts or a share such as 25%, not {plan.batch!r}"
    if plan.canary < 1 or plan.max_unavailable < 1:
        return "canary and max_unavailable are 1 or more"
    if not (
        0 <= plan.settle <= 86_400 and 0 < plan.healthy_deadline <= 86_400 and plan.progress_deadline > 0
    ):
        return "settle and the deadlines are seconds, up to a day"
    if not 0 <= plan.max_error_ratio <= 1_000_000:
        return "max_error_ratio is how many times as often calls may fail, or 0 for not to look at it"
    return ""


def advanced(roll: Roll, members: Sequence[StoredMember], now: int) -> Roll:
    """Return a roll-out as it goes on now; the same object when nothing is to be done yet.

    Args:
        roll: The roll-out.
        members: All members that follow the fleet, those that were lost among them.
        now: The store's time.
    """
    living = {one.member: one for one in members if one.lives(now)}
    at_turn = [living[name] for name in roll.turn if name in living]
    match roll.state:
        case "proposed":
            return _next_wave(roll, members, now)
        case "rolling":
            return _after_wave(roll, at_turn, now)
        case "settling":
            if trouble := _trouble(roll, living):
                return roll.given_up(now, trouble)
            left = roll.since + round(roll.plan.settle * 1000) - now
            unheard = [one for one in at_turn if one.seen <= roll.since]
            return roll if left > 0 or unheard else _next_wave(roll, members, now)
        case "reverting" if roll.back:
            return _after_return(roll, living, now)
        case _:
            return roll


def _next_wave(roll: Roll, members: Sequence[StoredMember], now: int) -> Roll:
    living = {one.member: one for one in members if one.lives(now)}
    rest = sorted(name for name, one in living.items() if name not in roll.turn and not one.draining)
    if not rest:
        return roll.moved_to("done", now)
    away = away_from(roll, members, now)
    room = roll.plan.max_unavailable - len(away)
    # A host that is ready tells more about the change than one that was not before it either.
    rest.sort(key=lambda name: (not living[name].ready, name))
    size = roll.plan.canary
    if roll.turn:
        share = int(roll.plan.batch.removesuffix("%"))
        size = max(1, len(living) * share // 100) if roll.plan.batch.endswith("%") else share
    wave = rest[: min(room, size)] if room > 0 else []
    if not wave:
        if now - roll.moved > roll.plan.progress_deadline * 1000:
            return roll.given_up(now, f"no host could be spared: {', '.join(away)}")
        return roll
    return replace(roll.moved_to("rolling", now), moved=now, turn=(*roll.turn, *wave))


def away_from(roll: Roll, members: Iterable[StoredMember], now: int) -> list[str]:
    """Return the names of all who count as away from a roll-out, each with why, by name.

    Who left in order, or was forgotten, is not missed: another host may have come in its place under a name of its own.
    """
    away = []
    for one in members:
        if not one.lives(now):
            away += [f"{one.member} is lost"] if one.member in roll.turn and not one.gone else []
        elif one.draining or not one.ready:
            away.append(f"{one.member} is {'drained' if one.draining else 'not ready'}")
    return sorted(away)


def _after_wave(roll: Roll, at_turn: Sequence[StoredMember], now: int) -> Roll:
    for one in at_turn:
        if one.applied == roll.revision and one.refused:
            return roll.given_up(now, f"{one.member}: {one.refused}")
    waiting = [one.member for one in at_turn if one.applied < roll.revision or not one.ready]
    # Of those that were lost nobody knows: somebody must have told that it is good.
    if at_turn and not waiting:
        return replace(roll.moved_to("settling", now), moved=now)
    if now - roll.since > roll.plan.healthy_deadline * 1000:
        return roll.given_up(
            now, f"{', '.join(waiting or roll.turn)} did not follow and become ready in time"
        )
    return roll


def _trouble(roll: Roll, living: dict[str, StoredMember]) -> str:
    following = [
        living[name] for name in roll.turn if name in living and living[name].applied == roll.revision
    ]
    for one in following:
        if one.refused or not one.ready:
            return f"{one.member}: {one.refused or 'it was ready, and is no more'}"
    others = [one for name, one in living.items() if name not in roll.turn]
    ratio = roll.plan.max_error_ratio
    return fails_more_often(following, others, ratio) if ratio else ""


def _after_return(roll: Roll, living: dict[str, StoredMember], now: int) -> Roll:
    at_turn = [living[name] for name in roll.turn if name in living]
    refused = [one for one in at_turn if one.applied >= roll.back and one.refused]
    behind = [one for one in at_turn if one not in refused and (one.applied < roll.back or not one.ready)]
    if not behind and refused:
        first = refused[0]
        return roll.moved_to("stuck", now, f"{roll.reason}; {first.member} cannot go back: {first.refused}")
    if not behind:
        return roll.moved_to("reverted", now)
    waiting = [one for one in behind if one.member not in roll.returning]
    under_way = {one.member for one in behind} - {one.member for one in waiting}
    away = under_way | {one.member for one in living.values() if not one.ready or one.draining}
    # Those that are away already lose nothing by going back, and no more of the others may be than at any time.
    wave = [one.member for one in waiting if one.member in away]
    spared = [one.member for one in waiting if one.member not in away]
    wave += spared[: max(0, roll.plan.max_unavailable - len(away))]
    if wave:
        return replace(roll, returning=(*roll.returning, *wave), moved=now)
    if now - max(roll.since, roll.moved) > roll.plan.healthy_deadline * 1000:
        late = ", ".join(one.member for one in behind)
        return roll.moved_to("stuck", now, f"{roll.reason}; {late} did not go back in time")
    return roll
