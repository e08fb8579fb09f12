"""A plugin of the contract suite in a process of its own: found by name, because no object gets there."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

import pytest

from plughost.contracts.plugin import Plugin

BYSTANDER: Final = "bystander"
"""What the plugin beside it is called."""

_PATIENCE: Final = 30.0
"""Seconds an import or a start may take: it begins with that of an interpreter."""


class Bystander(Plugin):
    """Runs beside, so that what processes share, which is the host's, is there before anything is counted."""


def isolated(settings: Mapping[str, Any], name: str, plugin: object) -> Mapping[str, Any]:
    """Return settings of a host that finds the plugin, for a process of its own, and does not start it."""
    host: dict[str, Any] = {"load_timeout": _PATIENCE} | dict(settings.get("host", {}))
    tables = {
        name: {"module": _reference(plugin), "isolation": "process", "enabled": False},
        BYSTANDER: {"module": _reference(Bystander), "isolation": "process"},
    }
    return {
        **settings,
        "host": host | {"allow": [*host.get("allow", ()), *tables]},
        "plugins": {**settings.get("plugins", {}), **tables},
    }


def _reference(plugin: object) -> str:
    if isinstance(plugin, ModuleType):
        return plugin.__name__
    module, name = getattr(plugin, "__module__", ""), getattr(plugin, "__qualname__", "")
    if not name or "<" in name:
        pytest.fail(
            f"another process cannot import {plugin!r}: for isolation = 'process' the fixture `plugin` returns a class,"
            " factory or module that can be imported by its name"
        )
    return f"{module}:{name}"
