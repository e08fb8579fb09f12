"""What the host tells about plugins: frozen snapshots that reports, pages and hooks share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from plughost._dataclasses import dataclass
from plughost.contracts.frozen import FrozenDict, Payload
from plughost.contracts.processes import ProcessRecord


class PluginState(StrEnum):
    """Where in its life a plugin is. Each state is reached only from those above it, but for a reload.

    ``READY`` is the only state in which its hooks are called.
    """

    DISCOVERED = "discovered"
    DISABLED = "disabled"
    BLOCKED = "blocked"
    INCOMPATIBLE = "incompatible"
    WAITING = "waiting"
    IMPORTING = "importing"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPING = "stopping"
    STOPPED = "stopped"


RUNNING_STATES = frozenset({PluginState.READY, PluginState.DEGRADED})
"""States in which a plugin's hooks are called and its services are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFailure:
    """Why a plugin is not ready.

    Attributes:
        phase: ``configuration``, ``import``, ``validation``, ``start``, ``register``, ``run`` or ``stop``.
        kind: Name of the exception class, such as ``PluginTimeoutError``.
        message: What happened and what to do, without secrets.
        limit: The limit in seconds that was passed, if it was a limit.
        traceback: The last lines of the traceback, for people; empty when there is none.
    """

    phase: str
    kind: str
    message: str
    limit: float | None = None
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginTimings:
    """How long each phase took, in seconds; None when it was not reached. Waiting for others is not in them."""

    imported: float | None = None
    validated: float | None = None
    started: float | None = None
    waited: float | None = None
    stopped: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord(Payload):
    """All there is to say about one plugin at one moment.

    Attributes:
        name: The plugin's name.
        version: Version of its distribution, or its own; empty when unknown.
        distribution: Name of the installed distribution it came from; empty when none.
        source: ``entry point``, ``configuration``, ``directory``, ``package``, ``code``, or ``pluggy`` when
            it was registered on ``host.pluggy``, where nothing but its hooks is known of it.
        origin: Where exactly: ``group:name = module:attr``, a folder, a module.
        state: Where in its life it is.
        reason: One sentence for a person: why it is in this state; empty when READY.
        error: The failure, when there was one.
        timings: How long its phases took.
        requires: Names it cannot do without.
        after: Names it starts after when they are there.
        required: Whether the host is not ready without it.
        hooks: Names of the hooks it implements, in the order they were registered.
        config: Its configuration with secrets hidden.
        restarts: How often its background tasks were restarted.
        generation: Grows with each start of the plugin; late results of an older one are refused.
        status: What its own ``status()`` said.
        process: The process of its own; None when it runs inside the host.
    """

    name: str
    version: str = ""
    distribution: str = ""
    source: str = ""
    origin: str = ""
    state: PluginState = PluginState.DISCOVERED
    reason: str = ""
    error: PluginFailure | None = None
    timings: PluginTimings = PluginTimings()
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    required: bool = False
    hooks: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=FrozenDict)
    restarts: int = 0
    generation: int = 0
    status: Mapping[str, object] = field(default_factory=FrozenDict)
    process: ProcessRecord | None = None

    @property
    def running(self) -> bool:
        """Whether its hooks are called and its services are there."""
        return self.state in RUNNING_STATES

    @property
    def waiting_for(self) -> str:
        """What it says it needs before it can do its work, though it runs; empty when nothing."""
        return str(self.status.get("waiting_for") or "") if self.running else ""


@dataclass(frozen=True, slots=True)
class FailedPlugin:
    """A row of ``LoadReport.failed``."""

    name: str
    phase: str
    error: PluginFailure


@dataclass(frozen=True, slots=True)
class SkippedPlugin:
    """A row of ``LoadReport.skipped``."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The state of every plugin that was found.

    Attributes:
        loaded: Names of the plugins that are ready, in the order they became so.
        failed: Name, phase and error of those that are not.
        skipped: Name and reason of those that were never tried.
        duration: Seconds from discovery to the last plugin's start.
    """

    loaded: tuple[str, ...] = ()
    failed: tuple[FailedPlugin, ...] = ()
    skipped: tuple[SkippedPlugin, ...] = ()
    duration: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    def __iter__(self) -> Iterator[str]:
        """Names of the loaded plugins."""
        return iter(self.loaded)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadReport:
    """What came of reading the configuration again.

    Attributes:
        reloaded: Names of the plugins that changed and were replaced with a new start.
        started: Those that run now and did not before.
        stopped: Those that do not run any more.
        failed: Name, phase and error of those whose new start failed; one that ran before goes on as it was.
        pending: Dotted names of settings that changed and hold from the next start of the host only.
    """

    reloaded: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    failed: tuple[FailedPlugin, ...] = ()
    pending: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed


@dataclass(frozen=True, slots=True)
class PluginStarted:
    """Event: a plugin became ready."""

    plugin: PluginRecord


@dataclass(frozen=True, slots=True)
class PluginFailed:
    """Event: a phase of a plugin's life failed."""

    plugin: PluginRecord
    phase: str
    error: PluginFailure


@dataclass(frozen=True, slots=True)
class PluginStopped:
    """Event: a plugin was stopped."""

    plugin: PluginRecord


@dataclass(frozen=True, slots=True)
class PluginStateChanged:
    """Event: a plugin went from one state to another; told at every step of every plugin's life."""

    plugin: PluginRecord
    previous: PluginState
