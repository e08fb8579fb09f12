"""A configuration that is read again while its host runs: what follows at once, and what waits for the next start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import msgspec

from plughost.core.config.loaded import LoadedConfig

FOLLOWED: Final = (
    "plugin_dir",
    "autoload_plugin_dir",
    "required",
    "allow",
    "disabled",
    "safe_mode",
    "groups",
)
"""Settings of ``[host]`` that say which plugins there are: a running host follows them."""

_FIXED: Final = ("hooks", "apps", "http")
"""Tables that a host is built from."""


def merged(before: LoadedConfig, read: LoadedConfig) -> LoadedConfig:
    """Return what a running host goes on with: what was read, but for what it was built from and cannot change.

    Args:
        before: The configuration it runs with.
        read: What its file, environment and code say now.
    """
    old, new = before.config, read.config
    host = msgspec.structs.replace(old.host, **{name: getattr(new.host, name) for name in FOLLOWED})
    kept = {name: getattr(old, name) for name in _FIXED}
    fixed = tuple(f"{name}." for name in _FIXED)
    origins = {name: origin for name, origin in read.origins.items() if not _is_fixed(name, fixed)}
    origins |= {name: origin for name, origin in before.origins.items() if _is_fixed(name, fixed)}
    read.secrets.include(before.secrets)  # plugins that go on as they were still hold them
    return replace(
        read,
        config=msgspec.structs.replace(new, host=host, **kept),
        origins=MappingProxyType(origins),
        referenced=MappingProxyType({**read.referenced, **before.referenced}),
    )


def pending(before: LoadedConfig, read: LoadedConfig) -> tuple[str, ...]:
    """Return the dotted names of settings that changed and that hold from the next start of the host only."""
    old, new = before.config, read.config
    changed = [
        f"host.{name}"
        for name in old.host.__struct_fields__
        if name not in FOLLOWED and getattr(old.host, name) != getattr(new.host, name)
    ]
    for table in _FIXED:
        was, now = _table(getattr(old, table)), _table(getattr(new, table))
        changed += [f"{table}.{key}" for key in dict.fromkeys((*was, *now)) if was.get(key) != now.get(key)]
    return tuple(changed)


def _table(section: Any) -> Mapping[str, Any]:
    return section if isinstance(section, Mapping) else msgspec.structs.asdict(section)


def _is_fixed(name: str, fixed: tuple[str, ...]) -> bool:
    table, _, key = name.partition(".")
    return name.startswith(fixed) or (
        table == "host" and key.partition(".")[0].partition("[")[0] not in FOLLOWED
    )
