"""Commands that plugins add: found by the cards; a plugin is imported only when its command is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial

import click

from plughost.cli.program import Program
from plughost.contracts.error_text import error_line
from plughost.contracts.value_text import items_of
from plughost.core.config import LoadedConfig
from plughost.core.containment import Point, contained
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.finding.survey import survey
from plughost.exceptions import PluginError, PluginInvalidError

_HOOK = "register_commands"


def names_on_cards(loaded: LoadedConfig) -> Mapping[str, str]:
    """Return the commands that cards name -> the plugin's name; the first plugin has a name that two want."""
    found: dict[str, str] = {}
    for candidate in survey(loaded):
        for command in (candidate.card.commands or ()) if candidate.wanted else ():
            found.setdefault(command, candidate.name)
    return found


def find_command(program: Program, name: str) -> click.Command | None:
    """Return a plugin's command, or None when nobody has one of that name.

    Plugins whose card names the command are asked first, then all whose card leaves it open, within the time limit of
    one import; the others are not imported. One that cannot be imported is named on standard error, and the search
    goes on. So are those whose command of that name nobody can call.

    Raises:
        ConfigError: The configuration cannot be read, so it is not known which plugins there are.
    """
    loaded = program.load_config()
    candidates = [candidate for candidate in survey(loaded) if candidate.wanted]
    sure = [candidate for candidate in candidates if name in (candidate.card.commands or ())]
    found: list[tuple[str, click.Command]] = []
    for candidate in sure:
        given = _commands_of(program, candidate, loaded.config.host.load_timeout)
        found += [(candidate.name, command) for command in given if command.name == name]
        if found:
            found += [(one.name, found[0][1]) for one in sure if one is not candidate]
            break
    else:
        found = _looked_for(program, name, candidates, loaded)
    if not found:
        return None
    (winner, command), *others = found
    if others:
        losers = ", ".join(dict.fromkeys(repr(one) for one, _ in others))
        program.talk(
            f"Command {name!r} is that of plugin {winner!r}; {losers} has one of that name too, which is refused. "
            + ("Rename one of them" if losers == repr(winner) else "Disable one of them")
        )
    return command


def _looked_for(
    program: Program, name: str, candidates: Iterable[PluginCandidate], loaded: LoadedConfig
) -> list[tuple[str, click.Command]]:
    """Return who has a command that no card names; say who was imported for that, if more than the one that has it."""
    found: list[tuple[str, click.Command]] = []
    imported, left_out = [], []
    until = time.monotonic() + loaded.config.host.load_timeout
    for candidate in candidates:
        is_settled = candidate.card.commands is not None or _HOOK not in (candidate.card.hooks or (_HOOK,))
        # In a process of its own nobody adds commands.
        if is_settled or candidate.wish.isolation == "process":
            continue
        if (limit := until - time.monotonic()) <= 0:
            left_out.append(candidate.name)
            continue
        imported.append(candidate.name)
        given = _commands_of(program, candidate, limit)
        found += [(candidate.name, command) for command in given if command.name == name]
    if len(imported) + len(left_out) > len(found):
        late = f" Not looked at within host.load_timeout: {', '.join(left_out)}." if left_out else ""
        whose = found[0][0] if found else "the plugin that has it"
        program.talk(
            f"No card names command {name!r}, so it was looked for in {', '.join(imported)}, which were imported.{late}"
            f" commands = [{name!r}] in the plugin.toml of {whose} spares that"
        )
    return found


def _commands_of(program: Program, candidate: PluginCandidate, limit: float) -> list[click.Command]:
    # Only here, and not for a help page: these bring the event loop and all that runs in it.
    import anyio

    from plughost.contracts.clock import SYSTEM_CLOCK
    from plughost.core.calls.manager import HookManager
    from plughost.core.loading.loader import ImportLane

    found: list[click.Command] = []
    try:
        imported = anyio.run(partial(ImportLane(SYSTEM_CLOCK).load, candidate, limit))
        for hook, function, _ in HookManager().implementations(imported.handle.target):
            if hook == _HOOK:
                found += _given(candidate.name, function)
    except PluginError as error:
        program.talk(f"Commands of plugin {candidate.name!r} are missing: {error}")
        return []
    return found


def _given(plugin: str, function: object) -> Iterable[click.Command]:
    try:
        given = contained(Point.REGISTER_COMMANDS, function) if callable(function) else None
    except Exception as error:
        raise PluginInvalidError(f"its {_HOOK} raised {error_line(error)}", plugin=plugin) from error
    try:
        return items_of(given, click.Command)
    except TypeError as error:
        raise PluginInvalidError(
            f"its {_HOOK} is to return a list of click commands, but {error}", plugin=plugin
        ) from error
