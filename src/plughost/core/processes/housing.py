"""A host's plugins that live in processes of their own: begun, replaced when they crash, counted."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import anyio
from anyio.abc import TaskGroup

from plughost._dataclasses import dataclass
from plughost.contracts.clock import Clock
from plughost.contracts.error_text import error_line
from plughost.contracts.files import folder_named
from plughost.contracts.http import HttpContext
from plughost.contracts.processes import ProcessExit, ProcessRecord
from plughost.contracts.steering import HostSteering
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.processes.guest import Care, GuestProcess, begin_process
from plughost.core.processes.hindrances import in_words
from plughost.core.processes.requests import Requests
from plughost.core.processes.stand_in import StandIn
from plughost.core.processes.template import TemplateProcess, import_path
from plughost.core.processes.versions import refuse_version, with_versions
from plughost.core.services import ServiceRegistry
from plughost.core.stepping import event_library
from plughost.core.wire.births import Request
from plughost.core.wire.protocol import GuestSpec, Member, crossing_of
from plughost.exceptions import PluginError, PluginProcessError, PluginTimeoutError

_LOOK_EVERY: Final = 5.0  # seconds
_TOO_OFTEN: Final = 2  # times in a row that it uses too much memory
_HARD_LIMIT: Final = 2  # times the memory a plugin is meant to use, which it is not given at all


@dataclass(slots=True)
class Lineage:
    """The processes of one plugin, one after the other.

    Attributes:
        restarts: How often one took the place of another that had ended.
        is_bereaved: Whether the last one ended, and nothing has come in its place yet.
        last_exit: How the last one ended that nobody had asked to.
        next: Set when it is known what comes after the one that is gone; None while nobody waits for that.
        heir: What came.
        error: Why nothing did.
    """

    restarts: int = 0
    is_bereaved: bool = False
    last_exit: ProcessExit | None = None
    next: anyio.Event | None = None
    heir: StandIn | None = None
    error: PluginError | None = None


class Housing:
    """Begins processes for plugins of one host; see ``Succession``.

    Args:
        dispatcher: Whose hooks they implement.
        data_dir: Folder under which each plugin has its own.
        tasks: The host's task group.
        clock: Time.
        too_big: Called with the name of a plugin that uses more memory than it is meant to.
        services: What plugins provide to one another.
        http: What the configuration says of the HTTP application.
    """

    def __init__(
        self,
        dispatcher: HookDispatcher,
        data_dir: Path,
        tasks: TaskGroup,
        clock: Clock,
        too_big: Callable[[str, int], None],
        services: ServiceRegistry,
        http: HttpContext,
    ) -> None:
        self.http = http
        self._services = services

        def tell_of_services() -> None:
            names, put = self.services(), crossing_of(Member.SERVICES).arguments.put
            for process in self._living:
                process.calls.note(Member.SERVICES, (names,), put)

        services.watch(tell_of_services)
        self._too_big = too_big
        self._dispatcher = dispatcher
        self._data_dir = data_dir
        self._tasks = tasks
        self._clock = clock
        host = services.get(HostSteering)
        self._template = TemplateProcess(tasks, None if host is None else host.working_directory)
        self._living: set[GuestProcess] = set()
        self._lineages: dict[str, Lineage] = {}

    async def house(self, candidate: PluginCandidate, limit: float) -> StandIn:
        """Begin a process, and have the plugin imported there.

        Raises:
            PluginError: It cannot be begun, or the plugin cannot be imported; no process is left.
            PluginTimeoutError: It took longer than ``limit`` seconds.
        """
        name = candidate.name
        requests = Requests(name, self._tasks, self._services, self._clock)
        care = Care(
            plugin=name,
            strikes=candidate.wish.process.strikes,
            start="fresh" if _interpreter(candidate) else "template",
            tasks=self._tasks,
            clock=self._clock,
        )
        process: GuestProcess | None = None
        try:
            with anyio.move_on_after(limit) as within:
                process = await self._begin(care, candidate, requests)
                await _until_born(process, requests, candidate)
            if within.cancelled_caught or process is None:
                raise await _too_slow(name, limit, process)
            refuse_version(candidate, requests.manifest)
            return StandIn(name, process, requests, self._dispatcher, self)
        except BaseException as error:
            if process is not None:
                # Nothing of it was started, so there is nothing to stop.
                process.kill("its plugin was not taken")
                await process.end()
            if isinstance(error, PluginError) or not isinstance(error, Exception):
                raise
            raise PluginProcessError(  # whatever it says is a failure of that plugin alone
                f"plugin {name!r} could not be had from its process: {error_line(error)}",
                plugin=name,
                phase="import",
            ) from error

    async def close(self) -> None:
        """End all that is left."""
        with anyio.CancelScope(shield=True):
            for process in list(self._living):
                process.kill("the host stopped")
                await process.end()
            self._template.close()

    def services(self) -> tuple[str, ...]:
        """Return the qualified names of what is provided now."""
        return tuple(self._services.provided())

    # one after the other

    def mourn(self, gone: StandIn, *, patient: bool) -> None:
        """Note that a process ended that was to live on.

        Args:
            gone: What stood for it.
            patient: Whether calls wait for what takes its place; else they fail at once until it is there.
        """
        lineage = self._lineages.setdefault(gone.name, Lineage())
        lineage.last_exit = gone.process.exit
        lineage.heir, lineage.error, lineage.is_bereaved = None, None, True
        if not patient:
            self._end_waiting(lineage)
        elif lineage.next is None:
            lineage.next = anyio.Event()

    def inherit(self, heir: StandIn) -> None:
        """A plugin was started; it may take the place of one whose process is gone."""
        lineage = self._lineages.setdefault(heir.name, Lineage())
        lineage.heir, lineage.error = heir, None
        lineage.restarts += lineage.is_bereaved
        lineage.is_bereaved = False
        self._end_waiting(lineage)

    def disinherit(self, name: str, error: PluginError) -> None:
        """Nothing takes the place of the one that is gone, or not now."""
        lineage = self._lineages.setdefault(name, Lineage())
        lineage.error = error
        self._end_waiting(lineage)

    def _end_waiting(self, lineage: Lineage) -> None:
        waiting, lineage.next = lineage.next, None
        if waiting is not None:
            waiting.set()

    async def successor(self, gone: StandIn) -> StandIn:
        """Wait for what takes the place of a process that is gone.

        Raises:
            PluginError: Nothing does, or not now.
        """
        lineage = self._lineages.setdefault(gone.name, Lineage())
        if lineage.heir is gone and lineage.next is None and not gone.process.is_leaving:
            lineage.next = anyio.Event()  # nobody has noticed yet that it is gone
        if lineage.next is not None:
            await lineage.next.wait()
        if lineage.heir is None or lineage.heir is gone:
            raise lineage.error or gone.process.error()
        return lineage.heir

    def record(self, stand_in: StandIn) -> ProcessRecord:
        """Return what is told of a plugin's process."""
        lineage = self._lineages.get(stand_in.name, Lineage())
        process = stand_in.process
        alive = not process.ended.is_set()
        sent, received = process.traffic
        figures = process.figures if alive else None
        return ProcessRecord(
            pid=process.pid if alive else None,
            start=process.care.start,
            since=process.since if alive else None,
            restarts=lineage.restarts,
            in_flight=process.calls.in_flight,
            strikes=process.strikes,
            memory=None if figures is None else figures.memory,
            cpu_seconds=None if figures is None else figures.cpu_seconds,
            cpu_share=process.cpu_share if alive else None,
            threads=None if figures is None else figures.threads,
            files=None if figures is None else figures.files,
            sent=sent,
            received=received,
            confinement=stand_in.manifest.confinement,
            last_exit=lineage.last_exit,
        )

    # beginning

    async def _begin(self, care: Care, candidate: PluginCandidate, requests: Requests) -> GuestProcess:
        request = Request(self._spec(candidate), _interpreter(candidate))
        try:
            process = await begin_process(care, self._template, request, requests)
        except OSError as error:
            raise PluginProcessError(
                f"the process of plugin {care.plugin!r} could not be begun: {in_words(error)}",
                plugin=care.plugin,
                phase="import",
            ) from error
        requests.process = process
        self._living.add(process)

        async def look_after(memory: int | None) -> None:
            """Read its figures again and again; one that uses more memory than it is meant to is replaced."""
            above = 0
            while not process.ended.is_set():
                figures = process.take_figures()
                above = (
                    above + 1 if memory is not None and figures is not None and figures.memory > memory else 0
                )
                if above == _TOO_OFTEN:
                    self._too_big(process.care.plugin, figures.memory if figures else 0)
                with anyio.move_on_after(_LOOK_EVERY):
                    await process.ended.wait()
            self._living.discard(process)

        self._tasks.start_soon(look_after, candidate.wish.process.memory_bytes)
        return process

    def _spec(self, candidate: PluginCandidate) -> GuestSpec:
        finding, process = candidate.finding, candidate.wish.process
        confine = process.confine
        return GuestSpec(
            name=candidate.name,
            reference=finding.reference,
            source=finding.source,
            origin=finding.origin,
            folder="" if finding.folder is None else str(finding.folder),
            path=() if finding.environment is not None else import_path(),
            project=self._dispatcher.setup.project,
            hookspecs=tuple(_references(self._dispatcher)),
            library=event_library.name or "asyncio",
            data_dir=str(folder_named(self._data_dir, candidate.name)),
            memory=None if process.memory_bytes is None else _HARD_LIMIT * process.memory_bytes,
            # One that may have half a processor stands back before one that may have two.
            nice=0 if process.cpu is None else max(1, min(19, round(10 / process.cpu))),
            confine=confine,
            log_level=logging.getLogger("plughost.plugin").getEffectiveLevel(),
        )


