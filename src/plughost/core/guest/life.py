"""The life of a plugin in its own process: imported, confined, started, called, stopped."""

from __future__ import annotations

import asyncio
import atexit
import gc
import inspect
import io
import logging
import math
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import current_token

from plughost._dataclasses import dataclass
from plughost.contracts.clock import SYSTEM_CLOCK
from plughost.contracts.error_text import error_line
from plughost.contracts.masking import KnownSecrets
from plughost.contracts.value_text import spoken, value_text
from plughost.core.config.plugin_config import decode_elsewhere
from plughost.core.config.undecoded import UndecodedSettings
from plughost.core.containment import stray
from plughost.core.guest.birth import settle_in
from plughost.core.guest.context import GuestContext
from plughost.core.guest.contributions import asked_contributions
from plughost.core.guest.functions import Functions
from plughost.core.guest.logs import HostHandler
from plughost.core.guest.plugin import HerePlugin, imported_plugin
from plughost.core.guest.routes import GuestRoutes
from plughost.core.guest.services import GuestServices
from plughost.core.guest.tasks import call_tasks, recorded
from plughost.core.loading.background import BackgroundTasks, CrashBudget, RestartPolicy
from plughost.core.loading.loader import run_check_config
from plughost.core.loading.supervisor import Supervisor
from plughost.core.processes.confine import confine
from plughost.core.processes.places import PluginCode
from plughost.core.threads import run_in_daemon_thread
from plughost.core.wire.births import Ends
from plughost.core.wire.calls import WireCalls
from plughost.core.wire.channel import open_channel
from plughost.core.wire.codec import WireCodec
from plughost.core.wire.faults import as_fault
from plughost.core.wire.page import FlightRecorder, leave_word
from plughost.core.wire.protocol import (
    GuestSpec,
    Member,
    StartReply,
    StartRequest,
    crossing_of,
)
from plughost.exceptions import PluginStartError, PluginStopError

_STATUS_EVERY = 5.0
_BLOCKING_PLACES = 40
_FILES = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
"""What holds back some of what was written to it, until it is closed."""


def live(spec: GuestSpec, ends: Ends) -> NoReturn:
    """Live the whole life of the process, and end as an interpreter does, without tearing down what is shared."""
    with _fatal(partial(leave_word, ends.page)):
        recorder, sock = settle_in(spec, ends)
    with _fatal(recorder.leave_word):
        born: HerePlugin | Exception
        confinement = _confine(spec, before_import=True)
        recorder.begin(0, Member.READY)
        try:
            born = imported_plugin(spec)
            confinement += _confine(spec, before_import=False)
        except Exception as error:
            born = error
        recorder.end()
        life = Life(spec, recorder, born, confinement)
        options = {"loop_factory": partial(_Loop, recorder.leave_word)} if spec.library == "asyncio" else {}
        anyio.run(life.run, sock, backend=spec.library, backend_options=options)
        threading._shutdown()  # type: ignore[attr-defined]  # waits until what threads have begun they have ended
    _end(0)


