"""A host's plugins, as the host sees them: found ones loaded together, others by hand, all told in records."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import anyio
from msgspec.structs import replace

from plughost.contracts.clock import Clock
from plughost.contracts.health import HealthCheck, worst_of
from plughost.contracts.logs import get_logger
from plughost.contracts.records import (
    RUNNING_STATES,
    FailedPlugin,
    LoadReport,
    PluginFailed,
    PluginFailure,
    PluginRecord,
    PluginState,
    ReloadReport,
    SkippedPlugin,
)
from plughost.contracts.setting_types import is_given_name
from plughost.contracts.status import PluginCounts
from plughost.core.calls.visits import Visits
from plughost.core.config.paths import canonical, match_name
from plughost.core.finding.discovery import NO_LIMITS, Limits, PluginCandidate, Wish, verdict_of
from plughost.core.finding.sources import Finding
from plughost.core.loading.bare import BarePlugins
from plughost.core.loading.following import Follower
from plughost.core.loading.freshness import CodeWatch
from plughost.core.loading.lifecycle import PluginLifecycle
from plughost.core.loading.loader import ImportedPlugin
from plughost.core.loading.registry import PluginRegistry, RegisteredPlugin, failure_of
from plughost.core.loading.remembered import HostMemory, LastFailure
from plughost.core.loading.shape import PluginHandle, name_of, written_where
from plughost.exceptions import (
    PluginDependencyError,
    PluginError,
    PluginInvalidError,
    PluginNotFoundError,
    PluginProcessError,
)

_log = get_logger("plughost.loading")

Find = Callable[[], Awaitable[Sequence[PluginCandidate]]]
"""Finds plugins: metadata only, nothing of a plugin is imported."""

_SKIPPED = frozenset({PluginState.DISABLED, PluginState.BLOCKED, PluginState.SKIPPED})
_FAILED = frozenset({PluginState.FAILED, PluginState.INCOMPATIBLE, PluginState.QUARANTINED})


class PluginManager:
    """All plugins of one host.

    Args:
        registry: What is known of them.
        lifecycle: What can be done with them.
        bare: What stands on pluggy's manager beside them.
        memory: What it remembers of earlier starts.
        clock: Time.
        limits: What the deployer keeps out, whoever hands it over.
        find: Finds plugins anew; what is on the disk when one is reloaded counts, not what was there before.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        lifecycle: PluginLifecycle,
        bare: BarePlugins,
        memory: HostMemory,
        clock: Clock,
        limits: Limits = NO_LIMITS,
        find: Find | None = None,
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._bare = bare
        self._memory = memory
        self._clock = clock
        self._limits = replace(limits, allow=None)  # that list says what is found, not what code hands over
        self._find = find
        self._given: dict[str, Mapping[str, Any]] = {}
        self._code = CodeWatch()
        self._by_hand: dict[str, object] = {}
        self._report = LoadReport()

    @property
    def report(self) -> LoadReport:
        """The state of every plugin, as of now; the duration is that of the start of the host."""
        records = [entry.record for entry in self._registry.values() if entry.record.name not in self._bare]
        ready = (name for name in self._registry.ready_order if self._registry[name].running)
        return LoadReport(
            loaded=(*ready, *(name for name, record in self._bare.items() if record.running)),
            failed=tuple(
                FailedPlugin(r.name, r.error.phase, r.error) for r in records if r.error is not None
            ),
            skipped=tuple(SkippedPlugin(r.name, r.reason) for r in records if r.state in _SKIPPED),
            duration=self._report.duration,
        )

    @property
    def records(self) -> Mapping[str, PluginRecord]:
        """A record of every plugin, by name, in alphabetical order."""
        names = sorted({*self._registry, *self._bare})
        return MappingProxyType({name: self.record(name) for name in names})

    def record(self, name: str) -> PluginRecord:
        """Return the record of one plugin, with what its own ``status()`` says now.

        Raises:
            PluginNotFoundError: Not found.
        """
        if (bare := self._bare.find(name)) is not None:
            return bare
        entry = self._registry.find(name)
        if entry.run is None:
            return entry.record
        process = entry.run.plugin.process
        return dataclasses.replace(
            entry.record,
            status=entry.run.plugin.handle.status(),
            process=entry.record.process if process is None else process.record,
        )

    def config_class_of(self, name: str) -> tuple[str, Any, bool]:
        """Return a plugin's own name, its ``Config`` or None, and whether that is known: whether it was imported.

        Raises:
            PluginNotFoundError: There is none of that name.
        """
        if (bare := self._bare.find(name)) is not None:
            return bare.name, None, False
        entry = self._registry.find(name)
        return entry.record.name, entry.config_class, entry.imported

    async def check_config(self, name: str, config: Any) -> None:
        """Have a running plugin say whether it would accept this configuration; one that does not run is not asked.

        Raises:
            PluginConfigError: It would not.
            PluginTimeoutError: It did not answer in time.
        """
        await self._lifecycle.check_config(name, config)

    @property
    def counts(self) -> PluginCounts:
        """How many plugins there are."""
        bare = dict(self._bare)
        own = (entry.record for name, entry in self._registry.items() if name not in bare)
        states = [record.state for record in (*own, *bare.values())]
        return PluginCounts(
            total=len(states),
            enabled=sum(state not in _SKIPPED for state in states),
            ready=sum(state in RUNNING_STATES for state in states),
            failed=sum(state in _FAILED for state in states),
        )

    def checks(self) -> Iterator[HealthCheck]:
        """What the states of plugins mean for the health of the host.

        The first check is about all of them, and is as good as the worst; one follows for each that is not as it
        should be.
        """
        single = []
        for entry in self._registry.values():
            record = entry.record
            if record.required and not entry.running:
                single.append(
                    HealthCheck(name=record.name, status="fail", detail=f"required, but {record.reason}")
                )
            elif record.state in _FAILED or record.state is PluginState.DEGRADED:
                single.append(HealthCheck(name=record.name, status="warn", detail=record.reason))
        worst = worst_of(check.status for check in single)
        yield HealthCheck(name="plugins", status=worst, figures=dataclasses.asdict(self.counts))
        yield from single

    def missing(self) -> list[PluginRecord]:
        """Records of required plugins that are not ready; one that the application registered by itself is."""
        required = (entry.record for entry in self._registry.values() if entry.record.required)
        return [one for one in required if one.state not in RUNNING_STATES and one.name not in self._bare]

    async def load_found(self, candidates: Sequence[PluginCandidate]) -> None:
        """Load all candidates that are wanted; what fails is in the report."""
        began = self._clock.monotonic()
        candidates = [self._bare.give_way(candidate) for candidate in candidates]
        for candidate in candidates:
            self._registry.add(candidate)
        wanted = [candidate.name for candidate in candidates if candidate.wanted]
        await self._lifecycle.load_all(wanted, self._memory.seconds())
        self._report = LoadReport(duration=self._clock.monotonic() - began)
        found = {name: entry.candidate for name, entry in self._registry.items()}
        # Also those that failed: what is mended is read again.
        self._code.remember({name: one.finding for name, one in found.items() if one.wanted})
        records = [entry.record for entry in self._registry.values()]
        running = [entry.record for entry in self._registry.values() if entry.run is not None]
        seconds = {one.name: one.timings.started for one in running if one.timings.started}
        now = self._clock.time()
        failures = {one.name: _last_failure(one.error, now) for one in records if one.error is not None}
        for seen in self._memory.note_start([*found.values()], seconds, failures):
            _log.warning("a plugin of an earlier start is gone", plugin=seen.name, advice=str(seen))

    async def load_by_hand(
        self, thing: object, config: Mapping[str, Any] | None = None, name: str | None = None
    ) -> PluginRecord:
        """Load a plugin class, factory, instance or module; or, by its name, one that was found but does not run.

        Raises:
            PluginError: It failed; its record says so too.
        """
        if isinstance(thing, str):
            return await self._load_found(thing, config)
        if name and not is_given_name(name):
            raise PluginInvalidError(
                f"a plugin is called by text like 'sessions', not {name!r}", plugin=str(name)
            )
        name = match_name(name or name_of(thing), self._registry)
        self._bare.refuse(name, "replace")
        try:
            return await self._lifecycle.turns.start(name, partial(self._load_thing, name, thing, config))
        except Exception:
            raise
        except BaseException:  # broken off, perhaps before its turn came
            if name not in self._registry:
                self._registry.add(self._candidate_by_hand(name, thing, config))
                reason = self._lifecycle.turns.why_broken_off(name)
                self._registry.move(name, PluginState.STOPPED, reason=reason)
                self._registry[name].settled.set()
            raise

    async def _load_thing(self, name: str, thing: object, config: Mapping[str, Any] | None) -> PluginRecord:
        await self._lifecycle.let_leave(name)
        if (known := self._registry.get(name)) is not None and known.run is not None:
            raise PluginInvalidError(
                f"a plugin {name!r} is running already: reload or unload it, or give this one another name",
                plugin=name,
            )
        if known is not None and known.candidate.wish.isolation == "process":
            raise PluginProcessError(
                f"plugin {name!r} cannot be handed over as an object, because [plugins.{name}] asks for a process of "
                f"its own, in which there is no such object. Name it there by `module`, or take isolation out",
                plugin=name,
                phase="import",
            )
        candidate = self._candidate_by_hand(name, thing, config)
        ruled = candidate.ruled(verdict_of(candidate.finding, candidate.wish, self._limits))
        self._bare.keep_out(ruled).refuse_if_kept_out()
        handle = PluginHandle.of(name, thing)
        self._registry.add(candidate)
        self._by_hand[name] = thing
        return await self._lifecycle.insist(ImportedPlugin(candidate, handle))

    def _candidate_by_hand(
        self, name: str, thing: object, config: Mapping[str, Any] | None
    ) -> PluginCandidate:
        known = self._registry.get(name)
        finding = Finding(name=name, reference="", source="code", origin=written_where(thing))
        wish = Wish(enabled=known is None or known.candidate.wish.enabled, mentioned=True, config=config)
        return PluginCandidate(name=name, finding=finding, wish=wish)

    async def enable(self, name: str, found: Sequence[PluginCandidate]) -> PluginRecord:
        """Start a plugin that its own switch kept out; what else keeps it out still does.

        Args:
            name: The plugin.
            found: What is found now that the switch is turned.

        Raises:
            PluginError: It is kept out by another setting, or failed.
        """
        self._bare.refuse(name, "switch")
        name = self._registry.find(name).record.name

        async def enable_it() -> PluginRecord:
            await self._lifecycle.let_leave(name)
            entry = self._registry[name]
            if entry.run is not None:
                return entry.record
            before = entry.candidate
            if name in self._by_hand:
                wish = replace(before.wish, enabled=True)
                candidate = replace(before, wish=wish).ruled(verdict_of(before.finding, wish, self._limits))
            else:
                candidate = next((one for one in found if canonical(one.name) == canonical(name)), before)
            self._bare.keep_out(candidate).refuse_if_kept_out()
            if candidate.error is not None:
                self._registry.add(candidate)
                raise candidate.error
            entry.candidate = candidate
            return await self._load_known(name, None, found)

        return await self._lifecycle.turns.start(name, enable_it)

    async def disable(self, name: str) -> bool:
        """Stop a plugin, and keep it out until it is enabled; returns whether it was running."""
        self._bare.refuse(name, "switch")
        name = self._registry.find(name).record.name

        def switch_off() -> None:
            entry = self._registry[name]
            wish = replace(entry.candidate.wish, enabled=False)
            verdict = verdict_of(entry.candidate.finding, wish, self._limits)
            entry.candidate = replace(entry.candidate, wish=wish)
            if not entry.candidate.setting:
                entry.candidate = entry.candidate.ruled(verdict)
                self._registry.note(name, state=verdict.state, reason=verdict.reason, error=None)

        return await self._lifecycle.unload(name, then=switch_off)

    def is_starting(self, name: str) -> bool:
        """Whether a start of a plugin is under way."""
        return self._lifecycle.turns.is_starting(name)

    def visits_of(self, name: str) -> Visits | None:
        """Return where requests at the routes of a plugin's present start are counted; None when it does not run."""
        entry = self._registry.get(name)
        return None if entry is None or entry.run is None else entry.run.visits

    async def unload(self, name: str) -> bool:
        """Stop a plugin and those that require it; returns whether it was running."""
        if (bare := self._bare.find(name)) is not None:
            return await self._bare.unload(bare.name)
        return await self._lifecycle.unload(self._registry.find(name).record.name)

    async def reload(
        self,
        name: str,
        config: Mapping[str, Any] | None = None,
        found: Sequence[PluginCandidate] | None = None,
    ) -> PluginRecord:
        """Replace a running plugin with a new instance, with a new configuration when one is given.

        Args:
            name: The plugin.
            config: Its new configuration.
            found: What was found just now; None looks.

        Raises:
            PluginError: The new start failed; the old one goes on where that is possible.
        """
        self._bare.refuse(name, "reload")
        name = self._registry.find(name).record.name

        async def reload_it() -> PluginRecord:
            await self._lifecycle.let_leave(name)
            candidate = await self._fresh(name, config, found)
            self._lifecycle.requirements.refuse_hopeless(candidate)
            with self._code.reading_again(name, candidate.finding):
                record = await self._lifecycle.reload(await self._import_again(candidate))
            self._keep(name, config)
            return record

        try:
            return await self._lifecycle.turns.restart(name, reload_it)
        except PluginError as error:
            # The old start may go on, and then nothing of the plugin has failed that anybody is told of.
            if (failure := failure_of(error)) is not None:
                self._memory.note_failure(name, _last_failure(failure, self._clock.time()))
            raise

    async def reload_all(self) -> None:
        """Reload every running plugin, dependencies first; the first failure is raised when all were tried."""
        failure: PluginError | None = None
        found = None if self._find is None else await self._find()
        for name in list(self._registry.ready_order):
            if self._registry[name].run is not None:
                try:
                    await self.reload(name, found=found)
                except PluginError as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    async def follow(self, found: Sequence[PluginCandidate], limits: Limits) -> ReloadReport:
        """Bring the plugins to what is configured and on the disk now; what did not change goes on untouched.

        Args:
            found: What is found now.
            limits: What the deployer keeps out now.
        """
        self._limits = replace(limits, allow=None)
        ran = {name for name, entry in self._registry.items() if entry.run is not None}
        follower = Follower(
            self._registry, self._by_hand, self._limits, self._has_changed, self._bare.keep_out
        )
        steps = follower.steps(found)

        def note_verdict(name: str) -> None:
            candidate = self._registry[name].candidate
            self._registry.note(name, state=candidate.verdict, reason=candidate.reason, error=None)

        for names, then in ((steps.gone, self._registry.remove), (steps.stop, note_verdict)):
            for name in names:
                why = "the configuration does not want it any more"
                await self._lifecycle.unload(name, why, cause=why, then=partial(then, name))
        errors = {one.name: one.error for one in steps.failed if one.error is not None}
        errors |= await self._insist_on([*steps.reload, *steps.start], found)
        runs = {name for name, entry in self._registry.items() if entry.run is not None}
        failures = ((name, failure_of(error)) for name, error in errors.items())
        return ReloadReport(
            reloaded=tuple(name for name in steps.reload if name not in errors),
            started=tuple(sorted(runs - ran)),
            stopped=tuple(sorted(ran - runs)),
            failed=tuple(FailedPlugin(name, was.phase, was) for name, was in failures if was is not None),
        )

    async def _insist_on(
        self, names: Sequence[str], found: Sequence[PluginCandidate]
    ) -> dict[str, PluginError]:
        """Reload plugins one after the other, and start others beside that; return why some failed.

        One that starts waits for those it is to come after, so none may wait for its turn to begin. What failed for
        want of another is tried again while others succeed: only its code may say what it needs.
        """
        errors: dict[str, PluginError] = {}
        tried, broken = list(names), list[Exception]()

        async def insist(name: str, action: Callable[[], Awaitable[object]]) -> None:
            errors.pop(name, None)
            try:
                await action()
            except PluginError as error:
                errors[name] = error
                if self._registry[name].run is None and self._registry[name].record.error is None:
                    self._registry.fail(name, error)
            except Exception as error:  # such as the end of the host: raised as it is, not in a group
                broken.append(error)

        while tried:
            running = [name for name in tried if self._registry[name].run is not None]
            async with anyio.create_task_group() as starts:
                for name in (one for one in tried if one not in running):
                    starts.start_soon(insist, name, partial(self._load_found, name, None, found))
                for name in running:
                    await insist(name, partial(self.reload, name, found=found))
            for error in broken:
                raise error
            before = len(tried)
            tried = [name for name in tried if isinstance(errors.get(name), PluginDependencyError)]
            if len(tried) == before:
                break
        return errors

    def _has_changed(self, entry: RegisteredPlugin, candidate: PluginCandidate) -> bool:
        name, run, before = candidate.name, entry.run, entry.candidate
        given = self._given.get(name, candidate.wish.config)
        if before.wish.enforce is not candidate.wish.enforce or before.finding != candidate.finding:
            return True
        if self._code.is_stale(name, candidate.finding) or run is None:
            return True
        return not self._lifecycle.has_config(
            run, replace(candidate, wish=replace(candidate.wish, config=given))
        )

    async def _load_found(
        self, name: str, config: Mapping[str, Any] | None, found: Sequence[PluginCandidate] | None = None
    ) -> PluginRecord:
        self._bare.refuse(name, "start")
        name = self._registry.find(name).record.name
        return await self._lifecycle.turns.start(name, partial(self._load_known, name, config, found))

    async def _load_known(
        self, name: str, config: Mapping[str, Any] | None, found: Sequence[PluginCandidate] | None = None
    ) -> PluginRecord:
        await self._lifecycle.let_leave(name)
        entry = self._registry.find(name)
        if entry.run is not None:
            return entry.record
        candidate = await self._fresh(name, config, found)
        with self._code.reading_again(name, candidate.finding):
            try:
                self._lifecycle.requirements.refuse_hopeless(candidate)
                imported = await self._import_again(candidate)
            except PluginError as error:
                await self._lifecycle.note_failure(candidate, error)
                raise
            self._registry.add(candidate)
            record = await self._lifecycle.insist(imported)
        self._keep(name, config)
        return record

    def _keep(self, name: str, config: Mapping[str, Any] | None) -> None:
        """Keep what was given by hand and has proved good, for later starts."""
        if config is not None:
            self._given[name] = config

    async def _fresh(
        self, name: str, config: Mapping[str, Any] | None, found: Sequence[PluginCandidate] | None
    ) -> PluginCandidate:
        """Return a plugin as it is found now.

        Raises:
            PluginNotFoundError: It is not there any more.
            PluginBlockedError: The deployer keeps it out.
            PluginError: What is there now does not fit this host.
        """
        candidate = self._registry.find(name).candidate
        if name in self._by_hand:
            candidate = candidate.ruled(verdict_of(candidate.finding, candidate.wish, self._limits))
        elif self._find is not None:
            found = await self._find() if found is None else found
            own = [one for one in found if canonical(one.name) == canonical(name)]
            if not own:
                raise PluginNotFoundError(
                    f"plugin {name!r} came from {candidate.finding.origin} and is not there any more: install it "
                    f"again, or unload it",
                    plugin=name,
                )
            candidate = replace(own[0], name=name)
            if candidate.error is not None:
                raise candidate.error
        self._bare.keep_out(candidate).refuse_if_kept_out()
        if candidate.finding.passed_over:
            raise PluginNotFoundError(f"plugin {name!r}: {candidate.finding.passed_over}", plugin=name)
        given = self._given.get(name, candidate.wish.config) if config is None else config
        wish = replace(candidate.wish, config=given)
        return replace(candidate, wish=wish, verdict=PluginState.DISCOVERED, reason="", error=None)

    async def _import_again(self, candidate: PluginCandidate) -> ImportedPlugin:
        if candidate.name in self._by_hand:
            return ImportedPlugin(candidate, PluginHandle.of(candidate.name, self._by_hand[candidate.name]))
        return await self._lifecycle.import_again(candidate)

    def remember_failure(self, event: PluginFailed) -> None:
        """Keep for a later ``plughost info`` why a plugin failed."""
        self._memory.note_failure(event.plugin.name, _last_failure(event.error, self._clock.time()))


def _last_failure(error: PluginFailure, at: float) -> LastFailure:
    return LastFailure(at, error.phase, error.message, error.traceback)
