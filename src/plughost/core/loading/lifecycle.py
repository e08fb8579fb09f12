"""Walks every plugin through its life: import, checks, waiting, start, service, reload, stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
from anyio.abc import TaskGroup
from msgspec.structs import replace

from plughost.contracts.clock import Clock
from plughost.contracts.config import HostSection
from plughost.contracts.logs import get_logger
from plughost.contracts.records import PluginRecord, PluginState
from plughost.core.config import LoadedConfig
from plughost.core.containment import Point, contained
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.late_event import LateEvent
from plughost.core.loading.announcer import Announcer
from plughost.core.loading.background import RestartPolicy
from plughost.core.loading.context import Facilities
from plughost.core.loading.crashes import CrashWatch, RunWatch
from plughost.core.loading.departures import Departures
from plughost.core.loading.housed import HousedPlugins
from plughost.core.loading.loader import ImportedPlugin, ImportLane, checked_config, run_check_config
from plughost.core.loading.ordering import LoadPlan, Needs, plan_load, without_circles
from plughost.core.loading.registry import PluginRegistry, RegisteredPlugin, Run
from plughost.core.loading.requirements import Requirements, card_needs, not_installed, not_running
from plughost.core.loading.revivals import Revivals
from plughost.core.loading.runs import Runs
from plughost.core.loading.turns import Hold, Turns, go_inside, inside
from plughost.core.loading.window import Window
from plughost.exceptions import PlughostError, PluginError, PluginIncompatibleError, StrayError

_log = get_logger("plughost.loading")

_UNDER_WAY = frozenset({PluginState.IMPORTING, PluginState.WAITING, PluginState.STARTING})


class LifeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a plugin may take, and how many start at once.

    Attributes:
        concurrency: Starts at the same time.
        load: Seconds for an import, for ``check_config`` and for ``start``, each.
        shutdown: Seconds for calls in flight to end, and for ``stop``.
        restarts: How often crashes of background tasks are forgiven.
    """

    concurrency: int = 3
    load: float = 30.0
    shutdown: float = 15.0
    restarts: RestartPolicy = msgspec.field(default_factory=RestartPolicy)

    @classmethod
    def of(cls, settings: HostSection) -> LifeLimits:
        """Return what the table ``[host]`` says."""
        restarts = RestartPolicy(
            max_crashes=settings.max_restarts,
            window=settings.restart_window,
            first_pause=settings.restart_pause,
            longest_pause=settings.restart_pause_limit,
        )
        return cls(
            concurrency=settings.load_concurrency,
            load=settings.load_timeout,
            shutdown=settings.shutdown_timeout,
            restarts=restarts,
        )


