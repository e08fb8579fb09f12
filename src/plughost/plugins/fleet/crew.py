"""The parts by which a host takes part in its fleet, and how what one of them hears reaches the others."""

from __future__ import annotations

from contextlib import suppress

from plughost import PluginContext
from plughost.contracts import (
    Heard,
    HostSteering,
    JobGate,
    PluginStateChanged,
    Welcome,
    Word,
)
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.fleet.agent import Agent
from plughost.plugins.fleet.cards import OwnHost
from plughost.plugins.fleet.conducting import Conductor
from plughost.plugins.fleet.copies import CopyOnDisk
from plughost.plugins.fleet.draining import LastOrder
from plughost.plugins.fleet.following import RevisionFollower
from plughost.plugins.fleet.gate import FleetGate
from plughost.plugins.fleet.kit import CrewKit
from plughost.plugins.fleet.relay import EventRelay


class Crew:
    """Agent, gate, follower, conductor and relay of one host.

    Args:
        context: The plugin's.
        kit: What all of them work with.
    """

    def __init__(self, context: PluginContext, kit: CrewKit) -> None:
        host, config = context.use(HostSteering), context.config
        self._follows = host.follows_fleet
        self.agent = Agent(
            kit, OwnHost(host, config.address), self, interval=config.interval, renames=not config.member_name
        )
        self._gate = FleetGate(kit, self.agent, config.time_zone())
        number = "" if host.worker is None else f"-{host.worker}"
        self._follower = RevisionFollower(
            kit, host, allow_urls=config.allow_urls, told=self.agent.beat_at_once,
            copy=CopyOnDisk(context.data_dir / f"revision{number}"),
            last_order=LastOrder(CopyOnDisk(context.data_dir / f"order{number}"), kit.seal),
        )  # fmt: skip
        self._conductor = Conductor(kit)
        self.relay = EventRelay(kit)

    async def begin(self, context: PluginContext) -> None:
        """Join, and do from now on what a member does."""
        await self.agent.step()
        await self._follower.begin()
        context.events.subscribe(PluginStateChanged, lambda _: self.agent.describe_again())
        for task in (self.agent.run, self.agent.listen, self._conductor.run, self.relay.run):
            context.spawn(task)
        if self._follows:
            context.spawn(self._follower.run)
        ttl = self.agent.membership.ttl

        async def tidy() -> None:
            with suppress(StoreUnavailableError):  # the agent says so
                await self._gate.tidy()

        context.every(max(1.0, ttl), tidy, name="tidy the list of jobs", scope="process")
        context.provide(JobGate, self._gate)

    async def end(self) -> None:
        """Tell what is left to tell, and leave in order."""
        self._gate.close()
        with suppress(StoreUnavailableError):  # the agent says so
            await self.relay.send()
        await self.agent.leave()

    def joined(self, welcome: Welcome) -> None:
        """Note that this host is a member."""
        self.relay.joined(welcome)

    def heard(self, heard: Heard) -> None:
        """Note the answer to a beat."""
        self._follower.want(heard.step)
        self._conductor.hear(heard.step, heard.leads)
        self.relay.hear(heard.event)
        self._gate.overdue(heard.overdue)

    def woken(self, word: Word) -> None:
        """Note why everybody was woken; where it is not known, look at everything."""
        if word.step or not word.event:
            self._follower.wake()
            self._conductor.wake()
        if word.event or not word.step:
            self.relay.wake()
