"""The plugin in a real host, found by its entry point."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import Allow, AuthAttempt, HealthReport, Principal, UnregisterOptions
from plughost_monitoring import AlertCleared, AlertRaised, Monitor, MonitoringConfig

pytestmark = pytest.mark.anyio

ENVIRON = {"PLUGHOST_LOAD_PLUGINS": "monitoring"}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def host(**settings: Any) -> Host:
    return Host(config={"plugins": {"monitoring": {"config": settings}}}, environ=ENVIRON)


async def fail(running: Host, times: int, app_name: str = "shop") -> None:
    for _ in range(times):
        await running.hooks.operation_failed(
            app_name=app_name, operation="run_seeds", error=OSError("no disk"), context={}
        )


async def succeed(running: Host, times: int, app_name: str = "shop") -> None:
    for _ in range(times):
        await running.hooks.auto_operations_completed(app_name=app_name, result={})


async def test_an_alert_is_raised_once_when_too_much_fails_and_cleared_when_it_ends() -> None:
    heard: list[object] = []
    async with host(threshold=0.5, least=4) as running:
        running.events.subscribe(AlertRaised, heard.append)
        running.events.subscribe(AlertCleared, heard.append)
        await succeed(running, 2)
        await fail(running, 2)
        assert heard == []
        await fail(running, 2)
        assert heard == [AlertRaised("shop", 0.6, 0.5, 5)]
        await succeed(running, 2)
    assert heard[1:] == [AlertCleared("shop", 0.5)]


async def test_one_failure_of_one_is_no_trend() -> None:
    heard: list[object] = []
    async with host(threshold=0.1, least=5) as running:
        running.events.subscribe(AlertRaised, heard.append)
        await fail(running, 4)
    assert heard == []


async def test_figures_of_one_app_say_nothing_of_another() -> None:
    async with host() as running:
        await fail(running, 3, "shop")
        await succeed(running, 1, "blog")
        monitor = running.use(Monitor)
        assert monitor.app("shop").recent() == (3, 1.0)
        assert monitor.app("blog").recent() == (1, 0.0)


async def test_old_operations_no_longer_count() -> None:
    now = [0.0]
    monitor = Monitor(MonitoringConfig(window=10, least=1, threshold=0.1), now=lambda: now[0])
    monitor.app("shop").failed("run_seeds", OSError())
    assert isinstance(monitor.judge("shop"), AlertRaised)
    now[0] = 11.0
    assert monitor.judge("shop") == AlertCleared("shop", 0.0)
    assert monitor.app("shop").failures == 1


async def test_an_alert_ends_by_the_clock_alone() -> None:
    heard: list[object] = []
    async with host(threshold=0.1, least=1) as running:
        running.events.subscribe(AlertCleared, heard.append)
        await fail(running, 1)
        running.use(Monitor).app("shop").now = lambda: float("inf")
        await running.jobs.run_now("look")
    assert heard == [AlertCleared("shop", 0.0)]


async def test_health_is_a_warning_while_an_alert_stands() -> None:
    async with host(threshold=0.1, least=1) as running:
        await fail(running, 1)
        for app_name in (None, "shop"):
            (answer,) = await running.hooks.health_check(app_name=app_name, health_status=HealthReport())
            assert answer["status"] == "warn"
        assert await running.hooks.health_check(app_name="unknown", health_status=HealthReport()) == []


async def test_hooks_are_counted_and_their_results_left_alone() -> None:
    class Door(Plugin):
        async def start(self, context: object) -> None: ...

        @hookimpl
        async def authenticate(self, attempt: AuthAttempt) -> Allow:
            return Allow(Principal("1", attempt.username))

    async with host() as running:
        await running.load_plugin(Door, name="door")
        verdict = await running.hooks.authenticate(attempt=AuthAttempt(username="ada"))
        assert verdict == Allow(Principal("1", "ada"))
        assert running.use(Monitor).hook("authenticate").calls == 1


async def test_an_app_that_is_gone_is_forgotten() -> None:
    async with host(threshold=0.1, least=1) as running:
        await fail(running, 1)
        await running.hooks.app_unregistered(app_name="shop", options=UnregisterOptions())
        assert running.use(Monitor).apps == {}
        assert running.use(Monitor).alerts == set()


async def test_the_look_at_all_apps_is_a_job() -> None:
    async with host() as running:
        assert ("monitoring", "look") in {(record.owner, record.name) for record in running.jobs.snapshot()}


async def test_a_threshold_above_all_is_refused() -> None:
    async with host(threshold=7) as running:
        record = running.plugin("monitoring")
        assert record is not None
        assert "threshold" in record.reason


def test_the_plugin_passes_its_checks() -> None:
    command = [sys.executable, "-m", "plughost", "check", "monitoring", "--strict"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