class _Loop(asyncio.SelectorEventLoop):
    """An event loop with which its process ends: else calls would be told that they were cancelled, and not by what."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def run_until_complete(self, future: Any) -> Any:
        with _fatal(self._say):
            return super().run_until_complete(future)


@contextmanager
def _fatal(say: Callable[[str], None]) -> Iterator[None]:
    """What is raised here ends the process: outside of a call nobody else is there to be told."""
    try:
        yield
    except BaseException as error:
        try:
            say(error_line(error))
            sys.excepthook(*sys.exc_info())
        finally:
            _end(1)


def _end(status: int) -> NoReturn:
    try:
        atexit._run_exitfuncs()
        for file in (sys.stdout, sys.stderr, *(one for one in gc.get_objects() if type(one) in _FILES)):
            with suppress(Exception):  # it is closed, or nothing can be written to it
                file.flush()
    finally:
        os._exit(status)


def _confine(spec: GuestSpec, *, before_import: bool) -> tuple[str, ...]:
    """Confine the process when it is time; what cannot be had ends it."""
    if spec.confine is None or spec.confine.strict is not before_import:
        return ()
    code = PluginCode(spec.reference, Path(spec.folder) if spec.folder else None)
    return confine(spec.name, spec.confine, data_dir=Path(spec.data_dir), code=code)


@dataclass(frozen=True, slots=True)
class Callee:
    """What is called for one member, and how its values cross."""

    function: Callable[..., Any]
    arguments: WireCodec
    answer: WireCodec


class Life:
    """Serves the host from the moment the code is imported until the host has had enough.

    Attributes:
        routes: The routes that the plugin registered.

    Args:
        spec: What the process was told.
        recorder: Where what is stepped is noted.
        born: The plugin, or why it cannot be had.
        confinement: What holds it back.
    """

    def __init__(
        self,
        spec: GuestSpec,
        recorder: FlightRecorder,
        born: HerePlugin | Exception,
        confinement: tuple[str, ...],
    ) -> None:
        self._spec = spec
        self._recorder = recorder
        self._born = born
        self._confinement = confinement
        self._functions = Functions()
        self._secrets = KnownSecrets()
        self._calls = WireCalls(self)
        self._services = GuestServices(spec.name, self._calls)
        self.routes = GuestRoutes(self._calls)
        self._callees: dict[int, Callee] = {}

    async def run(self, sock: socket.socket) -> None:
        """Serve the host over its end of the channel, until the other end is closed."""
        gone = anyio.Event()
        async with anyio.create_task_group() as tasks:
            self._under_way = call_tasks(tasks)
            channel = open_channel(sock, tasks, self._calls.frame, lambda _: gone.set())
            self._calls.open_over(channel)
            root, handler = logging.getLogger(), HostHandler(self._calls, current_token())
            before = root.level
            root.addHandler(handler)
            root.setLevel(self._spec.log_level)
            if isinstance(self._born, Exception):
                self._tell(Member.FAILED, as_fault(self._born))
            else:
                self._be_ready(self._born, tasks)
            await gone.wait()
            root.setLevel(before)
            root.removeHandler(handler)
            self._under_way.cancel_all()  # a start is shielded from the scope, as in a host
            tasks.cancel_scope.cancel()

    # what the host says

    def call(self, call: int, member: int, body: memoryview) -> None:
        """Begin to work on a call of the host."""
        try:
            callee = self._callees[member]
            arguments = callee.arguments.read(body)
        except Exception as error:
            self._calls.fail(call, error)
            return
        self._under_way.begin(call, partial(self._work, call, member, callee, arguments))

    def cancel(self, call: int) -> None:
        """Cancel a call."""
        self._under_way.cancel(call)

    def note(self, member: int, body: memoryview) -> None:
        """The host says what services there are."""
        if member == Member.SERVICES:
            (names,) = crossing_of(Member.SERVICES).arguments.read(body)
            self._services.learn(names)

    async def _work(self, call: int, member: int, callee: Callee, arguments: tuple[Any, ...]) -> None:
        try:
            value = await recorded(self._recorder, call, member, callee.function, arguments)
        except Exception as error:
            self._calls.fail(call, error)
        except anyio.get_cancelled_exc_class() as error:
            self._calls.fail(call, stray(error))
            raise
        except BaseException as error:
            self._calls.fail(call, stray(error))
        else:
            self._calls.answer(call, value, callee.answer.put)

    # what it says

    def _tell(self, member: Member, *values: Any) -> None:
        self._calls.note(member, values, crossing_of(member).arguments.put)

    def _be_ready(self, plugin: HerePlugin, tasks: TaskGroup) -> None:
        for number, implementation in enumerate(plugin.implementations):
            function: Callable[..., Any] = implementation.function
            names, keywords = implementation.manifest.arguments, implementation.manifest.keywords
            if implementation.blocking:
                function = partial(_in_thread, anyio.CapacityLimiter(_BLOCKING_PLACES), function)
            if keywords:
                function = partial(_by_keywords, function, len(names), keywords)
            arguments, answer = implementation.crossing.arguments, implementation.crossing.answer
            self._callees[number] = Callee(function, arguments, answer)
        phases = Phases(self, plugin, tasks)
        for member, function in (
            (Member.CHECK_CONFIG, phases.check_config),
            (Member.START, phases.start),
            (Member.STOP, phases.stop),
            (Member.FUNCTION, self._functions.call),
            (Member.SERVICE, self._services.serve),
            (Member.ROUTE, self.routes.serve),
        ):
            crossing = crossing_of(member)
            self._callees[member] = Callee(function, crossing.arguments, crossing.answer)
        self._tell(Member.READY, plugin.manifest(self._confinement))

    # for the phases

    @property
    def spec(self) -> GuestSpec:
        """What the process was told."""
        return self._spec

    def decoded(self, plugin: HerePlugin, settings: UndecodedSettings) -> Any:
        """Return the plugin's configuration as its ``Config``; secrets in it are hidden from now on."""
        return decode_elsewhere(self._spec.name, plugin.handle.config_class, settings, self._secrets)

    def context(self, request: StartRequest, config: Any) -> GuestContext:
        """Return what ``start`` is given."""
        self._services.learn(request.services)
        return GuestContext(
            self._spec, request.host_name, config, self._calls, self._functions, self._services
        )

    def tell_status(self, plugin: HerePlugin) -> None:
        """Tell the host what the plugin says of itself now; what cannot cross is told as text."""
        status = plugin.handle.status()
        try:
            self._tell(Member.STATUS, status)
        except Exception:
            told = {spoken(key): value_text(value) for key, value in status.items()}
            self._tell(Member.STATUS, told)


