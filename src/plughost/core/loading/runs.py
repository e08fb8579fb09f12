"""One start of one plugin, from calling its ``start`` to having it stopped: made, put in service, retired."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from plughost.contracts.clock import Clock
from plughost.contracts.error_text import error_line
from plughost.contracts.logs import get_logger
from plughost.core.calls.drain import Drain
from plughost.core.containment import Point, contained
from plughost.core.loading.background import BackgroundTasks
from plughost.core.loading.context import BoundContext, Facilities
from plughost.core.loading.contributions import adopt_jobs
from plughost.core.loading.crashes import CrashWatch, RunWatch
from plughost.core.loading.ledger import Ledger
from plughost.core.loading.loader import ImportedPlugin
from plughost.core.loading.registry import PluginRegistry, Run
from plughost.core.loading.supervisor import Supervisor
from plughost.exceptions import PluginError, PluginStartError

_log = get_logger("plughost.loading")

_LAST_WORD = 1.0  # seconds a request that was cut has to end, before its plugin stops all the same


class Runs(msgspec.Struct, frozen=True):
    """Makes runs and retires them.

    Attributes:
        registry: Where what phases took is noted.
        facilities: What plugins share.
        tasks: The host's task group.
        crashes: Who is told when a background task crashes.
        clock: Time.
        load_limit: Seconds ``start`` may take.
        shutdown_limit: Seconds calls and requests in flight may take to end, and ``stop`` after them.
    """

    registry: PluginRegistry
    facilities: Facilities
    tasks: TaskGroup
    crashes: CrashWatch
    clock: Clock
    load_limit: float
    shutdown_limit: float

    async def begin(self, imported: ImportedPlugin, config: Any) -> Run:
        """Call ``start``. A plugin that fails it is gone without a trace when this raises.

        Raises:
            PluginStartError: ``start`` raised.
            PluginTimeoutError: It passed its limit.
        """
        name = imported.candidate.name
        ledger = Ledger(name)
        watch = RunWatch(name, self.crashes)
        background = BackgroundTasks(self.tasks, self.crashes.budget(name), watch, self.clock)
        context = BoundContext(name, config, self.facilities, ledger, background)
        supervisor = Supervisor(imported.handle, self.tasks, background, self.clock)
        run = Run(imported, supervisor, ledger, watch, config)
        try:
            await supervisor.start(context, self.load_limit)
        except BaseException:
            ledger.undo()
            self.registry.note(name, took={"started": supervisor.start_took})
            await self._run_on_stop(run)
            raise
        return run

    async def enter_service(
        self, run: Run, old: Run | None = None, *, allowed: Callable[[], None]
    ) -> Drain | None:
        """Make a run's effects happen and send calls to it, in one step; away from ``old``, if there is one.

        Args:
            run: A start that succeeded; it is stopped, and nothing of it is left, when this raises.
            old: The start whose place it takes; it goes on when this raises.
            allowed: Called in that step; raises when the plugin may not run any more, because something that it
                requires went while it started.

        Returns:
            How to wait for the calls that ``old`` still has in flight.

        Raises:
            PluginInvalidError: Its hooks do not fit their specs.
            PluginDependencyError: What it requires is gone.
            PluginStartError: Something else it asked for could not be done.
        """
        name = run.plugin.candidate.name
        dispatcher, target = self.facilities.dispatcher, run.plugin.handle.target
        drain = None
        # Everything that can fail comes before the step in which a new one takes the place of the old one.
        adopt = partial(adopt_jobs, name, target, self.facilities, run.ledger)
        try:
            allowed()
            run.ledger.commit()
            if old is None:
                contained(Point.REGISTER, partial(dispatcher.register, name, target, first=adopt))
            else:
                drain = contained(Point.REGISTER, partial(dispatcher.replace, name, target, first=adopt))
                old.watch.left_service()
                old.ledger.undo()
            dispatcher.pluggy.note_distribution(target, run.plugin.candidate.finding.distribution)
        except BaseException as error:
            await self.discard(run)
            if isinstance(error, PluginError) or not isinstance(error, Exception):
                raise
            could_not = PluginStartError(
                f"what plugin {name!r} asked for in start() could not be done: {error_line(error)}",
                plugin=name,
                phase="register",
            )
            raise could_not from error
        return drain

    async def discard(self, run: Run) -> None:
        """Stop a run that never was in service; its errors would only hide the first one."""
        run.ledger.undo()
        await self._stop(run)

    async def retire(self, run: Run, drain: Drain) -> PluginError | None:
        """Let calls and requests in flight end, then stop the plugin; what goes wrong is logged and returned."""
        name = run.plugin.candidate.name
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(self.shutdown_limit):
                await Drain.of_all((drain, Drain((run.visits,)))).wait()
            if cut := run.visits.cut():
                _log.warning(
                    "requests were cut, because their plugin had to stop",
                    plugin=name,
                    requests=cut,
                    limit=self.shutdown_limit,
                    setting="host.shutdown_timeout",
                )
                with anyio.move_on_after(_LAST_WORD):
                    await run.visits.end()
        error = await self._stop(run)
        self.registry.note(name, took={"stopped": run.supervisor.stop_took})
        return error

    async def _stop(self, run: Run) -> PluginError | None:
        name = run.plugin.candidate.name
        failure: PluginError | None = None
        with anyio.CancelScope(shield=True):
            try:
                await run.supervisor.stop(self.shutdown_limit)
            except PluginError as error:
                failure = error
                _log.warning("plugin did not stop cleanly", plugin=name, reason=str(error))
            await self._run_on_stop(run)
        return failure

    async def _run_on_stop(self, run: Run) -> None:
        """Do what the plugin asked for; also after a start that failed, when there is no stop() to clean up."""
        name = run.plugin.candidate.name
        with anyio.CancelScope(shield=True):
            for late in await run.ledger.run_on_stop():
                _log.warning("on_stop of plugin failed", plugin=name, exc_info=late)
