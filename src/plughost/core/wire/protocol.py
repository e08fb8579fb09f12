"""What a host and a plugin's process say to each other: the members of both ends, and what goes with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import IntEnum
from functools import cache
from typing import Any, Final

from plughost._dataclasses import dataclass
from plughost.contracts.fleet_jobs import JobRun
from plughost.contracts.http import HttpContext
from plughost.contracts.plugin import JobOutage, JobScope, MissedSlots
from plughost.contracts.processes import Confinement
from plughost.core.config.undecoded import UndecodedSettings
from plughost.core.wire.codec import WireCodec, arguments_codec
from plughost.core.wire.faults import Fault
from plughost.core.wire.routes import AsgiMessage, RouteAnswer, RouteManifest, RouteRequest
from plughost.core.wire.services import ServiceCall


class Member(IntEnum):
    """Members of either end beside the hooks, whose numbers begin at 0."""

    # of the plugin's process
    CHECK_CONFIG = 0xFF00
    START = 0xFF01
    STOP = 0xFF02
    FUNCTION = 0xFF03
    SERVICE = 0xFF04
    SERVICES = 0xFF05
    ROUTE = 0xFF06
    # of the host
    READY = 0xFF80
    FAILED = 0xFF81
    LOG = 0xFF82
    SCHEDULE = 0xFF83
    SUBSCRIBE = 0xFF84
    UNSUBSCRIBE = 0xFF85
    SPAWN = 0xFF86
    STATUS = 0xFF87
    HOOK = 0xFF88
    PUBLISH = 0xFF89
    PROVIDE = 0xFF8A
    USE = 0xFF8B
    RECEIVE = 0xFF8C
    BEGIN = 0xFF8D
    SEND = 0xFF8E


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSpec:
    """What a plugin's process is told when it begins; its configuration is not in it.

    Attributes:
        name: Name of the plugin.
        reference: ``module`` or ``module:attribute``.
        source: Which kind of place it was found in.
        origin: The place itself, for people.
        folder: What must be on the path to import it; empty when nothing.
        path: The host's import path; empty in an environment of the plugin's own.
        project: The name in the application's markers.
        hookspecs: Where hooks are declared: ``module`` or ``module:Class``.
        isolates: Whether a failing implementation of pluggy's own hooks is isolated.
        library: The event library: ``asyncio`` or ``trio``.
        data_dir: The plugin's own folder.
        memory: Bytes of memory it may ask the system for; None for no bound.
        nice: How far it stands back when processors are scarce.
        confine: What it may touch; None when it is not confined.
        log_level: Log records below it interest nobody.
    """

    name: str
    reference: str
    source: str
    origin: str
    folder: str
    path: tuple[str, ...]
    project: str
    hookspecs: tuple[str, ...]
    library: str
    data_dir: str
    memory: int | None = None
    nice: int = 0
    confine: Confinement | None = None
    log_level: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HookManifest:
    """One hook implementation, as pluggy and plughost read it.

    Attributes:
        hook: Name of the hook.
        arguments: Names of what it takes by position.
        keywords: Names of what it takes with a default of its own.
        tryfirst, trylast, optionalhook: As pluggy's marker said.
        priority, timeout: As plughost's marker said.
        typed: Whether the process knows the hook's declaration, so that types say how values cross.
        foreign: Whether it is for a hook that pluggy's own marker declared; one of plughost's may have that name too.
    """

    hook: str
    arguments: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    tryfirst: bool = False
    trylast: bool = False
    optionalhook: bool = False
    priority: int = 0
    timeout: float | None = None
    typed: bool = True
    foreign: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginManifest:
    """What a plugin says of itself, read once its code is imported.

    Attributes:
        wire: Version of the frames it speaks.
        plughost: Version of plughost in its process.
        version, requires, after, host_api: As the plugin says.
        schema: JSON Schema of its ``Config``; None when it declares none.
        secrets: Which settings its ``Config`` declares secret, as a tree of keys.
        hooks: Its hook implementations.
        confinement: What holds it back.
    """

    wire: int
    plughost: str
    version: str = ""
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    host_api: str = ""
    schema: Mapping[str, Any] | None = None
    secrets: Mapping[str, Any] = field(default_factory=dict)
    hooks: tuple[HookManifest, ...] = ()
    confinement: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """What ``start`` needs.

    Attributes:
        host_name: Name of the host.
        settings: The plugin's configuration.
        services: Qualified names of what is provided when it begins.
        http: What the hooks that add to the HTTP application are told of it.
    """

    host_name: str
    settings: UndecodedSettings
    services: tuple[str, ...] = ()
    http: HttpContext


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReply:
    """What is left to do once ``start`` has returned.

    Attributes:
        jobs: What ``register_jobs`` returned.
        routes: What ``register_routes`` returned.
        panels: What ``register_admin_panels`` returned.
        faults: Name of a hook -> what it raised instead.
    """

    jobs: tuple[JobRequest, ...] = ()
    routes: tuple[RouteManifest, ...] = ()
    panels: tuple[PanelManifest, ...] = ()
    faults: Mapping[str, Fault] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedLine:
    """One log record.

    Attributes:
        logger: Name of the logger.
        level: Its level, as the standard library counts.
        message: The text.
        fields: What goes with it.
        trace: The traceback of an exception that goes with it; empty when none does.
    """

    logger: str
    level: int
    message: str
    fields: Mapping[str, Any]
    trace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job of the plugin, which the host calls when it is due.

    Attributes:
        function: Number of the function to call.
        name, every, cron, limit, scope, missed, window, retries, outage: As of ``Job``; lengths of time in seconds.
    """

    function: int
    name: str
    every: float | None
    cron: str | None
    limit: float
    scope: JobScope
    missed: MissedSlots
    window: float | None
    retries: int
    outage: JobOutage


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionManifest:
    """A button of an admin panel; the fields are those of ``PanelAction``, and ``run`` the number of a function."""

    name: str
    title: str
    run: int
    scope: str
    confirm: str
    listed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelManifest:
    """An admin panel; the fields are those of ``AdminPanel``, and ``data`` the number of a function."""

    name: str
    title: str
    data: int
    scope: str
    actions: tuple[ActionManifest, ...]
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall:
    """A call of a function that the plugin handed over: a job, a subscriber, a background task.

    Attributes:
        function: Its number.
        arguments: What it is given.
        run: The run of a job of the fleet that it is part of; see ``current_run``.
    """

    function: int
    arguments: tuple[Any, ...] = ()
    run: JobRun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookRequest:
    """A call of one of the host's hooks.

    Attributes:
        hook: Name of the hook.
        arguments: Its arguments by name.
        report: Whether the report is wanted and not only the result.
    """

    hook: str
    arguments: Mapping[str, Any]
    report: bool = False


