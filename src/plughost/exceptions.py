"""Every error plughost raises, in one tree.

    PlughostError
    ├── ConfigError                 a setting is unknown, missing or of the wrong type       (ValueError)
    ├── PluginError                 something about one plugin; carries .plugin and .phase
    │   ├── PluginNotFoundError     no plugin of that name                                   (LookupError)
    │   ├── PluginBlockedError      the deployer keeps it out; carries .setting
    │   ├── PluginImportError       its module could not be imported, or the attribute is missing
    │   ├── PluginInvalidError      what was imported is not a plugin, or its hooks do not fit the specs
    │   │   │                       (ValueError, pluggy.PluginValidationError)
    │   │   └── NotCrossableError   what it hands over or is given cannot leave its process; carries .hook, .argument
    │   ├── PluginSourceError       the package or url it should come from is not there or not what was pinned
    │   ├── PluginConfigError       its configuration does not fit its Config
    │   ├── PluginDependencyError   what it requires is missing, disabled, failed or circular
    │   ├── PluginIncompatibleError its host_api range excludes this host
    │   ├── PluginStartError        start() raised
    │   ├── PluginStopError         stop() raised
    │   ├── PluginTimeoutError      a phase took longer than its limit; carries .limit       (TimeoutError)
    │   ├── PluginProcessError      its own process could not be started, or could not be asked
    │   │   └── PluginCrashedError  its own process ended by itself; carries .exit, .signal, .stack
    │   └── PluginGoneError         it acted through its context after it was stopped or given up
    ├── HookError                   a hook call could not be made or was aborted; carries .hook
    │   ├── UnknownHookError        nobody declared a hook of that name                      (AttributeError)
    │   ├── HistoricHookError       a historic hook was called otherwise than by call_historic  (AssertionError)
    │   ├── HookCallError           an implementation failed and the hook's policy is abort; carries .plugin
    │   └── HookTimeoutError        the same, because it passed its limit                    (TimeoutError)
    ├── Refused                     a plugin's deliberate No; carries .reason (for the person) and .log_reason
    │   ├── AuthRefused
    │   ├── UserRefused
    │   └── AppRefused
    ├── RemoteError                 what code in another process raised; carries .kind and .traceback
    ├── StrayError                  what a plugin raised is not an Exception, or a cancellation nobody asked for
    ├── ServiceError                a service is not there                                   (LookupError)
    ├── HostNotReadyError           the host was asked for something before it was started, or a required plugin failed
    ├── RouteError                  a contributed route has no guard or takes another's place; carries .plugin, .path
    ├── AppError                    registration of an app failed; carries .app_name and .step
    ├── FleetError                  a change of the fleet was refused, or cannot be believed
    ├── BackupError                 a backup was not made, or an archive cannot be trusted or restored
    ├── SessionDataError            a value cannot be kept in a session: its type, depth or size (ValueError)
    ├── CacheValueError             a value a cache cannot keep, or cannot work on           (TypeError)
    ├── LoadError                   a cache's loader ended in a way that must not reach its callers as it is
    │   └── LoadCircleError         loaders wait for each other; carries .keys
    ├── LoadTimeoutError            a cache's loader passed its limit; carries .limit        (TimeoutError)
    ├── LockError                   a lock is not, or no longer, held; carries .name
    │   ├── LockTimeoutError        it was not acquired in time                             (TimeoutError)
    │   └── LockLostError           its lease ran out, or Redis forgot it, while it was held
    └── StoreUnavailableError       a store (Redis, a file) cannot be reached now
        └── SessionUnreadableError  a session is stored, but its bytes cannot be opened; it is kept as it is

Messages end with what to do. Foreign errors are mapped once, where they enter, and kept as ``__cause__``.
"""

from __future__ import annotations

from collections.abc import Iterable

from pluggy import PluginValidationError

from plughost._dataclasses import dataclass


class PlughostError(Exception):
    """Root of the tree: catch this to catch everything plughost raises on purpose."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong with a configuration; never holds the value itself.

    Attributes:
        path: Dotted name of the setting.
        origin: Where its value came from; empty when it has none.
        message: What is wrong and what to do.
    """

    path: str
    origin: str
    message: str

    def __str__(self) -> str:
        """One line for people."""
        where = f" ({self.origin})" if self.origin else ""
        return f"{self.path}{where}: {self.message}"


