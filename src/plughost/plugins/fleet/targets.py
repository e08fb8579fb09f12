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
    return [
        ScrapeTarget((address,), _labels(fleet, found)) for address, found in sorted(at.items()) if address
    ]


def _labels(fleet: str, members: Sequence[FleetMember]) -> dict[str, str]:
    first = next((one for one in members if one.connected), members[0])
    known = {
        "fleet": fleet,
        "host": first.host_name,
        "machine": first.machine,
        "members": ",".join(one.id for one in members),
        "state": first.state,
        "version": first.version,
    }
    return {f"{_META}{name}": value for name, value in known.items()}
