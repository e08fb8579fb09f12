"""The fleet as plugins and commands see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from plughost.contracts import (
    FleetChange,
    FleetJobRecord,
    FleetMember,
    FleetStatus,
    FleetStore,
    Rollout,
    RolloutAct,
    RolloutPlan,
    View,
)
from plughost.exceptions import FleetError
from plughost.plugins.fleet.asking import ask_for_run
from plughost.plugins.fleet.cards import APART, OwnHost, job_record, members_of, status_of
from plughost.plugins.fleet.draining import drain
from plughost.plugins.fleet.membership import Membership
from plughost.plugins.fleet.relay import EventRelay
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.seal import Seal


class FleetService:
    """The ``Fleet`` of one host.

    Args:
        name: The fleet's name.
        store: Where it meets.
        membership: This host's place.
        host: What it tells of itself.
        revisions: What all members follow.
        seal: How what is ordered is signed.
    """

    def __init__(
        self,
        name: str,
        store: FleetStore,
        membership: Membership,
        host: OwnHost,
        revisions: Revisions,
        seal: Seal,
    ) -> None:
        self.name = name
        self._store = store
        self._membership = membership
        self._host = host
        self._revisions = revisions
        self._seal = seal
        self.relay: EventRelay | None = None

    @property
    def store(self) -> str:
        """Where it meets."""
        return self._store.name

    @property
    def here(self) -> str:
        """The name of this host."""
        return self._membership.name

    @property
    def member(self) -> FleetMember:
        """This host."""
        card, mine = self._host.card(), self._membership
        return FleetMember(
            id=mine.name,
            incarnation=mine.incarnation,
            state="draining" if mine.draining else "alive" if mine.incarnation else "left",
            connected=mine.connected,
            ready=self._host.ready(),
            applied=mine.applied,
            seen_age=mine.silence,
            error=mine.error or mine.slow_store or mine.refused or ("" if card.follows else APART),
            **card.facts(),
        )

    async def members(self) -> Sequence[FleetMember]:
        """Return all members, by name."""
        view = await self._store.view()
        return tuple(members_of(view, await self._revisions.laggards(view)))

    async def status(self) -> FleetStatus:
        """Return the whole fleet."""
        return (await self.look())[2]

    async def look(self) -> tuple[View, Sequence[FleetMember], FleetStatus]:
        """Read the whole fleet once."""
        view, hazards = await self._store.view(), tuple(await self._store.hazards())
        members = members_of(view, await self._revisions.laggards(view))
        return view, members, status_of(self.name, self._store.name, view, members, hazards)

    async def propose(
        self,
        change: FleetChange,
        plan: RolloutPlan | None = None,
        *,
        expect: int | None = None,
        author: str = "",
    ) -> Rollout:
        """Have a change made on all members, at once or one after the other."""
        author = author or self._membership.name
        if any(one.name == change.plugin for one in self._host.card().plugins):
            change = replace(change, force=True)  # what was loaded here just now is not on its card yet
        return await self._revisions.propose(change, plan, expect=expect, author=author)

    async def drain(
        self, host: str, /, *, on: bool = True, author: str = "", reason: str = ""
    ) -> Sequence[str]:
        """Have a member, or all of a machine, take no more work."""
        author = author or self._membership.name
        return await drain(self._store, self._seal, host, on=on, author=author, reason=reason)

    async def publish(self, event: object) -> None:
        """Have an event told on every host."""
        if self.relay is None:
            raise FleetError(
                "no event is told: this host was started for one command, and takes no part in the fleet"
            )
        self.relay.tell(event)

    async def steer_rollout(self, name: str, act: RolloutAct, /) -> Rollout:
        """Pause, resume or abort a roll-out."""
        if not (number := _number(name)):
            raise FleetError(
                f"no roll-out is called {name!r}: `plughost fleet config history` shows their numbers"
            )
        return await self._revisions.steer_rollout(number, act)

    async def run_job(self, name: str, /) -> FleetJobRecord:
        """Have a job run once now."""
        key, slot = await ask_for_run(self._store, name)
        view = await self._store.view()
        job = next(one for one in view.jobs if one.job == key)
        return replace(job_record(job, view.now), slot=slot / 1000)

    async def rollout(self, name: str, /) -> Rollout | None:
        """Return how far a change has come."""
        number = _number(name)
        if await self._revisions.document(number) is None:
            return None
        return await self._revisions.rollout(number)


def _number(name: str) -> int:
    return int(name) if name.isascii() and name.isdecimal() else 0
