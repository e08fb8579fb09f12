"""What a host can be told: the typed sections of its configuration, as in ``plughost.toml``.

Seconds are floats. A section is frozen, its tables are read-only, and a key that is not listed here is
refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from plughost._dataclasses import dataclass
from plughost.contracts.http_settings import HttpSettings
from plughost.contracts.processes import Isolation, ProcessSettings
from plughost.contracts.setting_types import Count, GivenName, PositiveSeconds

HostName = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]*\Z", examples=["acme"])]
"""Letters, digits, dashes and underscores, beginning with a letter: it becomes a prefix of variable names."""

HookFamily = Literal[
    "auth",
    "users",
    "backup",
    "app_registration",
    "app_unregistration",
    "health",
    "plugins",
    "sessions",
    "cache",
    "contributions",
]
"""A family of hooks of plughost's own catalogue."""

ModuleReference = Annotated[str, Meta(pattern=r"^\w+(\.\w+)*(:\w+(\.\w+)*)?\Z", examples=["acme.lamp:Lamp"])]
"""``package.module:Attribute``, or ``package.module`` for a module that is itself the plugin."""

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z", examples=["e3b0c442" + 7 * "98fc1c14"])]
"""A SHA-256 digest in hexadecimal."""

EntryPointGroup = Annotated[str, Meta(pattern=r"^[\w-]+(\.[\w-]+)*\Z", examples=["acme.plugins"])]
"""A group of entry points."""

MarkerProject = Annotated[str, Meta(pattern=r"^\S+\Z", examples=["acme"])]
"""The name in ``pluggy.HookimplMarker("acme")``."""

DistributionName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z", examples=["acme-lamp"])
]
"""The name under which something is installed."""


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Makes the tables of a section read-only."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, dict):
                force_setattr(self, name, MappingProxyType(value))


