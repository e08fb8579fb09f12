"""Names of settings: tuples inside, dotted for people."""

from __future__ import annotations

import re
from collections.abc import Mapping

SettingPath = tuple[str | int, ...]
"""Keys of tables, and positions in lists."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


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


def origin_of(path: SettingPath, origins: Mapping[str, str]) -> str:
    """Return where the value came from, or the nearest table around it; empty when nobody set it."""
    for end in range(len(path), 0, -1):
        if origin := origins.get(dotted(path[:end])):
            return origin
    return ""


def folded(key: str) -> str:
    """Return the key as environment variables see it: without case, and with dashes as underscores."""
    return key.lower().replace("-", "_")
