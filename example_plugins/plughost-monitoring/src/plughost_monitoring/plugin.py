"""The plugin: what the host tells it becomes figures, and figures become health and alerts."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import AuthAttempt
from plughost_monitoring.alerts import AlertCleared, AlertRaised
from plughost_monitoring.config import MonitoringConfig
from plughost_monitoring.figures import AppFigures, HookFigures, Now


class Monitor:
    """The figures; a service for whoever wants them: ``host.use(Monitor)``.

    Attributes:
        apps: Figures by app.
        hooks: Figures by hook.
        alerts: Apps whose error rate is above the threshold.
    """

    def __init__(self, config: MonitoringConfig, now: Now = time.monotonic) -> None:
        self._config = config
        self._now = now
        self.apps: dict[str, AppFigures] = {}
        self.hooks: dict[str, HookFigures] = {}
        self.alerts: set[str] = set()

    def app(self, name: str) -> AppFigures:
        """Return the figures of an app, empty when it is new."""
        return self.apps.setdefault(name, AppFigures(window=self._config.window, now=self._now))

    def hook(self, name: str) -> HookFigures:
        """Return the figures of a hook, empty when it is new."""
        return self.hooks.setdefault(name, HookFigures())

    def judge(self, app_name: str) -> AlertRaised | AlertCleared | None:
        """Return what is new to say about an app; None when nothing is."""
        total, rate = self.app(app_name).recent()
        too_much = total >= self._config.least and rate > self._config.threshold
        if too_much and app_name not in self.alerts:
            self.alerts.add(app_name)
            return AlertRaised(app_name, rate, self._config.threshold, total)
        if not too_much and app_name in self.alerts:
            self.alerts.remove(app_name)
            return AlertCleared(app_name, rate)
        return None

    def watch(self, hook: str) -> Generator[None, Any, Any]:
        """Count and time one call of a hook from around it; the body of a hook wrapper."""
        began = self._now()
        failed = True
        try:
            result = yield
            failed = False
            return result
        finally:
            self.hook(hook).note(self._now() - began, failed=failed)


class MonitoringPlugin(Plugin):
    """Keeps figures, answers ``health_check``, and publishes ``AlertRaised`` and ``AlertCleared``."""

    Config = MonitoringConfig

    async def start(self, context: PluginContext) -> None:
        """Offer the figures, and look at all apps every ``interval``."""
        self._context = context
        self._monitor = Monitor(context.config)
        context.provide(Monitor, self._monitor)
        context.every(context.config.interval, self.look_at_all, name="look")

    def status(self) -> Mapping[str, object]:
        """The figures on one line."""
        return {"apps": len(self._monitor.apps), "alerts": sorted(self._monitor.alerts)}

    async def look_at_all(self) -> None:
        """Judge every app: a window may have passed without anything happening in it."""
        for app_name in list(self._monitor.apps):
            await self._tell(app_name)

    @hookimpl
    def app_registered(self, app_name: str) -> None:
        """Count a registration."""
        self._monitor.app(app_name).registrations += 1

    @hookimpl
    async def auto_operations_completed(self, app_name: str) -> None:
        """Count an operation that went well."""
        self._monitor.app(app_name).succeeded()
        await self._tell(app_name)

    @hookimpl
    async def operation_failed(self, app_name: str, operation: str, error: Exception) -> None:
        """Count an operation that failed."""
        self._monitor.app(app_name).failed(operation, error)
        await self._tell(app_name)

    @hookimpl
    def app_unregistered(self, app_name: str) -> None:
        """Forget an app that is gone."""
        self._monitor.apps.pop(app_name, None)
        self._monitor.alerts.discard(app_name)

    @hookimpl
    def auth_failed(self, attempt: AuthAttempt, reason: str) -> None:
        """Count a refused sign-in; who it was is nobody's business here."""
        self._monitor.hook("auth_failed").note(0.0, failed=False)

    @hookimpl(wrapper=True)
    def authenticate(self) -> Generator[None, Any, Any]:
        """Watch sign-ins."""
        return (yield from self._monitor.watch("authenticate"))

    @hookimpl(wrapper=True)
    def open_connection(self) -> Generator[None, Any, Any]:
        """Watch connections being opened."""
        return (yield from self._monitor.watch("open_connection"))

    @hookimpl(wrapper=True)
    def run_migrations(self) -> Generator[None, Any, Any]:
        """Watch migrations."""
        return (yield from self._monitor.watch("run_migrations"))

    @hookimpl
    def health_check(self, app_name: str | None) -> Mapping[str, Any] | None:
        """Say how the app is, or how many of all are in trouble."""
        monitor = self._monitor
        if app_name is None:
            hooks = {name: figures.as_mapping() for name, figures in sorted(monitor.hooks.items())}
            return {**self._state(bool(monitor.alerts)), "alerts": sorted(monitor.alerts), "hooks": hooks}
        if app_name not in monitor.apps:
            return None
        return {**self._state(app_name in monitor.alerts), **monitor.app(app_name).as_mapping()}

    def _state(self, alert: bool) -> Mapping[str, str]:
        share = f"{self._context.config.threshold:.0%}"
        return (
            {"status": "warn", "detail": f"more than {share} of operations fail"}
            if alert
            else {"status": "pass"}
        )

    async def _tell(self, app_name: str) -> None:
        news = self._monitor.judge(app_name)
        if news is not None:
            self._context.log.warning(
                "error rate", app=app_name, news=type(news).__name__, rate=news.error_rate
            )
            await self._context.events.publish(news)
