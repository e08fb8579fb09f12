"""A plugin whose own process ended by itself is begun anew, as a reload would, until that happens too often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio.abc import TaskGroup

from plughost.contracts.clock import Clock
from plughost.contracts.logs import get_logger
from plughost.core.loading.crashes import CrashWatch
from plughost.core.loading.loader import OwnProcess
from plughost.core.loading.registry import PluginRegistry, Run
from plughost.exceptions import HostNotReadyError, PluginError

_log = get_logger("plughost.loading")

BeginAnew = Callable[[str, Run], Awaitable[None]]
"""Puts a new start in the place of one whose process is gone; does nothing when something else stands there."""


class Revivals:
    """Waits for the end of processes that are in service.

    Args:
        registry: Whose plugins they are.
        crashes: How often crashes are forgiven.
        tasks: The host's task group.
        clock: Time.
        begin_anew: What is done.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        crashes: CrashWatch,
        tasks: TaskGroup,
        clock: Clock,
        begin_anew: BeginAnew,
    ) -> None:
        self._registry = registry
        self._crashes = crashes
        self._tasks = tasks
        self._clock = clock
        self._begin_anew = begin_anew

    def watch(self, run: Run) -> None:
        """Begin to watch a start that came into service; one inside the host has no process to lose."""
        if run.plugin.process is not None:
            self._tasks.start_soon(self._watch, run, run.plugin.process)

    async def _watch(self, run: Run, process: OwnProcess) -> None:
        name = run.plugin.candidate.name
        error = await process.crash()
        while error is not None:
            entry = self._registry.get(name)
            if entry is None or entry.run is not run:
                return  # another start is in service meanwhile
            budget = self._crashes.budget(name)
            if not budget.spend():
                process.mourn(patient=False)
                process.disinherit(error)
                run.watch.lost_process_too_often(error)
                return
            process.mourn(patient=budget.is_first)
            run.watch.lost_process(error)
            if not budget.is_first:
                await self._clock.sleep(budget.pause())
            error = None
            try:
                await self._begin_anew(name, run)
            except PluginError as again:
                _log.warning("plugin did not start anew", plugin=name, reason=str(again))
                process.disinherit(again)
                error = again
            except HostNotReadyError:
                pass  # the host ends
