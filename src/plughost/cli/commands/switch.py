"""``plughost enable`` and ``plughost disable``: one value in the configuration file, and what came of it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from plughost.cli.exits import leave_with_problems
from plughost.cli.program import Program
from plughost.contracts.commands import json_option
from plughost.core.config import LoadedConfig, set_plugin_enabled
from plughost.core.config.load import DEFAULT_FILE
from plughost.core.config.paths import canonical, match_name
from plughost.core.finding.discovery import SWITCH, PluginCandidate
from plughost.core.finding.other_groups import read_elsewhere
from plughost.core.finding.survey import survey
from plughost.core.loading.ordering import Needs
from plughost.core.running import RunningHost, running_hosts
from plughost.exceptions import PluginNotFoundError, did_you_mean

_PATIENCE = 60
_now = click.option(
    "--now", is_flag=True, help="Have a running host follow at once, not from its next start on."
)

_ELSEWHERE = "switch the plugin on its admin page too, or start the host again."


@click.command()
@json_option
@click.argument("name")
@_now
@click.pass_obj
def enable(program: Program, name: str, now: bool) -> None:
    """Switch plugin NAME on in the configuration file; comments and layout stay.

    It holds from the next start of a host on, unless --now is given.
    """
    _switch(program, name, enabled=True, now=now)


@click.command()
@json_option
@click.argument("name")
@_now
@click.pass_obj
def disable(program: Program, name: str, now: bool) -> None:
    """Switch plugin NAME off in the configuration file; it is then never imported.

    Reads metadata only, so it works whatever the plugin does. It holds from the next start of a host on, unless
    --now is given.
    """
    _switch(program, name, enabled=False, now=now)


def _switch(program: Program, name: str, *, enabled: bool, now: bool) -> None:
    before = program.load_config()
    known = _known_name(name, before)
    file = before.path or program.config_path or Path(DEFAULT_FILE)
    changed = set_plugin_enabled(file, known, enabled)
    after = program.load_config()
    candidates = survey(after)
    candidate = next(one for one in candidates if one.name == known)
    effective = (not candidate.setting) is enabled
    document = {
        "plugin": known,
        "enabled": enabled,
        "changed": changed,
        "effective": effective,
        "config": str(file),
        "dependents": _dependents(known, candidates) if not enabled else [],
    }
    running = running_hosts(after.data_dir)
    # A host may have been left behind by the same command some time ago.
    behind = [host for host in running if not host.follows(file.stat().st_mtime)]
    program.show(document, _sentence(document, later=not now and bool(changed or behind)))
    if running and now:
        _ask(program, running, after.data_dir)
    elif behind:
        for process, asked in sorted({(host.process, bool(host.reload)) for host in behind}):
            ways = f"{'give --now to have it follow, ' * asked}{_ELSEWHERE}"
            program.talk(f"A running host (process {process}) goes on as it was: {ways}")
    if after.plugin("fleet").config.get("store", "sqlite") != "sqlite":
        switch = f"plughost fleet {'enable' if enabled else 'disable'} {known} --now"
        program.talk(f"On this machine only: `{switch}` has all hosts of its fleet do it.")
    if not effective:
        program.talk(f"It still is not: {_overruled_by(after, candidate)}")
    leave_with_problems(not effective)


def _ask(program: Program, running: list[RunningHost], data_dir: Path) -> None:
    """Have the running hosts read their configuration again, and say what came of it."""
    asked, processes = time.time(), {host.reload for host in running if host.reload}
    if not processes:
        raise click.ClickException(
            f"the running host (process {running[0].pid}) is part of another program and takes no requests from"
            " here: switch the plugin on its admin page, or start that program again"
        )
    for process in processes:
        try:
            os.kill(process, signal.SIGHUP)
        except OSError as error:
            raise click.ClickException(f"process {process} cannot be asked: {error.strerror}") from error
    while time.time() < asked + _PATIENCE:
        told = [host for host in running_hosts(data_dir) if host.reload in processes]
        if not told:
            raise click.ClickException("the running host ended meanwhile")
        if all(host.follows(asked) for host in told):
            # Processes that serve together did the same, and say the same.
            program.talk("\n".join(dict.fromkeys(host.answer for host in told if host.answered >= asked)))
            return
        time.sleep(0.05)
    raise click.ClickException(f"process {min(processes)} was asked, and has not answered in {_PATIENCE} s")


def _known_name(asked: str, loaded: LoadedConfig) -> str:
    """Return the name as the plugin itself spells it; refuse one that no plugin has."""
    known = [candidate.name for candidate in survey(loaded)]
    name = match_name(asked, known)
    if name not in known:
        hint = read_elsewhere(name, loaded) or did_you_mean(name, known)
        raise PluginNotFoundError(
            f"there is no plugin {name!r}.{hint} `plughost list` shows all", plugin=name
        )
    return name


def _dependents(name: str, candidates: list[PluginCandidate]) -> list[str]:
    return [
        candidate.name
        for candidate in candidates
        if candidate.wanted
        and canonical(name) in map(canonical, Needs.said(candidate.card.requires, ()).requires)
    ]


def _sentence(document: dict[str, object], *, later: bool) -> str:
    word = "enabled" if document["enabled"] else "disabled"
    when = "now" if document["changed"] else "already"
    since = ", which holds from the next start on" if later else ""
    said = f"Plugin {document['plugin']!r} is {when} {word} in {document['config']}{since}."
    dependents = document["dependents"]
    if isinstance(dependents, list) and dependents:
        said += f" Required by {', '.join(dependents)}, which will not start without it."
    return said


def _overruled_by(loaded: LoadedConfig, candidate: PluginCandidate) -> str:
    """Say which other setting decides; the file's own does not."""
    if candidate.setting not in {"", SWITCH}:
        return f"{candidate.reason} ({loaded.origins.get(candidate.setting, '')} sets {candidate.setting})"
    section = loaded.section_of(candidate.name) or candidate.name
    return f"{loaded.origins.get(f'plugins.{section}.enabled', 'another setting')} decides otherwise"
