"""Plugins in processes of their own, as the rest of loading sees them: imported like any other.

Nothing that has to do with processes is imported before the first such plugin is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from anyio.abc import TaskGroup

from plughost.contracts.clock import Clock
from plughost.contracts.plugin import PluginContext
from plughost.contracts.processes import ProcessRecord
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.loading.context import BoundContext, Facilities
from plughost.core.loading.loader import ImportedPlugin
from plughost.core.loading.shape import PluginHandle
from plughost.exceptions import PluginError, PluginProcessError

if TYPE_CHECKING:
    from plughost.core.processes.housing import Housing
    from plughost.core.processes.stand_in import StandIn


class HousedPlugins:
    """Has plugins imported in processes of their own.

    Args:
        facilities: What plugins share.
        tasks: The host's task group.
        clock: Time.
        too_big: Called with the name of a plugin that uses more memory than it is meant to, and how much.
    """

    def __init__(
        self, facilities: Facilities, tasks: TaskGroup, clock: Clock, too_big: Callable[[str, int], None]
    ) -> None:
        self._too_big = too_big
        self._facilities = facilities
        self._tasks = tasks
        self._clock = clock
        self._housing: Housing | None = None

    async def load(self, candidate: PluginCandidate, limit: float) -> ImportedPlugin:
        """Import a candidate in a process of its own.

        Raises:
            PluginError: As from ``ImportLane.load``, or its process cannot be begun.
        """
        if self._housing is None:
            _refuse_system(candidate.name, sys.platform)
            try:
                from plughost.core.processes.housing import Housing
            except ImportError as error:  # a module of the interpreter that can be left out when it is built
                raise PluginProcessError(
                    f"plugin {candidate.name!r} was not started: a process of its own needs what this interpreter "
                    f"was built without: {error}. Install one that has it, or take isolation out",
                    plugin=candidate.name,
                    phase="import",
                ) from error
            facilities = self._facilities
            self._housing = Housing(
                facilities.dispatcher,
                facilities.data_dir,
                self._tasks,
                self._clock,
                self._too_big,
                facilities.services,
                facilities.http,
            )
        housing = self._housing
        began = self._clock.monotonic()
        stand_in = await housing.house(candidate, limit)
        process = HousedProcess(housing, stand_in)
        return ImportedPlugin(
            candidate, HousedHandle(housing, stand_in), self._clock.monotonic() - began, process
        )

    async def close(self) -> None:
        """End all processes that are left."""
        if self._housing is not None:
            await self._housing.close()


def _refuse_system(plugin: str, platform: str) -> None:
    if platform == "linux":
        return
    system = {"win32": "Windows", "darwin": "macOS"}.get(platform, platform)
    raise PluginProcessError(
        f"plugin {plugin!r} was not started: [plugins.{plugin}] asks for a process of its own, which plughost can "
        f"give it on Linux only, not on {system}. Run the host on Linux, or take isolation out",
        plugin=plugin,
        phase="import",
    )


class HousedHandle(PluginHandle):
    """The handle of a plugin in a process of its own."""

    def __init__(self, housing: Housing, stand_in: StandIn) -> None:
        manifest = stand_in.manifest
        self.name = stand_in.name
        self.target = stand_in.hooks
        self.is_foreign = False
        self.version = manifest.version
        self.requires = manifest.requires
        self.after = manifest.after
        self.host_api = manifest.host_api
        self.config_class = stand_in.config_class
        self.checks_config = True
        self._housing = housing
        self._stand_in = stand_in

    async def check_config(self, config: Any) -> None:
        """Have its configuration checked."""
        await self._stand_in.check_config(config)

    async def start(self, context: PluginContext) -> None:
        """Have it started."""
        housing, bound = self._housing, cast("BoundContext", context)
        await self._stand_in.start(bound, services=housing.services(), http=housing.http)
        self._housing.inherit(self._stand_in)

    async def stop(self) -> None:
        """Have it stopped, and end its process."""
        await self._stand_in.stop()

    def _ask_status(self) -> dict[str, object]:
        return dict(self._stand_in.status())


class HousedProcess:
    """The process of one such plugin; see ``OwnProcess``."""

    def __init__(self, housing: Housing, stand_in: StandIn) -> None:
        self._housing = housing
        self._stand_in = stand_in

    @property
    def record(self) -> ProcessRecord:
        """What is told of it now."""
        return self._housing.record(self._stand_in)

    async def crash(self) -> PluginError | None:
        """Wait for its end."""
        process = self._stand_in.process
        await process.ended.wait()
        return None if process.is_leaving else process.error()

    def mourn(self, *, patient: bool) -> None:
        """It crashed, and another one will take its place."""
        self._housing.mourn(self._stand_in, patient=patient)

    def disinherit(self, error: PluginError) -> None:
        """No other one takes its place, or not now."""
        self._housing.disinherit(self._stand_in.name, error)

    async def end(self) -> None:
        """End it."""
        await self._stand_in.process.end()