async def _until_born(process: GuestProcess, requests: Requests, candidate: PluginCandidate) -> None:
    """Wait until the plugin is imported, or its process is gone."""
    failures: list[Exception] = []
    async with anyio.create_task_group() as waiting:

        async def be_born() -> None:
            try:
                await requests.manifested()
            except Exception as error:
                failures.append(error)
            waiting.cancel_scope.cancel()

        async def end() -> None:
            await process.ended.wait()
            failures.append(with_versions(process.error(), candidate))
            waiting.cancel_scope.cancel()

        waiting.start_soon(be_born)
        waiting.start_soon(end)
    if failures:
        failure = failures[0]
        if isinstance(failure, PluginProcessError):
            failure.phase = "import"
        raise failure


async def _too_slow(name: str, limit: float, process: GuestProcess | None) -> PluginError:
    where = ""
    if process is not None:
        stack = await process.stack()
        where = f" It stood at: {' '.join(stack.split())[:500]}." if stack else ""
    return PluginTimeoutError(
        f"the process of plugin {name!r} had not imported it within its limit of {limit:g} s and was ended.{where} "
        f"Move work out of the module's top level, or raise host.load_timeout",
        plugin=name,
        phase="import",
        limit=limit,
    )


def _references(dispatcher: HookDispatcher) -> Iterator[str]:
    """Yield where hooks are declared, as far as another process can import that."""
    for namespace in dispatcher.namespaces():
        if isinstance(namespace, ModuleType):
            reference = namespace.__name__
        elif isinstance(namespace, type):
            reference = f"{namespace.__module__}:{namespace.__qualname__}"
        else:
            continue
        module, _, attribute = reference.partition(":")
        found: object = sys.modules.get(module)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part, None)
        if found is namespace and not reference.startswith("__main__"):
            yield reference


def _interpreter(candidate: PluginCandidate) -> str:
    """Return the interpreter to start; empty for a fork of the template."""
    if candidate.finding.environment is not None:
        return str(candidate.finding.environment.python)
    return sys.executable if candidate.wish.process.start == "fresh" else ""
