"""``await host.health()``: what the host and its plugins say about how they are, merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import anyio

from plughost.contracts.apps import AppState
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.error_text import error_line, error_text
from plughost.contracts.health import HealthCheck, HealthReport
from plughost.contracts.hooks import Outcome
from plughost.contracts.logs import get_logger
from plughost.contracts.masking import masked, masked_text
from plughost.core.containment import Point, contained
from plughost.flows.apps import Apps
from plughost.hookspecs import Hooks

_log = get_logger("plughost.health")


class Health:
    """Asks ``health_check`` for the host and for each app, and keeps the last answers.

    Args:
        hooks: The hooks to call.
        apps: The apps to look at.
        own_checks: What the host knows by itself, such as the state of its plugins.
        interval: Seconds from one cycle to the next.
        clock: Measures and waits.
    """

    def __init__(
        self,
        hooks: Hooks,
        apps: Apps,
        *,
        own_checks: Callable[[], Iterable[HealthCheck]] = tuple,
        interval: float = 30.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._hooks = hooks
        self._apps = apps
        self._own_checks = own_checks
        self._interval = interval
        self._clock = clock
        self._last: dict[str | None, HealthReport] = {}

    @property
    def last(self) -> Mapping[str | None, HealthReport]:
        """The last report of each app, and of the host itself under None."""
        return MappingProxyType(dict(self._last))

    async def cycle_forever(self) -> None:
        """Look at everything each interval, first after one interval; runs until it is cancelled.

        What is not well is logged when it is first seen and when it changes, not each time it is looked at.
        """
        told = "health is pass"
        while True:
            await self._clock.sleep(self._interval)
            report = await self.check_all()
            bad = [one.name for one in report.checks if one.status != "pass" and (one.detail or one.plugin)]
            seen = f"health is {report.status}{': ' if bad else ''}{', '.join(bad)}"
            if seen != told:
                log = _log.info if report.status == "pass" else _log.warning
                log(seen, output=report.output)
                told = seen

    async def check_all(self) -> HealthReport:
        """Look at the host and at each app, all at the same time; return one report with all checks."""
        started = self._clock.monotonic()
        names: list[str | None] = [None, *self._apps]
        reports: dict[str | None, HealthReport] = {}

        async def look(name: str | None) -> None:
            reports[name] = await self.check(name)

        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(look, name)
        for gone in set(self._last) - set(names):
            del self._last[gone]
        return HealthReport.of(
            (check for name in names for check in reports[name].checks),
            checked_at=self._clock.time(),
            duration=self._clock.monotonic() - started,
        )

    async def check(self, app_name: str | None = None) -> HealthReport:
        """Look at one app, or at the host itself; return its report and keep it as the last one.

        A plugin that fails or does not answer in time becomes a check with status ``warn``: it is not known
        whether it does its work.
        """
        started = self._clock.monotonic()
        if app_name is not None:
            checks = [self._app_check(app_name)]
        else:
            checks = [
                *self._own_checks(),
                *(
                    HealthCheck(name="unfinished", status="warn", detail=str(entry), app_name=entry.app_name)
                    for entry in self._apps.unfinished
                ),
            ]
        own = HealthReport.of(checks, app_name=app_name)
        call = await self._hooks.health_check.report(app_name=app_name, health_status=own)
        answers = [_answer(outcome, app_name) for outcome in call.outcomes]
        report = HealthReport.of(
            (*own.checks, *(answer for answer in answers if answer is not None)),
            app_name=app_name,
            checked_at=self._clock.time(),
            duration=self._clock.monotonic() - started,
        )
        self._last[app_name] = report
        return report

    def _app_check(self, name: str) -> HealthCheck:
        record = self._apps.get(name)
        if record is None:
            return HealthCheck(name="app", status="fail", detail=f"there is no app {name!r}", app_name=name)
        status: Any = "fail" if record.state is AppState.FAILED else "pass"
        return HealthCheck(
            name="app",
            status=status,
            detail=record.reason,
            figures={"state": str(record.state), "shared_with": record.shared_with},
            app_name=name,
        )


def _answer(outcome: Outcome, app_name: str | None) -> HealthCheck | None:
    """Return the check that a plugin's answer stands for, or None when it had nothing to say."""
    if outcome.kind == "value" and outcome.value is None:
        return None
    known: dict[str, Any] = {"plugin": outcome.plugin, "app_name": app_name, "duration": outcome.duration}
    if outcome.kind == "timed_out":
        return HealthCheck(name=outcome.plugin, status="warn", detail="did not answer in time", **known)
    if outcome.kind == "error" and outcome.error is not None:
        detail = f"its health check failed: {error_line(outcome.error)}"
        return HealthCheck(name=outcome.plugin, status="warn", detail=detail, **known)

    def read() -> HealthCheck:
        check = outcome.value
        if not isinstance(check, HealthCheck):
            check = HealthCheck.from_figures(outcome.plugin, check)
        return replace(check, detail=masked_text(check.detail), figures=masked(check.figures))

    try:
        check = contained(Point.ANSWER, read)
        return replace(check, **known)
    except Exception as error:
        return HealthCheck(
            name=outcome.plugin,
            status="warn",
            detail=f"gave an answer that cannot be read: {error_text(error) or error_line(error)}",
            **known,
        )
