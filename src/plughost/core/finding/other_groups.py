"""What installed distributions offer to other programs: entry points of groups that are not read here, for hints."""

from __future__ import annotations

import json
import re

from plughost.core.config.load import DEFAULT_FILE
from plughost.core.config.loaded import LoadedConfig
from plughost.core.config.paths import canonical
from plughost.core.finding.installed import entry_points
from plughost.exceptions import did_you_mean

_SCRIPTS = frozenset({"console_scripts", "gui_scripts"})


def near_group(group: str) -> str:
    """Return `` Did you mean 'x'?`` for a group like it that distributions have plugins in, or an empty text."""
    known = sorted({one.group for one in entry_points(None)} - _SCRIPTS)
    akin = [one for one in known if _first_word(one) == _first_word(group)]
    return did_you_mean(group, akin, cutoff=0) or did_you_mean(group, known)


def read_elsewhere(name: str, loaded: LoadedConfig) -> str:
    """Return how to reach a plugin that is not among those of the host, but installed for another program.

    Args:
        name: What was asked for: the name of a plugin or of its distribution.
        loaded: The configuration of the host.

    Returns:
        Sentences for the end of a message, with a blank before them; empty when no other program has it either.
    """
    wanted, groups = canonical(name), loaded.config.host.plugin_groups
    for point in entry_points(None):
        if wanted not in (canonical(point.name), canonical(point.distribution)) or point.group in _SCRIPTS:
            continue
        if point.group in groups:
            return f" The plugin of {point.distribution} is called {point.name!r}."
        where = (
            f"{point.distribution} has {point.name!r} in the group {point.group!r}, which is not read here"
        )
        if loaded.path is not None:
            wider = json.dumps([*groups, point.group])
            return f" {where}. If it is meant, write groups = {wider} into [host] of {loaded.path}."
        program = json.dumps(_first_word(point.group))
        return (
            f" {where}. If it is meant, write a {DEFAULT_FILE} for the program that it belongs to, with [host] and "
            f"below that name = {program}, project = {program}, groups = {json.dumps([point.group])}, catalogue = [] "
            "and hookspecs = [...], the modules that declare its hooks."
        )
    return ""


def _first_word(group: str) -> str:
    return re.split(r"[.\-:]", group, maxsplit=1)[0]
