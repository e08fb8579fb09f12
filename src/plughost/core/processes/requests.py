"""What a plugin's process asks of the host, done through the plugin's context, as if the plugin were here."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

import anyio
from anyio.abc import TaskGroup

from plughost import contracts
from plughost.contracts.clock import Clock
from plughost.contracts.fleet_jobs import current_run
from plughost.contracts.jobs import Job
from plughost.contracts.logs import get_logger
from plughost.contracts.plugin import PluginContext
from plughost.contracts.visible import visible
from plughost.core.containment import stray
from plughost.core.processes.guest import GuestProcess
from plughost.core.processes.hearing import Hearing
from plughost.core.processes.routes import RouteStream
from plughost.core.processes.services import ServiceElsewhere, serve_service
from plughost.core.services import Elsewhere, ServiceRegistry
from plughost.core.wire.calls import MOST_IN_FLIGHT
from plughost.core.wire.faults import Fault
from plughost.core.wire.protocol import (
    FunctionCall,
    HookRequest,
    JobRequest,
    LoggedLine,
    Member,
    PluginManifest,
    crossing_of,
)
from plughost.core.wire.routes import AsgiMessage, RouteAnswer, RouteRequest
from plughost.core.wire.services import Ask
from plughost.exceptions import PluginGoneError, PluginProcessError, UnknownHookError

_MEMBERS: Final = frozenset(Member)


class HousedContext(PluginContext, Protocol):
    """The context of a plugin in its own process."""

    def provide_elsewhere(self, name: str, value: Elsewhere) -> None:
        """Offer a service of that process once the plugin is ready."""


class Requests:
    """Serves one process; see ``Resident``.

    Attributes:
        process: The process, once it is begun.
        status: What the plugin last said of itself.
        serve: Makes a call of a service that it provides.

    Args:
        plugin: Name of the plugin.
        tasks: Where what waits is done.
        services: What plugins provide to one another.
        clock: Counts the seconds in which it may say so much.
    """

    process: GuestProcess
    manifest: PluginManifest
    serve: Ask

    def __init__(self, plugin: str, tasks: TaskGroup, services: ServiceRegistry, clock: Clock) -> None:
        self.status: Mapping[str, Any] = {}
        self._plugin = plugin
        self._tasks = tasks
        self._context: HousedContext | None = None
        self._born = anyio.Event()
        self._fault: Fault | None = None
        self._under_way: dict[int, anyio.CancelScope] = {}
        self._subscriptions: dict[int, Callable[[], None]] = {}
        self._streams: dict[int, RouteStream] = {}
        self._last_stream = self._spawned = self._scheduled = 0
        self._hearing = Hearing(plugin, clock)
        self._notes: dict[int, Callable[..., None]] = {
            Member.READY: self._ready,
            Member.FAILED: self._failed,
            Member.LOG: self._write_log,
            Member.SCHEDULE: self._schedule,
            Member.SUBSCRIBE: self._subscribe,
            Member.UNSUBSCRIBE: self._unsubscribe,
            Member.SPAWN: self._spawn,
            Member.STATUS: self._note_status,
            Member.PROVIDE: self._provide,
            Member.BEGIN: self._begin_answer,
        }
        self._calls: dict[int, Callable[..., Awaitable[Any]]] = {
            Member.HOOK: self._call_hook,
            Member.PUBLISH: lambda event, data: self._open_context.events.publish(event, data),
            Member.USE: partial(serve_service, services, plugin),
            Member.RECEIVE: lambda number: self._streams[number].receive(),
            Member.SEND: lambda number, message: self._streams[number].send(message),
        }

    async def manifested(self) -> PluginManifest:
        """Wait until the plugin is imported; return what it says of itself.

        Raises:
            Exception: Why it could not be imported.
        """
        await self._born.wait()
        if self._fault is not None:
            raise self._fault.revived()
        return self.manifest

    def open(self, context: HousedContext) -> None:
        """From now on it may ask for what a context gives."""
        self._context = context

    def name_of(self, member: int) -> str:
        """Return what a member is called, for people; empty when the process, whose word it is, speaks of none."""
        if member == Member.READY:
            return "import"
        if member in _MEMBERS:
            return Member(member).name.lower().replace("_", " ")
        hooks = self.manifest.hooks if self._is_manifested else ()
        return hooks[member].hook if member < len(hooks) else ""

    def job(self, request: JobRequest) -> Job:
        """Return a job that calls the process."""
        return Job(
            function=partial(self.call_function, request.function),
            every=request.every,
            cron=request.cron,
            limit=request.limit,
            **_terms_of(request),
        )

    # as the resident

    def call(self, call: int, member: int, body: memoryview) -> None:
        """It calls the host."""
        try:
            function = self._calls[member]
            arguments = crossing_of(Member(member)).arguments.read(body)
        except Exception as error:
            self.process.calls.fail(call, error)
            return
        if call in self._under_way:
            return  # answered once, under the number that it took twice
        if len(self._under_way) >= MOST_IN_FLIGHT:
            self.process.calls.fail(
                call, OverflowError(f"the host works on {MOST_IN_FLIGHT} of its calls already")
            )
            return
        scope = self._under_way[call] = anyio.CancelScope()
        self._tasks.start_soon(self._serve, call, scope, Member(member), partial(function, *arguments))

    def cancel(self, call: int) -> None:
        """It wants no answer any more."""
        if (scope := self._under_way.get(call)) is not None:
            scope.cancel()

    def note(self, member: int, body: memoryview) -> None:
        """It says something; what makes no sense is logged, and never the host's failure."""
        try:
            if self._hearing.hears(member, len(body)):
                self._notes[member](*crossing_of(Member(member)).arguments.read(body))
        except PluginGoneError:
            pass  # it is being stopped, and late
        except Exception as error:
            self._hearing.puzzle_over(error)

    def fall_silent(self) -> None:
        """It says nothing any more: what was left out of what it said is told."""
        self._hearing.settle()

    async def _serve(
        self, call: int, scope: anyio.CancelScope, member: Member, function: Callable[[], Awaitable[Any]]
    ) -> None:
        try:
            with scope:
                value = await function()
                self.process.calls.answer(call, value, crossing_of(member).answer.put)
        except Exception as error:
            self.process.calls.fail(call, error)
        finally:
            self._under_way.pop(call, None)
        if scope.cancelled_caught:
            self.process.calls.fail(call, stray(TimeoutError("cancelled")))

    # what it says

    @property
    def _is_manifested(self) -> bool:
        return self._born.is_set() and self._fault is None

    def _ready(self, manifest: PluginManifest) -> None:
        if not self._born.is_set():
            self.manifest = manifest
            self._born.set()

    def _failed(self, fault: Fault) -> None:
        if not self._born.is_set():
            self._fault = fault
            self._born.set()

    def _note_status(self, status: Mapping[str, Any]) -> None:
        self.status = status

    def _write_log(self, line: LoggedLine) -> None:
        own, logger = self._hearing.own, self._hearing.logger_of(line.logger)
        text = visible(line.message)
        if logger == own or logger.startswith(f"{own}."):
            fields = {key: visible(one) if isinstance(one, str) else one for key, one in line.fields.items()}
            fields.pop("plugin", None)
            if line.trace:
                fields["trace"] = visible(line.trace)
            get_logger(logger, plugin=self._plugin).log(line.level, text, **fields)
            return
        trace = f"\n{visible(line.trace)}" if line.trace else ""
        logging.getLogger(logger).log(line.level, "%s%s", text, trace, extra={"plugin": self._plugin})

    # what it asks for

    @property
    def _open_context(self) -> HousedContext:
        if self._context is None:
            raise PluginProcessError(
                f"plugin {self._plugin!r} asks before it is started", plugin=self._plugin
            )
        return self._context

    def _schedule(self, request: JobRequest) -> None:
        function, context = partial(self.call_function, request.function), self._open_context
        self._scheduled = self._one_more(self._scheduled, "jobs")
        begin = (
            partial(context.cron, request.cron or "")
            if request.every is None
            else partial(context.every, request.every)
        )
        begin(function, **_terms_of(request))

    def _subscribe(self, number: int, event: str) -> None:
        what: Any = getattr(contracts, event[1:]) if event.startswith(":") else event
        self._one_more(len(self._subscriptions), "subscriptions")
        self._subscriptions[number] = self._open_context.events.subscribe(
            what, partial(self.call_function, number)
        )

    def _unsubscribe(self, number: int) -> None:
        if (end := self._subscriptions.pop(number, None)) is not None:
            end()

    def _spawn(self, number: int) -> None:
        self._one_more(self._spawned, "background tasks")

        async def run_there() -> None:
            self._spawned += 1
            try:
                await self.call_function(number)
            except Exception:
                if self.process.ended.is_set():
                    return  # its end is told of by itself
                raise
            finally:
                self._spawned -= 1

        self._open_context.spawn(run_there)

    def _one_more(self, count: int, what: str) -> int:
        if count >= MOST_IN_FLIGHT:
            raise OverflowError(f"it has {MOST_IN_FLIGHT} {what} in the host already")
        return count + 1

    async def call_function(self, number: int, *arguments: Any) -> Any:
        """Call a function of the plugin by its number; return what it returned."""
        call = FunctionCall(function=number, arguments=arguments, run=current_run())
        return await self.process.ask(Member.FUNCTION, call)

    # requests of its routes

    async def converse(self, route: int, request: RouteRequest, stream: RouteStream) -> RouteAnswer:
        """Have a request answered, the messages of which go through ``stream`` meanwhile.

        Raises:
            Exception: What the route raised, or why it cannot be asked.
        """
        self._last_stream += 1
        number = self._last_stream
        self._streams[number] = stream
        try:
            numbered = replace(request, stream=number, route=route)
            answer: RouteAnswer = await self.process.ask(Member.ROUTE, numbered)
            await stream.flush()
            return answer
        finally:
            del self._streams[number]

    def _begin_answer(self, number: int, message: AsgiMessage) -> None:
        if (stream := self._streams.get(number)) is not None:
            stream.begin(message)
            self._tasks.start_soon(stream.flush)

    async def _call_hook(self, request: HookRequest) -> Any:
        if request.hook.startswith("_"):  # the host keeps these for itself
            raise UnknownHookError(f"nobody declared a hook {request.hook!r}", hook=request.hook)
        hook = getattr(self._open_context.hooks, request.hook)
        return await (hook.report if request.report else hook)(**request.arguments)

    def _provide(self, name: str) -> None:
        elsewhere = ServiceElsewhere(self._plugin, lambda call: self.serve(call))
        self._open_context.provide_elsewhere(name, elsewhere)


def _terms_of(request: JobRequest) -> dict[str, Any]:
    """What holds for a job however it is begun."""
    names = ("name", "scope", "missed", "window", "retries", "outage")
    return {name: getattr(request, name) for name in names}
