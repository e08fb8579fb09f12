"""A configuration that was loaded: typed, with the origin of each value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

import msgspec

from plughost._dataclasses import dataclass
from plughost.contracts.config import ConfigEntry, HostConfig, PluginSection
from plughost.contracts.masking import KnownSecrets
from plughost.core.config.decoding import raise_problems
from plughost.core.config.marking import marked
from plughost.core.config.paths import canonical, dotted, match_name, origin_of_setting
from plughost.core.config.plugin_config import Reading, decode_plugin_config, decode_table
from plughost.core.config.redaction import redacted
from plughost.core.config.references import is_reference
from plughost.exceptions import ConfigProblem

_UNSAID = PluginSection()
"""What holds for a plugin of which the configuration says nothing."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """What ``load_config`` found.

    Attributes:
        config: The typed sections.
        origins: Dotted name of each value to where it came from: a file name, ``environment NAME``, ``code``
            or ``default``.
        path: The file that was read; None when there was none.
        environ: The environment it was loaded with, where references look.
        referenced: Dotted name of each of the host's own values that a reference stood for, to what is shown
            in its place.
        secrets: What in it is secret, as far as it was decoded; no text of this process shows them.
        base: The working directory as it was then: a plugin that changes it moves no paths.
    """

    config: HostConfig
    origins: Mapping[str, str]
    path: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    referenced: Mapping[str, str] = field(default_factory=dict)
    secrets: KnownSecrets = field(default_factory=KnownSecrets, repr=False, compare=False)
    base: Path = field(default_factory=Path.cwd, repr=False)

    @property
    def directory(self) -> Path:
        """The folder of the file, or the working directory at the time of loading: where relative paths begin."""
        return self.base if self.path is None else (self.base / self.path).parent

    @property
    def file(self) -> Path | None:
        """The file that was read, as it is found from any folder; None when there was none."""
        return None if self.path is None else self.base / self.path

    @property
    def data_dir(self) -> Path:
        """Folder in which each plugin of the host has its own; made when first needed."""
        configured = self.config.host.data_dir
        if configured is not None:
            return self.located(configured)
        home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return self.base / home / "plughost" / self.config.host.name

    def located(self, path: Path | str) -> Path:
        """Return the absolute path that a path of the configuration means."""
        return self.directory / Path(path).expanduser()

    def section_of(self, plugin_name: str) -> str | None:
        """Return the name of the plugin's table as it is spelled there; None when it has none.

        Case does not matter, nor which of dash, underscore and dot stands between words.
        """
        name = match_name(plugin_name, self.config.plugins)
        return name if name in self.config.plugins else None

    def plugin(self, plugin_name: str) -> PluginSection:
        """Return what is said of the plugin; the defaults when nothing is."""
        section = self.section_of(plugin_name)
        return _UNSAID if section is None else self.config.plugins[section]

    def switched(self, plugin_name: str, *, enabled: bool) -> LoadedConfig:
        """Return the same configuration with the plugin's own switch turned; no file is written."""
        section = self.section_of(plugin_name) or plugin_name
        table = msgspec.structs.replace(self.plugin(plugin_name), enabled=enabled)
        plugins = {**self.config.plugins, section: table}
        return replace(self, config=msgspec.structs.replace(self.config, plugins=plugins))

    def configured(self, plugin_name: str, changes: Mapping[str, Any]) -> LoadedConfig:
        """Return the same configuration with other settings of the plugin, as the file would give them.

        Args:
            plugin_name: The plugin.
            changes: New values by key of its table ``config``; None takes the key out.
        """
        section, table = self.section_of(plugin_name) or plugin_name, self.plugin(plugin_name)
        kept = {**table.config, **changes}
        config = {key: value for key, value in kept.items() if value is not None}
        plugins = {**self.config.plugins, section: msgspec.structs.replace(table, config=config)}
        where = ("plugins", section, "config")
        changed = {dotted((*where, key)): str(self.path) for key in changes}
        stale = tuple(f"{name}{end}" for name in changed for end in (".", "["))
        origins = {name: origin for name, origin in self.origins.items() if not name.startswith(stale)}
        return replace(
            self, config=msgspec.structs.replace(self.config, plugins=plugins), origins={**origins, **changed}
        )

    @property
    def _reading(self) -> Reading:
        return Reading(
            origins=self.origins, environ=self.environ, directory=self.directory, known=self.secrets
        )

    def is_required(self, plugin_name: str) -> bool:
        """Whether the host is not ready without the plugin."""
        name = canonical(plugin_name)
        return name in map(canonical, self.config.host.required) or self.plugin(plugin_name).required

    def feature(self, name: str, *, default: bool = False) -> bool:
        """Return whether a feature is switched on; ``default`` when its switch is not there."""
        return self.config.features.get(name, default)

    def decode_plugin(
        self, plugin_name: str, config_class: Any, raw: Mapping[str, Any] | object | None = None
    ) -> Any:
        """Return the plugin's configuration as its ``Config``; see ``decode_plugin_config``.

        Args:
            plugin_name: Name of the plugin.
            config_class: Its ``Config``, or None.
            raw: Settings that code gives in place of those in the plugin's table: a table, or an instance.

        Raises:
            PluginConfigError: It does not fit.
        """
        section = self.section_of(plugin_name) or plugin_name
        written = self.plugin(plugin_name).config
        return decode_plugin_config(
            plugin_name,
            config_class,
            written if raw is None else raw,
            self._reading
            if raw is None or raw == written
            else msgspec.structs.replace(
                self._reading, origins={dotted(("plugins", section, "config")): "code"}
            ),
            section=section,
        )

    def app_config(self, app_name: str) -> Mapping[str, Any]:
        """Return the settings of an app under ``[apps]`` with references followed, read-only.

        Raises:
            KeyError: There is no such table.
            ConfigError: A reference leads nowhere, or to nothing.
        """
        path = ("apps", app_name)
        raw = self.config.apps[app_name]
        decoded, problems = decode_table(raw, None, path, self._reading)
        raise_problems(problems)
        for key, value in raw.items():
            if is_reference(value) and decoded[key] == "":
                ((kind, source),) = value.items()
                what = "environment variable" if kind == "$env" else "file"
                message = f"{what} {source} is empty: set it, or remove the reference"
                where = (*path, key)
                problems.append(ConfigProblem(dotted(where), origin_of_setting(where, self.origins), message))
        raise_problems(problems)
        settings: Mapping[str, Any] = decoded
        return settings

    def redact(self, config: Any, plugin_name: str | None = None, config_class: Any = None) -> Any:
        """Return plain data that shows a plugin's configuration and hides its secrets.

        Args:
            config: What ``decode_plugin`` returned, or a table as it was written.
            plugin_name: The plugin whose table it came from: what a reference stood for is hidden too.
            config_class: The ``Config`` a written table is meant for: what it declares secret is hidden too.
                Without it, only names and urls tell what is secret.
        """
        written = None if plugin_name is None else self.plugin(plugin_name).config
        return redacted(marked(config, config_class), written=written)

    def entries(self, config_classes: Mapping[str, Any] | None = None) -> tuple[ConfigEntry, ...]:
        """Return every setting with its origin, secrets hidden, in the order of the sections.

        Of the sections that people choose names for, what nobody set is left out.

        Args:
            config_classes: The ``Config`` of plugins by name, as far as they are known; see ``redact``.
        """
        classes = {self.section_of(name) or name: kind for name, kind in (config_classes or {}).items()}
        # Names of plugins, apps and hooks are no keys: none looks secret.
        every = self._entries(
            {
                "host": redacted(self.config.host),
                "hooks": {
                    "order": {hook: redacted(names) for hook, names in self.config.hooks.order.items()},
                    "timeouts": dict(self.config.hooks.timeouts),
                },
                "plugins": {
                    name: redacted(section) | {"config": redacted(marked(section.config, classes.get(name)))}
                    for name, section in self.config.plugins.items()
                },
                "apps": {name: redacted(settings) for name, settings in self.config.apps.items()},
                "features": dict(self.config.features),
            },
            (),
        )
        return tuple(one for one in every if one.origin != "default" or one.path.startswith("host."))

    def _entries(self, value: Any, path: tuple[str, ...]) -> list[ConfigEntry]:
        if isinstance(value, Mapping) and (value or not path):
            return [one for key, inner in value.items() for one in self._entries(inner, (*path, key))]
        name = dotted(path)
        shown = self.referenced.get(name, value)
        return [ConfigEntry(name, shown, origin_of_setting(path, self.origins) or "default")]
