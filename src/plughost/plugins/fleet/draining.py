"""Members that are to take no more work: who is meant by a name, and who may say so."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from plughost.contracts import FleetStore, Steering
from plughost.exceptions import FleetError
from plughost.plugins.fleet.cards import decode_card
from plughost.plugins.fleet.copies import CopyOnDisk
from plughost.plugins.fleet.seal import Seal


class DrainOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Says whether a member is drained.

    Attributes:
        member: Its name, so that nobody shows the order for another's.
        on: Whether it is.
        at: The store's time when that was ordered, in milliseconds: a member follows no order older than its last one,
            so that nobody gives one a second time.
        author: Who ordered it.
        reason: Why.
    """

    member: str
    on: bool = True
    at: int = 0
    author: str = ""
    reason: str = ""


def order_for(member: str, steering: Steering, seal: Seal) -> DrainOrder | None:
    """Return the last order to a member; None when there is none.

    Raises:
        FleetError: It was not signed with this host's secret, or is meant for another.
    """
    for drained in steering.drains:
        if drained.member == member:
            order = seal.open(drained.order, DrainOrder)
            if order.member != member:
                raise FleetError(f"it was given for {order.member!r}, not for {member!r}")
            return order
    return None


async def drain(
    store: FleetStore, seal: Seal, host: str, *, on: bool, author: str, reason: str = ""
) -> Sequence[str]:
    """Drain a member, or all members of a machine; or let them take work again.

    Returns:
        The names of the members.

    Raises:
        FleetError: There is none of that name, none of them does what the fleet wants, or there is no secret.
    """
    view = await store.view()
    cards = {one.member: decode_card(one.card) for one in view.members}
    names = [host] if host in cards else [name for name, card in cards.items() if card.machine == host]
    if not names:
        raise FleetError(f"there is no member and no machine {host!r}: `plughost fleet hosts` shows them")
    if on and not any(cards[name].follows for name in names):
        raise FleetError(
            f"{host} does nothing that the fleet wants: host.fleet is off there, or safe mode is on"
        )
    steering = await store.steering()
    for name in names:
        at = view.now
        with suppress(FleetError):  # one that nobody may give is written over
            if last := order_for(name, steering, seal):
                at = max(at, last.at + 1)
        order = DrainOrder(member=name, on=on, at=at, author=author, reason=reason)
        await store.drain(name, seal.close(order))
    return names


class LastOrder:
    """The last order that a member followed, on its disk: it holds until there is a newer one.

    Args:
        copy: Where it is kept.
        seal: How it is signed.
    """

    def __init__(self, copy: CopyOnDisk, seal: Seal) -> None:
        self._copy = copy
        self._seal = seal
        self._order: DrainOrder | None = None

    async def of(self, member: str) -> DrainOrder:
        """Return it; one that lets the member work when there is none."""
        if self._order is None:
            try:
                self._order = self._seal.open(await self._copy.read(), DrainOrder)
            except (OSError, FleetError):  # there is none, or it is not of this fleet
                self._order = DrainOrder(member=member, on=False)
        return self._order if self._order.member == member else DrainOrder(member=member, on=False)

    async def follow(self, order: DrainOrder) -> None:
        """Take an order for the last one.

        Raises:
            FleetError: It is older than that.
            OSError: It could not be kept.
        """
        last = await self.of(order.member)
        if order.at < last.at:
            raise FleetError(
                "it was given before the last one, and was written into the store again: look who can write to it"
            )
        if order != last:
            self._order = order
            await self._copy.keep(self._seal.close(order))
