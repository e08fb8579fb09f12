"""What a change that does not go on at once waits for, in words for whoever sits before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from plughost.contracts import Rollout, StoredMember
from plughost.plugins.fleet.rollouts import Roll, away_from

_MOST_NAMES = 5
_LEADER = "the host that takes it further"


def waits_for(roll: Roll, members: Sequence[StoredMember], now: int) -> str:
    """Return what a roll-out waits for; empty when it goes no further.

    Args:
        roll: The roll-out.
        members: All members that follow the fleet, those that were lost among them.
        now: The store's time.
    """
    living = {one.member: one for one in members if one.lives(now)}
    at_turn = [living[name] for name in roll.turn if name in living]
    match roll.state:
        case "paused":
            return "somebody who has it go on, or aborts it"
        case "rolling":
            behind = [one.member for one in at_turn if one.applied < roll.revision or not one.ready]
            lost = [] if at_turn else roll.turn  # somebody must have told that it is good
            return f"{_named(found)} to follow and be ready" if (found := behind or lost) else _LEADER
        case "settling" if now < roll.since + round(roll.plan.settle * 1000):
            return f"{_named(roll.turn)} to stay ready for {roll.plan.settle:g} s"
        case "settling" if unheard := [one.member for one in at_turn if one.seen <= roll.since]:
            return f"the next sign of life of {_named(unheard)}"
        case "proposed" | "settling":
            away, most = away_from(roll, members, now), roll.plan.max_unavailable
            if len(away) < most:
                return _LEADER
            return f"a host that can be spared: {_named(away)}, and max_unavailable is {most}"
        case "reverting":
            behind = [one.member for one in at_turn if one.applied < roll.back or not one.ready]
            return f"{_named(behind)} to go back" if behind else _LEADER
        case _:
            return ""


def waits_for_all(results: Mapping[str, str]) -> str:
    """Return what a change waits for that is made on all members at once; empty when it goes no further."""
    behind = sorted(member for member, result in results.items() if result == "waiting")
    return f"{_named(behind)} to follow" if behind else ""


def told(rollout: Rollout) -> str:
    """Return how far a change is, and what it waits for, in one line."""
    waits = f", waits for {rollout.waits_for}" if rollout.waits_for else ""
    return f"Revision {rollout.revision}: {rollout.state}{waits}"


def _named(names: Iterable[str]) -> str:
    found = list(names)
    more = [f"{len(found) - _MOST_NAMES} more"] if len(found) > _MOST_NAMES else []
    return ", ".join([*found[:_MOST_NAMES], *more])
