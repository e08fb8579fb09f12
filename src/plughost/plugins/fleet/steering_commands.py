"""The commands of ``plughost fleet`` that change something on all hosts, and go back."""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import wraps
from typing import Any

import anyio
import click
import msgspec

from plughost.contracts import (
    CommandLine,
    FleetAct,
    FleetChange,
    FleetStore,
    Rollout,
    RolloutAct,
    RolloutPlan,
    json_option,
    utc_time,
)
from plughost.plugins.fleet.reaching import author, with_store
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.waiting import told
from plughost.plugins.fleet.wishes import Revision

_PATIENCE = 60.0
"""Seconds that a change on all hosts at once waits for them to tell that they follow."""

_LOOK = 0.05
_DEFAULT = RolloutPlan()


class _Pace(msgspec.Struct, frozen=True):
    """How a change is to go on: what everything that changes something can be told.

    Attributes:
        plan: In which steps; None is all hosts at once.
        waits: Whether the command waits until hosts follow.
        reason: Why, for those who look at it later.
        expect: The revision it was decided on; None takes whatever is there.
    """

    plan: RolloutPlan | None
    waits: bool
    reason: str
    expect: int | None


_force_option = click.option(
    "--force", is_flag=True, help="Though no host is known to have the plugin: for those that join later."
)

_OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.option("--now", is_flag=True, help="On all hosts at once."),
    click.option("--canary", default=_DEFAULT.canary, help="How many hosts follow first.", show_default=True),
    click.option("--batch", default=_DEFAULT.batch, help="How many at a time then.", show_default=True),
    click.option(
        "--max-unavailable", default=_DEFAULT.max_unavailable, show_default=True,
        help="How many may be away or not ready at the same time.",
    ),
    click.option(
        "--settle", default=_DEFAULT.settle, show_default=True,
        help="Seconds that those who follow must stay ready before others do.",
    ),
    click.option(
        "--healthy-deadline", default=_DEFAULT.healthy_deadline, show_default=True,
        help="Seconds that a host may take to follow and be ready.",
    ),
    click.option(
        "--max-error-ratio", default=_DEFAULT.max_error_ratio, show_default=True,
        help="How many times as often calls may fail on those who follow as elsewhere; 0 does not look.",
    ),
    click.option("--no-revert", is_flag=True, help="Stop when something goes wrong, instead of going back."),
    click.option("--detach", is_flag=True, help="Do not wait for hosts to follow."),
    click.option("--reason", default="", help="Why; for those who look at it later."),
    click.option(
        "--expect", type=int, help="The revision you decided it on; another one refuses the change."
    ),
    json_option,
    click.pass_obj,
)  # fmt: skip
"""What everything that changes something can be told."""


