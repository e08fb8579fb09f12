"""The plugin: makes the host a member, and decides with the others who runs a job."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import click

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    SYSTEM_CLOCK,
    AdminPanel,
    Clock,
    Fleet,
    HealthCheck,
    HostSteering,
    HttpContext,
    MetricFamily,
    MetricSample,
    with_paths,
)
from plughost.plugins.fleet.cards import OwnHost
from plughost.plugins.fleet.config import FleetConfig
from plughost.plugins.fleet.crew import Crew
from plughost.plugins.fleet.kit import CrewKit
from plughost.plugins.fleet.membership import Membership
from plughost.plugins.fleet.panel import FleetPanel
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.service import FleetService

if TYPE_CHECKING:
    from plughost.http import Route

INTERVALS_TO_LIVE = 3


class FleetPlugin(Plugin):
    """Provides ``Fleet`` and decides on jobs with ``scope="fleet"``.

    Args:
        clock: Time.
    """

    name = "fleet"
    Config: ClassVar[type[Any] | None] = FleetConfig

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._crew: Crew | None = None
        self._panel: FleetPanel | None = None

    async def check_config(self, config: FleetConfig) -> None:
        """Refuse settings that do not fit together."""
        config.check()

    async def start(self, context: PluginContext) -> None:
        """Join the fleet; a store that cannot be reached yet is tried again in the background."""
        config: FleetConfig = with_paths(context, context.config, "path", "secret_file")
        host = context.use(HostSteering)
        store = config.make_store(context.data_dir, host.name)
        name = config.member_name or socket.gethostname()
        if host.worker is not None:
            name = f"{name}-{host.worker}"
        membership = Membership(name, INTERVALS_TO_LIVE * config.interval, self._clock)
        seal = config.make_seal(context.data_dir)
        revisions = Revisions(store, seal)
        service = FleetService(
            config.name or host.name, store, membership, OwnHost(host, config.address), revisions, seal
        )
        self._panel = FleetPanel(service, revisions)
        self._service, self._revisions = service, revisions
        context.provide(Fleet, service)
        if host.errand:  # it is gone in a moment, and is to take no work from those that stay
            await store.open()
            context.on_stop(store.close)
        else:
            kit = CrewKit(
                store=store, seal=seal, revisions=revisions, membership=membership,
                publish=context.events.publish, clock=self._clock, log=context.log,
            )  # fmt: skip
            self._crew = Crew(context, kit)
            service.relay = self._crew.relay
            await self._crew.begin(context)

    async def stop(self) -> None:
        """Leave the fleet in order."""
        if self._crew is not None:
            await self._crew.end()

    def status(self) -> Mapping[str, object]:
        """Which member it is, and whether it is connected."""
        if self._crew is None:
            return {}
        mine = self._crew.agent.membership
        return {"member": mine.name, "connected": mine.connected, "members": mine.members}

    @hookimpl
    def register_commands(self) -> Sequence[click.Command]:
        """The group ``fleet``."""
        from plughost.plugins.fleet.commands import fleet_group  # the command line alone pays for it

        return [fleet_group]

    @hookimpl
    def register_admin_panels(self) -> Sequence[AdminPanel]:
        """The tab ``fleet``."""
        return [self._panel.panel()] if self._panel is not None else []

    @hookimpl
    def register_routes(self, context: HttpContext) -> Sequence[Route]:
        """The API of the fleet, below that of the administration."""
        from plughost.plugins.fleet.routes import FleetApi

        return FleetApi(self._service, self._revisions).routes(f"{context.admin_path}/api")

    @hookimpl
    def health_check(self, app_name: str | None) -> HealthCheck | None:
        """Whether the fleet can be reached, and jobs that run once are safe there."""
        if app_name is not None or self._crew is None:
            return None
        mine = self._crew.agent.membership
        detail = "; ".join((*self._crew.agent.hazards, *filter(None, (mine.wrong_clock, mine.slow_store))))
        if not mine.connected:
            why = mine.error or mine.slow_store or "it is joining"
            detail = f"cut off from the fleet, its jobs do not run here: {why}"
        figures = {"member": mine.name, "connected": mine.connected, "members": mine.members}
        return HealthCheck(name="fleet", status="warn" if detail else "pass", detail=detail, figures=figures)

    @hookimpl
    def describe_metrics(self) -> Sequence[MetricFamily]:
        """How many members live, as far as this one heard, and whether it is one of them."""
        if self._crew is None:
            return []
        mine = self._crew.agent.membership
        values = {
            "fleet_members": (mine.members, "Members of the fleet that live, as this host heard last."),
            "fleet_connected": (mine.connected, "Whether this host may run jobs of the fleet."),
            "fleet_runs": (len(mine.held), "Jobs of the fleet that run on this host."),
        }
        return [
            MetricFamily(name=name, kind="gauge", help=text, samples=(MetricSample(float(value)),))
            for name, (value, text) in values.items()
        ]
