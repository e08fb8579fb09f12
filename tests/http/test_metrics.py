"""Metrics: complete, readable by Prometheus' own parser, and not for everybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from plughost import Plugin, hookimpl
from plughost.contracts import MetricFamily, MetricSample
from plughost.http import PUBLIC, Route

pytestmark = pytest.mark.anyio


class Post(Plugin):
    name = "post"

    @hookimpl
    def describe_metrics(self) -> Sequence[MetricFamily]:
        return [
            MetricFamily(name="letters_waiting", kind="gauge", help="Letters", samples=(MetricSample(3),)),
            MetricFamily(
                name="letters_sent_total",
                kind="counter",
                help="Sent",
                samples=(MetricSample(7, {"by": "air"}),),
            ),
        ]

    @hookimpl
    def register_routes(self) -> list[Route]:
        async def letter(request: Request) -> Response:
            return PlainTextResponse(request.path_params["id"])

        return [Route("/letters/{id}", letter, guard=PUBLIC)]


async def read(served: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    async with served.client(token=served.token("metrics")) as client:
        text = (await client.get("/metrics")).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_are_for_the_scope_and_for_the_same_machine(serve):
    async with serve() as served:
        async with served.client() as stranger:
            assert (await stranger.get("/metrics")).status_code == 401
        async with served.client(token=served.token("cache:read")) as narrow:
            assert (await narrow.get("/metrics")).status_code == 403
        async with served.client(base="http://localhost", address=("127.0.0.1", 1)) as neighbour:
            assert (await neighbour.get("/metrics")).status_code == 200


async def test_requests_are_counted_by_route_and_not_by_address(serve):
    async with serve(Post) as served, served.client() as client:
        for number in range(3):
            await client.get(f"/letters/{number}")
        await client.request("INVENTED", "/nowhere")
        samples = await read(served)
        labels = (("method", "GET"), ("plugin", "post"), ("route", "/letters/{id}"), ("status", "200"))
        assert samples["plughost_http_requests_total", labels] == 3
        assert not any("INVENTED" in str(key) for key in samples)


async def test_figures_of_plugins_hooks_and_states_are_there(serve):
    async with serve(Post) as served:
        samples = await read(served)
        assert samples["plughost_letters_waiting", (("plugin", "post"),)] == 3
        assert samples["plughost_letters_sent_total", (("by", "air"), ("plugin", "post"))] == 7
        assert samples["plughost_plugin_state", (("plugin", "post"), ("state", "ready"))] == 1
        assert samples["plughost_hook_calls_total", (("hook", "register_routes"), ("plugin", "post"))] == 1
        assert samples["plughost_ready", ()] == 1


@pytest.mark.parametrize(
    "family",
    [
        MetricFamily(name="No Spaces", kind="gauge", help="", samples=()),
        MetricFamily(name="letters_waiting", kind="counter", help="", samples=()),
        "no family at all",
    ],
)
async def test_a_family_that_cannot_be_shown_costs_only_itself(serve, family):
    class Odd(Plugin):
        name = "odd"

        @hookimpl(trylast=True)
        def describe_metrics(self) -> Sequence[Any]:
            return [family]

    async with serve(Odd, Post) as served:
        assert ("plughost_letters_waiting", (("plugin", "post"),)) in await read(served)


async def test_two_plugins_may_describe_the_same_family(serve):
    class Other(Plugin):
        name = "other"

        @hookimpl
        def describe_metrics(self) -> Sequence[MetricFamily]:
            return [
                MetricFamily(name="letters_waiting", kind="gauge", help="Letters", samples=(MetricSample(5),))
            ]

    async with serve(Post, Other) as served:
        samples = await read(served)
        assert samples["plughost_letters_waiting", (("plugin", "post"),)] == 3
        assert samples["plughost_letters_waiting", (("plugin", "other"),)] == 5


async def test_the_registry_of_the_process_is_left_alone(serve):
    before = {family.name for family in REGISTRY.collect()}
    async with serve(Post) as served:
        await read(served)
    assert {family.name for family in REGISTRY.collect()} == before
