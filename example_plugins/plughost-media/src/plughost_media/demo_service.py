"""The demo's service: fakes that can be given troubles, and parts that can be taken out, from the page."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import GuardedRoute
from plughost.http import LOOPBACK, Problem, Route, host_from, json_body
from plughost_media.fakes import TROUBLES, FakeUpstream
from plughost_media.plugin import PARTS

CRASHING: Final = ("plex", "tmdb")
"""Parts that can be made to crash: they keep what they know in a file, and fail without it until they start again."""


class PartWanted(msgspec.Struct, forbid_unknown_fields=True):
    """Body: which part, and what shall become of it."""

    name: str
    do: Literal["load", "unload", "crash"]


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
        return {"upstreams": upstreams, "troubles": list(TROUBLES), "crashing": list(CRASHING)}

    def trouble(self, name: str, kind: str) -> None:
        """Let something go wrong with a fake, or all be well again; nothing when that is so already.

        Raises:
            KeyError: There is no such fake, or no such trouble.
        """
        fake = self._fakes[name]
        if kind == (fake.trouble.kind if fake.trouble else "well"):
            return
        if kind == "well":
            fake.end()
        elif kind in TROUBLES:
            fake.begin(kind, seconds=5.0)
        else:
            raise KeyError(kind)


def lose_tables(folder: Path) -> None:
    """Take the tables out of a part's files while it works with them, as a bad disk may."""
    for path in folder.glob("*.db"):
        with closing(sqlite3.connect(path, timeout=10)) as file:
            names = file.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'account'")
            for (name,) in names.fetchall():
                file.execute(f'DROP TABLE "{name}"')


class DemoPlugin(Plugin):
    """Adds the trouble bar's routes, for browsers on this machine only. The demo loads it; nobody else does.

    Args:
        fakes: The upstreams.
    """

    name = "demo"

    def __init__(self, fakes: Sequence[FakeUpstream]) -> None:
        self._demo = Demo(fakes)
        # Parts that stopped with one that they cannot do without, by its name.
        self._taken_along: dict[str, list[str]] = {}

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
        wanted = await json_body(request, dict[str, str])
        try:
            for name, kind in wanted.items():
                self._demo.trouble(name, kind)
        except KeyError:
            raise Problem(422, "There is no such upstream or trouble.", code="trouble_unknown") from None
        return JSONResponse(self._demo.shown())

    async def _part(self, request: Request) -> Response:
        wanted = await json_body(request, PartWanted)
        if (
            wanted.name not in PARTS
            or wanted.name in ("sessions", "media")
            or (wanted.do == "crash" and wanted.name not in CRASHING)
        ):
            raise Problem(422, "There is no such part.", code="part_unknown")
        host = host_from(request)
        if wanted.do == "load":
            for name in (wanted.name, *self._taken_along.pop(wanted.name, ())):
                await host.reload_plugin(name)
        elif wanted.do == "unload":
            before = {name for name in PARTS if host.plugins[name].running}
            await host.unload_plugin(wanted.name)
            gone = [name for name in PARTS if name in before and not host.plugins[name].running]
            self._taken_along[wanted.name] = [name for name in gone if name != wanted.name]
        else:
            await anyio.to_thread.run_sync(lose_tables, host.data_dir / wanted.name)
        return JSONResponse({"name": wanted.name, "state": str(host.plugins[wanted.name].state)})
