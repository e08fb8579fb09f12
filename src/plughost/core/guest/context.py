"""The context of a plugin in its own process: what it asks of it is done in the host."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from anyio.from_thread import run_sync as run_in_loop
from anyio.lowlevel import EventLoopToken, current_token

from plughost import contracts
from plughost.contracts.files import own_folder
from plughost.contracts.jobs import Job
from plughost.contracts.logs import get_logger
from plughost.contracts.plugin import Service, check_function, seconds_of
from plughost.contracts.value_text import class_name
from plughost.core.guest.functions import Functions, in_thread
from plughost.core.guest.services import GuestServices
from plughost.core.loading.ledger import Ledger
from plughost.core.loading.scheduling import SchedulesJobs
from plughost.core.wire.calls import WireCalls
from plughost.core.wire.protocol import GuestSpec, HookRequest, JobRequest, Member, crossing_of
from plughost.exceptions import NotCrossableError

T = TypeVar("T")


class GuestContext(SchedulesJobs):
    """The ``PluginContext`` in a plugin's own process."""

    def __init__(
        self,
        spec: GuestSpec,
        host_name: str,
        config: Any,
        calls: WireCalls,
        functions: Functions,
        services: GuestServices,
    ) -> None:
        self.name = spec.name
        self.host_name = host_name
        self.config = config
        self.log = get_logger(f"plughost.plugin.{spec.name}", plugin=spec.name)
        self.ledger = Ledger(spec.name)
        self.hooks: Any = HookProxies(calls)
        self.events = EventProxies(self)
        self.functions = functions
        self.services = services
        self._calls = calls
        self._folder = Path(spec.data_dir)
        self._token: EventLoopToken = current_token()
        self._thread = threading.get_ident()

    @property
    def data_dir(self) -> Path:
        """A folder of the plugin's own."""
        return own_folder(self._folder)

    def provide(self, service: Service[Any], value: object) -> None:
        """Offer a service whose members are all ``async def``; calls of it come from the other processes."""
        self.ledger.check_open()
        self.tell(Member.PROVIDE, self.services.provide(service, value))

    def use(self, service: Service[T]) -> T:
        """Return what stands for a service of another process."""
        return cast("T", self.services.use(service))

    def register_hookspecs(self, module: ModuleType | type) -> None:
        """Not from here: the host would have to import code of the plugin."""
        raise NotCrossableError(
            f"plugin {self.name!r} cannot declare hooks from a process of its own, because the host would have to "
            f'import its code. Take isolation = "process" out of [plugins.{self.name}], or declare them in a module '
            f"that host.hookspecs names",
            plugin=self.name,
            hook="register_hookspecs",
        )

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a coroutine function in the background."""
        check_function(function, "spawn")
        self.tell(Member.SPAWN, self.functions.add(lambda: function(*args)))

    def on_stop(self, function: Callable[[], Any]) -> None:
        """Call ``function`` when the plugin stops."""
        self.ledger.on_stop(function)

    def tell(self, member: Member, *values: Any) -> None:
        """Tell the host something, from any thread."""
        self.ledger.check_open()
        put = crossing_of(member).arguments.put
        if threading.get_ident() == self._thread:
            self._calls.note(member, values, put)
        else:  # a plain start() runs in a worker thread
            run_in_loop(lambda: self._calls.note(member, values, put), token=self._token)

    async def ask(self, member: Member, *values: Any) -> Any:
        """Ask the host something."""
        self.ledger.check_open()
        return await self._calls.call(member, values, crossing_of(member))

    def schedule(self, job: Job) -> None:
        """Have the host run a job by the clock."""
        self.tell(Member.SCHEDULE, job_request(job, self.functions))


class HookProxies:
    """The host's hooks, called from here: ``await hooks.before_auth(attempt=...)``."""

    def __init__(self, calls: WireCalls) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> HookProxy:
        if name.startswith("_"):
            raise AttributeError(name)
        return HookProxy(self._calls, name)


class HookProxy:
    """One hook of the host's."""

    def __init__(self, calls: WireCalls, name: str) -> None:
        self._calls = calls
        self._name = name

    async def __call__(self, **arguments: Any) -> Any:
        """Call it."""
        return await self._ask(HookRequest(hook=self._name, arguments=arguments))

    async def report(self, **arguments: Any) -> Any:
        """Call it, and return what each implementation did."""
        return await self._ask(HookRequest(hook=self._name, arguments=arguments, report=True))

    async def _ask(self, request: HookRequest) -> Any:
        return await self._calls.call(Member.HOOK, (request,), crossing_of(Member.HOOK))


class EventProxies:
    """The host's events, heard and published from here."""

    def __init__(self, context: GuestContext) -> None:
        self._context = context

    def subscribe(self, event: type[Any] | str, callback: Callable[[Any], Any]) -> Callable[[], None]:
        """Call ``callback`` for each such event, once the plugin is ready."""
        check_function(callback, "subscribe")
        functions = self._context.functions
        number = functions.add(callback)
        self._context.tell(Member.SUBSCRIBE, number, _event_name(self._context.name, event))

        def end() -> None:
            functions.remove(number)
            self._context.tell(Member.UNSUBSCRIBE, number)

        return end

    async def publish(self, event: object, data: object = None) -> None:
        """Tell everyone who subscribed."""
        if not isinstance(event, str):
            _event_name(self._context.name, type(event))
        await self._context.ask(Member.PUBLISH, event, data)


def job_request(job: Job, functions: Functions) -> JobRequest:
    """Return what the host is told of a job."""
    return JobRequest(
        function=functions.add(in_thread(job.function)),
        name=job.name,
        every=None if job.every is None else seconds_of(job.every, "every"),
        cron=job.cron,
        limit=job.limit,
        scope=job.scope,
        missed=job.missed,
        window=None if job.window is None else seconds_of(job.window, "window"),
        retries=job.retries,
        outage=job.outage,
    )


def _event_name(plugin: str, event: type[Any] | str) -> str:
    """Return how an event is called between processes: a name as it is, a class of ``plughost.contracts`` by ``:``."""
    if isinstance(event, str):
        return event
    if getattr(contracts, event.__name__, None) is event:
        return f":{event.__name__}"
    raise NotCrossableError(
        f"plugin {plugin!r} cannot publish or hear events of {class_name(event)} from a process of its own, where "
        f'that class is another one than in the host: use a name, events.publish("name", data)',
        plugin=plugin,
        hook="events",
    )
