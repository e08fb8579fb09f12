"""What all who do a member's work have in their hands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from plughost.contracts import Clock, FleetStore
from plughost.plugins.fleet.membership import Membership
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.seal import Seal


class CrewKit(msgspec.Struct, frozen=True, kw_only=True):
    """What agent, gate, follower, conductor and relay of one host share.

    Attributes:
        store: Where the fleet meets.
        seal: How what is ordered and told is signed.
        revisions: What all members follow, and roll-outs.
        membership: What this host knows of its place.
        publish: Tells an event on this host.
        clock: Time.
        log: Where is told what was done and what went wrong.
    """

    store: FleetStore
    seal: Seal
    revisions: Revisions
    membership: Membership
    publish: Callable[[object], Awaitable[None]]
    clock: Clock
    log: Any
