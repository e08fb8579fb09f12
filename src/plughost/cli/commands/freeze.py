"""``plughost freeze`` and ``plughost restore``: pin the installed plugins, and install them again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shlex import join

import click
import msgspec

from plughost.cli.exits import leave_with_problems
from plughost.cli.freezing.differences import Difference, differences, pip_command
from plughost.cli.freezing.snapshot import FrozenHost, read_snapshot, take_snapshot, write_snapshot
from plughost.cli.program import Program
from plughost.contracts.commands import json_option
from plughost.contracts.counting import counted
from plughost.contracts.files import replace_file
from plughost.core.config import set_plugin_enabled
from plughost.core.finding.survey import survey


@click.command()
@json_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write. Default: stdout.",
)
@click.pass_obj
def freeze(program: Program, output: Path | None) -> None:
    """Pin the plugins of this environment: distribution, version, digest, and whether they are enabled.

    Only metadata and files are read. Plugins that come with plughost are left out.
    """
    snapshot = _present(program)
    text = write_snapshot(snapshot)
    if output is not None:
        output.touch()  # with the rights that a file of this user has
        if output.is_file():
            replace_file(output.resolve(), text.encode())
        else:
            output.write_text(text, encoding="utf-8")  # a pipe or a terminal
        program.talk(f"Wrote {counted(len(snapshot.plugins), 'plugin')} to {output}.")
    if output is None or program.as_json:
        program.show(msgspec.to_builtins(snapshot), text.rstrip("\n"))


@click.command()
@json_option
@click.option("--yes", is_flag=True, help="Do it: run pip, and edit the configuration file.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def restore(program: Program, file: Path, yes: bool) -> None:
    """Show how to install again the plugins that FILE of `plughost freeze` pins; with --yes, do it.

    Plugins that came since are left alone. Exits 3 while something is not as it was.
    """
    then = read_snapshot(file)
    found = differences(then, _present(program))
    if yes and found:
        if again := pip_command(found):
            program.talk(f"pip {join(again)}")
            # The distributions and versions come from the file that the operator named.
            ran = subprocess.run([sys.executable, "-m", "pip", *again], stdout=sys.stderr, check=False)  # noqa: S603
            if ran.returncode:
                raise click.ClickException(
                    f"pip failed with exit code {ran.returncode}; nothing else was changed"
                )
        path = program.load_config().path
        for one in found:
            if one.kind == "switch" and path is not None:
                set_plugin_enabled(path, one.plugin, one.enabled)
        found = differences(then, _present(program))
    command = pip_command(found)
    document = {"differences": found, "command": ["pip", *command] if command else [], "complete": not found}
    program.show(document, _text(found, command))
    leave_with_problems(found)


def _present(program: Program) -> FrozenHost:
    loaded = program.load_config()
    return take_snapshot(loaded, survey(loaded))


def _text(found: list[Difference], command: list[str]) -> str:
    if not found:
        return "All plugins are as they were."
    lines = [f"{one.plugin}: {one.message}" for one in found]
    switches = [
        f"plughost {'enable' if one.enabled else 'disable'} {one.plugin}"
        for one in found
        if one.kind == "switch"
    ]
    steps = [*([f"pip {join(command)}"] if command else []), *switches]
    return "\n".join(
        [*lines, *(["To bring them back (or add --yes):"] if steps else []), *(f"  {s}" for s in steps)]
    )
