"""``plughost fleet``: look at and steer the fleet from any of its machines. No host is started, and nobody joins."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

import anyio
import click
import msgspec

from plughost.contracts import (
    CommandLine,
    FleetAct,
    FleetChange,
    FleetJobRecord,
    FleetMember,
    FleetStatus,
    FleetStore,
    Rollout,
    View,
    json_option,
)
from plughost.exceptions import FleetError, StoreUnavailableError
from plughost.plugins.fleet.cards import job_record, member_of, status_of
from plughost.plugins.fleet.config import FleetConfig
from plughost.plugins.fleet.revisions import Revision, Revisions

T = TypeVar("T")

_PATIENCE = 60.0
"""Seconds that a change waits for hosts to tell that they follow."""


@click.group("fleet")
def fleet_group() -> None:
    """See and steer many hosts as one."""


@fleet_group.command("status")
@json_option
@click.pass_obj
def status(line: CommandLine) -> None:
    """Show the whole fleet. Exit 3 when members were lost, plugins differ, or the store is not safe."""

    async def look(store: FleetStore, _: Revisions) -> tuple[View, tuple[str, ...]]:
        return await store.view(), tuple(await store.hazards())

    name, kind, (view, hazards) = _with_store(line, look)
    found = status_of(name, kind, view, hazards)
    members = [member_of(one, view.now) for one in view.members]
    living = [member for member in members if member.connected]
    document = {
        "name": found.name,
        "store": found.store,
        "epoch": found.epoch,
        "revision": found.revision,
        "members": [_shown(member) for member in living],
        "counts": dict(found.members),
        "plugins": {plugin: dict(versions) for plugin, versions in found.versions.items()},
        "drift": found.drift,
        "jobs": [asdict(job) for job in found.jobs],
        "hazards": found.hazards,
    }
    line.show(document, _status_text(found, living))
    if found.members.get("lost") or found.drift or found.hazards:
        raise SystemExit(3)


@fleet_group.command("hosts")
@json_option
@click.pass_obj
def hosts(line: CommandLine) -> None:
    """List the members, those lost or gone in the last day too."""
    _, _, view = _with_store(line, _view)
    members = [member_of(one, view.now) for one in view.members]
    line.show({"members": [asdict(one) for one in members]}, "\n".join(map(_row, members)) or "no members")


@fleet_group.command("plugins")
@json_option
@click.pass_obj
def plugins(line: CommandLine) -> None:
    """List the plugins of all members: which version runs on how many, and where they differ."""
    name, kind, view = _with_store(line, _view)
    found = status_of(name, kind, view, ())
    rows = [
        f"{plugin:>20}  {', '.join(f'{version} on {count}' for version, count in versions.items())}"
        f"{'  differs' if plugin in found.drift else ''}"
        for plugin, versions in sorted(found.versions.items())
    ]
    document = {
        "plugins": {plugin: dict(one) for plugin, one in found.versions.items()},
        "drift": found.drift,
    }
    line.show(document, "\n".join(rows) or "no plugins")


@fleet_group.command("jobs")
@json_option
@click.pass_obj
def jobs(line: CommandLine) -> None:
    """List the jobs that run once in the whole fleet."""
    _, _, view = _with_store(line, _view)
    records = [job_record(job, view.now) for job in view.jobs]
    line.show({"jobs": [asdict(one) for one in records]}, "\n".join(map(_job_row, records)) or "no jobs")


@fleet_group.command("forget")
@click.argument("member")
@json_option
@click.pass_obj
def forget(line: CommandLine, member: str) -> None:
    """Drop a MEMBER that was lost or left. Exit 1 when it lives, or there is none."""

    async def drop(store: FleetStore, _: Revisions) -> bool:
        return await store.forget(member)

    _, _, dropped = _with_store(line, drop)
    if not dropped:
        raise click.ClickException(f"{member!r} lives, or there is no such member: `plughost fleet hosts`")
    line.show({"forgotten": member}, f"{member} is forgotten")


def _acting(act: FleetAct, text: str) -> None:
    """Add the command that does something with a plugin on all hosts."""

    @fleet_group.command(act, help=text)
    @click.argument("plugin")
    @click.option(
        "--now", is_flag=True, required=True, help="On all hosts at once, which is the one way there is."
    )
    @click.option("--reason", default="", help="Why; for those who look at it later.")
    @click.option(
        "--expect", type=int, help="The revision you decided it on; another one refuses the change."
    )
    @json_option
    @click.pass_obj
    def command(line: CommandLine, plugin: str, now: bool, reason: str, expect: int | None) -> None:
        change = FleetChange(act, plugin, reason)
        _steer(line, lambda revisions: revisions.propose(change, expect=expect, author=_author()))


_acting("enable", "Start PLUGIN on all hosts, and lift its quarantine. Exit 3 when a host could not.")
_acting("disable", "Stop PLUGIN on all hosts, and on those that join later. Exit 3 when a host could not.")
_acting("quarantine", "Stop PLUGIN on all hosts until it is enabled. Exit 3 when a host could not.")
_acting("reload", "Load PLUGIN again on all hosts, with changed code. Exit 3 when a host could not.")


@fleet_group.group("config")
def config_group() -> None:
    """See what all hosts were told to follow, and go back."""


@config_group.command("history")
@json_option
@click.pass_obj
def history(line: CommandLine) -> None:
    """List the last revisions, newest first."""

    async def look(store: FleetStore, revisions: Revisions) -> list[Revision]:
        return await revisions.history()

    _, _, found = _with_store(line, look)
    rows = [f"{one.number:>6}  {one.change}  by {one.author}  {one.reason}".rstrip() for one in found]
    line.show({"revisions": [msgspec.to_builtins(one) for one in found]}, "\n".join(rows) or "no revisions")


@config_group.command("rollback")
@click.argument("number", type=int)
@click.option("--reason", default="", help="Why; for those who look at it later.")
@click.option("--expect", type=int, help="The revision you decided it on; another one refuses the change.")
@json_option
@click.pass_obj
def rollback(line: CommandLine, number: int, reason: str, expect: int | None) -> None:
    """Want again what revision NUMBER wanted, as a new revision. Exit 3 when a host could not follow."""
    _steer(line, lambda one: one.roll_back(number, expect=expect, author=_author(), reason=reason))


def _steer(line: CommandLine, propose: Callable[[Revisions], Awaitable[Rollout]]) -> None:
    """Propose something, wait until all hosts told what came of it, and show that."""

    async def work(store: FleetStore, revisions: Revisions) -> Rollout:
        rollout = await propose(revisions)
        with anyio.move_on_after(_PATIENCE):
            while rollout.state == "rolling":
                await anyio.sleep(0.05)
                rollout = await revisions.rollout(rollout.revision)
        return rollout

    _, _, rollout = _with_store(line, work)
    rows = [f"{member:>24}  {result}" for member, result in sorted(rollout.results.items())]
    line.show(asdict(rollout), "\n".join([f"Revision {rollout.revision}: {rollout.state}", *rows]))
    if rollout.state != "done":
        raise SystemExit(3)


def _author() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


async def _view(store: FleetStore, _: Revisions) -> View:
    return await store.view()


def _with_store(
    line: CommandLine, work: Callable[[FleetStore, Revisions], Awaitable[T]]
) -> tuple[str, str, T]:
    """Return the fleet's name, the kind of its store, and what the work returned."""
    host: Any = line.host()
    config: FleetConfig = host.loaded_config.decode_plugin("fleet", FleetConfig)
    config.check()
    if config.store == "memory":
        raise click.ClickException(
            "this host is a fleet of its own in memory (store = 'memory'): there is nothing to see from outside"
        )
    store = config.make_store(host.data_dir / "fleet", host.name)
    revisions = Revisions(store, config.make_seal(host.data_dir / "fleet"))

    async def run() -> T:
        await store.open()
        try:
            return await work(store, revisions)
        finally:
            await store.close()

    try:
        return config.name or host.name, store.name, anyio.run(run)
    except (StoreUnavailableError, FleetError) as error:
        raise click.ClickException(str(error)) from error