class PluginLifecycle:
    """The walk from candidate to running plugin and back. One per host; used from its event loop only."""

    def __init__(
        self,
        registry: PluginRegistry,
        facilities: Facilities,
        limits: LifeLimits,
        loaded: Callable[[], LoadedConfig],
        tasks: TaskGroup,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._dispatcher = facilities.dispatcher
        self._limits = limits
        self._loaded = loaded  # asked anew each time: it may have been read again
        self._tasks = tasks
        self._clock = clock
        self.turns = Turns(tasks)
        self.requirements = Requirements(registry)
        self._housed = HousedPlugins(facilities, tasks, clock, self._replace_soon)
        self._lane = ImportLane(clock, self._housed.load)
        self._imports_over = anyio.Event()  # of the last load; nobody asks before the first
        self._window = Window(limits.concurrency)
        self._announcer = Announcer(registry, facilities)

        def quarantine(watch: RunWatch, error: PluginError) -> None:
            tasks.start_soon(self._quarantine, watch, error)

        crashes = CrashWatch(registry, limits.restarts, clock, self._announce_soon, quarantine)
        self._departures = Departures(registry, self._dispatcher, self._announce_soon, self._leave_soon)
        tasks.start_soon(self._departures.listen)
        self._runs = Runs(registry, facilities, tasks, crashes, clock, limits.load, limits.shutdown)
        self._revivals = Revivals(registry, crashes, tasks, clock, self._begin_anew)

    # loading

    async def load_all(self, names: Iterable[str], durations: Mapping[str, float] | None = None) -> None:
        """Load the registry's plugins of these names, dependencies first, the most urgent first.

        Imports go one at a time; each plugin starts as soon as it is imported, those it waits for have settled
        and the window has a place. Returns when all have settled.

        Args:
            names: Plugins that wait in the registry.
            durations: Seconds each took when it last started, as far as they are known.
        """
        needs = {name: card_needs(self._registry[name].candidate) for name in names}
        for name, need in needs.items():
            said = need.spelled_as(self._registry)
            if said != need:
                self._registry.note(name, requires=said.requires, after=said.after)
        plan = self._plan(needs, durations or {})
        # Without durations: who is called first among equals is the same in every run.
        self._dispatcher.reserve_places(plan_load(needs).order)
        holds: dict[str, Hold] = {}
        try:
            for name in plan.order:
                holds[name] = await self.turns.begin(name, anyio.CancelScope())
            await self._start_planned(plan, needs, holds, durations or {})
        finally:
            self._lane.close()
            for name in holds:
                self._settle(name, holds[name])
        await self._announcer.announce()

    async def _start_planned(
        self,
        plan: LoadPlan,
        needs: Mapping[str, Needs],
        holds: Mapping[str, Hold],
        durations: Mapping[str, float],
    ) -> None:
        planned = {name: needs[name] for name in plan.order}
        said = dict(planned)
        self._imports_over = imports_over = anyio.Event()
        async with anyio.create_task_group() as starting:
            for name in plan.order:
                imported = None
                if not holds[name].is_over:
                    imported = await self.import_code(self._registry[name].candidate)
                if imported is None:
                    self._settle(name, holds[name])
                else:
                    said[name] = imported.needs
                    starting.start_soon(self._bring_up, imported, plan.urgency[name], holds[name])
            imports_over.set()
            # Cards may be silent on what classes say: only now is it certain that nobody waits in a circle.
            if said != planned:
                self._plan(said, durations)

    async def import_code(self, candidate: PluginCandidate) -> ImportedPlugin | None:
        """Import a plugin; a failure is noted in its record."""
        self._registry.move(candidate.name, PluginState.IMPORTING)
        await self._announcer.announce()
        try:
            return await self._lane.load(candidate, self._limits.load)
        except PluginError as error:
            self._registry.fail(candidate.name, error)
            await self._announcer.announce()
            return None

    async def import_again(self, candidate: PluginCandidate) -> ImportedPlugin:
        """Import a plugin for a reload: what fails is raised, and the record of the running one stays."""
        try:
            return await self._lane.load(candidate, self._limits.load)
        finally:
            self._lane.close()

    async def note_failure(self, candidate: PluginCandidate, error: PluginError) -> None:
        """Say in the record of a plugin that does not run why it could not be had."""
        self._registry.add(candidate)
        self._registry.fail(candidate.name, error, _state_after(error))
        await self._announcer.announce()

    async def _bring_up(self, imported: ImportedPlugin, urgency: float, hold: Hold) -> None:
        """Check an imported plugin, wait for those it needs and start it; a failure is noted in its record."""
        go_inside(hold)
        try:
            with hold.start or anyio.CancelScope(), contextlib.suppress(PluginError):
                await self._insist(imported, urgency)
        finally:
            self._settle(hold.name, hold)

    async def insist(self, imported: ImportedPlugin) -> PluginRecord:
        """Do the same for a caller who wants to know, in the plugin's turn.

        Raises:
            PluginError: It failed; its record says so too.
        """
        return await self._insist(imported, by_hand=True)

    async def _insist(
        self, imported: ImportedPlugin, urgency: float = 0.0, *, by_hand: bool = False
    ) -> PluginRecord:
        name = imported.candidate.name
        entry = self._registry[name]
        self._note_facts(imported)
        try:
            await self._check_and_start(entry, imported, urgency, by_hand)
        except PluginError as error:
            self._registry.fail(name, error, _state_after(error))
            raise
        finally:
            if entry.record.state in _UNDER_WAY:
                self._registry.move(name, PluginState.STOPPED, reason=self.turns.why_broken_off(name))
            entry.settled.set()
            if imported.process is None and not self._announcer.is_heard:
                await self._announcer.announce()  # waits for nobody, so that nothing can break it off
            else:
                with anyio.CancelScope(shield=True):
                    await self._end_unused(imported)
                    await self._announcer.announce()
        return entry.record

    async def _end_unused(self, imported: ImportedPlugin) -> None:
        """End the process of a plugin that did not come into service."""
        entry = self._registry.get(imported.candidate.name)
        is_used = entry is not None and entry.run is not None and entry.run.plugin is imported
        if imported.process is not None and not is_used:
            await imported.process.end()

    async def _check_and_start(
        self, entry: RegisteredPlugin, imported: ImportedPlugin, urgency: float, by_hand: bool
    ) -> None:
        name = imported.candidate.name
        began = self._clock.monotonic()
        config = await checked_config(imported, self._loaded(), self._limits.load)
        if not entry.settled.is_set():
            took = {"validated": self._clock.monotonic() - began}
            self._registry.move(name, PluginState.WAITING, took=took)
            await self._wait_for_needs(imported, planned=not by_hand)
        if (
            not by_hand
            and imported.handle.is_foreign
            and self._dispatcher.lacks_hooks_of(imported.handle.target)
        ):
            # On pluggy a plugin declares hooks when it is imported, and those that implement them may come before it.
            await self._imports_over.wait()
        async with self._window.place(urgency):
            if not entry.settled.is_set():
                await self._start(entry, imported, config, self._clock.monotonic() - began)
            # Let those who waited for a plugin queue up, before its place in the window goes to somebody less urgent:
            # one turn of the loop to wake them, one for a loop that wakes in random order
            turns = 2 if entry.settled.is_awaited else 0
            entry.settled.set()
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()

    async def _start(
        self, entry: RegisteredPlugin, imported: ImportedPlugin, config: Any, waited: float
    ) -> None:
        name = imported.candidate.name
        generation = entry.record.generation + 1
        self._registry.move(name, PluginState.STARTING, took={"waited": waited}, generation=generation)
        await self._announcer.announce()
        run = await self._runs.begin(imported, config)
        await self._runs.enter_service(
            run, allowed=partial(self.requirements.refuse_unmet, name, imported.needs)
        )
        entry.run = run
        self._registry.move(
            name,
            PluginState.READY,
            took={"started": run.supervisor.start_took},
            hooks=self._dispatcher.hooks_of(name),
        )
        run.watch.became_ready()
        self._revivals.watch(run)

    def _plan(self, needs: Mapping[str, Needs], durations: Mapping[str, float]) -> LoadPlan:
        """Plan, and fail at once whatever can never start."""
        others = {name: entry for name, entry in self._registry.items() if name not in needs}
        standing = {name for name, entry in others.items() if entry.running}
        reasons = {name: entry.record.reason for name, entry in others.items() if name not in standing}
        open_needs = {
            name: replace(need, requires=tuple(other for other in need.requires if other not in standing))
            if need.requires
            else need
            for name, need in ((name, need.spelled_as(self._registry)) for name, need in needs.items())
        }
        plan = plan_load(
            open_needs, durations=durations, unavailable=reasons, versions=self.requirements.versions
        )
        for name, error in plan.hopeless.items():
            if not self._registry[name].settled.is_set():
                self._registry.fail(name, error)
        return plan

    def _settle(self, name: str, hold: Hold) -> None:
        """End the turn of a planned start; one that has not come to an outcome was broken off."""
        entry = self._registry[name]
        if not entry.settled.is_set():
            self._registry.move(name, PluginState.STOPPED, reason=self.turns.why_broken_off(name))
            entry.settled.set()
        hold.end()

    async def _wait_for_needs(self, imported: ImportedPlugin, *, planned: bool) -> None:
        name = imported.candidate.name
        mine = self._registry[name].settled
        needs = imported.needs.spelled_as(self._registry)
        for wanted in needs.requires:
            other = self._registry.get(wanted)
            if other is None:
                raise not_installed(name, wanted, self._registry)
            await self._wait_for(wanted, planned=planned)
            if not other.running and not mine.is_set():
                raise not_running(name, other.record)
            needs.refuse_version(name, wanted, other.record.version)
        for wanted in needs.after:
            if wanted in self._registry:
                await self._wait_for(wanted, planned=planned)

    async def _wait_for(self, wanted: str, *, planned: bool) -> None:
        hold, settled = inside(), self._registry[wanted].settled
        if settled.is_set() and (hold is None or hold.name != wanted):
            return
        with self.turns.waiting(hold, wanted, planned=planned):
            await settled.wait()

    def _note_facts(self, imported: ImportedPlugin) -> None:
        name = imported.candidate.name
        needs = imported.needs.spelled_as(self._registry)
        version = imported.candidate.finding.version or imported.handle.version
        given = imported.candidate.wish.config or {}
        entry = self._registry[name]
        entry.config_class, entry.imported = imported.handle.config_class, True
        shown = self._loaded().redact(given, config_class=imported.handle.config_class) if given else {}
        self._registry.note(
            name,
            took={"imported": imported.took},
            requires=needs.requires,
            after=needs.after,
            version=version,
            config=shown,
        )

    async def check_config(self, name: str, config: Any) -> None:
        """Ask a running plugin whether it would accept this configuration; see ``run_check_config``."""
        run = self._registry.find(name).run
        if run is not None and run.plugin.handle.checks_config:
            await run_check_config(run.plugin.handle, config, self._limits.load)

    # stopping

    async def unload(
        self,
        name: str,
        reason: str = "unloaded",
        *,
        cause: str = "it was unloaded meanwhile",
        then: Callable[[], None] | None = None,
    ) -> bool:
        """Stop a plugin, and first those that require it, whether they run or are being started.

        Args:
            name: The plugin.
            reason: Why, for its record.
            cause: Why, for the record of a start that is broken off by it.
            then: What is to be done with it before somebody else has its turn.

        Returns:
            Whether it was running.
        """
        broken_off = self.turns.interrupt(name, cause)
        # Somebody took it out of host.pluggy, and it still has to be stopped.
        was_leaving = self._departures.is_leaving(self._registry[name].run)
        stopped = await self.turns.take(name, partial(self._unload, name, reason, then))
        return stopped or broken_off or was_leaving

    async def _unload(
        self, name: str, reason: str, then: Callable[[], object] | None, *, fate: str = "was unloaded"
    ) -> bool:
        if name not in self._registry:
            return False  # nothing of it is found any more
        why = f"{name!r}, which it requires, {fate}"
        while dependents := self._dependents(name):  # while one stops another may come
            for dependent in dependents:
                await self.unload(dependent, why, cause=why)
        stopped = await self._stop(self._registry[name], PluginState.STOPPED, reason)
        if then is not None:
            then()
        await self._announcer.announce()
        return stopped

    async def stop_all(self) -> None:
        """Stop every running plugin: dependents before what they depend on, otherwise all at once."""
        self.turns.close()
        gone = {name: anyio.Event() for name in self._registry}
        # Who requires a plugin stops before it, and so does who merely started after it; of those that would wait
        # for each other in a circle, one does not.
        alive = {name: entry.record for name, entry in self._registry.items() if entry.run is not None}
        hard = [(wanted, name) for name, record in alive.items() for wanted in record.requires]
        soft = [(wanted, name) for name, record in alive.items() for wanted in record.after]
        waits = without_circles((*hard, *soft))
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as stopping:
                for name in gone:
                    stopping.start_soon(self._stop_after, name, waits.get(name, ()), gone)
            await self._housed.close()
            await self._announcer.announce()

    async def _stop_after(
        self, name: str, dependents: Iterable[str], gone: Mapping[str, anyio.Event]
    ) -> None:
        try:
            for dependent in dependents:
                await gone[dependent].wait()
            async with self.turns.hold(name):
                if (entry := self._registry.get(name)) is not None:
                    await self._stop(entry, PluginState.STOPPED, "the host stopped")
        finally:
            gone[name].set()

    async def _stop(self, entry: RegisteredPlugin, state: PluginState, reason: str) -> bool:
        run, entry.run = entry.run, None
        if run is None:
            return False
        name = entry.record.name
        self._registry.move(name, PluginState.STOPPING, reason=reason, hooks=())
        drain = self._dispatcher.let_go(name, run.plugin.handle.target)
        run.ledger.undo()
        # Who keeps what plugins contributed, such as routes, sends nobody there from now on.
        await self._announcer.announce()
        error = await self._runs.retire(run, drain)
        said = reason if error is None else f"{reason}; {error}"
        self._registry.move(name, state, reason=said)
        return True

    def _dependents(self, name: str) -> list[str]:
        """Plugins that require this one and run, or are being started."""
        return [
            other
            for other, entry in self._registry.items()
            if name in entry.record.requires
            and other != name
            and (entry.run is not None or self.turns.is_starting(other))
        ]

    # reloading

    async def reload(self, imported: ImportedPlugin) -> PluginRecord:
        """Put a new start of a plugin in the place of the running one, without losing a call.

        The new one starts beside the old one; then, in one step, calls go to the new one; then the old one's
        calls in flight end and it stops. When the new one fails to start, the old one goes on. A plugin that
        cannot be made twice (an instance, a module whose code did not change) stops first and starts again.

        Raises:
            PluginError: The new one failed. The old one goes on, if it had not to stop first.
        """
        entry = self._registry[imported.candidate.name]
        if entry.run is None or entry.run.plugin.handle.target is imported.handle.target:
            self.requirements.refuse_unmet(imported.candidate.name, imported.needs)
            self._dispatcher.keep_place(imported.candidate.name)
            await self._stop(entry, PluginState.STOPPED, "reloading")
            entry.candidate = imported.candidate
            entry.settled = LateEvent()
            await self.insist(imported)
        else:
            await self._swap(entry, imported)
            entry.candidate = imported.candidate
        await self._announcer.announce()
        return entry.record

    def has_config(self, run: Run, candidate: PluginCandidate) -> bool:
        """Whether a run goes on with the very settings that a new start would be given."""
        try:
            settings = replace(run.plugin, candidate=candidate).decode_config(self._loaded())
            return contained(Point.CONFIG, _alike, settings, run.config)
        except (PluginError, StrayError):
            return False

    async def _swap(self, entry: RegisteredPlugin, imported: ImportedPlugin) -> None:
        name = imported.candidate.name
        self.requirements.refuse_unmet(name, imported.needs)
        try:
            config = await checked_config(imported, self._loaded(), self._limits.load)
            old = entry.run
            new = await self._runs.begin(imported, config)
            allowed = partial(self.requirements.refuse_unmet, name, imported.needs)
            drain = await self._runs.enter_service(new, old, allowed=allowed)
            entry.run = new
        finally:
            with anyio.CancelScope(shield=True):
                await self._end_unused(imported)
        self._note_facts(imported)
        generation = entry.record.generation + 1
        self._registry.move(
            name,
            PluginState.READY,
            took={"started": new.supervisor.start_took},
            generation=generation,
            hooks=self._dispatcher.hooks_of(name),
        )
        new.watch.became_ready()
        self._revivals.watch(new)
        try:
            # Before the old one stops: who keeps what plugins contributed, such as routes, turns to the new one.
            await self._announcer.announce()
        finally:
            if old is not None and drain is not None:
                await self._runs.retire(old, drain)

    def _replace_soon(self, name: str, memory: int) -> None:
        """Put a new start in the place of one whose process uses too much memory; no call is lost."""

        async def replace(run: Run) -> None:
            try:
                await self._begin_anew(name, run)
            except PlughostError as error:  # the old one goes on
                _log.warning("plugin did not start anew", plugin=name, reason=str(error))

        entry = self._registry.get(name)
        if entry is not None and entry.run is not None:
            _log.warning(
                "plugin uses more memory than it is meant to, and is begun anew", plugin=name, bytes=memory
            )
            self._tasks.start_soon(replace, entry.run)

    async def _begin_anew(self, name: str, run: Run) -> None:
        """Put a new start in the place of one whose process is gone, unless something else stands there by now."""

        async def begin() -> None:
            entry = self._registry.get(name)
            if entry is not None and entry.run is run:
                await self._swap(entry, await self._lane.load(entry.candidate, self._limits.load))
                await self._announcer.announce()

        await self.turns.restart(name, begin)

    # what others do

    def _leave_soon(self, run: Run) -> None:
        name = run.plugin.candidate.name
        self.turns.interrupt(name, self._departures[name])

        async def leave() -> None:
            go_inside(None)  # whoever took it out does not wait for its end
            await self.turns.take(name, partial(self.let_leave, name))

        self._tasks.start_soon(leave)

    async def let_leave(self, name: str) -> None:
        """Stop a plugin that somebody took out of ``host.pluggy``, unless it came back or was stopped meanwhile.

        Called in the plugin's turn; whoever starts it calls this first, so that nobody is told of a start that ends.
        """
        entry = self._registry.get(name)
        if entry is not None and self._departures.is_leaving(entry.run):
            await self._unload(name, self._departures[name], partial(self._departures.forget, name))

    def _announce_soon(self) -> None:
        self._tasks.start_soon(self._announcer.announce)

    async def _quarantine(self, watch: RunWatch, error: PluginError) -> None:
        """Stop a plugin that crashed too often as if it were unloaded: what requires it does not run without it."""
        name = error.plugin

        async def put_away() -> None:
            entry = self._registry.get(name)
            # Another start may have taken the place of the one that crashed.
            if entry is not None and entry.run is not None and entry.run.watch is watch:
                fail = partial(self._registry.fail, name, error, PluginState.QUARANTINED)
                await self._unload(name, str(error), fail, fate="is in quarantine")

        await self.turns.take(name, put_away)


def _alike(one: object, other: object) -> bool:
    if one == other:
        return True
    if (
        type(one) is not type(other)
        or not isinstance(one, msgspec.Struct)
        or not isinstance(other, msgspec.Struct)
    ):
        return False
    return msgspec.structs.asdict(one) == msgspec.structs.asdict(other)  # a class that was made with eq=False


def _state_after(error: PluginError) -> PluginState:
    return PluginState.INCOMPATIBLE if isinstance(error, PluginIncompatibleError) else PluginState.FAILED