class Phases:
    """The phases of a plugin's life, as the host calls them; ``start`` and ``stop`` run in one task.

    Args:
        life: The process.
        plugin: The plugin.
        tasks: Where tasks run that outlive a call.
    """

    def __init__(self, life: Life, plugin: HerePlugin, tasks: TaskGroup) -> None:
        self._life = life
        self._plugin = plugin
        self._tasks = tasks
        # The host restarts what the plugin spawns, and counts its crashes: nothing is spawned through these.
        background = BackgroundTasks(
            tasks, CrashBudget(RestartPolicy(), SYSTEM_CLOCK), NobodyWatches(), SYSTEM_CLOCK
        )
        self._supervisor = Supervisor(plugin.handle, tasks, background, SYSTEM_CLOCK)
        self._context: GuestContext | None = None

    async def check_config(self, settings: UndecodedSettings) -> None:
        """Check the plugin's configuration."""
        config = self._life.decoded(self._plugin, settings)
        if self._plugin.handle.checks_config:
            await run_check_config(self._plugin.handle, config, math.inf)

    async def start(self, request: StartRequest) -> StartReply:
        """Run ``start``, and ask for the plugin's jobs."""
        config = self._life.decoded(self._plugin, request.settings)
        context = self._context = self._life.context(request, config)
        try:
            await self._supervisor.start(context, math.inf)
        except PluginStartError as error:
            await self._run_on_stop()
            raise error.__cause__ or error from None
        self._life.tell_status(self._plugin)

        async def tell_status_again_and_again() -> None:
            while True:
                await anyio.sleep(_STATUS_EVERY)
                self._life.tell_status(self._plugin)

        self._tasks.start_soon(tell_status_again_and_again)
        return asked_contributions(
            self._life.spec.name,
            self._plugin.implementations,
            context.functions,
            self._life.routes,
            request.http,
        )

    async def stop(self) -> None:
        """Run ``stop``, and what was asked for to be done after it."""
        try:
            await self._supervisor.stop(math.inf)
        except PluginStopError as error:
            raise error.__cause__ or error from None
        finally:
            await self._run_on_stop()

    async def _run_on_stop(self) -> None:
        if self._context is not None:
            self._context.ledger.close()
            for late in await self._context.ledger.run_on_stop():
                self._context.log.warning("on_stop of plugin failed", exc_info=late)


class NobodyWatches:
    """Hears of crashes that cannot happen here."""

    def crashed(self, error: BaseException) -> None:
        """Nothing crashes."""

    def resumed(self) -> None:
        """Nothing is restarted."""

    def exhausted(self, error: BaseException) -> None:
        """Nothing is given up."""


async def _in_thread(
    limiter: anyio.CapacityLimiter, function: Callable[..., Any], *args: Any, **more: Any
) -> Any:
    value = await run_in_daemon_thread(lambda: function(*args, **more), limiter=limiter)
    return await value if inspect.isawaitable(value) else value


def _by_keywords(
    function: Callable[..., Any], positional: int, keywords: tuple[str, ...], *values: Any
) -> Any:
    return function(*values[:positional], **dict(zip(keywords, values[positional:], strict=True)))
