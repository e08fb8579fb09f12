"""The one object a plugin is given. Everything through it lands in the ledger of its present start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from anyio.from_thread import run_sync as run_in_loop

from plughost.contracts.files import folder_named, own_folder
from plughost.contracts.http import HttpContext
from plughost.contracts.jobs import Job
from plughost.contracts.logs import get_logger
from plughost.contracts.plugin import Events, Service, check_function
from plughost.core.calls.beside import hooks_of_plugins, own_hooks
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.events import EventBus
from plughost.core.jobs import JobScheduler
from plughost.core.loading.background import BackgroundTasks
from plughost.core.loading.ledger import Ledger
from plughost.core.loading.scheduling import SchedulesJobs
from plughost.core.services import Elsewhere, ServiceRegistry
from plughost.hookspecs import Hooks

T = TypeVar("T")


class Facilities:
    """What a host shares with its plugins; one per host.

    Args:
        host_name: Name of the host.
        data_dir: Folder under which each plugin has its own.
        dispatcher: Hooks.
        events: Facts.
        services: What plugins provide to one another.
        jobs: What runs by the clock.
        http: What the configuration says of the HTTP application.
    """

    def __init__(
        self,
        host_name: str,
        data_dir: Path,
        dispatcher: HookDispatcher,
        events: EventBus,
        services: ServiceRegistry,
        jobs: JobScheduler,
        http: HttpContext,
    ) -> None:
        self.http = http
        self.host_name = host_name
        self.data_dir = data_dir
        self.dispatcher = dispatcher
        self.own_hooks = own_hooks(dispatcher)
        self.hooks = hooks_of_plugins(dispatcher)
        self.events = events
        self.services = services
        self.jobs = jobs


class BoundContext(SchedulesJobs):
    """The ``PluginContext`` of one start of one plugin. It is made in the host's event loop."""

    def __init__(
        self, name: str, config: Any, facilities: Facilities, ledger: Ledger, background: BackgroundTasks
    ) -> None:
        self.name = name
        self.config = config
        self.log = get_logger(f"plughost.plugin.{name}", plugin=name)
        self._facilities = facilities
        self._ledger = ledger
        self._background = background
        self._events = LedgeredEvents(name, facilities.events, ledger)

    @property
    def host_name(self) -> str:
        """Name of the host."""
        return self._facilities.host_name

    @property
    def data_dir(self) -> Path:
        """A folder of the plugin's own, readable by the host's user only."""
        return own_folder(folder_named(self._facilities.data_dir, self.name))

    @property
    def hooks(self) -> Hooks:
        """The hooks of the host."""
        return self._facilities.hooks

    @property
    def events(self) -> Events:
        """Facts to publish and to subscribe to."""
        return self._events

    def provide(self, service: Service[Any], value: object) -> None:
        """Offer a service once the plugin is ready."""
        services = self._facilities.services
        self._ledger.add(lambda: services.provide(service, value, owner=self.name))

    def provide_elsewhere(self, name: str, value: Elsewhere) -> None:
        """Offer a service of the plugin's own process once the plugin is ready."""
        services = self._facilities.services
        self._ledger.add(lambda: services.provide_elsewhere(name, value, owner=self.name))

    def use(self, service: Service[T]) -> T:
        """Return a service of another plugin."""
        return self._facilities.services.use(service)

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a coroutine function in the background."""
        self._ledger.check_open()
        check_function(function, "spawn")
        there = self._facilities.dispatcher.home.elsewhere
        if there is None:
            self._background.spawn(function, *args)
        else:  # a plain start() runs in a worker thread
            run_in_loop(lambda: self._background.spawn(function, *args), token=there)

    def register_hookspecs(self, module: ModuleType | type) -> None:
        """Declare hooks of the plugin's own."""
        dispatcher = self._facilities.dispatcher

        def declare() -> Callable[[], object]:
            dispatcher.add_hookspecs(module)
            return lambda: dispatcher.remove_hookspecs(module)

        self._ledger.add(declare)

    def on_stop(self, function: Callable[[], Any]) -> None:
        """Call ``function`` when the plugin stops."""
        self._ledger.on_stop(function)

    def schedule(self, job: Job) -> None:
        """Have a job run by the clock once the plugin is ready."""
        self._ledger.add(lambda: self._facilities.jobs.add(job, owner=self.name))


class LedgeredEvents:
    """The event bus as one plugin sees it: its subscriptions end with it."""

    def __init__(self, plugin: str, bus: EventBus, ledger: Ledger) -> None:
        self._plugin = plugin
        self._bus = bus
        self._ledger = ledger

    def subscribe(self, event: type[Any] | str, callback: Callable[[Any], Any]) -> Callable[[], None]:
        """Call ``callback`` for each such event, once the plugin is ready."""
        check_function(callback, "subscribe")
        live: list[Callable[[], None]] = []

        def end() -> None:
            while live:
                live.pop()()

        def begin() -> Callable[[], None]:
            live.append(self._bus.subscribe(event, callback, owner=self._plugin))
            return end

        self._ledger.add(begin)
        return end

    async def publish(self, event: object, data: object = None) -> None:
        """Tell everyone who subscribed."""
        self._ledger.check_open()
        await self._bus.publish(event, data)