def _changes(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of everything that changes something; the command is given what they say as ``pace``."""

    @wraps(command)
    def planned(*given: Any, now: bool, detach: bool, no_revert: bool, **more: Any) -> None:
        steps = ("canary", "batch", "max_unavailable", "settle", "healthy_deadline", "max_error_ratio")
        said = {name: more.pop(name) for name in steps}
        plan = None if now else RolloutPlan(**said, revert=not no_revert)
        pace = _Pace(plan, not detach, more.pop("reason"), more.pop("expect"))
        command(*given, pace=pace, **more)

    for option in reversed(_OPTIONS):
        planned = option(planned)
    return planned


def _acting(act: FleetAct, text: str) -> click.Command:
    """Return the command that switches a plugin on all hosts."""

    @click.command(act, help=text)
    @click.argument("plugin")
    @_force_option
    @_changes
    def command(line: CommandLine, plugin: str, force: bool, pace: _Pace) -> None:
        _propose(line, FleetChange(act, plugin, pace.reason, force=force), pace)

    return command


@click.command("reload")
@click.argument("plugin")
@click.option("--version", default="", help="The version that each host must have on its disk.")
@_force_option
@_changes
def reload(line: CommandLine, plugin: str, version: str, force: bool, pace: _Pace) -> None:
    """Load PLUGIN again, with changed code, on one host after the other. Exit 3 when one could not."""
    _propose(line, FleetChange("reload", plugin, pace.reason, version, force=force), pace)


@click.command("upgrade")
@click.argument("plugin")
@click.option(
    "--url", default="", help="Where a wheel or zip file is; without it each host takes its own again."
)
@click.option("--sha256", default="", help="The digest that it must have.")
@click.option("--version", default="", help="The version that each host must have then.")
@_force_option
@_changes
def upgrade(
    line: CommandLine, plugin: str, url: str, sha256: str, version: str, force: bool, pace: _Pace
) -> None:
    """Have all hosts fetch PLUGIN from a url, as far as their allow_urls lets them. Exit 3 when one could not."""
    change = FleetChange("upgrade", plugin, pace.reason, version, url=url, sha256=sha256, force=force)
    _propose(line, change, pace)


@click.group("config")
def config_group() -> None:
    """See what all hosts were told to follow, change it, and go back."""


@config_group.command("push")
@click.argument("plugin")
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE...")
@_force_option
@_changes
def push(line: CommandLine, plugin: str, settings: tuple[str, ...], force: bool, pace: _Pace) -> None:
    """Give PLUGIN other settings on all hosts: KEY=VALUE as in TOML, KEY= to leave it to each host again."""

    def setting(said: str) -> tuple[str, Any]:
        key, sign, written = said.partition("=")
        if not (key and sign):
            raise click.ClickException(f"{said!r} is no setting: write KEY=VALUE")
        if not written:
            return key, None
        try:
            return key, tomllib.loads(f"value = {written}")["value"]
        except tomllib.TOMLDecodeError:
            return key, written  # a text without its quotes
        except RecursionError:
            raise click.ClickException(f"the value of {key!r} is nested too deep") from None

    change = FleetChange("configure", plugin, pace.reason, config=dict(map(setting, settings)), force=force)
    _propose(line, change, pace)


@config_group.command("show")
@json_option
@click.pass_obj
def show(line: CommandLine) -> None:
    """Show what the fleet wants of plugins now."""

    async def look(store: FleetStore, revisions: Revisions) -> Revision:
        return await revisions.revision((await store.steering()).active)

    _, _, found = with_store(line, look)
    rows = [
        f"{name}: {msgspec.json.encode(wish.table).decode()}" for name, wish in sorted(found.plugins.items())
    ]
    line.show(msgspec.to_builtins(found), "\n".join([f"Revision {found.number}", *rows]))


@config_group.command("diff")
@click.argument("before", type=int)
@click.argument("after", type=int)
@json_option
@click.pass_obj
def diff(line: CommandLine, before: int, after: int) -> None:
    """Show what revision AFTER wants otherwise than revision BEFORE."""

    async def look(_: FleetStore, revisions: Revisions) -> tuple[Revision, Revision]:
        return await revisions.revision(before), await revisions.revision(after)

    _, _, (old, new) = with_store(line, look)
    rows = []
    for name in sorted({*old.plugins, *new.plugins}):
        was, now = (one.plugins[name].table if name in one.plugins else {} for one in (old, new))
        if was != now:
            rows += [
                f"{sign} {name}: {msgspec.json.encode(one).decode()}"
                for sign, one in (("-", was), ("+", now))
            ]
    line.show({"before": before, "after": after, "lines": rows}, "\n".join(rows) or "no difference")


@config_group.command("history")
@json_option
@click.pass_obj
def history(line: CommandLine) -> None:
    """List the last revisions, newest first."""

    async def look(_: FleetStore, revisions: Revisions) -> list[Revision]:
        return await revisions.history()

    _, _, found = with_store(line, look)
    rows = []
    for one in found:
        when = utc_time(one.made) if one.made else "-"
        rows.append(f"{one.number:>6}  {when}  {one.change}  by {one.author}  {one.reason}".rstrip())
    line.show({"revisions": [msgspec.to_builtins(one) for one in found]}, "\n".join(rows) or "no revisions")


@config_group.command("rollback")
@click.argument("number", type=int)
@_changes
def rollback(line: CommandLine, number: int, pace: _Pace) -> None:
    """Want again what revision NUMBER wanted, as a new revision. Exit 3 when a host could not follow."""

    def roll_back(revisions: Revisions) -> Awaitable[Rollout]:
        return revisions.roll_back(number, pace.plan, expect=pace.expect, author=author(), reason=pace.reason)

    _steer(line, roll_back, pace)


@click.group("rollout")
def rollout_group() -> None:
    """See how far a change has come, and hold it up."""


@rollout_group.command("show")
@click.argument("number", type=int)
@json_option
@click.pass_obj
def show_rollout(line: CommandLine, number: int) -> None:
    """Show how far revision NUMBER has come."""

    async def look(_: FleetStore, revisions: Revisions) -> Rollout:
        await revisions.expect(number)
        return await revisions.rollout(number)

    _tell(line, with_store(line, look)[2])


def _holding(act: RolloutAct, text: str) -> None:
    @rollout_group.command(act, help=text)
    @click.argument("number", type=int)
    @json_option
    @click.pass_obj
    def command(line: CommandLine, number: int) -> None:
        _tell(line, with_store(line, lambda _, revisions: revisions.steer_rollout(number, act))[2])


_holding("pause", "Let no further host follow revision NUMBER.")
_holding("resume", "Go on with revision NUMBER after a pause.")
_holding("abort", "Have those that follow revision NUMBER go back.")


STEERING: tuple[click.Command, ...] = (
    _acting("enable", "Start PLUGIN on all hosts, and lift its quarantine. Exit 3 when a host could not."),
    _acting(
        "disable", "Stop PLUGIN on all hosts, and on those that join later. Exit 3 when a host could not."
    ),
    _acting("quarantine", "Stop PLUGIN on all hosts until it is enabled. Exit 3 when a host could not."),
    reload,
    upgrade,
    config_group,
    rollout_group,
)
"""What ``plughost fleet`` has of this file."""


def _propose(line: CommandLine, change: FleetChange, pace: _Pace) -> None:
    plan, expect = pace.plan, pace.expect
    _steer(line, lambda one: one.propose(change, plan, expect=expect, author=author()), pace)


def _steer(line: CommandLine, propose: Callable[[Revisions], Awaitable[Rollout]], pace: _Pace) -> None:
    """Propose something, wait until it goes no further, and show what came of it."""
    plan, waits = pace.plan, pace.waits

    async def work(_: FleetStore, revisions: Revisions) -> Rollout:
        rollout, said = await propose(revisions), ""
        with anyio.move_on_after(_PATIENCE if plan is None else None):
            while waits and not rollout.ended:
                if plan is not None and told(rollout) != said:
                    said = told(rollout)
                    line.talk(said)
                await anyio.sleep(_LOOK)
                rollout = await revisions.rollout(rollout.revision)
        return rollout

    _, _, rollout = with_store(line, work)
    _tell(line, rollout)
    if waits and rollout.state != "done":
        raise SystemExit(3)


def _tell(line: CommandLine, rollout: Rollout) -> None:
    rows = [f"{member:>24}  {result}" for member, result in sorted(rollout.results.items())]
    reason = [f"What went wrong: {rollout.reason}"] if rollout.reason else []
    line.show(asdict(rollout), "\n".join([told(rollout), *reason, *rows]))
