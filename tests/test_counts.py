"""What a host was asked for, in two numbers, whichever way it came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plughost import Plugin, hookimpl
from plughost.contracts import CallCounts
from plughost.http import PUBLIC, Route
from serving import serve

__all__ = ["serve"]

pytestmark = pytest.mark.anyio


class Lamp(Plugin):
    name = "lamp"

    @hookimpl
    def health_check(self, app_name: str | None) -> None:
        raise RuntimeError("it cannot be told")

    @hookimpl
    def register_routes(self, context: Any) -> list[Route]:
        return [Route("/lamp", self.light, guard=PUBLIC), Route("/broken", self.break_, guard=PUBLIC)]

    async def light(self, request: Any) -> Any:
        from starlette.responses import PlainTextResponse

        return PlainTextResponse("light")

    async def break_(self, request: Any) -> Any:
        raise RuntimeError("it breaks")


async def test_hook_calls_and_requests_at_routes_of_plugins_are_counted_and_those_that_failed(
    serve: Any, tmp_path: Path
) -> None:
    async with serve(Lamp) as served, served.client() as client:
        before = served.host.counts
        for _ in range(3):
            assert (await client.get("/lamp")).status_code == 200
        assert (await client.get("/broken")).status_code == 500
        assert (await client.get("/nowhere")).status_code == 404
        assert served.host.counts - before == CallCounts(4, 1)
        before = served.host.counts
        await served.host.health()
        assert served.host.counts - before == CallCounts(1, 1)
        assert (served.host.counts - before).share == 1.0
        assert CallCounts().share == 0.0
