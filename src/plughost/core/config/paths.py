"""Names of settings: tuples inside, dotted for people."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

SettingPath = tuple[str | int, ...]
"""Keys of tables, and positions in lists."""

_SEPARATORS = re.compile(r"[-_.]+")
_MOST_KEPT = 4096  # names: a start asks a dozen times for the same of every plugin and setting
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@lru_cache(_MOST_KEPT)
def dotted(path: SettingPath) -> str:
    """Return the name as it is written in TOML: ``hooks.timeouts."backup.before_backup"``, ``a.list[0]``."""
    name = ""
    for part in path:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            key = part if _BARE.fullmatch(part) else f'"{part}"'
            name += f".{key}" if name else key
    return name


def origin_of_setting(path: SettingPath, origins: Mapping[str, str]) -> str:
    """Return where the value came from, or the nearest table around it; empty when nobody set it."""
    for end in range(len(path), 0, -1):
        if origin := origins.get(dotted(path[:end])):
            return origin
    return ""


@lru_cache(_MOST_KEPT)
def canonical(name: str) -> str:
    """Return a plugin's or distribution's name as all spellings of it have in common: ``Desk_Lamp`` is ``desk-lamp``.

    The rule is the one of Python packaging. ``packaging.utils`` has it too, but costs every start more than ten
    milliseconds, because it learns for which platforms wheels fit; a test holds the two against each other.
    """
    return _SEPARATORS.sub("-", name).lower()


def match_name(name: str, known: Collection[str]) -> str:
    """Return the known name that is ``name`` in another spelling, else ``name`` itself."""
    if name in known:
        return name
    wanted = canonical(name)
    return next((other for other in known if canonical(other) == wanted), name)


def folded(key: str) -> str:
    """Return the key as environment variables see it: without case, and with dashes as underscores."""
    return key.lower().replace("-", "_")
