"""The host: puts the floors below together, and is what an application holds in its hand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import EllipsisType, MappingProxyType, ModuleType, TracebackType
from typing import Any, Literal, NoReturn, Self, TypeVar

import anyio
import anyio.to_thread
import pluggy
from anyio.abc import TaskGroup

from plughost.contracts.arguments import several
from plughost.contracts.backup import BackupService
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.config import HostConfig, PluginSettings, SettingsChange
from plughost.contracts.error_text import error_text
from plughost.contracts.fleet_jobs import JobGate
from plughost.contracts.health import HealthReport
from plughost.contracts.hooks import HookReport
from plughost.contracts.http import HttpContext
from plughost.contracts.limits import RateLimiter
from plughost.contracts.plugin import Service
from plughost.contracts.records import (
    LoadReport,
    PluginFailed,
    PluginRecord,
    PluginStarted,
    PluginStopped,
    ReloadReport,
)
from plughost.contracts.session import SessionManager
from plughost.contracts.status import HostStatus
from plughost.contracts.steering import CallCounts, HostSteering
from plughost.contracts.value_text import class_name
from plughost.core.calls.beside import dispatcher_of
from plughost.core.calls.declared import HookSetup, family_of
from plughost.core.calls.policy import CallPolicy
from plughost.core.calls.trace import write_trace
from plughost.core.calls.visits import Visits
from plughost.core.config import LoadedConfig, load_config, set_plugin_enabled
from plughost.core.config.running import RunningConfig
from plughost.core.events import EventBus
from plughost.core.finding.discovery import Limits, PluginCandidate
from plughost.core.finding.survey import survey
from plughost.core.gates import AloneGate, ClosedGate
from plughost.core.jobs import JobScheduler
from plughost.core.loading.bare import BarePlugins
from plughost.core.loading.context import Facilities
from plughost.core.loading.lifecycle import LifeLimits, PluginLifecycle
from plughost.core.loading.manager import PluginManager
from plughost.core.loading.promised import is_expected, why_absent
from plughost.core.loading.registry import PluginRegistry
from plughost.core.loading.remembered import HostMemory
from plughost.core.loading.unheard import tell_unheard
from plughost.core.observed import Observations, ObservedHook, observed_in
from plughost.core.running import RunningHost, RunningMark, marked_as_running, running_host
from plughost.core.services import ServiceRegistry
from plughost.exceptions import HostNotReadyError, PluginNotFoundError, PluginSourceError
from plughost.flows.apps import Apps
from plughost.flows.auth import AuthFlow
from plughost.flows.backups import Backups
from plughost.flows.configured_apps import ConfiguredApps
from plughost.flows.health import Health
from plughost.flows.plugin_settings import change_settings, settings_of
from plughost.flows.users import UserFlow
from plughost.hookspecs import Hooks

T = TypeVar("T")

ConfigSource = str | os.PathLike[str] | Mapping[str, Any] | HostConfig | None


class Host:
    """Finds, loads, starts and reports plugins, and calls their hooks.

    ``async with Host("acme") as host`` is the whole of embedding. Entering discovers and starts the plugins;
    one that fails is in ``host.report`` and stops neither the host nor the others. Leaving stops them in
    reverse. A host can be entered once; two hosts can live in one process.

    Args:
        name: Name of the host: the group ``NAME.plugins`` is read beside ``plughost.plugins``, and variables
            ``NAME_*`` beside ``PLUGHOST_*``.
        config: A path, a mapping or a ``HostConfig``; None takes ``$PLUGHOST_CONFIG``, else ``./plughost.toml``
            if it is there, else the defaults.
        environ: The environment to read; None takes the process's own.
        clock: Time; a test hands in its own.
        register_apps: Whether the configuration's apps are registered at the start. A host that restores their
            databases must not open and migrate them before.
        project: The name in the application's pluggy markers, ``HookimplMarker(project)``; they count beside
            plughost's own.
        groups: Groups of entry points to read; ``plughost.plugins`` and ``NAME.plugins`` by default.
        hookspecs: What the application declares: modules, classes or instances.
        catalogue: Families of plughost's own hooks to declare, as modules or names; all by default, ``()`` for
            none: then the application's names are all that there are.
        on_error: What a failing implementation does to a call of a hook that pluggy's own marker declared:
            ``abort`` lets the exception out as pluggy does, ``isolate`` logs it and goes on.
        timeout: Seconds each implementation of such a hook may take; no limit by default.
        worker: Which of the processes that serve one host together this is, from 0; jobs whose scope is the host
            run in the first of them. None when it is the only one.
        errand: Whether it is started for one command and ends with it: then jobs run by the clock elsewhere, and it
            joins no fleet.

    Raises:
        ConfigError: The configuration is wrong; all that is wrong with it is named.
    """

    def __init__(
        self,
        name: str = "plughost",
        *,
        config: ConfigSource = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        register_apps: bool = True,
        worker: int | None = None,
        errand: bool = False,
        project: str | None = None,
        groups: Iterable[str] | None = None,
        hookspecs: Iterable[object] = (),
        catalogue: Iterable[ModuleType | str] | None = None,
        on_error: Literal["abort", "isolate"] | None = None,
        timeout: float | EllipsisType | None = ...,
    ) -> None:
        environ = os.environ if environ is None else environ
        said = _said_in_code(timeout, project=project, groups=groups, catalogue=catalogue, on_error=on_error)
        overrides = {"host": said} if said else None
        self._read_config = partial(load_config, host_name=name, environ=environ, overrides=overrides)
        self._config_source = config
        self._configured = RunningConfig(self._read_config(config))
        self._clock = clock
        self.worker = worker
        self.errand = errand
        self._registers_apps = register_apps
        self._make_core(several("hookspecs", hookspecs))
        self._make_flows()
        self._told: dict[str, Any] = {"since": time.time()}
        self._counted: list[Callable[[], CallCounts]] = []
        self._entered = self._running = self._left = self._draining = False
        self._mark: RunningMark | None = None
        self._reloading = anyio.Lock()

    def _make_core(self, hookspecs: tuple[object, ...]) -> None:
        """Make what plugins are given, and what the flows stand on."""
        settings, clock = self.config.hooks, self._clock
        policy = CallPolicy(
            order=settings.order,
            timeouts=settings.timeouts,
            enforces=lambda name: self._loaded.plugin(name).enforce,
        )
        self._dispatcher = dispatcher_of(policy, clock, HookSetup.of(self.config.host, hookspecs))
        if self.config.host.trace_hooks:
            self._dispatcher.trace(write_trace)
        self._events = EventBus(clock=clock)
        self._registry = PluginRegistry()
        self._manager: PluginManager | None = None
        self._folders: list[Path] = []
        self._exit = AsyncExitStack()
        self._tasks: TaskGroup
        self._observations = Observations(self.data_dir, self.metrics, clock)
        self._services = ServiceRegistry(partial(why_absent, self._registry))
        self._alone, self._closed = AloneGate(clock), ClosedGate()
        leads = not (self.worker or self.errand)
        self._jobs = JobScheduler(clock=clock, leads=leads, gate=self._job_gate)
        self._facilities = Facilities(
            self.name,
            self.data_dir,
            self._dispatcher,
            self._events,
            self._services,
            self._jobs,
            HttpContext.of(self.name, self.config.http, self.config.host.environment),
        )

    def _make_flows(self) -> None:
        """Make what the host does by families of its own hooks."""
        own_hooks, clock = self._facilities.own_hooks, self._clock
        self.apps = Apps(
            own_hooks,
            events=self._events,
            journal_dir=self.data_dir / "apps",
            close_limit=self.config.host.shutdown_timeout,
            clock=clock,
        )
        self._configured_apps = ConfiguredApps(self._loaded, self.apps)
        self.backups = Backups(
            own_hooks,
            directory=self.data_dir / "backups",
            kept_out=lambda: self._configured_apps.kept_out,
            unsaved=lambda: self._configured_apps.unsaved,
            configs=self._configured_apps.settings,
            clock=clock,
        )
        self.auth = AuthFlow(
            own_hooks,
            sessions=lambda: self.use(SessionManager),
            limiter=lambda: self._services.get(RateLimiter),
            clock=clock,
        )
        self.users = UserFlow(own_hooks)
        self._services.provide(BackupService, self.backups, owner="host")
        self._services.provide(HostSteering, self, owner="host")
        self._health = Health(
            own_hooks,
            self.apps,
            own_checks=lambda: (*self._plugins.checks(), *self._configured_apps.checks()),
            interval=self.config.host.health_interval,
            clock=clock,
        )

    @classmethod
    def for_pluggy(
        cls,
        name: str,
        hookspecs: object,
        *,
        group: str | None = None,
        on_error: Literal["abort", "isolate"] = "abort",
        timeout: float | None = None,
        **options: Any,
    ) -> Self:
        """Make a host for an application that lived on bare pluggy; ``host.pluggy`` is its plugin manager.

        Args:
            name: The name in the application's markers, which becomes the host's own.
            hookspecs: What the application declares: a module, class or instance, or a list of them.
            group: The group of entry points that is read; ``name`` by default.
            on_error: What a failing implementation does to a call: ``abort`` as with pluggy, or ``isolate``.
            timeout: Seconds each implementation may take when it is awaited; None means no limit.
            options: Further arguments of ``Host``.

        Raises:
            ConfigError: The configuration is wrong.
            ValueError: A spec promises what ``host.hooks`` cannot keep; it says which, and what to do.
        """
        declared = hookspecs if isinstance(hookspecs, list | tuple) else (hookspecs,)
        as_pluggy: dict[str, Any] = {"project": name, "groups": (group or name,), "catalogue": ()}
        return cls(name, **{**as_pluggy, **options}, hookspecs=declared, on_error=on_error, timeout=timeout)

    # what it is

    @property
    def name(self) -> str:
        """Name of the host."""
        return self.config.host.name

    @property
    def config(self) -> HostConfig:
        """The configuration, all layers laid over one another."""
        return self._loaded.config

    @property
    def loaded_config(self) -> LoadedConfig:
        """The configuration with the origin of each value."""
        return self._loaded

    @property
    def working_directory(self) -> Path:
        """The folder in which the program was when this host was made: a plugin that changes it moves no paths."""
        return self._configured.read.base

    @property
    def data_dir(self) -> Path:
        """Folder in which each plugin has its own; made when first needed."""
        return self._loaded.data_dir

    @property
    def pluggy(self) -> pluggy.PluginManager:
        """The real ``pluggy.PluginManager``: a registry to look at. Calls go through ``hooks``."""
        return self._dispatcher.pluggy

    @property
    def hooks(self) -> Hooks:
        """All hooks: ``await host.hooks.before_auth(attempt=attempt)``."""
        return self._dispatcher.hooks

    @property
    def own_hooks(self) -> Hooks:
        """Plughost's own hooks, those of families that the host leaves out among them."""
        return self._facilities.own_hooks

    @property
    def sync_hooks(self) -> Any:
        """All hooks without ``await``: ``host.sync_hooks.before_auth(attempt=attempt)``, from any thread.

        In the host's own thread what an implementation returns to be awaited is handed back, as pluggy does; from
        another thread the call is made on the host's event loop, and waited for.
        """
        return self._dispatcher.sync_hooks

    @property
    def hook_setup(self) -> HookSetup:
        """What was declared at the start, and whose markers are read."""
        return self._dispatcher.setup

    @property
    def events(self) -> EventBus:
        """Facts to subscribe to and to publish."""
        return self._events

    @property
    def jobs(self) -> JobScheduler:
        """What runs by the clock."""
        return self._jobs

    @property
    def metrics(self) -> Any:
        """Calls, errors, time-outs and percentiles, per hook and plugin."""
        return self._dispatcher.metrics

    @property
    def counts(self) -> CallCounts:
        """What plugins were asked for since the host was made, and how often they failed: hook calls and requests."""
        return sum((count() for count in self._counted), self._dispatcher.metrics.counts())

    def count_also(self, count: Callable[[], CallCounts]) -> None:
        """Let ``counts`` take in what plugins are asked for by other ways than hooks, as an application counts it."""
        self._counted.append(count)

    def observe_hooks(self, observer: Callable[[str], AbstractContextManager[object]] | None) -> None:
        """Let every hook call happen in what ``observer(hook)`` returns, such as a span; None ends that.

        For tracing; ``plughost.tracing`` uses it. Calls are slower while there is an observer.
        """
        self._dispatcher.observe(observer)

    def trace_hooks(self, tracer: Callable[[HookReport], None]) -> Callable[[], None]:
        """Tell ``tracer`` of every hook call when it is over: what each plugin did, and how long it took.

        ``PLUGHOST_TRACE_HOOKS=1`` writes the same into the log ``plughost.trace``. Calls are slower meanwhile.

        Returns:
            What ends the trace.
        """
        return self._dispatcher.trace(tracer)

    def use(self, service: Service[T]) -> T:
        """Return a service that a plugin provided.

        Raises:
            ServiceError: No running plugin provides it.
        """
        return self._services.use(service)

    def feature(self, name: str, *, default: bool = False) -> bool:
        """Return whether a feature of ``[features]`` is switched on; ``default`` when it has no switch."""
        return self._loaded.feature(name, default=default)

    def add_hookspecs(self, module: object) -> None:
        """Add a module, class or instance with hookspecs, on equal terms with plughost's; best before entering."""
        self._dispatcher.add_hookspecs(module)

    def add_plugin_folder(self, folder: str | os.PathLike[str]) -> None:
        """Find the plugins of a folder or file too, as if it lay in ``plugin_dir``; call it before entering.

        What is found there comes before an installed plugin of the same name.

        Args:
            folder: Holds the code and a ``pyproject.toml`` with the entry points; or a single file that is a plugin.
        """
        self._folders.append(Path(folder))

    # its plugins

    @property
    def report(self) -> LoadReport:
        """The state of every plugin."""
        return self._plugins.report

    @property
    def running(self) -> bool:
        """Whether it was entered and not left."""
        return self._running

    @property
    def running_elsewhere(self) -> RunningHost | None:
        """What is told of the host that runs on this one's data folder, in whatever process; None when none does."""
        return running_host(self.data_dir)

    def tell_commands(self, **more: Any) -> None:
        """Let commands on this machine know more of this host, while it starts and runs; see ``RunningHost``."""
        self._told |= more
        if self._mark is not None:
            self._mark.tell(**more)

    @property
    def ready(self) -> bool:
        """Whether the host runs and every required plugin and app does."""
        return self._running and not self._plugins.missing() and not self.missing_apps

    @property
    def draining(self) -> bool:
        """Whether no more work is to be sent here, though the host serves what comes."""
        return self._draining

    def drain(self, *, on: bool) -> None:
        """Have ``/readyz`` say that no more work is to be sent here, or that it may be; nothing stops."""
        self._draining = on

    @property
    def plugins(self) -> Mapping[str, PluginRecord]:
        """A record of every plugin that was found, by name."""
        return self._plugins.records

    def plugin(self, name: str) -> PluginRecord | None:
        """Return the record of one plugin, or None when it is not found."""
        try:
            return self._plugins.record(name)
        except PluginNotFoundError:
            return None

    def is_starting(self, name: str) -> bool:
        """Whether a plugin is being started now, for the first time or anew; a reload is such a start."""
        return self._plugins.is_starting(name)

    def visits_of(self, name: str) -> Visits | None:
        """Return where whoever serves routes of a plugin counts the requests, which are waited for before it stops.

        It belongs to the plugin's present start; None when the plugin does not run.
        """
        return self._plugins.visits_of(name)

    async def load_plugin(
        self, plugin: object, config: Mapping[str, Any] | None = None, name: str | None = None
    ) -> PluginRecord:
        """Load a plugin class, factory, instance or module; or, by its name, one that was found but does not run.

        Raises:
            PluginError: It failed, and nothing of it is left; its record says why.
        """
        return await self._changeable.load_by_hand(plugin, config, name)

    async def unload_plugin(self, name: str) -> bool:
        """Stop a plugin, after those that require it; returns whether it was running."""
        return await self._changeable.unload(name)

    async def reload_plugin(self, name: str, config: Mapping[str, Any] | None = None) -> PluginRecord:
        """Replace a running plugin with a new instance, without losing a hook call; changed code is read again.

        Raises:
            PluginError: The new start failed; the old one goes on where that is possible.
        """
        return await self._changeable.reload(name, config)

    async def reload_plugins(self) -> None:
        """Reload every running plugin, dependencies first."""
        await self._changeable.reload_all()

    async def enable_plugin(self, name: str) -> PluginRecord:
        """Start a plugin that ``[plugins.NAME] enabled = false`` keeps out, until this host ends.

        ``load_plugin`` and ``reload_plugin`` do not lift that switch, and this lifts no other limit: what
        ``host.allow``, ``host.disabled`` or safe mode keep out stays out. ``remember_enabled`` writes the switch
        into the configuration file.

        Raises:
            PluginBlockedError: Another setting keeps it out.
            PluginError: It failed; its record says why.
        """
        known = self._changeable.record(name).name
        self._configured.switch(known, enabled=True)
        return await self._plugins.enable(known, await self._survey())

    async def disable_plugin(self, name: str) -> bool:
        """Stop a plugin and keep it out until it is enabled or the host ends; returns whether it was running."""
        known = self._changeable.record(name).name
        self._configured.switch(known, enabled=False)
        return await self._plugins.disable(known)

    @property
    def follows_fleet(self) -> bool:
        """Whether it does what its fleet wants of its plugins: ``host.fleet`` is on, and safe mode is not."""
        return self.config.host.fleet and not self.config.host.safe_mode

    def lay_over(self, plugins: Mapping[str, Mapping[str, Any]], origin: str) -> Mapping[str, str]:
        """Lay settings of plugins over those of the file and under those of the environment; nothing runs yet.

        They take the place of those that were laid over before, and stay when the file is read again.
        """
        return self._configured.lay_over(plugins, origin)

    async def bring_plugin(self, name: str, *, again: bool = False) -> PluginRecord:
        """Start or stop a plugin as its switch says now; with ``again`` one that runs is reloaded."""
        known = self._changeable.record(name).name
        entry = self._registry.get(known)
        if not self._loaded.plugin(known).enabled:
            await self._plugins.disable(known)
        elif entry is None or entry.run is None:
            await self._plugins.enable(known, await self._survey())
        elif again:
            await self._plugins.reload(known)
        return self._plugins.record(known)

    async def reload(self) -> ReloadReport:
        """Read the configuration again and follow it, as ``plughost serve`` does on SIGHUP.

        Plugins that are new or enabled start, those that are gone or disabled stop, and one whose settings or code
        changed is reloaded; all others go on untouched. One that failed is tried again. Other settings, such as
        those of ``[http]``, hold from the next start; the report names those that changed. A plugin that was
        enabled or disabled while the host runs stays so, unless its switch in the file was changed since.

        Returns:
            What came of it, with the plugins whose new start failed.

        Raises:
            ConfigError: The configuration is wrong, and nothing has changed; all that is wrong with it is named.
        """
        async with self._reloading:
            plugins, base = self._changeable, self.working_directory
            later = self._configured.read_again(self._read_config(self._config_source, base=base))
            candidates = await self._survey()
            report = await plugins.follow(candidates, Limits.of(self.config.host))
            self._tell_unheard(candidates)
            self._keep_observed()
            return replace(report, pending=later)

    def remember_enabled(self, name: str, enabled: bool) -> Path | None:
        """Switch a plugin on or off in the configuration file, for the next start; comments and layout stay.

        Returns:
            The file; None when the configuration did not come from one.

        Raises:
            ConfigError: The file must be edited by hand.
            OSError: It cannot be written.
        """
        path = self._loaded.file
        if path is not None:
            set_plugin_enabled(path, name, enabled)
        return path

    def plugin_settings(self, name: str) -> PluginSettings:
        """Return the settings of a plugin with their origins and their JSON Schema; secrets are hidden.

        Raises:
            PluginNotFoundError: There is none of that name.
        """
        known, kind, imported = self._plugins.config_class_of(name)
        return settings_of(self._loaded, known, kind, imported=imported)

    async def change_plugin_settings(
        self, name: str, changes: Mapping[str, Any], *, preview: bool = False
    ) -> SettingsChange:
        """Check new settings of a plugin and write them into the configuration file; comments stay.

        A plugin that runs is asked by its ``check_config`` too, and one that was never imported accepts everything.

        They hold from the next start of the plugin: ``reload_plugin(name, host.config.plugins[name].config)``.

        Args:
            name: The plugin.
            changes: New values by key of its table ``config``; None takes a key out, so that its default holds.
            preview: Write nothing, and only tell what would change.

        Raises:
            PluginConfigError: The plugin would not accept them; every problem is named.
            PluginNotFoundError: There is none of that name.
            ConfigError: There is no file, or the file must be edited by hand.
            OSError: The file cannot be written.
        """
        known, kind, _ = self._plugins.config_class_of(name)
        check = self._plugins.check_config
        _, change = await change_settings(self._loaded, known, kind, changes, check, preview=preview)
        if change.written:
            self._configured.configure(known, changes)
        return change

    # how it is

    @property
    def app_errors(self) -> Mapping[str, Exception]:
        """Why apps of the configuration were not registered at the start, by name; empty when all were."""
        return self._configured_apps.errors

    @property
    def required_apps(self) -> tuple[str, ...]:
        """Names of apps of the configuration without which the host is not ready."""
        return self._configured_apps.required

    @property
    def missing_apps(self) -> tuple[str, ...]:
        """Names of required apps of the configuration that are not registered; the host is not ready without them."""
        return self._configured_apps.missing

    async def health(self) -> HealthReport:
        """Ask every plugin how the host and each app are; the worst answer is the status.

        Raises:
            HostNotReadyError: The host is not running: there is nobody to ask.
        """
        self._changeable.checks()
        return await self._health.check_all()

    async def observed(self) -> list[ObservedHook]:
        """Return what plugins with ``enforce = false`` would have decided, in all hosts of the data folder."""
        await anyio.to_thread.run_sync(self._observations.write)
        return await anyio.to_thread.run_sync(observed_in, self.data_dir)

    @property
    def last_health(self) -> Mapping[str | None, HealthReport]:
        """The last answers of the health cycle: of each app by name, of the host itself under None."""
        return self._health.last

    async def status(self) -> HostStatus:
        """Return the whole host in figures and names."""
        return HostStatus(
            name=self.name,
            ready=self.ready,
            counts=self._plugins.counts,
            plugins=self.plugins,
            apps=MappingProxyType(dict(self.apps)),
            app_errors=MappingProxyType({name: error_text(error) for name, error in self.app_errors.items()}),
            hooks=MappingProxyType(self._dispatcher.implementers()),
        )

    @property
    def _plugins(self) -> PluginManager:
        if self._manager is None:
            raise HostNotReadyError(
                f"host {self.name!r} is not running: use it inside `async with host:` (or `with BlockingHost(...)`)"
            )
        return self._manager

    @property
    def _changeable(self) -> PluginManager:
        """The plugins, for whoever is to change or to ask them: of a host that was left they can only be read."""
        if self._left:
            raise HostNotReadyError(
                f"host {self.name!r} has stopped, and a host can be entered once: make another one"
            )
        if self._dispatcher.home.elsewhere is not None:
            raise RuntimeError(
                f"host {self.name!r} runs in the event loop of another thread: await this there, with"
                " `anyio.from_thread.run`, or use a BlockingHost, which any thread may call"
            )
        return self._plugins

    # its life

    def __enter__(self) -> NoReturn:
        raise TypeError(
            "a Host is entered with `async with`; without an event loop, `with plughost.blocking.BlockingHost(...)` is"
            " the same host"
        )

    def __exit__(self, *_: object) -> None:
        """Nothing was entered; without it, Python says so before ``__enter__`` can say what to do."""

    async def __aenter__(self) -> Self:
        if self._entered:
            raise HostNotReadyError(
                f"host {self.name!r} {'is running already' if self._running else 'was entered before'}, and a host "
                f"can be entered once: make another one"
            )
        self._entered, self._entered_by = True, anyio.get_current_task().id
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise
        self._running = True
        self._jobs.look_again()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # What the body raised is not handed to the task group, which would wrap it in an ExceptionGroup.
            await self._close()
        except RuntimeError as failure:
            if anyio.get_current_task().id == self._entered_by:
                raise
            raise HostNotReadyError(
                f"host {self.name!r} was entered in one task and left in another, as cells of a notebook and"
                " fixtures of pytest-asyncio do. Its plugins were stopped all the same. Write `async with` in one"
                " task; in a fixture, `async with plughost.testing.running(host)`; else take a"
                " plughost.blocking.BlockingHost, which begins and ends anywhere"
            ) from failure

    async def _close(self) -> None:
        self._running = False
        try:
            await self._exit.aclose()
        except BaseExceptionGroup as group:
            interrupts, _ = group.split(KeyboardInterrupt)
            if interrupts is None:
                raise
            raise KeyboardInterrupt from group
        finally:
            self._left = True

    async def _start(self) -> None:
        self._mark = self._exit.enter_context(marked_as_running(self.data_dir, **self._told))
        tasks = await self._exit.enter_async_context(anyio.create_task_group())
        self._exit.callback(tasks.cancel_scope.cancel)
        self._exit.callback(self._dispatcher.move_out)
        self._dispatcher.move_in()
        await tasks.start(self._jobs.run)
        limits = LifeLimits.of(self.config.host)
        lifecycle = PluginLifecycle(
            self._registry, self._facilities, limits, lambda: self._loaded, tasks, self._clock
        )
        self._exit.push_async_callback(lifecycle.stop_all)
        host_limits, memory = Limits.of(self.config.host), HostMemory.of(self._loaded)
        bare = BarePlugins(self._registry, self._dispatcher)
        self._manager = PluginManager(
            self._registry, lifecycle, bare, memory, self._clock, host_limits, self._survey
        )
        candidates = await self._survey()
        await self._manager.load_found(candidates)
        self._tell_unheard(candidates)
        self._exit.callback(self._events.subscribe(PluginFailed, self._manager.remember_failure))
        for event in (PluginStarted, PluginStopped):
            self._exit.callback(self._events.subscribe(event, lambda _: self._jobs.look_again()))
        self._exit.push_async_callback(self.apps.close)
        if self._registers_apps:
            await self._configured_apps.register()
        tasks.start_soon(self._health.cycle_forever)
        self._tasks = tasks
        self._exit.callback(self._observations.write)
        self._keep_observed()
        failed = self.report.failed
        if self.config.host.strict and failed:
            reasons = "; ".join(row.error.message for row in failed)
            raise HostNotReadyError(f"strict mode: plugins failed: {reasons}")

    def _tell_unheard(self, candidates: Iterable[PluginCandidate]) -> None:
        hooks, registered = self._dispatcher.implementers(), self._dispatcher.pluggy.names
        tell_unheard(self._loaded, hooks, candidates, registered)

    def _keep_observed(self) -> None:
        """See to it that what plugins would have decided is written down, while one is there that does not enforce."""
        self._tasks.start_soon(
            self._observations.keep,
            lambda: any(not section.enforce for section in self.config.plugins.values()),
        )

    def _job_gate(self) -> JobGate:
        """Return who decides on jobs of the fleet; while a plugin that does is expected, they wait for it."""
        gate = self._services.get(JobGate)
        if gate is not None:
            return gate
        if not self._running or self.errand or is_expected(self._registry, class_name(JobGate)):
            return self._closed
        # Of processes without a fleet the first runs them.
        return self._closed if self.worker else self._alone

    @property
    def _loaded(self) -> LoadedConfig:
        return self._configured.now

    async def _survey(self) -> list[PluginCandidate]:
        unfetched: Mapping[str, PluginSourceError] = {}
        if any(section.url for section in self.config.plugins.values()):
            # An HTTP client takes longer to import than most hosts take to start, and most fetch nothing.
            from plughost.core.finding.downloads import fetch_packages

            unfetched = await fetch_packages(self._loaded)
        found = survey(self._loaded, unfetched, self._folders)
        return [one for one in found if not self._is_of_other_hosts(one)]

    def _is_of_other_hosts(self, candidate: PluginCandidate) -> bool:
        """Whether only the fleet speaks of it, and it is not here: then that is nobody's mistake."""
        if not isinstance(candidate.error, PluginNotFoundError) or self._loaded.is_required(candidate.name):
            return False
        own, all_of_it = self._configured.read.section_of, self._loaded.section_of
        return own(candidate.name) is None and all_of_it(candidate.name) is not None


def _said_in_code(
    timeout: float | EllipsisType | None,
    *,
    groups: Iterable[str] | None,
    catalogue: Iterable[ModuleType | str] | None,
    **said: str | None,
) -> dict[str, Any]:
    """Return the section ``[host]`` as the arguments of a host say it, which wins over files and environment."""
    section: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    if groups is not None:
        section["groups"] = [*several("groups", groups)]
    if catalogue is not None:
        section["catalogue"] = [
            family_of(one) if isinstance(one, ModuleType) else one for one in several("catalogue", catalogue)
        ]
    if timeout is not ...:
        section["hook_timeout"] = timeout
    return section