class HostSection(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[host]``.

    Attributes:
        name: Name of the host; also read are entry points of the group ``NAME.plugins`` and variables
            ``NAME_*``.
        environment: Which of the tables ``[environments.NAME]`` is laid over the rest; empty for none.
        load_concurrency: How many plugins start at the same time.
        load_timeout: Seconds for a plugin's import, and again for its start; twice as long in all for a
            plugin that the configuration names (see ``configured_load_timeout``).
        shutdown_timeout: Seconds for a plugin's stop.
        plugin_dir: Folder of plugins that are not installed; relative to the configuration file.
        autoload_plugin_dir: Whether what is found there is loaded without being named under ``[plugins]``.
        required: Names of plugins, and of apps under ``[apps]``, without which the host is not ready.
        allow: Names of the only plugins to load; None for all, an empty list for none.
        disabled: Names of plugins not to load, in addition to those with ``enabled = false``.
        strict: A failed plugin makes the host's start fail.
        trace_hooks: Write a line into the log ``plughost.trace`` for every hook call: what each plugin did in it.
        safe_mode: Load the plugins that come with plughost and no others.
        fleet: Whether it does what its fleet wants of its plugins; ``PLUGHOST_FLEET=off`` is for a host that must start
            as its own file says. It stays a member, and runs its share of the jobs.
        data_dir: Folder in which each plugin has its own; relative to the configuration file. None for the
            default.
        health_interval: Seconds from one health cycle to the next.
        max_restarts: How often a plugin's background tasks may be restarted within ``restart_window``; once
            more puts the plugin in quarantine.
        restart_window: Seconds over which restarts are counted.
        restart_pause: Seconds before the first restart; doubled for each further one.
        restart_pause_limit: Seconds that such a pause never exceeds.
        hookspecs: Where the application declares hooks of its own: ``module`` or ``module:Class``.
        project: The name in the application's ``pluggy`` markers; they count beside plughost's own.
        groups: Groups of entry points that are read; None for ``plughost.plugins`` and ``NAME.plugins``.
        catalogue: Families of plughost's own hooks that are declared; None for all, an empty list for none.
        on_error: What a failing implementation does to a call of a hook that ``pluggy``'s own marker declared.
        hook_timeout: Seconds each implementation of such a hook may take; None means no limit.
    """

    name: HostName = "plughost"
    environment: str = ""
    load_concurrency: Count = 3
    load_timeout: PositiveSeconds = 30.0
    shutdown_timeout: PositiveSeconds = 15.0
    plugin_dir: Path | None = None
    autoload_plugin_dir: bool = True
    required: tuple[GivenName, ...] = ()
    allow: tuple[GivenName, ...] | None = None
    disabled: tuple[GivenName, ...] = ()
    strict: bool = False
    trace_hooks: bool = False
    safe_mode: bool = False
    fleet: bool = True
    data_dir: Path | None = None
    health_interval: PositiveSeconds = 30.0
    max_restarts: Annotated[int, Meta(ge=0)] = 5
    restart_window: PositiveSeconds = 60.0
    restart_pause: Annotated[float, Meta(ge=0)] = 0.5
    restart_pause_limit: PositiveSeconds = 30.0
    hookspecs: tuple[ModuleReference, ...] = ()
    project: MarkerProject = "plughost"
    groups: tuple[EntryPointGroup, ...] | None = None
    catalogue: tuple[HookFamily, ...] | None = None
    on_error: Literal["abort", "isolate"] = "abort"
    hook_timeout: PositiveSeconds | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restart_pause > self.restart_pause_limit:
            raise ValueError(
                f"restart_pause is above restart_pause_limit, {self.restart_pause_limit:g}: lower it, or raise"
                " the limit"
            )

    @property
    def plugin_groups(self) -> tuple[str, ...]:
        """The groups of entry points that are read."""
        if self.groups is not None:
            return self.groups
        return tuple(dict.fromkeys(("plughost.plugins", f"{self.name}.plugins")))

    @property
    def configured_load_timeout(self) -> float:
        """Seconds for import and start together of a plugin that the configuration names by its module."""
        return 2 * self.load_timeout


class HooksSection(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[hooks]``: what the deployer decides over the heads of the authors.

    Attributes:
        order: Name of a hook to names of plugins, first to last; plugins that are not named follow.
        timeouts: Seconds by name of a hook, or of a plugin and its hook (``"backup.before_backup"``, quoted
            in the file because of the dot). The narrower one wins.
    """

    order: Mapping[str, tuple[GivenName, ...]] = field(default_factory=dict)
    timeouts: Mapping[str, PositiveSeconds] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for hook, plugins in self.order.items():
            if twice := [name for place, name in enumerate(plugins) if name in plugins[:place]]:
                raise ValueError(f"order.{hook} names {twice[0]!r} twice: leave one of them out")


class PluginSection(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table ``[plugins.NAME]``.

    Attributes:
        enabled: A plugin that is not enabled is never imported.
        module: Where it is, when no entry point says so.
        required: Whether the host is not ready without it.
        distribution: Name of the only distribution whose plugin is meant; it alone is given these settings.
        path: A folder, a wheel or a zip file that holds it; relative to the configuration file.
        url: Where a wheel or zip file of it is fetched from; needs ``sha256``.
        sha256: Digest that what ``path`` or ``url`` names must have.
        enforce: False lets it only watch: its verdicts and refusals are recorded and counted, and change nothing.
        isolation: ``process`` runs it in a process of its own: whatever it does there, the host goes on.
        process: How that process is kept.
        environment: Folder of a virtual environment in which it is installed, for one whose packages do not go with
            those of the host; relative to the configuration file. Needs ``isolation = "process"``.
        config: The plugin's own settings as they were written: references are not followed, types not
            checked.
    """

    enabled: bool = True
    module: ModuleReference | None = None
    required: bool = False
    distribution: DistributionName | None = None
    path: Path | None = None
    url: str | None = None
    sha256: Sha256 | None = None
    enforce: bool = True
    isolation: Isolation = "none"
    process: ProcessSettings = field(default_factory=ProcessSettings)
    environment: Path | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.url is not None and self.sha256 is None:
            raise ValueError("a plugin is fetched from a url only when its sha256 is given beside it")
        if self.sha256 is not None and self.url is None and self.path is None:
            raise ValueError("sha256 is the digest of what path or url names: give one of them beside it")
        if self.isolation != "process" and self.process != ProcessSettings():
            raise ValueError(
                'process is about a process of its own, and nothing in it would hold: set isolation = "process",'
                " or take it out"
            )
        if self.url is not None and self.path is not None:
            raise ValueError("a plugin comes from a path or from a url, not from both")
        if self.environment is not None and (self.path or self.url) is not None:
            raise ValueError("a plugin is installed in an environment, or comes from a path or url, not both")
        if self.environment is not None and self.isolation != "process":
            raise ValueError('an environment of its own needs a process of its own: isolation = "process"')


class HostConfig(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole configuration.

    Attributes:
        host: How the host works.
        hooks: Order and limits of hook implementations.
        plugins: What is said of each plugin, by its name.
        apps: The apps to register, by name, each with its settings as they were written.
        features: Feature switches.
        http: How the HTTP application behaves.
    """

    host: HostSection = field(default_factory=HostSection)
    hooks: HooksSection = field(default_factory=HooksSection)
    plugins: Mapping[GivenName, PluginSection] = field(default_factory=dict)
    apps: Mapping[GivenName, Mapping[str, Any]] = field(default_factory=dict)
    features: Mapping[GivenName, bool] = field(default_factory=dict)
    http: HttpSettings = field(default_factory=HttpSettings)


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One setting, as reports show it.

    Attributes:
        path: Dotted name, such as ``plugins.backup.config.directory``.
        value: The value with secrets hidden.
        origin: Where it came from: a file name, ``environment NAME``, ``code`` or ``default``.
    """

    path: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings:
    """The settings of one plugin, for people: what they may be, what they are, and where that comes from.

    Attributes:
        plugin: Name of the plugin.
        file: The configuration file; None when there is none, and then nothing can be changed.
        schema: JSON Schema of its table ``config``, with its own ``$defs``; None while the plugin is not imported.
        values: The table as it was written, all layers laid over one another, secrets hidden.
        entries: The same one by one, each with its origin.
    """

    plugin: str
    file: Path | None
    schema: Mapping[str, Any] | None
    values: Mapping[str, Any]
    entries: tuple[ConfigEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """What a change of a plugin's settings does to the configuration file.

    Attributes:
        plugin: Name of the plugin.
        file: The configuration file.
        lines: What goes and what comes, as lines of TOML that begin with ``-`` and ``+``, secrets hidden; empty
            when nothing changes.
        written: Whether the file was written; False for a preview.
    """

    plugin: str
    file: Path
    lines: tuple[str, ...]
    written: bool
