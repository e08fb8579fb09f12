"""Commands that plugins add: found by the cards; a plugin is imported only when its command is asked for."""

from __future__ import annotations

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

    Plugins whose card names the command are asked first, then all whose card leaves it open; the others are not
    imported. One that cannot be imported is named on standard error, and the search goes on. So are those whose
    command of that name nobody can call.

    Raises:
        ConfigError: The configuration cannot be read, so it is not known which plugins there are.
    """
    loaded = program.load_config()
    candidates = [candidate for candidate in survey(loaded) if candidate.wanted]
    sure = [candidate for candidate in candidates if name in (candidate.card.commands or ())]
    unsaid = [candidate for candidate in candidates if candidate.card.commands is None]
    maybe = [one for one in unsaid if not one.card.hooks or _HOOK in one.card.hooks]
    found: list[tuple[str, click.Command]] = []
    for candidate in (*sure, *maybe):
        given = _commands_of(program, candidate, loaded.config.host.load_timeout)
        found += [(candidate.name, command) for command in given if command.name == name]
        if found and candidate in sure:
            found += [(one.name, found[0][1]) for one in sure if one is not candidate]
            break
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
