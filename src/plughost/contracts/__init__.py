"""What hosts and plugins agree on: protocols, frozen payloads, and the small rules both must read alike; no policy.

Protocols say what one side offers and the other may ask for. Payloads are what crosses between them, and do not
change on the way. The rules are those that would drift if each side had its own: the clock, log lines, what is
secret, how keys, durations and errors are written. Nothing here decides anything, and nothing imports from above.

Plugins import from here, where every public name stands. The floors below them name the file they mean, one idea each.

The names are looked up when they are first used: hardly a host or plugin needs what a fleet, a backup and a session
agree on all at once. Those that are called as their file is are there from the start, or the file would be found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plughost._names import looked_up
from plughost.contracts.error_text import (
    error_line,
    error_lines,
    error_text,
    error_type_name,
)
from plughost.contracts.frozen import (
    FrozenDict,
    FrozenList,
    Payload,
    frozen,
)
from plughost.contracts.value_text import (
    class_name,
    items_of,
    plain_text,
    spoken,
    value_text,
)
from plughost.contracts.visible import visible, writable

if TYPE_CHECKING:
    from plughost.contracts.apps import (
        AppRecord,
        AppRegistered,
        AppState,
        AppUnregistered,
        OperationResult,
        UnregisterOptions,
    )
    from plughost.contracts.arguments import several
    from plughost.contracts.auth import (
        Abstain,
        Allow,
        AuthAttempt,
        AuthResult,
        Deny,
        Principal,
        Verdict,
    )
    from plughost.contracts.backup import (
        Archive,
        ArchiveEntry,
        Artifact,
        BackupLocation,
        BackupPlan,
        BackupProgress,
        BackupResult,
        BackupService,
        BackupSummary,
        ByteStream,
        OnProgress,
        RestorePlan,
        RestoreResult,
    )
    from plughost.contracts.bytes_store import BytesStore, ListingStore, OpenedStore, StoreSetup
    from plughost.contracts.cache import (
        BatchLoader,
        Cache,
        CacheEntry,
        CacheManager,
        CacheStats,
        ExpectedKey,
        Loader,
        SyncCache,
        Tier,
    )
    from plughost.contracts.cache_events import (
        CacheEvent,
        CacheEventKind,
        WarmEntry,
    )
    from plughost.contracts.cache_keys import (
        CacheKeys,
        KeyBuilder,
    )
    from plughost.contracts.clock import (
        SYSTEM_CLOCK,
        Clock,
        SteadyTime,
        SystemClock,
    )
    from plughost.contracts.commands import (
        CommandLine,
        json_option,
    )
    from plughost.contracts.config import (
        ConfigEntry,
        DistributionName,
        EntryPointGroup,
        HookFamily,
        HooksSection,
        HostConfig,
        HostName,
        HostSection,
        MarkerProject,
        ModuleReference,
        PluginSection,
        PluginSettings,
        SettingsChange,
        Sha256,
    )
    from plughost.contracts.counting import counted
    from plughost.contracts.devices import (
        Device,
        DeviceKind,
    )
    from plughost.contracts.disk_cache import (
        DiskCache,
        DiskCacheStats,
        DiskEntry,
        Fetch,
        Fetched,
    )
    from plughost.contracts.events import (
        EventCallback,
        Unsubscribe,
    )
    from plughost.contracts.files import (
        close_to_others,
        folder_named,
        lacks_room,
        own_folder,
        own_secret,
        replace_file,
        sync_to_disk,
    )
    from plughost.contracts.fleet import (
        Fleet,
        FleetAct,
        FleetChange,
        FleetJobRecord,
        FleetJobSkipped,
        FleetMember,
        FleetStatus,
        MemberJoined,
        MemberLeft,
        MemberLost,
        MemberPlugin,
        MemberState,
        Rollout,
        RolloutAct,
        RolloutChanged,
        RolloutPlan,
        RolloutState,
    )
    from plughost.contracts.fleet_events import FleetEventsMissed, fleet_event, fleet_event_class
    from plughost.contracts.fleet_jobs import RUN_UNDER_WAY, FleetJob, JobGate, JobRun, JobSlots, current_run
    from plughost.contracts.fleet_store import (
        MOST_EVENTS,
        MOST_REVISIONS,
        OVERDUE_AFTER,
        Beat,
        Claimed,
        ClaimVerdict,
        DrainedMember,
        Enlisted,
        Enlistment,
        EventPage,
        FleetStore,
        Greeting,
        Heard,
        HeldRun,
        JobClaim,
        NextStep,
        Proposal,
        Proposed,
        RunAsked,
        RunEnd,
        Steering,
        StoredJob,
        StoredMember,
        StoredRevision,
        Telling,
        Told,
        View,
        Welcome,
        Word,
    )
    from plughost.contracts.health import (
        HealthCheck,
        HealthReport,
        HealthStatus,
        worst_of,
    )
    from plughost.contracts.hooks import (
        HookReport,
        Outcome,
        OutcomeKind,
    )
    from plughost.contracts.http import (
        AdminPanel,
        ASGIApp,
        GuardedRoute,
        HttpContext,
        Message,
        Middleware,
        PanelAction,
        Receive,
        Scope,
        Send,
    )
    from plughost.contracts.http_settings import (
        AdminPath,
        HttpSettings,
    )
    from plughost.contracts.jobs import (
        Job,
        JobFunction,
        JobRecord,
    )
    from plughost.contracts.json_values import for_json, json_bytes
    from plughost.contracts.limits import (
        Limit,
        LimitResult,
        OutagePolicy,
        RateLimiter,
    )
    from plughost.contracts.loaders import call_loader, is_being_cancelled
    from plughost.contracts.locks import (
        Lock,
        LockManager,
        LockStats,
    )
    from plughost.contracts.logs import (
        get_logger,
        substitute_of,
    )
    from plughost.contracts.masking import (
        KnownSecrets,
        is_secret_key,
        masked,
        masked_text,
    )
    from plughost.contracts.metric_families import (
        MetricFamily,
        MetricKind,
        MetricSample,
    )
    from plughost.contracts.metrics import (
        HookMetrics,
    )
    from plughost.contracts.moments import utc_time
    from plughost.contracts.named import NamedStore, named_object
    from plughost.contracts.own_database import OwnDatabase
    from plughost.contracts.plugin import (
        HOST_API,
        Events,
        JobOutage,
        JobScope,
        MissedSlots,
        Plugin,
        PluginContext,
        PluginLike,
        Seconds,
        Service,
        check_function,
        seconds_of,
    )
    from plughost.contracts.processes import (
        Confinement,
        Isolation,
        ProcessExit,
        ProcessRecord,
        ProcessSettings,
        Size,
        size_in_bytes,
    )
    from plughost.contracts.records import (
        RUNNING_STATES,
        FailedPlugin,
        LoadReport,
        PluginFailed,
        PluginFailure,
        PluginRecord,
        PluginStarted,
        PluginState,
        PluginStateChanged,
        PluginStopped,
        PluginTimings,
        ReloadReport,
        SkippedPlugin,
    )
    from plughost.contracts.secret import (
        MASK,
        Secret,
    )
    from plughost.contracts.session import (
        SOCKET_CLOSED_BY_SESSION,
        CleanupReport,
        RequestSession,
        Session,
        SessionMaintenance,
        SessionManager,
        SessionStats,
        session_of,
    )
    from plughost.contracts.session_bytes import BytesSessions
    from plughost.contracts.session_changes import (
        born_session,
        check_session_size,
        patched_session,
        session_too_large,
        touched_session,
    )
    from plughost.contracts.session_store import (
        CountingStore,
        ImmediateStore,
        MovableStore,
        NewSession,
        PurgedSession,
        PurgingStore,
        ReplacedSession,
        SelfCheckingStore,
        SessionPatch,
        SessionStore,
        StoredSession,
        VersionConflict,
        WaitingStore,
    )
    from plughost.contracts.setting_types import (
        Count,
        GivenName,
        Origin,
        PositiveSeconds,
        ScopeText,
        SiteUrl,
        is_given_name,
    )
    from plughost.contracts.sqlite_files import KnownDatabase, copy_sqlite, restore_sqlite, sqlite_artifact
    from plughost.contracts.status import (
        HostStatus,
        PluginCounts,
    )
    from plughost.contracts.steering import CallCounts, HostSteering, with_paths, working_directory_of
    from plughost.contracts.users import (
        NewUser,
        User,
        UserChange,
    )

__all__ = [
    "HOST_API",
    "MASK",
    "MOST_EVENTS",
    "MOST_REVISIONS",
    "OVERDUE_AFTER",
    "RUNNING_STATES",
    "RUN_UNDER_WAY",
    "SOCKET_CLOSED_BY_SESSION",
    "SYSTEM_CLOCK",
    "ASGIApp",
    "Abstain",
    "AdminPanel",
    "AdminPath",
    "Allow",
    "AppRecord",
    "AppRegistered",
    "AppState",
    "AppUnregistered",
    "Archive",
    "ArchiveEntry",
    "Artifact",
    "AuthAttempt",
    "AuthResult",
    "BackupLocation",
    "BackupPlan",
    "BackupProgress",
    "BackupResult",
    "BackupService",
    "BackupSummary",
    "BatchLoader",
    "Beat",
    "ByteStream",
    "BytesSessions",
    "BytesStore",
    "Cache",
    "CacheEntry",
    "CacheEvent",
    "CacheEventKind",
    "CacheKeys",
    "CacheManager",
    "CacheStats",
    "CallCounts",
    "ClaimVerdict",
    "Claimed",
    "CleanupReport",
    "Clock",
    "CommandLine",
    "ConfigEntry",
    "Confinement",
    "Count",
    "CountingStore",
    "Deny",
    "Device",
    "DeviceKind",
    "DiskCache",
    "DiskCacheStats",
    "DiskEntry",
    "DistributionName",
    "DrainedMember",
    "Enlisted",
    "Enlistment",
    "EntryPointGroup",
    "EventCallback",
    "EventPage",
    "Events",
    "ExpectedKey",
    "FailedPlugin",
    "Fetch",
    "Fetched",
    "Fleet",
    "FleetAct",
    "FleetChange",
    "FleetEventsMissed",
    "FleetJob",
    "FleetJobRecord",
    "FleetJobSkipped",
    "FleetMember",
    "FleetStatus",
    "FleetStore",
    "FrozenDict",
    "FrozenList",
    "GivenName",
    "Greeting",
    "GuardedRoute",
    "HealthCheck",
    "HealthReport",
    "HealthStatus",
    "Heard",
    "HeldRun",
    "HookFamily",
    "HookMetrics",
    "HookReport",
    "HooksSection",
    "HostConfig",
    "HostName",
    "HostSection",
    "HostStatus",
    "HostSteering",
    "HttpContext",
    "HttpSettings",
    "ImmediateStore",
    "Isolation",
    "Job",
    "JobClaim",
    "JobFunction",
    "JobGate",
    "JobOutage",
    "JobRecord",
    "JobRun",
    "JobScope",
    "JobSlots",
    "KeyBuilder",
    "KnownDatabase",
    "KnownSecrets",
    "Limit",
    "LimitResult",
    "ListingStore",
    "LoadReport",
    "Loader",
    "Lock",
    "LockManager",
    "LockStats",
    "MarkerProject",
    "MemberJoined",
    "MemberLeft",
    "MemberLost",
    "MemberPlugin",
    "MemberState",
    "Message",
    "MetricFamily",
    "MetricKind",
    "MetricSample",
    "Middleware",
    "MissedSlots",
    "ModuleReference",
    "MovableStore",
    "NamedStore",
    "NewSession",
    "NewUser",
    "NextStep",
    "OnProgress",
    "OpenedStore",
    "OperationResult",
    "Origin",
    "OutagePolicy",
    "Outcome",
    "OutcomeKind",
    "OwnDatabase",
    "PanelAction",
    "Payload",
    "Plugin",
    "PluginContext",
    "PluginCounts",
    "PluginFailed",
    "PluginFailure",
    "PluginLike",
    "PluginRecord",
    "PluginSection",
    "PluginSettings",
    "PluginStarted",
    "PluginState",
    "PluginStateChanged",
    "PluginStopped",
    "PluginTimings",
    "PositiveSeconds",
    "Principal",
    "ProcessExit",
    "ProcessRecord",
    "ProcessSettings",
    "Proposal",
    "Proposed",
    "PurgedSession",
    "PurgingStore",
    "RateLimiter",
    "Receive",
    "ReloadReport",
    "ReplacedSession",
    "RequestSession",
    "RestorePlan",
    "RestoreResult",
    "Rollout",
    "RolloutAct",
    "RolloutChanged",
    "RolloutPlan",
    "RolloutState",
    "RunAsked",
    "RunEnd",
    "Scope",
    "ScopeText",
    "Seconds",
    "Secret",
    "SelfCheckingStore",
    "Send",
    "Service",
    "Session",
    "SessionMaintenance",
    "SessionManager",
    "SessionPatch",
    "SessionStats",
    "SessionStore",
    "SettingsChange",
    "Sha256",
    "SiteUrl",
    "Size",
    "SkippedPlugin",
    "SteadyTime",
    "Steering",
    "StoreSetup",
    "StoredJob",
    "StoredMember",
    "StoredRevision",
    "StoredSession",
    "SyncCache",
    "SystemClock",
    "Telling",
    "Tier",
    "Told",
    "UnregisterOptions",
    "Unsubscribe",
    "User",
    "UserChange",
    "Verdict",
    "VersionConflict",
    "View",
    "WaitingStore",
    "WarmEntry",
    "Welcome",
    "Word",
    "born_session",
    "call_loader",
    "check_function",
    "check_session_size",
    "class_name",
    "close_to_others",
    "copy_sqlite",
    "counted",
    "current_run",
    "error_line",
    "error_lines",
    "error_text",
    "error_type_name",
    "fleet_event",
    "fleet_event_class",
    "folder_named",
    "for_json",
    "frozen",
    "get_logger",
    "is_being_cancelled",
    "is_given_name",
    "is_secret_key",
    "items_of",
    "json_bytes",
    "json_option",
    "lacks_room",
    "masked",
    "masked_text",
    "named_object",
    "own_folder",
    "own_secret",
    "patched_session",
    "plain_text",
    "replace_file",
    "restore_sqlite",
    "seconds_of",
    "session_of",
    "session_too_large",
    "several",
    "size_in_bytes",
    "spoken",
    "sqlite_artifact",
    "substitute_of",
    "sync_to_disk",
    "touched_session",
    "utc_time",
    "value_text",
    "visible",
    "with_paths",
    "working_directory_of",
    "worst_of",
    "writable",
]

_NAMES = {
    "apps": "AppRecord AppRegistered AppState AppUnregistered OperationResult UnregisterOptions",
    "arguments": "several",
    "auth": "Abstain Allow AuthAttempt AuthResult Deny Principal Verdict",
    "backup": (
        "Archive ArchiveEntry Artifact BackupLocation BackupPlan BackupProgress BackupResult "
        "BackupService BackupSummary ByteStream OnProgress RestorePlan RestoreResult"
    ),
    "bytes_store": "BytesStore ListingStore OpenedStore StoreSetup",
    "cache": "BatchLoader Cache CacheEntry CacheManager CacheStats ExpectedKey Loader SyncCache Tier",
    "cache_events": "CacheEvent CacheEventKind WarmEntry",
    "cache_keys": "CacheKeys KeyBuilder",
    "clock": "SYSTEM_CLOCK Clock SteadyTime SystemClock",
    "commands": "CommandLine json_option",
    "config": (
        "ConfigEntry DistributionName EntryPointGroup HookFamily HooksSection HostConfig HostName "
        "HostSection MarkerProject ModuleReference PluginSection PluginSettings SettingsChange Sha256"
    ),
    "counting": "counted",
    "devices": "Device DeviceKind",
    "disk_cache": "DiskCache DiskCacheStats DiskEntry Fetch Fetched",
    "events": "EventCallback Unsubscribe",
    "files": "close_to_others folder_named lacks_room own_folder own_secret replace_file sync_to_disk",
    "fleet": (
        "Fleet FleetAct FleetChange FleetJobRecord FleetJobSkipped FleetMember FleetStatus MemberJoined "
        "MemberLeft MemberLost MemberPlugin MemberState Rollout RolloutAct RolloutChanged RolloutPlan "
        "RolloutState"
    ),
    "fleet_events": "FleetEventsMissed fleet_event fleet_event_class",
    "fleet_jobs": "RUN_UNDER_WAY FleetJob JobGate JobRun JobSlots current_run",
    "fleet_store": (
        "MOST_EVENTS MOST_REVISIONS OVERDUE_AFTER Beat Claimed ClaimVerdict DrainedMember Enlisted "
        "Enlistment EventPage FleetStore Greeting Heard HeldRun JobClaim NextStep Proposal Proposed "
        "RunAsked RunEnd Steering StoredJob StoredMember StoredRevision Telling Told View Welcome Word"
    ),
    "health": "HealthCheck HealthReport HealthStatus worst_of",
    "hooks": "HookReport Outcome OutcomeKind",
    "http": ("AdminPanel ASGIApp GuardedRoute HttpContext Message Middleware PanelAction Receive Scope Send"),
    "http_settings": "AdminPath HttpSettings",
    "jobs": "Job JobFunction JobRecord",
    "json_values": "for_json json_bytes",
    "limits": "Limit LimitResult OutagePolicy RateLimiter",
    "loaders": "call_loader is_being_cancelled",
    "locks": "Lock LockManager LockStats",
    "logs": "get_logger substitute_of",
    "masking": "KnownSecrets is_secret_key masked masked_text",
    "metric_families": "MetricFamily MetricKind MetricSample",
    "metrics": "HookMetrics",
    "moments": "utc_time",
    "named": "NamedStore named_object",
    "own_database": "OwnDatabase",
    "plugin": (
        "HOST_API Events JobOutage JobScope MissedSlots Plugin PluginContext PluginLike Seconds Service "
        "check_function seconds_of"
    ),
    "processes": "Confinement Isolation ProcessExit ProcessRecord ProcessSettings Size size_in_bytes",
    "records": (
        "RUNNING_STATES FailedPlugin LoadReport PluginFailed PluginFailure PluginRecord PluginStarted "
        "PluginState PluginStateChanged PluginStopped PluginTimings ReloadReport SkippedPlugin"
    ),
    "secret": "MASK Secret",
    "session": (
        "SOCKET_CLOSED_BY_SESSION CleanupReport RequestSession Session SessionMaintenance SessionManager "
        "SessionStats session_of"
    ),
    "session_bytes": "BytesSessions",
    "session_changes": "born_session check_session_size patched_session session_too_large touched_session",
    "session_store": (
        "CountingStore ImmediateStore MovableStore NewSession PurgedSession PurgingStore ReplacedSession "
        "SelfCheckingStore SessionPatch SessionStore StoredSession VersionConflict WaitingStore"
    ),
    "setting_types": "Count GivenName Origin PositiveSeconds ScopeText SiteUrl is_given_name",
    "sqlite_files": "KnownDatabase copy_sqlite restore_sqlite sqlite_artifact",
    "status": "HostStatus PluginCounts",
    "steering": "CallCounts HostSteering with_paths working_directory_of",
    "users": "NewUser User UserChange",
}
"""File -> what is looked up in it."""

_HOMES = {name: f"{__name__}.{file}" for file, names in _NAMES.items() for name in names.split()}

__getattr__, __dir__ = looked_up(__name__, _HOMES)