def _shown(member: FleetMember) -> dict[str, Any]:
    return {key: value for key, value in asdict(member).items() if key != "plugins"}


def _status_text(found: FleetStatus, living: list[FleetMember]) -> str:
    counts = ", ".join(f"{number} {state}" for state, number in sorted(found.members.items())) or "no members"
    where = "sqlite, this machine only" if found.store == "sqlite" else found.store
    lines = [f"Fleet {found.name} ({where}): {counts}", *map(_row, living)]
    if found.drift:
        lines.append(f"Not the same on all: {', '.join(found.drift)}. `plughost fleet plugins` shows how.")
    lines += [f"Not safe: {hazard}" for hazard in found.hazards]
    return "\n".join([*lines, *map(_job_row, found.jobs)])


def _row(member: FleetMember) -> str:
    ready = "ready" if member.ready else "not ready"
    return f"{member.id:>24}  {member.state:>8}  {ready:>9}  seen {member.seen_age:.1f} s ago  process {member.pid}"


def _job_row(job: FleetJobRecord) -> str:
    last = datetime.fromtimestamp(job.slot, UTC).isoformat(timespec="seconds") if job.member else "never"
    figures = f"{job.starts} started, {job.failures} failed, {job.missed} missed, {job.skipped} skipped"
    return f"{job.job:>24}  {job.schedule}  last {last} on {job.member or 'nobody'}: {job.state}  ({figures})"
