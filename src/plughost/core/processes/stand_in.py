"""What stands in the host for a plugin in its own process: asked like the plugin, it asks the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from plughost.contracts.http import HttpContext
from plughost.contracts.masking import masked
from plughost.core.calls.beside import meant
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.config.undecoded import UndecodedSettings, undecoded_kind
from plughost.core.processes.contributions import Contributions
from plughost.core.processes.guest import GuestProcess
from plughost.core.processes.hook_stand_ins import hook_stand_ins
from plughost.core.processes.requests import HousedContext, Requests
from plughost.core.processes.routes import RouteStream
from plughost.core.wire.crossings import HookCrossing, crossing_of_hook
from plughost.core.wire.frames import TooBigError
from plughost.core.wire.protocol import Member, PluginManifest, StartRequest
from plughost.core.wire.routes import RouteAnswer, RouteRequest
from plughost.core.wire.services import ServiceCall
from plughost.exceptions import NotCrossableError, PlughostError, PluginError

_CANNOT_CROSS = (TypeError, ValueError, OverflowError, msgspec.MsgspecError)


class Succession(Protocol):
    """Who knows what comes after a process that is gone."""

    async def successor(self, gone: StandIn) -> StandIn:
        """Wait for it; raises why there is none."""


class StandIn:
    """One plugin in its own process, from its import there to its end.

    Attributes:
        name: Name of the plugin.
        process: Its process.
        manifest: What the plugin says of itself.
        hooks: What pluggy is given.
        config_class: What stands for its ``Config``.
    """

    def __init__(
        self,
        name: str,
        process: GuestProcess,
        requests: Requests,
        dispatcher: HookDispatcher,
        succession: Succession,
    ) -> None:
        self.name = name
        self.process = process
        self.manifest: PluginManifest = requests.manifest
        self._requests = requests
        requests.serve = self.serve
        self._succession = succession
        self._crossings: list[HookCrossing] = []
        self._contributions = Contributions(name, requests, self._answer_route)
        sync: dict[int, Callable[..., Any]] = {}
        for number, one in enumerate(self.manifest.hooks):
            declaration = meant(dispatcher, one.hook, own=not one.foreign) if one.typed else None
            self._crossings.append(crossing_of_hook(name, one, declaration))
            if declaration is not None and declaration.options.sync:
                sync[number] = self._contributions.hook(one.hook)
        project = dispatcher.pluggy.project_name
        self.hooks = hook_stand_ins(name, project, self.manifest.hooks, self._ask, sync)
        self.config_class = undecoded_kind(self.manifest.schema, self.manifest.secrets)

    # its hooks

    async def _ask(self, number: int, arguments: tuple[Any, ...]) -> Any:
        if self.process.ended.is_set():
            # The process is gone, and this call was not sent to it: it goes to the one that takes its place.
            mine = self.manifest.hooks[number]
            successor = await self._succession.successor(self)
            for other, one in enumerate(successor.manifest.hooks):
                if (one.hook, one.arguments, one.keywords) == (mine.hook, mine.arguments, mine.keywords):
                    return await successor._ask(other, arguments)
            raise self.process.error()
        try:
            return await self.process.call(number, arguments, self._crossings[number])
        except _CANNOT_CROSS as error:
            if isinstance(error, PlughostError):
                raise  # the plugin's own; some of these are TypeErrors or ValueErrors too
            raise self._cannot_cross(number, arguments, error) from None

    async def serve(self, call: ServiceCall) -> bytes:
        """Make a call of a service that it provides; when its process goes, whatever takes its place answers.

        Raises:
            Exception: What the service raised, or ``PluginCrashedError``.
        """
        if self.process.ended.is_set() or self.process.is_leaving:
            return await (await self._succession.successor(self)).serve(call)
        answer: bytes = await self.process.ask(Member.SERVICE, call)
        return answer

    def _cannot_cross(self, number: int, arguments: tuple[Any, ...], error: Exception) -> PluginError:
        one, crossing = self.manifest.hooks[number], self._crossings[number]
        uncalled = f"the hook {one.hook!r} was not called in the process of plugin {self.name!r}:"
        if isinstance(error, TooBigError):  # a plugin's answer is refused there, and never comes
            said = f"{uncalled} its arguments cannot leave this one: {error}"
            return NotCrossableError(said, plugin=self.name, hook=one.hook)
        for name, codec, value in zip(
            (*one.arguments, *one.keywords), crossing.each_argument, arguments, strict=True
        ):
            try:
                codec.put(value, bytearray(), 0)
            except _CANNOT_CROSS as why:
                return NotCrossableError(
                    f"{uncalled} its argument {name!r} cannot leave this one, because {why}",
                    plugin=self.name,
                    hook=one.hook,
                    argument=name,
                )
        return NotCrossableError(
            f"what plugin {self.name!r} answered to the hook {one.hook!r} did not come through: {error}",
            plugin=self.name,
            hook=one.hook,
            argument="return",
        )

    async def _answer_route(self, number: int, request: RouteRequest, stream: RouteStream) -> RouteAnswer:
        """Answer a request; one that comes when the process is gone goes to whatever takes its place."""
        mine = self._contributions.reply.routes[number]
        if self.process.ended.is_set() or self.process.is_leaving:
            successor = await self._succession.successor(self)
            for other, one in enumerate(successor._contributions.reply.routes):
                if (one.path, one.methods) == (mine.path, mine.methods):
                    return await successor._answer_route(other, request, stream)
            raise self.process.error()
        return await self._requests.converse(number, request, stream)

    # its life

    async def check_config(self, settings: UndecodedSettings) -> None:
        """Have its configuration decoded and checked."""
        await self.process.ask(Member.CHECK_CONFIG, settings)

    async def start(self, context: HousedContext, services: tuple[str, ...], http: HttpContext) -> None:
        """Have it started; a process that does not is ended.

        Args:
            context: What it is given.
            services: Qualified names of what is provided now.
            http: What it is told of the HTTP application.
        """
        self._requests.open(context)
        request = StartRequest(
            host_name=context.host_name, settings=context.config, services=services, http=http
        )
        try:
            self._contributions.take(await self.process.ask(Member.START, request), http)
        except BaseException:
            await self.process.end()
            raise

    async def stop(self) -> None:
        """Have it stopped, and end its process."""
        try:
            if not self.process.ended.is_set():
                self.process.is_leaving = True
                await self.process.ask(Member.STOP)
        finally:
            await self.process.end()

    def status(self) -> Mapping[str, object]:
        """Return what it last said of itself."""
        shown: Mapping[str, object] = masked(dict(self._requests.status))
        return shown
