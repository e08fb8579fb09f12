"""``plughost stack``: where the own process of a plugin stands now, for one that hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from plughost.checks.candidates import find_candidate
from plughost.cli.program import Program
from plughost.contracts.commands import json_option
from plughost.core.running import running_hosts

if TYPE_CHECKING:
    from plughost.core.processes.outside_look import Stack


@click.command()
@json_option
@click.argument("name")
@click.pass_obj
def stack(program: Program, name: str) -> None:
    """Show where the process of plugin NAME stands, in a host that runs now.

    For a plugin with isolation = "process". Neither the host nor the plugin is stopped, and a plugin that hangs tells
    where it hangs.
    """
    from plughost.core.processes.outside_look import stacks_of

    loaded = program.load_config()
    candidate = find_candidate(name, loaded)
    known = candidate.name
    hosts = running_hosts(loaded.data_dir)
    if not hosts:
        raise click.ClickException(f"No host runs on {loaded.data_dir}: start one with `plughost run`")
    try:
        found = [one for host in hosts for one in stacks_of(host.pid, known)]
    except PermissionError:
        raise click.ClickException("The host belongs to another user: ask as that user") from None
    if not found:
        wanted = candidate.wish.isolation == "process"
        cure = (
            f"`plughost info {known}` tells more"
            if wanted
            else f'set isolation = "process" in [plugins.{known}]'
        )
        raise click.ClickException(f"Plugin {known!r} has no process of its own there: {cure}")
    processes = [{"pid": one.pid, "stack": one.text, "is_cut": one.is_cut} for one in found]

    def told(stack: Stack) -> str:
        cut = f"\n{_CUT}" if stack.is_cut else ""
        return f"process {stack.pid}\n{stack.text or ('' if cut else _SILENT)}{cut}"

    program.show({"plugin": known, "processes": processes}, "\n\n".join(map(told, found)))


_CUT = "There was no room for the rest: ask again in five seconds, when the host has made room."
_SILENT = "It wrote nothing down: it is stopped, or the machine is very busy."
