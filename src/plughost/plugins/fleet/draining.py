"""Members that are to take no more work: who is meant by a name, and who may say so."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from plughost.contracts import FleetStore, Steering
from plughost.exceptions import FleetError
from plughost.plugins.fleet.cards import decode_card
from plughost.plugins.fleet.seal import Seal


class DrainOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Says that a member is drained; it names the member, so that nobody shows it for another."""

    member: str
    author: str = ""
    reason: str = ""


def order_for(member: str, steering: Steering, seal: Seal) -> DrainOrder | None:
    """Return the order by which a member is drained; None when it is not.

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
    for name in names:
        order = seal.close(DrainOrder(member=name, author=author, reason=reason)) if on else b""
        await store.drain(name, order)
    return names