class ConfigError(PlughostError, ValueError):
    """A setting is unknown, missing or of the wrong type.

    Attributes:
        path: Dotted name of the setting, such as ``host.load_timeout``; empty when the file itself is broken.
        origin: Where the value came from: a file name, ``environment NAME``, ``code`` or ``default``.
        problems: Everything that was found wrong, in order; ``path`` and ``origin`` are those of the first.
    """

    problems: tuple[ConfigProblem, ...] = ()

    def __init__(self, message: str, *, path: str = "", origin: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.origin = origin


class PluginError(PlughostError):
    """Something went wrong with one plugin.

    Attributes:
        plugin: Name of the plugin.
        phase: Where in its life it happened: ``configuration``, ``import``, ``validation``, ``start``,
            ``register``, ``run`` or ``stop``.
    """

    phase = "run"

    def __init__(self, message: str, *, plugin: str, phase: str | None = None) -> None:
        Exception.__init__(self, message)  # pluggy's error, which one of these is too, takes other arguments
        self.plugin = plugin
        if phase is not None:
            self.phase = phase


class PluginNotFoundError(PluginError, LookupError):
    """No plugin of that name was found."""

    phase = "configuration"


class PluginBlockedError(PluginError):
    """The deployer keeps the plugin out: by ``enabled``, ``host.disabled``, ``host.allow`` or safe mode.

    Attributes:
        setting: Which setting does so, such as ``host.allow``.
    """

    phase = "configuration"

    def __init__(self, message: str, *, plugin: str, setting: str) -> None:
        super().__init__(message, plugin=plugin)
        self.setting = setting


class PluginImportError(PluginError):
    """The plugin's module could not be imported, or it lacks the attribute the entry point names."""

    phase = "import"


class PluginInvalidError(PluginError, PluginValidationError, ValueError):  # type: ignore[misc] # .plugin is a name
    """What was imported is not a plugin, or its hook implementations do not fit the specs.

    Where pluggy would raise a ``ValueError`` or a ``PluginValidationError``, this is both.
    """

    phase = "validation"


class NotCrossableError(PluginInvalidError):
    """A plugin in a process of its own has something that cannot be handed from one process to another.

    Attributes:
        hook: Name of the hook, or of what else it is.
        argument: Name of the argument, ``return`` for the answer; empty when it is about the whole.
    """

    def __init__(self, message: str, *, plugin: str, hook: str, argument: str = "") -> None:
        super().__init__(message, plugin=plugin)
        self.hook = hook
        self.argument = argument


class PluginSourceError(PluginError):
    """The package that a plugin should come from cannot be had, or is not what the deployer pinned."""

    phase = "configuration"


class PluginConfigError(PluginError, ConfigError):
    """The plugin's configuration does not fit its ``Config``."""

    phase = "validation"

    def __init__(self, message: str, *, plugin: str, path: str = "", origin: str = "") -> None:
        PluginError.__init__(self, message, plugin=plugin)
        self.path = path
        self.origin = origin


class PluginDependencyError(PluginError):
    """Something the plugin requires is missing, disabled, failed or part of a circle."""

    phase = "configuration"


class PluginIncompatibleError(PluginError):
    """The plugin's ``host_api`` range excludes this host."""

    phase = "configuration"


class PluginStartError(PluginError):
    """The plugin's ``start`` raised; the cause is attached."""

    phase = "start"


class PluginStopError(PluginError):
    """The plugin's ``stop`` raised; the cause is attached."""

    phase = "stop"


class PluginTimeoutError(PluginError, TimeoutError):
    """A phase of the plugin's life took longer than its limit.

    Attributes:
        limit: The limit in seconds.
    """

    def __init__(self, message: str, *, plugin: str, phase: str, limit: float) -> None:
        PluginError.__init__(self, message, plugin=plugin, phase=phase)
        self.limit = limit


class PluginProcessError(PluginError):
    """The process of a plugin could not be started, or could not be asked."""


class PluginCrashedError(PluginProcessError):
    """The process of a plugin ended, and nobody had asked it to. A call that it had not answered is not made again.

    Attributes:
        exit: Its exit status; None when a signal ended it.
        signal: Name of the signal, such as ``SIGSEGV``; empty when none ended it.
        stack: Where its threads stood, for people; empty when it could not be asked.
    """

    def __init__(
        self,
        message: str,
        *,
        plugin: str,
        phase: str | None = None,
        exit: int | None = None,  # noqa: A002  what it is called everywhere
        signal: str = "",
        stack: str = "",
    ) -> None:
        super().__init__(message, plugin=plugin, phase=phase)
        self.exit = exit
        self.signal = signal
        self.stack = stack


class PluginGoneError(PluginError):
    """The plugin acted through its context after it was stopped, replaced or given up."""


class HookError(PlughostError):
    """A hook call could not be made, or was aborted.

    Attributes:
        hook: Name of the hook.
    """

    def __init__(self, message: str, *, hook: str) -> None:
        super().__init__(message)
        self.hook = hook


class UnknownHookError(HookError, AttributeError):
    """Nobody declared a hook of that name."""


class HistoricHookError(HookError, AssertionError):
    """A historic hook was called like any other; pluggy's own ``call_historic`` is the only way."""


class HookCallError(HookError):
    """An implementation failed and the hook's policy is ``abort``; the cause is attached.

    Attributes:
        plugin: Name of the plugin whose implementation failed.
    """

    def __init__(self, message: str, *, hook: str, plugin: str) -> None:
        super().__init__(message, hook=hook)
        self.plugin = plugin


class HookTimeoutError(HookCallError, TimeoutError):
    """An implementation passed its limit and the hook's policy is ``abort``.

    Attributes:
        limit: The limit in seconds.
    """

    def __init__(self, message: str, *, hook: str, plugin: str, limit: float) -> None:
        super().__init__(message, hook=hook, plugin=plugin)
        self.limit = limit


class Refused(PlughostError):
    """A plugin's deliberate No; not a failure of the plugin.

    Attributes:
        reason: What the person is told.
        log_reason: What the log is told; never shown to the person. Defaults to ``reason``.
    """

    reason: str = "This was refused."  # for a class derived from it that does not call this __init__
    log_reason: str = reason

    def __init__(self, reason: str, *, log_reason: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.log_reason = reason if log_reason is None else log_reason


class AuthRefused(Refused):
    """Raised by ``before_auth`` to refuse a sign-in."""


class UserRefused(Refused):
    """Raised by ``before_user_*`` to refuse a change to a user."""


class AppRefused(Refused):
    """Raised by ``app_registration_started`` to refuse an app."""


class RemoteError(PlughostError):
    """Stands for an exception that code in another process raised. Its text says what was raised.

    Attributes:
        kind: Name of the exception's class.
        traceback: Where it was raised, for people.
    """

    def __init__(self, message: str, *, kind: str, traceback: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.traceback = traceback


class StrayError(PlughostError):
    """Stands for what the code of a plugin raised, where that would have passed every ``except Exception``.

    Such as ``sys.exit()``, the panic of an extension module, or a cancellation that the host had not asked for.
    What was raised is its ``__cause__``, and its text names that.

    Attributes:
        point: Where it was raised, in words; empty when that is clear from what it is part of.
    """

    def __init__(self, message: str, *, point: str = "") -> None:
        super().__init__(message)
        self.point = point


class ServiceError(PlughostError, LookupError):
    """No running plugin provides the service that was asked for."""


class HostNotReadyError(PlughostError):
    """The host was asked for something it can only do while it runs, or a required plugin failed."""


class RouteError(PlughostError):
    """A route, middleware or panel that a plugin contributed cannot be part of the HTTP application.

    Attributes:
        plugin: Name of the plugin that contributed it.
        path: Path of the route; empty when it is about something else.
    """

    def __init__(self, message: str, *, plugin: str, path: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin
        self.path = path


class AppError(PlughostError):
    """Registering or unregistering an app failed; the cause is attached.

    Attributes:
        app_name: Name of the app.
        step: Name of the step that failed.
    """

    def __init__(self, message: str, *, app_name: str, step: str) -> None:
        super().__init__(message)
        self.app_name = app_name
        self.step = step


class SessionDataError(PlughostError, ValueError):
    """A value cannot be kept in a session: it is of a type, a depth or a size that is refused."""


class BackupError(PlughostError):
    """A backup was not made, or an archive cannot be trusted or restored; the cause is attached."""


class CacheValueError(PlughostError, TypeError):
    """A value cannot be kept by a cache, or what is kept is not what the operation needs."""


class LoadError(PlughostError):
    """A cache's loader ended in a way that must not end its callers; what it raised is the cause.

    Raised for a loader that raises ``SystemExit`` or another error beyond ``Exception``, or that waited for a task
    which somebody else cancelled.
    """


class LoadCircleError(LoadError):
    """A cache's loader waits for a value that is loaded by whoever waits for the loader.

    Attributes:
        keys: The keys of the circle, in the order in which they wait; the first one stands at the end again.
    """

    def __init__(self, message: str, *, keys: tuple[str, ...]) -> None:
        super().__init__(message)
        self.keys = keys


class LoadTimeoutError(PlughostError, TimeoutError):
    """A cache's loader took longer than it may.

    Attributes:
        limit: The limit in seconds.
    """

    def __init__(self, message: str, *, limit: float) -> None:
        super().__init__(message)
        self.limit = limit


class LockError(PlughostError):
    """A lock is not, or no longer, held.

    Attributes:
        name: Name of the lock.
    """

    def __init__(self, message: str, *, name: str) -> None:
        super().__init__(message)
        self.name = name


class LockTimeoutError(LockError, TimeoutError):
    """Somebody else kept the lock for as long as this caller would wait."""


class LockLostError(LockError):
    """The lease ran out, or the store forgot the lock, while it was held by this process."""


class FleetError(PlughostError):
    """A change of what all hosts of a fleet follow was refused, or was not signed as it must be."""


class StoreUnavailableError(PlughostError):
    """A store (Redis, a database file) cannot be reached now; try again later."""


class SessionUnreadableError(StoreUnavailableError):
    """A session is stored, but its bytes cannot be opened: a wrong key, or damage. It is kept as it is."""


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or an empty string: an ending for messages.

    Args:
        name: What was written.
        known: What could have been meant.
        cutoff: How near it must be; 1 is the same.
    """
    import difflib  # late: most runs make no such mistake

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f" Did you mean {near[0]!r}?" if near else ""