@dataclass(frozen=True, slots=True)
class MemberCrossing:
    """How a member's arguments and answer cross; see ``Crossing``."""

    arguments: WireCodec
    answer: WireCodec


_SIGNATURES: Final[Mapping[Member, tuple[tuple[Any, ...], Any]]] = {
    Member.CHECK_CONFIG: ((UndecodedSettings,), None),
    Member.START: ((StartRequest,), StartReply),
    Member.STOP: ((), None),
    Member.FUNCTION: ((FunctionCall,), Any),
    Member.SERVICE: ((ServiceCall,), bytes),
    Member.SERVICES: ((tuple[str, ...],), None),
    Member.READY: ((PluginManifest,), None),
    Member.FAILED: ((Fault,), None),
    Member.LOG: ((LoggedLine,), None),
    Member.SCHEDULE: ((JobRequest,), None),
    Member.SUBSCRIBE: ((int, str), None),
    Member.UNSUBSCRIBE: ((int,), None),
    Member.SPAWN: ((int,), None),
    Member.STATUS: ((Mapping[str, Any],), None),
    Member.HOOK: ((HookRequest,), Any),
    Member.PUBLISH: ((Any, Any), None),
    Member.PROVIDE: ((str,), None),
    Member.USE: ((ServiceCall,), bytes),
    Member.ROUTE: ((RouteRequest,), RouteAnswer),
    Member.RECEIVE: ((int,), AsgiMessage),
    Member.BEGIN: ((int, AsgiMessage), None),
    Member.SEND: ((int, AsgiMessage), None),
}


@cache
def crossing_of(member: Member) -> MemberCrossing:
    """Return how a member's arguments and answer cross."""
    arguments, answer = _SIGNATURES[member]
    return MemberCrossing(arguments_codec(arguments), WireCodec(answer))
