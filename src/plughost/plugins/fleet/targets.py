"""The fleet as Prometheus discovers it over HTTP: one target for each address, whoever answers there."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from plughost.contracts import FleetMember

_META = "__meta_plughost_"


class ScrapeTarget(msgspec.Struct, frozen=True):
    """One entry of the list that Prometheus reads.

    Attributes:
        targets: Where figures are asked for; one address.
        labels: What is known of who answers there, to be made into labels or not.
    """

    targets: tuple[str]
    labels: dict[str, str]


def targets_of(fleet: str, members: Sequence[FleetMember]) -> list[ScrapeTarget]:
    """Return a target for each address, by name; that of a lost member too: it is its figures that are missed.

    Args:
        fleet: Name of the fleet.
        members: All members.
    """
    at: dict[str, list[FleetMember]] = {}
    for member in members:
        if member.state != "left":
            at.setdefault(member.address or member.machine, []).append(member)
    at.pop("", None)
    targets: list[ScrapeTarget] = []
    for address, found in sorted(at.items()):
        first = next((one for one in found if one.connected), found[0])
        known = {
            "fleet": fleet,
            "host": first.host_name,
            "machine": first.machine,
            "members": ",".join(one.id for one in found),
            "state": first.state,
            "version": first.version,
        }
        targets.append(ScrapeTarget((address,), {f"{_META}{name}": value for name, value in known.items()}))
    return targets
