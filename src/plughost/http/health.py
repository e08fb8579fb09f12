"""Health over HTTP: for machines the status code, for people and monitoring what was looked at.

Everybody may learn whether the host is well and which checks are not; figures and sentences, which speak of
the inside, are for programs on the same machine and for the scope ``health:read``. The body is that of the
draft "Health Check Response Format for HTTP APIs" (application/health+json).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from plughost.contracts.error_text import error_text
from plughost.contracts.health import HealthCheck, HealthReport
from plughost.contracts.json_values import json_bytes
from plughost.contracts.records import RUNNING_STATES, PluginRecord, PluginState
from plughost.http.gate import may
from plughost.http.guards import LOOPBACK, PUBLIC, any_of, scope
from plughost.http.routes import Route
from plughost.http.runtime import HttpRuntime, runtime_of

HEALTH_TYPE = "application/health+json"
INSIDERS = any_of(LOOPBACK, scope("health:read"))
"""Who is told figures and sentences."""

_WELL = frozenset({PluginState.READY, PluginState.DISABLED, PluginState.BLOCKED, PluginState.STOPPED})
_REDIS_WORDS = ("redis", "valkey", "tiered")


def health_routes() -> list[Route]:
    """Return the health routes, which no plugin can replace."""
    return [
        Route("/livez", livez, guard=PUBLIC, summary="The process answers; looks at nothing."),
        Route("/readyz", readyz, guard=PUBLIC, summary="Whether requests should be sent here."),
        Route("/health/redis", redis, guard=PUBLIC, summary="What depends on Redis, and how that does."),
        Route("/health/detailed", detailed, guard=PUBLIC, summary="Every health check."),
    ]


async def livez(request: Request) -> Response:
    """Say that the process answers; nothing else is looked at, or a dependency could have the host killed."""
    return _answer("pass", {})


async def readyz(request: Request) -> Response:
    """Say whether requests should be sent here; ``?verbose`` names plugins and apps, ``?exclude=`` skips one."""
    runtime = runtime_of(request)
    excluded = set(request.query_params.getlist("exclude"))
    plugins = {name: record for name, record in runtime.host.plugins.items() if name not in excluded}
    apps = [name for name in runtime.host.config.apps if name not in excluded]
    draining = runtime.draining.is_set() or runtime.host.draining
    status = "fail" if draining else _readiness(runtime, plugins, apps)
    body: dict[str, Any] = {"notes": ["draining"]} if draining else {}
    if "verbose" in request.query_params:
        told = await may(INSIDERS, runtime, request.scope)
        body["checks"] = {f"plugin:{name}": [_plugin(record, told)] for name, record in plugins.items()}
        for name in apps:
            row = {"componentType": "app", "status": _app_status(runtime, name)}
            if told and row["status"] != "pass" and name in runtime.host.app_errors:
                row["output"] = error_text(runtime.host.app_errors[name])
            body["checks"][f"app:{name}"] = [row]
    return _answer(status, body)


async def detailed(request: Request) -> Response:
    """Run every health check and tell what was found."""
    report, told = await _look(request)
    return _report(report, report.checks, told)


async def redis(request: Request) -> Response:
    """Tell what was found about all that has to do with Redis; ``configured`` says whether anything has."""
    report, told = await _look(request)
    checks = []
    for check in report.checks:
        words = [check.name, *check.figures, *map(str, check.figures.values())]
        if any(redis in word.lower() for word in words for redis in _REDIS_WORDS):
            checks.append(check)
    return _report(HealthReport.of(tuple(checks)), checks, told, configured=bool(checks))


async def _look(request: Request) -> tuple[HealthReport, bool]:
    """Return a report for whoever asks, and whether they are told figures."""
    runtime = runtime_of(request)
    told = await may(INSIDERS, runtime, request.scope)
    return await runtime.health.get(told=told), told


def _report(report: HealthReport, checks: Sequence[HealthCheck], told: bool, **members: Any) -> Response:
    body: dict[str, Any] = {**members, "checks": {}}
    for check in checks:
        key = check.name if check.app_name is None else f"{check.app_name}:{check.name}"
        row: dict[str, Any] = {"status": check.status}
        if told:
            row |= {"output": check.detail} if check.detail else {}
            row |= {"figures": dict(check.figures)} if check.figures else {}
            row["duration"] = round(check.duration, 6)
        body["checks"].setdefault(key, []).append(row)
    if told and report.output:
        body["output"] = report.output
    return _answer(report.status, body)


def _readiness(runtime: HttpRuntime, plugins: Mapping[str, PluginRecord], apps: Sequence[str]) -> str:
    missing = any(record.required and record.state not in RUNNING_STATES for record in plugins.values())
    waiting = any(record.waiting_for for record in plugins.values())
    if missing or waiting or set(apps).intersection(runtime.host.missing_apps):
        return "fail"
    if any(_app_status(runtime, name) != "pass" for name in apps):
        return "warn"
    if runtime.left_out or any(record.state not in _WELL for record in plugins.values()):
        return "warn"
    return "pass"


def _plugin(record: PluginRecord, told: bool) -> dict[str, Any]:
    status = "pass" if record.state in _WELL else "fail" if record.required else "warn"
    if record.waiting_for:
        status = "fail"
    row: dict[str, Any] = {"componentType": "plugin", "observedValue": record.state.value, "status": status}
    if told and (reason := record.reason or record.waiting_for):
        row["output"] = reason
    return row


def _app_status(runtime: HttpRuntime, name: str) -> str:
    if name in runtime.host.missing_apps:
        return "fail"
    return "pass" if name in runtime.host.apps or name not in runtime.host.app_errors else "warn"


def _answer(status: str, body: Mapping[str, Any]) -> Response:
    document = json_bytes({"status": status, **body})
    headers = {"Cache-Control": "no-store"}
    return Response(document, 503 if status == "fail" else 200, headers, HEALTH_TYPE)
