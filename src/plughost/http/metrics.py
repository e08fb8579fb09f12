"""Metrics for Prometheus: read from the counters at the moment somebody asks, in a registry of ours.

prometheus-client's default registry is the process's and belongs to the application.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from plughost.contracts.error_text import error_text
from plughost.contracts.logs import get_logger
from plughost.contracts.metric_families import MetricFamily
from plughost.contracts.value_text import items_of
from plughost.host import Host
from plughost.http.guards import LOOPBACK, any_of, scope
from plughost.http.routes import Route
from plughost.http.runtime import HttpRuntime, runtime_of

PREFIX = "plughost_"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_log = get_logger("plughost.http")


def metrics_routes() -> list[Route]:
    """Return the metrics route: for the scope ``metrics`` and for programs on the same machine."""
    guard = any_of(LOOPBACK, scope("metrics"))
    return [Route("/metrics", metrics, guard=guard, summary="All figures, for Prometheus.")]


async def metrics(request: Request) -> Response:
    """Collect the figures of the host, of its other workers too, and those that plugins describe."""
    runtime = runtime_of(request)
    shared = runtime.shared_figures
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(await (own_figures(runtime) if shared is None else shared.of_all())))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def own_figures(runtime: HttpRuntime) -> Sequence[Metric]:
    """Return the figures of this process; those of a worker bear its number, for each counts for itself."""
    host = runtime.host
    report = await host.own_hooks.describe_metrics.report()
    described: list[tuple[str, MetricFamily]] = []
    for outcome in report.outcomes:
        try:
            described += [(outcome.plugin, family) for family in items_of(outcome.value, MetricFamily)]
        except TypeError as error:
            _log.error("metrics of plugin left out", plugin=outcome.plugin, reason=error_text(error))
    parts = (
        _http(runtime),
        _hooks(host),
        _plugins(host),
        _processes(host),
        _jobs(host),
        _contributed(described),
    )
    families = list(chain.from_iterable(parts))
    if host.worker is not None:
        mark = {"worker": str(host.worker)}
        for one in families:
            one.samples = [each._replace(labels={**each.labels, **mark}) for each in one.samples]
    return families


class _Collected(Collector):
    """Figures of one moment."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _http(runtime: HttpRuntime) -> Iterator[Metric]:
    figures = runtime.figures
    requests = CounterMetricFamily(
        PREFIX + "http_requests", "Requests answered", labels=("method", "route", "plugin", "status")
    )
    for method, path, plugin, status, count in figures.statuses():
        requests.add_metric((method, path, plugin, str(status)), count)
    yield requests
    seconds = SummaryMetricFamily(
        PREFIX + "http_request_seconds", "Time to the end of the answer", labels=("method", "route", "plugin")
    )
    for method, path, plugin, count, total in figures.seconds():
        seconds.add_metric((method, path, plugin), count_value=count, sum_value=total)
    yield seconds
    yield GaugeMetricFamily(PREFIX + "http_requests_under_way", "Requests being answered", figures.under_way)
    yield GaugeMetricFamily(PREFIX + "http_event_streams", "Event streams open", runtime.open_streams)


def _hooks(host: Host) -> Iterator[Metric]:
    labels = ("hook", "plugin")
    calls = CounterMetricFamily(PREFIX + "hook_calls", "Calls of a plugin in a hook", labels=labels)
    errors = CounterMetricFamily(PREFIX + "hook_errors", "Calls that raised", labels=labels)
    timeouts = CounterMetricFamily(PREFIX + "hook_timeouts", "Calls that passed their limit", labels=labels)
    observed = CounterMetricFamily(
        PREFIX + "hook_observed", "Verdicts and refusals recorded and not applied", labels=labels
    )
    seconds = GaugeMetricFamily(
        PREFIX + "hook_seconds", "Quantiles of a sample of the calls", labels=(*labels, "quantile")
    )
    for row in host.metrics.snapshot():
        name = (row.hook, row.plugin)
        calls.add_metric(name, row.calls)
        errors.add_metric(name, row.errors)
        timeouts.add_metric(name, row.timeouts)
        observed.add_metric(name, row.observed)
        for quantile, value in (("0.5", row.p50), ("0.95", row.p95)):
            if value is not None:
                seconds.add_metric((*name, quantile), value)
    yield from (calls, errors, timeouts, observed, seconds)


