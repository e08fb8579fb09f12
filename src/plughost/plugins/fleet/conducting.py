"""Taking a roll-out further: done by whichever member the store says leads, which keeps nothing of it in memory."""

from __future__ import annotations

import anyio

from plughost.contracts import RolloutChanged
from plughost.exceptions import FleetError, StoreUnavailableError
from plughost.plugins.fleet.cards import decode_card
from plughost.plugins.fleet.kit import CrewKit
from plughost.plugins.fleet.rollouts import OPEN, advanced

_PULSE = 0.2
"""Seconds between two looks at members that follow a roll-out."""


class Conductor:
    """Takes roll-outs further while this member leads.

    Args:
        kit: What it works with; cut off from the store it does nothing.
    """

    def __init__(self, kit: CrewKit) -> None:
        self._store = kit.store
        self._revisions = kit.revisions
        self._membership = kit.membership
        self._publish = kit.publish
        self._clock = kit.clock
        self._log = kit.log
        self._heard: tuple[int, bool] = (0, False)
        self._changed = anyio.Event()

    def hear(self, step: int, leads: bool) -> None:
        """Note what a beat said."""
        if (step, leads) != self._heard:
            if step != self._heard[0]:
                self._membership.understands = True  # until this step shows that it does not
            self._heard = step, leads
            self.wake()

    def wake(self) -> None:
        """Have looked at whether there is a roll-out."""
        self._changed.set()

    async def run(self) -> None:
        """Take roll-outs further, until cancelled."""
        while True:
            self._changed = anyio.Event()
            step = self._heard[0]
            try:
                goes_on = self._heard[1] and (not self._membership.connected or await self._look())
            except StoreUnavailableError:
                goes_on = True
            except FleetError as error:
                self._log.error("a roll-out cannot be taken further", error=str(error))
                goes_on = False
                # Another one may. A step that came meanwhile is looked at by itself.
                self._membership.understands = step != self._heard[0]
            if goes_on:
                await self._clock.sleep(_PULSE)
            else:
                await self._changed.wait()

    async def _look(self) -> bool:
        """Do what is to be done for the roll-out now; returns whether there is one under way."""
        steering = await self._store.steering()
        roll = self._revisions.roll_of(steering)
        if roll is None or roll.state not in OPEN:
            return False
        view = await self._store.view()
        members = [one for one in view.members if decode_card(one.card).follows]
        after = advanced(roll, members, view.now)
        if after is not roll and await self._revisions.take_further(steering, after):
            self._log.info(
                "a roll-out goes on",
                revision=after.revision,
                state=after.state,
                hosts=after.turn,
                reason=after.reason,
            )
            await self._publish(RolloutChanged(after.revision, after.state, after.turn, after.reason))
        return True
