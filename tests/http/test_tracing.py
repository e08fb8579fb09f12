"""Spans for requests, recorded by OpenTelemetry's own SDK."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, Route
from plughost.http.tracing import request_tracer

pytestmark = pytest.mark.anyio


class Films(Plugin):
    name = "films"

    @hookimpl
    def register_routes(self) -> list[Route]:
        async def film(request: Request) -> Response:
            return PlainTextResponse(str(trace.get_current_span().get_span_context().trace_id))

        return [Route("/films/{id}", film, guard=PUBLIC)]


async def test_a_request_is_a_span_of_its_route_below_the_callers(serve):
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    async with serve(Films, tracer_provider=provider) as served, served.client() as client:
        caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        answer = await client.get("/films/7?token=s3cret", headers={"traceparent": caller})
        await client.get("/nowhere/s3cret")
    first, second = kept.get_finished_spans()
    assert first.name == "GET /films/{id}"
    assert f"{first.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{first.parent.span_id:016x}" == "b7ad6b7169203331"
    assert answer.text == str(first.context.trace_id)
    assert first.attributes["plugin.name"] == "films"
    assert first.attributes["http.response.status_code"] == 200
    assert second.attributes["http.response.status_code"] == 404
    assert "s3cret" not in str([span.to_json() for span in (first, second)])


async def test_nothing_is_traced_when_nobody_has_set_it_up(serve):
    assert request_tracer() is None
    async with serve(Films) as served, served.client() as client:
        assert (await client.get("/films/7")).text == "0"
