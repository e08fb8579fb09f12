"""``plughost fleet``: look at and steer the fleet from any of its machines. No host is started, and nobody joins."""

from __future__ import annotations

from dataclasses import asdict

import click

from plughost.contracts import (
    CommandLine,
    FleetMember,
    FleetStatus,
    FleetStore,
    Rollout,
    View,
    json_option,
)
from plughost.exceptions import FleetError
from plughost.plugins.fleet.cards import APART, members_of, status_of
from plughost.plugins.fleet.event_commands import events
from plughost.plugins.fleet.host_commands import drain, job_row, jobs, undrain
from plughost.plugins.fleet.reaching import with_store
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.steering_commands import STEERING
from plughost.plugins.fleet.waiting import told

_Seen = tuple[View, list[FleetMember]]


@click.group("fleet")
def fleet_group() -> None:
    """See and steer many hosts as one."""


for _one in (*STEERING, drain, undrain, jobs, events):
    fleet_group.add_command(_one)


@fleet_group.command("status")
@json_option
@click.pass_obj
def status(line: CommandLine) -> None:
    """Show the whole fleet. Exit 3 when members were lost, lag or refuse, plugins differ, or the store is not safe."""

    async def look(store: FleetStore, revisions: Revisions) -> tuple[_Seen, tuple[str, ...], Rollout | None]:
        seen, hazards = await _members(store, revisions), tuple(await store.hazards())
        if not revisions.seal.steers:
            return seen, hazards, None
        try:
            return seen, hazards, await revisions.last_rollout(seen[0])
        except FleetError as error:  # the rest is seen all the same
            return seen, (*hazards, str(error)), None

    name, kind, ((view, members), hazards, rollout) = with_store(line, look)
    found = status_of(name, kind, view, members, hazards)
    living = [member for member in members if member.connected]
    document = {
        "name": found.name,
        "store": found.store,
        "epoch": found.epoch,
        "revision": found.revision,
        "members": [
            {key: value for key, value in asdict(member).items() if key != "plugins"} for member in living
        ],
        "counts": dict(found.members),
        "plugins": {plugin: dict(versions) for plugin, versions in found.versions.items()},
        "drift": found.drift,
        "rollout": None if rollout is None else asdict(rollout),
        "jobs": [asdict(job) for job in found.jobs],
        "hazards": found.hazards,
    }
    line.show(document, _status_text(found, living, rollout))
    refuses = any(one.error not in ("", APART) for one in living)
    if found.members.keys() & {"lost", "lagging"} or refuses or found.drift or found.hazards:
        raise SystemExit(3)


@fleet_group.command("hosts")
@json_option
@click.pass_obj
def hosts(line: CommandLine) -> None:
    """List the members, those lost or gone in the last day too."""
    _, _, (_, members) = with_store(line, _members)
    line.show({"members": [asdict(one) for one in members]}, "\n".join(map(_row, members)) or "no members")


@fleet_group.command("plugins")
@json_option
@click.pass_obj
def plugins(line: CommandLine) -> None:
    """List the plugins of all members: which version runs on how many, and where they differ."""
    name, kind, (view, members) = with_store(line, _members)
    found = status_of(name, kind, view, members, ())
    rows = []
    for plugin, versions in sorted(found.versions.items()):
        on = ", ".join(f"{version or '-'} on {count}" for version, count in versions.items())
        rows.append(f"{plugin:>20}  {on}{'  differs' if plugin in found.drift else ''}")
    document = {
        "plugins": {plugin: dict(one) for plugin, one in found.versions.items()},
        "drift": found.drift,
    }
    line.show(document, "\n".join(rows) or "no plugins")


@fleet_group.command("forget")
@click.argument("member")
@json_option
@click.pass_obj
def forget(line: CommandLine, member: str) -> None:
    """Drop a MEMBER that was lost or left. Exit 1 when it lives, or there is none."""

    async def drop(store: FleetStore, _: Revisions) -> bool:
        known = {one.member for one in (await store.view()).members}
        return member in known and await store.forget(member)

    _, _, dropped = with_store(line, drop)
    if not dropped:
        raise click.ClickException(f"{member!r} lives, or there is no such member: `plughost fleet hosts`")
    line.show({"forgotten": member}, f"{member} is forgotten")


async def _members(store: FleetStore, revisions: Revisions) -> _Seen:
    view = await store.view()
    return view, members_of(view, await revisions.laggards(view))


def _status_text(found: FleetStatus, living: list[FleetMember], rollout: Rollout | None) -> str:
    counts = ", ".join(f"{number} {state}" for state, number in sorted(found.members.items())) or "no members"
    where = "sqlite, this machine only" if found.store == "sqlite" else found.store
    lines = [f"Fleet {found.name} ({where}): {counts}", *map(_row, living)]
    if rollout is not None and not rollout.ended:
        lines.append(told(rollout))
    if found.drift:
        lines.append(f"Not the same on all: {', '.join(found.drift)}. `plughost fleet plugins` shows how.")
    lines += [f"Not safe: {hazard}" for hazard in found.hazards]
    return "\n".join([*lines, *map(job_row, found.jobs)])


def _row(member: FleetMember) -> str:
    ready, trouble = "ready" if member.ready else "not ready", f"  {member.error}" if member.error else ""
    seen = f"seen {member.seen_age:.1f} s ago"
    return f"{member.id:>24}  {member.state:>8}  {ready:>9}  {seen}  process {member.pid}{trouble}"
