"""Which hosts live and do not come after: people are told of them, and nobody is left out for being slow."""

from __future__ import annotations

from collections.abc import Sequence

from plughost.contracts import Steering, StoredMember, View
from plughost.plugins.fleet.cards import decode_card
from plughost.plugins.fleet.rollouts import Roll

LAGS_AFTER = 90_000
"""Milliseconds after which a host lags that does not follow what it is to."""


def behind(view: View, steering: Steering, roll: Roll | None) -> Sequence[tuple[StoredMember, int]]:
    """Return the living members that do not follow what they are to, each with the revision that is.

    Args:
        view: All members.
        steering: What holds for all of them.
        roll: The last roll-out.
    """
    newest = max(steering.active, roll.revision if roll else 0)
    found = []
    for one in view.members:
        if one.applied >= newest or not one.lives(view.now) or not decode_card(one.card).follows:
            continue
        wanted = roll.wanted_of(one.member, steering.active, one.applied) if roll else steering.active
        if one.applied < wanted:
            found.append((one, wanted))
    return found


def lags(member: StoredMember, wanted: int, since: int, now: int) -> str:
    """Return for how long a member has not followed, for people; empty when that is not long.

    Args:
        member: The member.
        wanted: What it is to follow.
        since: When that was decided, or later.
        now: The store's time.
    """
    age = now - max(since, member.joined)
    if age < LAGS_AFTER:
        return ""
    return f"it has not followed revision {wanted} for {age // 1000} s"
