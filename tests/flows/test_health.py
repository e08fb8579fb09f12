"""Answers of plugins become one report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from app_plugins import EVERYTHING, Stage, staged
from plughost.contracts.health import HealthCheck, HealthReport
from plughost.core.calls.policy import CallPolicy
from plughost.flows.health import Health
from plughost.hookspecs import hookimpl
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path, policy=CallPolicy(timeouts={"hanging": 0.05})) as made:
        yield made


class Answers:
    """Says about everything what it was told to say."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str | None, HealthReport]] = []

    @hookimpl
    async def health_check(self, app_name: str | None, health_status: HealthReport) -> Any:
        self.asked.append((app_name, health_status))
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer == "hang":
            await anyio.sleep_forever()
        return self.answer


def health_of(stage: Stage, **options: Any) -> Health:
    return Health(stage.host.hooks, stage.host.apps, **options)


async def test_a_host_nobody_complains_about_passes(stage: Stage) -> None:
    report = await health_of(stage).check_all()
    assert (report.status, report.output) == ("pass", "")


@pytest.mark.parametrize(
    ("answer", "status", "detail"),
    [
        ({"free": 3}, "pass", ""),
        ({"status": "fail", "detail": "disk full"}, "fail", "disk full"),
        (HealthCheck(name="disk", status="warn", detail="nearly full"), "warn", "nearly full"),
        (OSError("gone"), "warn", "its health check failed: OSError: gone"),
        ({"status": "splendid"}, "warn", "gave an answer that cannot be read"),
        (42, "warn", "its health check failed: TypeError: returned int instead of HealthCheck or Mapping"),
    ],
)
async def test_what_a_plugin_says_becomes_a_check(
    stage: Stage, answer: Any, status: str, detail: str
) -> None:
    await stage.host.load("disk", Answers(answer))
    report = await health_of(stage).check()
    [check] = report.checks
    assert (report.status, check.status, check.plugin) == (status, status, "disk")
    assert check.detail.startswith(detail)


async def test_a_plugin_that_does_not_answer_in_time_is_a_warning(stage: Stage) -> None:
    await stage.host.load("hanging", Answers("hang"))
    [check] = (await health_of(stage).check()).checks
    assert (check.status, check.detail) == ("warn", "did not answer in time")


async def test_the_worst_answer_wins(stage: Stage) -> None:
    await stage.host.load("one", Answers({"status": "warn"}))
    await stage.host.load("two", Answers({"status": "fail"}))
    await stage.host.load("three", Answers({}))
    assert (await health_of(stage).check_all()).status == "fail"


async def test_each_app_and_the_host_itself_are_asked_about(stage: Stage) -> None:
    plugin = Answers(None)
    await stage.host.load("nosy", plugin)
    await stage.host.apps.register("shop", EVERYTHING)
    await stage.host.apps.register("blog", EVERYTHING)
    await health_of(stage).check_all()
    assert {name for name, _ in plugin.asked} == {None, "shop", "blog"}


async def test_plugins_are_told_what_the_host_found_itself(stage: Stage) -> None:
    plugin = Answers(None)
    await stage.host.load("nosy", plugin)
    own = HealthCheck(name="plugins", status="warn", detail="one failed")
    report = await health_of(stage, own_checks=lambda: [own]).check()
    assert plugin.asked[0][1].checks == (own,)
    assert report.output == "plugins: one failed"


async def test_an_app_whose_rollback_failed_fails(stage: Stage) -> None:
    def fail(_: str) -> None:
        raise OSError("no")

    await stage.host.apps.register("shop", EVERYTHING)
    stage.trace.act["rollback_app"] = fail
    with pytest.raises(Exception, match="no"):
        await stage.host.apps.unregister("shop", rollback=True)
    report = await health_of(stage).check("shop")
    assert report.status == "fail"
    assert "its rollback failed" in report.output


async def test_what_is_unfinished_is_a_warning_of_the_host(stage: Stage, tmp_path: Path) -> None:
    from plughost.flows.journal import Journal, Unfinished

    Journal(tmp_path / "apps").note(
        Unfinished(app_name="shop", operation="register", step="run_seeds", started_at=0.0)
    )
    await stage.host.apps.recover()
    report = await health_of(stage).check_all()
    assert report.status == "warn"
    assert "stopped in run_seeds" in report.output


async def test_the_cycle_looks_each_interval_and_keeps_the_last_report(stage: Stage) -> None:
    clock = FakeClock()
    plugin = Answers({"status": "warn"})
    await stage.host.load("nosy", plugin)
    await stage.host.apps.register("shop", EVERYTHING)
    health = health_of(stage, interval=30.0, clock=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(health.cycle_forever)
        await clock.advance(29.0)
        assert plugin.asked == []
        await clock.advance(1.0)
        assert len(plugin.asked) == 2
        await clock.advance(30.0)
        assert len(plugin.asked) == 4
        group.cancel_scope.cancel()
    assert health.last["shop"].status == "warn"
    assert health.last["shop"].checked_at == clock.time()


async def test_the_cycle_says_once_what_is_not_well_and_once_that_it_is_well_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    plugin = Answers({"status": "warn"})
    await stage.host.load("nosy", plugin)
    with caplog.at_level("INFO", "plughost.health"):
        async with anyio.create_task_group() as group:
            group.start_soon(health_of(stage, interval=30.0, clock=clock).cycle_forever)
            for answer in ("pass", "warn", "warn", "fail", "fail", "pass", "pass"):
                plugin.answer = {"status": answer}
                await clock.advance(30.0)
            group.cancel_scope.cancel()
    told = [(line.levelname, line.message) for line in caplog.records if line.name == "plughost.health"]
    assert told == [
        ("WARNING", "health is warn: nosy"), ("WARNING", "health is fail: nosy"), ("INFO", "health is pass")
    ]  # fmt: skip


async def test_an_app_that_is_gone_is_forgotten(stage: Stage) -> None:
    health = health_of(stage)
    await stage.host.apps.register("shop", EVERYTHING)
    await health.check_all()
    assert set(health.last) == {None, "shop"}
    await stage.host.apps.unregister("shop")
    await health.check_all()
    assert set(health.last) == {None}