def _plugins(host: Host) -> Iterator[Metric]:
    state = GaugeMetricFamily(PREFIX + "plugin_state", "1 for the present state", labels=("plugin", "state"))
    load = GaugeMetricFamily(PREFIX + "plugin_load_seconds", "Time of a phase", labels=("plugin", "phase"))
    restarts = CounterMetricFamily(
        PREFIX + "plugin_restarts", "Restarts of background tasks", labels=("plugin",)
    )
    for name, record in host.plugins.items():
        state.add_metric((name, record.state.value), 1)
        restarts.add_metric((name,), record.restarts)
        timings = record.timings
        phases = {"import": timings.imported, "validation": timings.validated, "start": timings.started}
        for phase, seconds in phases.items():
            if seconds is not None:
                load.add_metric((name, phase), seconds)
    yield from (state, load, restarts)
    yield GaugeMetricFamily(PREFIX + "ready", "Whether every required plugin is ready", float(host.ready))


def _processes(host: Host) -> Iterator[Metric]:
    """Yield the figures of plugins' own processes; nothing where there is none."""
    label, prefix = ("plugin",), PREFIX + "plugin_process_"
    memory = GaugeMetricFamily(prefix + "memory_bytes", "Memory it uses", labels=label)
    seconds = CounterMetricFamily(prefix + "cpu_seconds", "Processor time of the present one", labels=label)
    threads = GaugeMetricFamily(prefix + "threads", "Threads it has", labels=label)
    files = GaugeMetricFamily(prefix + "open_files", "Files it has open", labels=label)
    calls = GaugeMetricFamily(prefix + "calls_under_way", "Calls it has not answered", labels=label)
    restarts = CounterMetricFamily(prefix + "restarts", "Times one took another's place", labels=label)
    moved = CounterMetricFamily(
        prefix + "bytes", "Bytes to and from the present one", labels=(*label, "direction")
    )
    found = [(name, one.process) for name, one in host.plugins.items() if one.process is not None]
    for name, process in found:
        for family, value in (
            (memory, process.memory),
            (seconds, process.cpu_seconds),
            (threads, process.threads),
            (files, process.files),
            (calls, process.in_flight),
            (restarts, process.restarts),
        ):
            if value is not None:
                family.add_metric((name,), value)
        moved.add_metric((name, "sent"), process.sent)
        moved.add_metric((name, "received"), process.received)
    if found:
        yield from (memory, seconds, threads, files, calls, restarts, moved)


def _jobs(host: Host) -> Iterator[Metric]:
    labels = ("job", "plugin")
    runs = CounterMetricFamily(PREFIX + "job_runs", "Runs that ended", labels=labels)
    failures = CounterMetricFamily(PREFIX + "job_failures", "Runs that failed", labels=labels)
    for job in host.jobs.snapshot():
        runs.add_metric((job.name, job.owner), job.runs)
        failures.add_metric((job.name, job.owner), job.failures)
    yield from (runs, failures)


def _contributed(described: list[tuple[str, MetricFamily]]) -> Iterator[Metric]:
    """Give the plugins' families; one that cannot be shown is left out, and the log says whose it is."""
    merged: dict[str, Metric] = {}
    for plugin, family in described:
        try:
            if not _NAME.fullmatch(family.name):
                raise ValueError(f"a metric is named like queue_waiting, not {family.name!r}")
            name = PREFIX + family.name.removeprefix(PREFIX).removesuffix("_total")
            metric = merged.get(name)
            if metric is None:
                metric = merged[name] = Metric(name, family.help, family.kind)
            if metric.type != family.kind:
                raise ValueError(f"{name} is a {metric.type} of another plugin")
            suffix = "_total" if family.kind == "counter" else ""
            for sample in family.samples:
                labels = {key: str(value) for key, value in sample.labels.items()}
                metric.add_sample(name + suffix, {**labels, "plugin": plugin}, float(sample.value))
        except (ValueError, TypeError, AttributeError) as error:
            _log.warning("metric family left out", plugin=plugin, reason=error_text(error))
    yield from merged.values()
