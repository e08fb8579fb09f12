"""Protocols and frozen payloads that hosts and plugins agree on; no behaviour.

Everything public is importable from here; the modules behind it are one idea each.
"""

from __future__ import annotations

from plughost.contracts.apps import (
    AppRecord,
    AppRegistered,
    AppState,
    AppUnregistered,
    OperationResult,
    UnregisterOptions,
)
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
    SystemClock,
)
from plughost.contracts.commands import (
    CommandLine,
)
from plughost.contracts.config import (
    ConfigEntry,
    HookFamily,
    HooksSection,
    HostConfig,
    HostName,
    HostSection,
    ModuleReference,
    PluginSection,
    PluginSettings,
    PositiveSeconds,
    SettingsChange,
    Sha256,
)
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
from plughost.contracts.error_text import (
    error_line,
    error_lines,
    error_text,
)
from plughost.contracts.events import (
    EventCallback,
    Unsubscribe,
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
)
from plughost.contracts.masking import (
    KnownSecrets,
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
from plughost.contracts.plugin import (
    HOST_API,
    Events,
    JobScope,
    Plugin,
    PluginContext,
    PluginLike,
    Seconds,
    Service,
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
    SessionManager,
    SessionStats,
    session_of,
)
from plughost.contracts.session_store import (
    ImmediateStore,
    NewSession,
    PurgedSession,
    ReplacedSession,
    SelfCheckingStore,
    SessionPatch,
    SessionStore,
    StoredSession,
    VersionConflict,
)
from plughost.contracts.status import (
    HostStatus,
    PluginCounts,
)
from plughost.contracts.users import (
    NewUser,
    User,
    UserChange,
)
from plughost.contracts.visible import visible

__all__ = [
    "HOST_API",
    "MASK",
    "RUNNING_STATES",
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
    "ByteStream",
    "Cache",
    "CacheEntry",
    "CacheEvent",
    "CacheEventKind",
    "CacheKeys",
    "CacheManager",
    "CacheStats",
    "CleanupReport",
    "Clock",
    "CommandLine",
    "ConfigEntry",
    "Deny",
    "Device",
    "DeviceKind",
    "DiskCache",
    "DiskCacheStats",
    "DiskEntry",
    "EventCallback",
    "Events",
    "ExpectedKey",
    "FailedPlugin",
    "Fetch",
    "Fetched",
    "GuardedRoute",
    "HealthCheck",
    "HealthReport",
    "HealthStatus",
    "HookFamily",
    "HookMetrics",
    "HookReport",
    "HooksSection",
    "HostConfig",
    "HostName",
    "HostSection",
    "HostStatus",
    "HttpContext",
    "HttpSettings",
    "ImmediateStore",
    "Job",
    "JobFunction",
    "JobRecord",
    "JobScope",
    "KeyBuilder",
    "KnownSecrets",
    "Limit",
    "LimitResult",
    "LoadReport",
    "Loader",
    "Lock",
    "LockManager",
    "LockStats",
    "Message",
    "MetricFamily",
    "MetricKind",
    "MetricSample",
    "Middleware",
    "ModuleReference",
    "NewSession",
    "NewUser",
    "OnProgress",
    "OperationResult",
    "OutagePolicy",
    "Outcome",
    "OutcomeKind",
    "PanelAction",
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
    "PurgedSession",
    "RateLimiter",
    "Receive",
    "ReplacedSession",
    "RequestSession",
    "RestorePlan",
    "RestoreResult",
    "Scope",
    "Seconds",
    "Secret",
    "SelfCheckingStore",
    "Send",
    "Service",
    "Session",
    "SessionManager",
    "SessionPatch",
    "SessionStats",
    "SessionStore",
    "SettingsChange",
    "Sha256",
    "SkippedPlugin",
    "StoredSession",
    "SyncCache",
    "SystemClock",
    "Tier",
    "UnregisterOptions",
    "Unsubscribe",
    "User",
    "UserChange",
    "Verdict",
    "VersionConflict",
    "WarmEntry",
    "call_loader",
    "error_line",
    "error_lines",
    "error_text",
    "get_logger",
    "is_being_cancelled",
    "masked",
    "masked_text",
    "session_of",
    "visible",
    "worst_of",
]
