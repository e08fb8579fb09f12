"""What the page shows of a fleet of any size: where something is wrong first, and no more than people can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from plughost.contracts import RUNNING_STATES, FleetMember, PluginState
from plughost.plugins.fleet.cards import plugins_of

MOST_LINES = 100
"""How many hosts have a line, and how many plugins."""

MOST_COLUMNS = 24
"""How many hosts have a column; in a larger fleet those have one where a plugin is otherwise than on most."""

_SHOWN = tuple(field.name for field in fields(FleetMember) if field.name != "plugins")
_Kind = tuple[str, str]
"""State and version."""

_NOT_THERE: _Kind = ("", "")
_IN_TROUBLE = {PluginState.DEGRADED, PluginState.QUARANTINED, PluginState.FAILED}


def hosts_shown(members: Sequence[FleetMember]) -> list[dict[str, Any]]:
    """Return a line for each member, by name; of many those that are in trouble, and as many others as have room."""

    def is_well(member: FleetMember) -> bool:
        return member.state == "alive" and member.ready and not member.error

    if len(members) > MOST_LINES:
        members = sorted(sorted(members, key=is_well)[:MOST_LINES], key=lambda one: one.id)
    return [{name: getattr(one, name) for name in _SHOWN} for one in members]


def plugins_shown(
    living: Sequence[FleetMember], drift: Collection[str]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the names of hosts that have a column, and a row for each plugin.

    What differs comes first, then what is in trouble somewhere, then what runs.

    Args:
        living: The members that live.
        drift: The plugins that are not the same on all of them.
    """
    kinds: dict[str, Counter[_Kind]] = {}
    for (name, version, state), count in plugins_of(living).items():
        kinds.setdefault(name, Counter())[state, version] += count
    for counted in kinds.values():
        if absent := len(living) - counted.total():
            counted[_NOT_THERE] = absent
    usual = {name: counted.most_common(1)[0][0] for name, counted in kinds.items() if name in drift}
    shown = list(living)
    if len(living) > MOST_COLUMNS:
        shown = _unusual(living, usual)[:MOST_COLUMNS] if usual else []
    on = {member.id: {one.name: (one.state, one.version) for one in member.plugins} for member in shown}
    rows = [_row(name, counted, on, name in drift) for name, counted in sorted(kinds.items())]
    return list(on), sorted(rows, key=lambda row: (not row["differs"], not row["fails"], not row["runs"]))


def _unusual(living: Sequence[FleetMember], usual: Mapping[str, _Kind]) -> list[FleetMember]:
    """Return the hosts where some plugin is otherwise than on most."""
    found: dict[int, bool] = {}  # of plugins that many hosts share
    for member in living:
        if id(member.plugins) not in found:
            here = {one.name: (one.state, one.version) for one in member.plugins if one.name in usual}
            found[id(member.plugins)] = any(
                here.get(name, _NOT_THERE) != kind for name, kind in usual.items()
            )
    return [member for member in living if found[id(member.plugins)]]


def _row(
    name: str, counted: Counter[_Kind], on: Mapping[str, Mapping[str, _Kind]], differs: bool
) -> dict[str, Any]:
    cells = [(host, *found.get(name, _NOT_THERE)) for host, found in on.items()]
    others = counted - Counter((state, version) for _, state, version in cells)
    return {
        "name": name,
        "differs": differs,
        "fails": any(state in _IN_TROUBLE for state, _ in counted),
        "runs": any(state in RUNNING_STATES for state, _ in counted),
        "cells": [{"host": host, "state": state, "version": version} for host, state, version in cells],
        "others": [
            {"state": state, "version": version, "count": count}
            for (state, version), count in others.most_common()
        ],
    }
