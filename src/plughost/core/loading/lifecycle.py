"""Walks every plugin through its life: import, checks, waiting, start, register, ready, reload, stop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup

from plughost.contracts.clock import Clock
from plughost.contracts.logs import get_logger
from plughost.contracts.records import PluginRecord, PluginState
from plughost.core.loading.announcer import Announcer
from plughost.core.loading.background import BackgroundTasks, CrashBudget, RestartPolicy, Watcher
from plughost.core.loading.context import BoundContext, Facilities
from plughost.core.loading.discovery import PluginCandidate
from plughost.core.loading.ledger import Ledger
from plughost.core.loading.loader import ConfigDecoder, ImportedPlugin, ImportLane, check
from plughost.core.loading.ordering import LoadPlan, Needs, plan_load
from plughost.core.loading.registry import Entry, PluginRegistry, Run
from plughost.core.loading.supervisor import Supervisor
from plughost.core.loading.window import Window
from plughost.exceptions import PluginDependencyError, PluginError, PluginStartError

_log = get_logger("plughost.loading")


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeLimits:
    """How long a plugin may take, and how many start at once.

    Attributes:
        concurrency: Starts at the same time.
        load: Seconds for an import, for ``check_config`` and for ``start``, each.
        shutdown: Seconds for calls in flight to end and for ``stop``, each.
        restarts: How often crashes of background tasks are forgiven.
    """

    concurrency: int = 3
    load: float = 30.0
    shutdown: float = 15.0
    restarts: RestartPolicy = RestartPolicy()


class PluginLifecycle:
    """The walk from candidate to running plugin and back. One per host; used from its event loop only."""

    def __init__(
        self,
        registry: PluginRegistry,
        facilities: Facilities,
        limits: LifeLimits,
        decode: ConfigDecoder,
        tasks: TaskGroup,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._facilities = facilities
        self._limits = limits
        self._decode = decode
        self._tasks = tasks
        self._clock = clock
        self._lane = ImportLane(clock)
        self._window = Window(limits.concurrency)
        self._announcer = Announcer(registry, facilities)
        self._budgets: dict[str, CrashBudget] = {}

    # loading

    async def load_all(self, names: Iterable[str], durations: Mapping[str, float] | None = None) -> None:
        """Load the registry's plugins of these names, dependencies first, the most urgent first.

        Imports go one at a time; each plugin starts as soon as it is imported, those it waits for have settled
        and the window has a place. Returns when all have settled.
        """
        names = list(names)
        durations = durations or {}
        needs = {name: _needs_of(self._registry[name].candidate) for name in names}
        plan = self._plan(needs, durations)
        async with anyio.create_task_group() as starting:
            imported = await self._import_in_order(plan, starting)
            self._plan({name: imported.get(name, needs[name]) for name in plan.order}, durations)
        await self._announcer.announce()

    async def adopt(self, imported: ImportedPlugin) -> PluginRecord:
        """Load a plugin whose code the caller already has; waits for nobody.

        Raises:
            PluginError: It failed; its record says so too.
        """
        entry = self._registry[imported.candidate.name]
        await self._start_when_due(imported, urgency=0.0)
        await self._announcer.announce()
        return _ready_record(entry)

    def _plan(self, needs: Mapping[str, Needs], durations: Mapping[str, float]) -> LoadPlan:
        """Plan, and fail at once whatever can never start."""
        others = {name: self._registry[name] for name in self._registry if name not in needs}
        standing = {name for name, entry in others.items() if entry.running}
        unavailable = {name: entry.record.reason for name, entry in others.items() if name not in standing}
        trimmed = {
            name: replace(need, requires=tuple(other for other in need.requires if other not in standing))
            for name, need in needs.items()
        }
        plan = plan_load(trimmed, durations=durations, unavailable=unavailable)
        for name, error in plan.hopeless.items():
            if not self._registry[name].settled.is_set():
                self._registry.fail(name, error)
        return plan

    async def _import_in_order(self, plan: LoadPlan, starting: TaskGroup) -> dict[str, Needs]:
        needs: dict[str, Needs] = {}
        for name in plan.order:
            imported = await self._import(self._registry[name].candidate)
            if imported is not None:
                needs[name] = imported.needs
                starting.start_soon(self._start_when_due, imported, plan.urgency[name])
        return needs

    async def _import(self, candidate: PluginCandidate) -> ImportedPlugin | None:
        self._registry.move(candidate.name, PluginState.IMPORTING)
        await self._announcer.announce()
        try:
            return await self._lane.load(candidate, self._limits.load)
        except PluginError as error:
            self._registry.fail(candidate.name, error)
            await self._announcer.announce()
            return None

    async def _start_when_due(self, imported: ImportedPlugin, urgency: float) -> None:
        name = imported.candidate.name
        entry = self._registry[name]
        self._note_facts(imported)
        try:
            began = self._clock.monotonic()
            config = await check(imported, self._decode, self._limits.load)
            self._time(name, validated=self._clock.monotonic() - began)
            await self._wait_for_needs(imported)
            if entry.settled.is_set():
                return
            async with self._window.place(urgency):
                self._time(name, waited=self._clock.monotonic() - began)
                await self._start(entry, imported, config)
        except PluginError as error:
            self._registry.fail(name, error, _failure_state(error))
        finally:
            entry.settled.set()
            await self._announcer.announce()

    def _note_facts(self, imported: ImportedPlugin) -> None:
        name = imported.candidate.name
        needs = imported.needs
        record = self._registry.note(name, requires=needs.requires, after=needs.after)
        if not record.version:
            self._registry.note(name, version=imported.handle.version)
        self._time(name, imported=imported.took)

    async def _wait_for_needs(self, imported: ImportedPlugin) -> None:
        name = imported.candidate.name
        self._registry.move(name, PluginState.WAITING)
        await self._announcer.announce()
        for wanted in imported.needs.requires:
            other = self._registry.get(wanted)
            if other is None:
                raise PluginDependencyError(
                    f"plugin {name!r} requires {wanted!r}, which is not installed: install it, or disable {name!r}",
                    plugin=name,
                )
            await other.settled.wait()
            if not other.running and not self._registry[name].settled.is_set():
                raise PluginDependencyError(
                    f"plugin {name!r} requires {wanted!r}, which is {other.record.state}: {other.record.reason}",
                    plugin=name,
                )
        for wanted in imported.needs.after:
            if wanted in self._registry:
                await self._registry[wanted].settled.wait()

    # one start

    async def _start(self, entry: Entry, imported: ImportedPlugin, config: Any) -> None:
        name = imported.candidate.name
        self._registry.move(name, PluginState.STARTING, generation=entry.record.generation + 1)
        await self._announcer.announce()
        run = await self._run_start(imported, config)
        try:
            run.ledger.commit()
            hooks = self._facilities.dispatcher.register(name, imported.handle.target)
        except BaseException as error:
            await self._discard(run)
            if isinstance(error, PluginError) or not isinstance(error, Exception):
                raise
            raise _register_failed(name, error) from error
        entry.run = run
        self._registry.move(name, PluginState.READY, hooks=hooks)

    async def _run_start(self, imported: ImportedPlugin, config: Any) -> Run:
        """Call ``start``; a plugin that fails it is gone without a trace when this raises."""
        name = imported.candidate.name
        ledger = Ledger(name)
        budget = self._budgets.setdefault(name, CrashBudget(self._limits.restarts, self._clock))
        background = BackgroundTasks(self._tasks, budget, self._watch(name), self._clock)
        context = BoundContext(name, config, self._facilities, ledger, background)
        run = Run(imported, Supervisor(imported.handle, self._tasks, background, self._clock), ledger)
        try:
            await run.supervisor.start(context, self._limits.load)
        except BaseException:
            ledger.undo()
            raise
        finally:
            self._time(name, started=run.supervisor.start_took)
        return run

    async def _discard(self, run: Run) -> None:
        """Stop a start that never became ready; its errors would only hide the first one."""
        with anyio.CancelScope(shield=True):
            run.ledger.undo()
            try:
                await run.supervisor.stop(self._limits.shutdown)
            except PluginError as error:
                _log.warning("plugin did not stop cleanly", plugin=error.plugin, reason=str(error))
            await run.ledger.run_on_stop()

    # stopping

    async def unload(self, name: str) -> bool:
        """Stop a plugin, and first those that require it; returns whether it was running."""
        entry = self._registry.find(name)
        for dependent in self._dependents(name):
            await self.unload(dependent)
        async with entry.lock:
            stopped = await self._stop(entry, PluginState.STOPPED, "unloaded")
        await self._announcer.announce()
        return stopped

    async def stop_all(self) -> None:
        """Stop every running plugin, dependents before what they depend on, otherwise all at once."""
        running = [name for name, entry in self._registry.items() if entry.run is not None]
        gone = {name: anyio.Event() for name in running}
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as stopping:
                for name in running:
                    stopping.start_soon(self._stop_after_dependents, name, gone)
            await self._announcer.announce()

    async def _stop_after_dependents(self, name: str, gone: Mapping[str, anyio.Event]) -> None:
        try:
            for dependent in self._dependents(name):
                if dependent in gone:
                    await gone[dependent].wait()
            entry = self._registry[name]
            async with entry.lock:
                await self._stop(entry, PluginState.STOPPED, "the host stopped")
        finally:
            gone[name].set()

    async def _stop(self, entry: Entry, state: PluginState, reason: str) -> bool:
        run, entry.run = entry.run, None
        if run is None:
            return False
        name = entry.record.name
        self._registry.move(name, PluginState.STOPPING, reason=reason)
        drain = self._facilities.dispatcher.unregister(name)
        run.ledger.undo()
        error = await self._retire(run, drain)
        changes: dict[str, Any] = {"reason": reason, "hooks": ()}
        if error is not None:
            changes |= {"reason": f"{reason}; {error}"}
        self._registry.move(name, state, **changes)
        return True

    async def _retire(self, run: Run, drain: Any) -> PluginError | None:
        """Let calls in flight end, then stop the plugin; what goes wrong is returned, not raised."""
        name = run.plugin.candidate.name
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(self._limits.shutdown):
                await drain.wait()
            failure: PluginError | None = None
            try:
                await run.supervisor.stop(self._limits.shutdown)
            except PluginError as error:
                failure = error
            for late in await run.ledger.run_on_stop():
                _log.warning("on_stop of plugin failed", plugin=name, exc_info=late)
        self._time(name, stopped=run.supervisor.stop_took)
        if failure is not None:
            _log.warning("plugin did not stop cleanly", plugin=name, reason=str(failure))
        return failure

    def _dependents(self, name: str) -> list[str]:
        return [
            other for other, entry in self._registry.items() if name in entry.record.requires and entry.run is not None
        ]

    # reloading

    async def reload(self, imported: ImportedPlugin) -> PluginRecord:
        """Put a new start of a plugin in the place of the running one, without losing a call.

        The new one starts beside the old one; then, in one step, calls go to the new one; then the old one's
        calls in flight end and it stops. When the new one fails to start, the old one goes on. A plugin that
        cannot be made twice (an instance, a module whose code did not change) stops first and starts again.

        Raises:
            PluginError: The new one failed.
        """
        name = imported.candidate.name
        entry = self._registry.find(name)
        async with entry.lock:
            entry.candidate = imported.candidate
            if entry.run is None or entry.run.plugin.handle.target is imported.handle.target:
                await self._restart(entry, imported)
            else:
                await self._swap(entry, entry.run, imported)
        await self._announcer.announce()
        return _ready_record(entry)

    async def _restart(self, entry: Entry, imported: ImportedPlugin) -> None:
        await self._stop(entry, PluginState.STOPPED, "reloading")
        entry.settled = anyio.Event()
        await self._start_when_due(imported, urgency=0.0)

    async def _swap(self, entry: Entry, old: Run, imported: ImportedPlugin) -> None:
        name = imported.candidate.name
        config = await check(imported, self._decode, self._limits.load)
        new = await self._run_start(imported, config)
        try:
            new.ledger.commit()
            drain = self._facilities.dispatcher.replace(name, imported.handle.target)
        except BaseException:
            await self._discard(new)
            raise
        old.ledger.undo()
        entry.run = new
        self._note_facts(imported)
        generation = entry.record.generation + 1
        hooks = self._facilities.dispatcher.hooks_of(name)
        self._registry.move(name, PluginState.READY, generation=generation, hooks=hooks)
        await self._retire(old, drain)

    # crashes

    def _watch(self, name: str) -> Watcher:
        return Watcher(
            crashed=partial(self._crashed, name),
            resumed=partial(self._resumed, name),
            exhausted=partial(self._exhausted, name),
        )

    def _crashed(self, name: str, error: BaseException) -> None:
        record = self._registry[name].record
        reason = f"a background task crashed and will be restarted: {type(error).__name__}: {error}"
        _log.warning("background task of plugin crashed", plugin=name, exc_info=error)
        self._registry.note(name, restarts=record.restarts + 1)
        if record.state is PluginState.READY:
            self._registry.move(name, PluginState.DEGRADED, reason=reason)
            self._tasks.start_soon(self._announcer.announce)

    def _resumed(self, name: str) -> None:
        if self._registry[name].record.state is PluginState.DEGRADED:
            self._registry.move(name, PluginState.READY)
            self._tasks.start_soon(self._announcer.announce)

    def _exhausted(self, name: str, error: BaseException) -> None:
        self._tasks.start_soon(self._quarantine, name, error)

    async def _quarantine(self, name: str, error: BaseException) -> None:
        entry = self._registry[name]
        await entry.settled.wait()
        policy = self._limits.restarts
        failure = PluginError(
            f"a background task of plugin {name!r} crashed more than {policy.max_crashes} times within "
            f"{policy.window:g} s, last with {type(error).__name__}: {error}. It is in quarantine: mend it, then "
            f"reload it",
            plugin=name,
        )
        failure.__cause__ = error
        async with entry.lock:
            if await self._stop(entry, PluginState.QUARANTINED, str(failure)):
                self._registry.fail(name, failure, PluginState.QUARANTINED)
                self._budgets.pop(name, None)
        await self._announcer.announce()

    def _time(self, name: str, **seconds: float | None) -> None:
        timings = replace(self._registry[name].record.timings, **seconds)
        self._registry.note(name, timings=timings)


def _needs_of(candidate: PluginCandidate) -> Needs:
    return Needs(requires=candidate.card.requires, after=candidate.card.after)


def _failure_state(error: PluginError) -> PluginState:
    from plughost.exceptions import PluginIncompatibleError

    return PluginState.INCOMPATIBLE if isinstance(error, PluginIncompatibleError) else PluginState.FAILED


def _register_failed(name: str, error: Exception) -> PluginError:
    return PluginStartError(
        f"what plugin {name!r} asked for in start() could not be done: {type(error).__name__}: {error}",
        plugin=name,
        phase="register",
    )


def _ready_record(entry: Entry) -> PluginRecord:
    return entry.record
