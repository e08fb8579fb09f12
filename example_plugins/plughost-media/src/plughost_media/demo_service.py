"""The demo's service: fakes that can be given troubles, and parts that can be taken out, from the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import GuardedRoute
from plughost.http import LOOPBACK, Problem, Route, host_from, json_body
from plughost_media.fakes import TROUBLES, FakeUpstream
from plughost_media.plugin import PARTS


class TroubleWanted(msgspec.Struct, forbid_unknown_fields=True):
    """Body: which fake, and what shall go wrong with it; ``well`` ends it."""

    upstream: str
    kind: str


class PartWanted(msgspec.Struct, forbid_unknown_fields=True):
    """Body: which part, and whether it shall be there."""

    name: str
    load: bool


class Demo:
    """What the page needs to know of the demo.

    Args:
        fakes: The upstreams.
    """

    def __init__(self, fakes: Sequence[FakeUpstream]) -> None:
        self._fakes = {fake.name: fake for fake in fakes}

    def shown(self) -> dict[str, Any]:
        """Return the fakes, how often they were called, and what is wrong with them."""
        upstreams = [
            {"name": name, "calls": len(fake.calls), "trouble": fake.trouble.kind if fake.trouble else ""}
            for name, fake in self._fakes.items()
        ]
        return {"upstreams": upstreams, "troubles": list(TROUBLES)}

    def trouble(self, name: str, kind: str) -> None:
        """Let something go wrong with a fake, or all be well again.

        Raises:
            KeyError: There is no such fake, or no such trouble.
        """
        fake = self._fakes[name]
        if kind == "well":
            fake.end()
        elif kind in TROUBLES:
            fake.begin(kind, seconds=5.0)
        else:
            raise KeyError(kind)


class DemoPlugin(Plugin):
    """Adds the trouble bar's routes, for browsers on this machine only. The demo loads it; nobody else does.

    Args:
        fakes: The upstreams.
    """

    name = "demo"

    def __init__(self, fakes: Sequence[FakeUpstream]) -> None:
        self._demo = Demo(fakes)

    async def start(self, context: PluginContext) -> None:
        """Provide the service."""
        context.provide(Demo, self._demo)

    @hookimpl
    def register_routes(self) -> Sequence[GuardedRoute]:
        """Add the two routes."""
        return [
            Route("/api/media/demo/trouble", self._trouble, methods=["POST"], guard=LOOPBACK),
            Route("/api/media/demo/part", self._part, methods=["POST"], guard=LOOPBACK),
        ]

    async def _trouble(self, request: Request) -> Response:
        wanted = await json_body(request, TroubleWanted)
        try:
            self._demo.trouble(wanted.upstream, wanted.kind)
        except KeyError:
            raise Problem(422, "There is no such upstream or trouble.", code="trouble_unknown") from None
        return JSONResponse(self._demo.shown())

    async def _part(self, request: Request) -> Response:
        wanted = await json_body(request, PartWanted)
        if wanted.name not in PARTS or wanted.name in ("sessions", "media"):
            raise Problem(422, "There is no such part.", code="part_unknown")
        host = host_from(request)
        if wanted.load:
            await host.reload_plugin(wanted.name)
        else:
            await host.unload_plugin(wanted.name)
        return JSONResponse({"name": wanted.name, "state": str(host.plugins[wanted.name].state)})
