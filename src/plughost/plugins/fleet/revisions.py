"""What all members are to follow: numbered, signed, never changed, and how far they have come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from plughost.contracts import (
    FleetChange,
    FleetStore,
    NextStep,
    Proposal,
    Rollout,
    RolloutAct,
    RolloutPlan,
    RolloutState,
    Steering,
    StoredMember,
    View,
    masked_text,
)
from plughost.exceptions import FleetError, did_you_mean
from plughost.plugins.fleet.cards import decode_card
from plughost.plugins.fleet.lagging import behind, lags
from plughost.plugins.fleet.rollouts import OPEN, Roll, check
from plughost.plugins.fleet.seal import Seal
from plughost.plugins.fleet.waiting import waits_for, waits_for_all
from plughost.plugins.fleet.wishes import Revision, WantedState, changed, refuse_hopeless


class _Order(msgspec.Struct, frozen=True):
    """A change of what is wanted that is to become a revision.

    Attributes:
        what: Says it in a few words.
        plugins: Given what is wanted now and the new revision's number, returns what is wanted then.
        plan: How it goes from one member to the next; None for all at once.
        expect: The newest revision that whoever ordered it knew; None when that does not matter.
        author: Who.
        reason: Why.
        urgent: Whether it does not wait for another change that is on its way.
        known: Name of a plugin that some host must have; empty for none.
    """

    what: str
    plugins: Callable[[Mapping[str, WantedState], int], Mapping[str, WantedState]]
    plan: RolloutPlan | None
    expect: int | None
    author: str
    reason: str
    urgent: bool = False
    known: str = ""


class Revisions:
    """The revisions in a store.

    Args:
        store: Where they are.
        seal: How they are signed.
    """

    def __init__(self, store: FleetStore, seal: Seal) -> None:
        self._store = store
        self._seal = self.seal = seal

    async def history(self) -> list[Revision]:
        """Return the last of them, newest first."""
        return [self._seal.open(one.document, Revision) for one in await self._store.revisions()]

    async def document(self, number: int) -> bytes | None:
        """Return one as it is stored."""
        return await self._store.revision(number)

    async def propose(
        self, change: FleetChange, plan: RolloutPlan | None, *, expect: int | None, author: str
    ) -> Rollout:
        """Change what is wanted of one plugin."""
        refuse_hopeless(change)

        def wanted(plugins: Mapping[str, WantedState], number: int) -> Mapping[str, WantedState]:
            wish = plugins.get(change.plugin, WantedState())
            return {**plugins, change.plugin: changed(wish, change, number)}

        urgent = plan is None and change.act in ("disable", "quarantine")
        known = "" if change.force else change.plugin
        return await self._put(
            _Order(
                f"{change.act} {change.plugin}", wanted, plan, expect, author, change.reason, urgent, known
            )
        )

    async def roll_back(
        self, number: int, plan: RolloutPlan | None, *, expect: int | None, author: str, reason: str = ""
    ) -> Rollout:
        """Want again what an earlier revision wanted, as a new one.

        Raises:
            FleetError: There is no such revision.
        """
        before = (await self.revision(number)).plugins
        return await self._put(
            _Order(f"back to revision {number}", lambda *_: before, plan, expect, author, reason)
        )

    async def revision(self, number: int) -> Revision:
        """Return one; before the first, an empty one.

        Raises:
            FleetError: There is no such revision.
        """
        if not number:
            return Revision()
        return self._seal.open(await self.expect(number), Revision)

    async def expect(self, number: int) -> bytes:
        """Return one as it is stored, which must be there.

        Raises:
            FleetError: There is no such revision.
        """
        document = await self.document(number)
        if document is None:
            raise FleetError(
                f"there is no revision {number}: `plughost fleet config history` shows what there is"
            )
        return document

    async def rollout(self, number: int, view: View | None = None) -> Rollout:
        """Return how far the living members follow a revision; a ``view`` that is there is not read again."""
        steering, view = await self._store.steering(), view or await self._store.view()
        roll = self.roll_of(steering)
        following = [one for one in view.members if decode_card(one.card).follows]
        living = [one for one in following if one.lives(view.now)]
        if roll is not None and roll.revision == number:
            results = {one.member: _result(one, number, roll) for one in living}
            waits = waits_for(roll, following, view.now)
            return Rollout(
                id=str(number), revision=number, state=roll.state, results=results, reason=roll.reason,
                waits_for=waits,
            )  # fmt: skip
        if steering.newest < number:
            lost = dict.fromkeys((one.member for one in living), "waiting")
            waits = "a host to give back what the store has lost"
            return Rollout(id=str(number), revision=number, state="rolling", results=lost, waits_for=waits)
        # Another revision may have taken its place without keeping what it changed.
        known = {one.number: one for one in await self.history()}
        instead = known.get(steering.active)
        while instead is not None and instead.parent > number:
            instead = known.get(instead.parent)
        if instead is not None and instead.parent < number < instead.number:
            return _gone(number, living, instead)
        results = {one.member: _result(one, number) for one in living}
        waiting = "waiting" in results.values()
        failed = any(result not in ("waiting", "applied") for result in results.values())
        state: RolloutState = "rolling" if waiting else "failed" if failed else "done"
        return Rollout(
            id=str(number), revision=number, state=state, results=results, waits_for=waits_for_all(results)
        )

    async def laggards(self, view: View) -> Mapping[str, str]:
        """Return the living members that have not followed for long what they are to, and for how long, in words.

        Nobody is among them where no secret tells what holds for all.
        """
        try:
            steering = await self._store.steering()
            roll = self.roll_of(steering)
            if not (late := behind(view, steering, roll)):
                return {}
            # A roll-out that moves on is no reason to call anybody slow.
            since = 0 if roll is None else max(roll.since, roll.moved)
            since = max(since, round((await self.revision(steering.active)).made * 1000))
        except FleetError:
            return {}
        found = {one.member: lags(one, wanted, since, view.now) for one, wanted in late}
        return {name: words for name, words in found.items() if words}

    async def last_rollout(self, view: View | None = None) -> Rollout | None:
        """Return how far the last change has come, be it taken back; None when there was none."""
        steering = await self._store.steering()
        roll = self.roll_of(steering)
        number = steering.newest if roll is None else roll.revision
        return await self.rollout(number, view) if number else None

    async def steer_rollout(self, number: int, act: RolloutAct) -> Rollout:
        """Pause, resume or abort a roll-out.

        Raises:
            FleetError: It is not under way.
        """
        while True:
            steering, view = await self._store.steering(), await self._store.view()
            roll = self.roll_of(steering)
            if roll is None or roll.revision != number or roll.state not in OPEN or roll.state == "reverting":
                raise FleetError(
                    f"revision {number} is not being rolled out: `plughost fleet status` shows what is on its way"
                )
            match act:
                case "pause" if roll.state != "paused":
                    after = replace(roll.moved_to("paused", view.now), resume=roll.state)
                case "resume" if roll.state == "paused":
                    after = replace(roll.moved_to(roll.resume, view.now), moved=view.now)
                case "abort":
                    after = roll.moved_to("reverting", view.now, "it was aborted")
                case _:
                    return await self.rollout(number)
            if await self.take_further(steering, after):
                return await self.rollout(number)

    async def take_further(self, steering: Steering, roll: Roll) -> bool:
        """Take a roll-out to its next state; returns whether nothing else happened since ``steering``."""
        if roll.state == "done":
            step = NextStep(after=steering.step, roll=self._seal.close(roll), active=roll.revision)
        elif roll.state == "reverting" and not roll.back:
            # Members go back to a new revision: numbers only grow.
            number = steering.newest + 1
            bad, good = await self.revision(roll.revision), await self.revision(steering.active)
            revision = Revision(
                number=number,
                parent=good.number,
                author=bad.author,
                reason=roll.reason[:500],
                change=f"back to revision {steering.active}: {bad.change} went wrong",
                plugins=good.plugins,
                made=roll.since / 1000,
            )
            document, back = self._seal.close(revision), replace(roll, back=number)
            step = NextStep(
                after=steering.step,
                roll=self._seal.close(back),
                active=number,
                number=number,
                document=document,
            )
        else:
            step = NextStep(after=steering.step, roll=self._seal.close(roll))
        return await self._store.go_on(step)

    def roll_of(self, steering: Steering) -> Roll | None:
        """Return the last roll-out; None when there was none.

        Raises:
            FleetError: It was not signed with this host's secret.
        """
        return self._seal.open(steering.roll, Roll) if steering.roll else None

    async def _room_for(self, order: _Order) -> Steering:
        """Return where the fleet stands, which must be as was expected, with no other change on its way."""
        steering, expect, plan = await self._store.steering(), order.expect, order.plan
        if expect is not None and expect != steering.newest:
            newest = await self.revision(steering.newest)
            raise FleetError(
                f"the fleet is at revision {newest.number} ({newest.change}, by {newest.author}), and you expected "
                f"{expect}: nothing was changed"
            )
        roll = self.roll_of(steering)
        if roll is not None and roll.state in OPEN and not order.urgent:
            raise FleetError(
                f"revision {roll.revision} is on its way ({roll.state}): wait for it, or"
                f" `plughost fleet rollout abort {roll.revision}`"
            )
        if plan is not None and (wrong := check(plan)):
            raise FleetError(wrong)
        return steering

    async def _put(self, order: _Order) -> Rollout:
        while True:
            steering, plan = await self._room_for(order), order.plan
            active = await self.revision(steering.active)
            number, view = steering.newest + 1, await self._store.view()
            now = view.now
            revision = Revision(
                number=number, parent=active.number, author=order.author, reason=masked_text(order.reason),
                change=order.what, plugins=order.plugins(active.plugins, number), made=now / 1000,
            )  # fmt: skip
            if order.known:
                _refuse_unknown(order.known, view, active)
            if not any(one.lives(now) and not one.draining for one in view.members):
                plan = None  # there is nobody to go first
            course = (
                b""
                if plan is None
                else self._seal.close(Roll(revision=number, plan=plan, since=now, moved=now))
            )
            proposal = Proposal(
                number=number, expect=steering.newest, document=self._seal.close(revision), at_once=plan is None,
                roll=course,
            )  # fmt: skip
            if (await self._store.propose(proposal)).accepted:  # otherwise somebody else was faster
                return await self.rollout(number)


def _gone(number: int, living: Sequence[StoredMember], instead: Revision) -> Rollout:
    """Return how far a revision is whose place another has taken that does not keep what it changed."""
    results = {one.member: "waiting" if one.applied < instead.number else "taken back" for one in living}
    goes_back = "waiting" in results.values()
    return Rollout(
        id=str(number), revision=number, state="reverting" if goes_back else "reverted", results=results,
        reason=f"revision {instead.number} took its place: {instead.change}, by {instead.author}",
        waits_for=waits_for_all(results),
    )  # fmt: skip


def _result(member: StoredMember, number: int, roll: Roll | None = None) -> str:
    if roll is not None and roll.back and member.member in roll.turn:
        return member.refused or ("taken back" if member.applied >= roll.back else "waiting")
    if roll is not None and roll.state != "done" and member.member not in roll.turn:
        return "not yet"
    if member.applied < number:
        return "waiting"
    return member.refused or "applied"


def _refuse_unknown(plugin: str, view: View, active: Revision) -> None:
    """Refuse a name that is most likely a slip: hosts without the plugin would all tell that they followed."""
    had = {one.name for member in view.members for one in decode_card(member.card).plugins}
    if had and plugin not in had | active.plugins.keys():
        raise FleetError(
            f"no host of the fleet has a plugin {plugin!r}.{did_you_mean(plugin, had | active.plugins.keys())}"
            " Nothing was changed: `--force`, in code and API `force`, is for hosts that are still to join"
        )
