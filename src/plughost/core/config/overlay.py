"""What a fleet wants of a host's plugins, laid over its file and under its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import msgspec

from plughost.core.config.environment import from_environment
from plughost.core.config.layers import copied, is_table
from plughost.core.config.loaded import LoadedConfig
from plughost.core.config.paths import SettingPath, dotted


def overlaid(
    below: LoadedConfig, plugins: Mapping[str, Mapping[str, Any]], origin: str
) -> tuple[LoadedConfig, Mapping[str, str]]:
    """Return a configuration with other settings of plugins, and what its environment decides otherwise.

    Args:
        below: What a host read by itself.
        plugins: Tables as under ``[plugins]``, by name of a plugin.
        origin: How reports call where they come from.

    Returns:
        The configuration; and dotted name -> origin of each setting that was not changed, because a variable of the
        environment has it.
    """
    sections = dict(below.config.plugins)
    layer = _Layer(origin, dict(below.origins))
    for name, wanted in plugins.items():
        section = below.section_of(name) or name
        table = below.plugin(name)
        now = {key: getattr(table, key) for key in wanted}
        after = layer.laid(now, wanted, ("plugins", section))
        sections[section] = msgspec.structs.replace(table, **after)
    config = msgspec.structs.replace(below.config, plugins=sections)
    return replace(below, config=config, origins=MappingProxyType(layer.origins)), MappingProxyType(
        layer.kept
    )


class _Layer(msgspec.Struct, frozen=True):
    """What is laid over the settings of others, and what comes of that."""

    origin: str
    origins: dict[str, str]
    kept: dict[str, str] = msgspec.field(default_factory=dict)

    def laid(self, below: Mapping[str, Any], above: Mapping[str, Any], path: SettingPath) -> dict[str, Any]:
        """Return ``below`` with ``above`` over it, except where the environment decides."""
        values = dict(below)
        for key, value in above.items():
            here = (*path, key)
            if is_table(value) and is_table(values.get(key)):
                values[key] = self.laid(values[key], value, here)
                continue
            name = dotted(here)
            known = [one for one in self.origins if one == name or one.startswith((f"{name}.", f"{name}["))]
            if decided := next((one for one in known if from_environment(self.origins[one])), ""):
                if values.get(key) != value:
                    self.kept[decided] = self.origins[decided]
                continue
            for one in known:
                del self.origins[one]
            values[key] = copied(value)
            self.origins[name] = self.origin
        return values
