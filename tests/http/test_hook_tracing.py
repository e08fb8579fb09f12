"""Spans of hook calls, recorded by OpenTelemetry's own SDK."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from plughost import Host, Plugin, hookimpl
from plughost.contracts import Device
from plughost.tracing import trace_hooks

pytestmark = pytest.mark.anyio


class Devices(Plugin):
    name = "devices"

    @hookimpl
    async def describe_device(self, user_agent: str) -> Device:
        return Device(name=f"{trace.get_current_span().get_span_context().span_id:x}")


async def test_a_hook_call_is_one_span_and_what_happens_inside_lies_below_it(tmp_path):
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    async with Host("acme", config={"host": {"data_dir": str(tmp_path), "allow": []}}, environ={}) as host:
        await host.load_plugin(Devices)
        for _ in range(200):  # hot: a short way would go past the observer
            await host.hooks.describe_device(user_agent="x")
        trace_hooks(host, provider)
        for _ in range(200):
            device = await host.hooks.describe_device(user_agent="x")
        spans = [span for span in kept.get_finished_spans() if span.name == "hook describe_device"]
        assert len(spans) == 200
        assert spans[-1].attributes == {"hook.name": "describe_device", "plughost.host": "acme"}
        assert device.name == f"{spans[-1].context.span_id:x}"
        host.observe_hooks(None)
        await host.hooks.describe_device(user_agent="x")
        assert len([s for s in kept.get_finished_spans() if s.name == "hook describe_device"]) == 200


async def test_hooks_without_await_are_spans_too_and_a_report_is_one(tmp_path):
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    async with Host(config={"host": {"data_dir": str(tmp_path), "allow": []}}, environ={}) as host:
        trace_hooks(host, provider)
        host.hooks.register_jobs()
        await host.hooks.describe_device.report(user_agent="x")
        assert [span.name for span in kept.get_finished_spans()] == [
            "hook register_jobs",
            "hook describe_device",
        ]
