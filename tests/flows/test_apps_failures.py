"""Whatever fails or is called off, no half of an app stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from app_plugins import COMING, EVERYTHING, Stage, staged
from plughost.contracts.apps import AppState, OperationResult
from plughost.exceptions import AppError, AppRefused, PlughostError
from plughost.hookspecs import hookimpl

pytestmark = pytest.mark.anyio

each_step = pytest.mark.parametrize("step", COMING)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


def failing(stage: Stage, step: str) -> None:
    def fail(_: str) -> None:
        # an error in a hook that only tells is isolated; a refusal goes through every hook
        raise AppRefused(f"{step} says no")

    stage.trace.act[step] = fail


def nothing_is_left_of(stage: Stage, app_name: str, folder: Path) -> bool:
    return (
        app_name not in stage.host.apps
        and not stage.provider.open_now
        and not stage.provider.done
        and not stage.host.apps.unfinished
        and not list((folder / "apps").glob("*"))
    )


@each_step
async def test_a_step_that_fails_leaves_nothing(stage: Stage, step: str, tmp_path: Path) -> None:
    failing(stage, step)
    with pytest.raises(PlughostError, match=f"{step} says no"):
        await stage.host.apps.register("shop", EVERYTHING)
    assert nothing_is_left_of(stage, "shop", tmp_path)


@each_step
async def test_a_step_that_fails_is_reported_once_by_its_name(stage: Stage, step: str) -> None:
    failing(stage, step)
    with pytest.raises(PlughostError):
        await stage.host.apps.register("shop", EVERYTHING)
    [(name, operation, error, context)] = stage.provider.failures
    assert (name, operation) == ("shop", step)
    assert "says no" in str(error)
    assert context["not_undone"] == {}


@each_step
async def test_after_a_step_failed_the_app_can_be_registered(stage: Stage, step: str) -> None:
    failing(stage, step)
    with pytest.raises(PlughostError):
        await stage.host.apps.register("shop", EVERYTHING)
    stage.trace.act.clear()
    await stage.host.apps.register("shop", EVERYTHING)
    assert stage.host.apps["shop"].state is AppState.REGISTERED


@each_step
async def test_a_registration_that_is_called_off_in_a_step_leaves_nothing(
    stage: Stage, step: str, tmp_path: Path
) -> None:
    with anyio.CancelScope() as scope:

        async def call_off(_: str) -> None:
            scope.cancel()
            await anyio.sleep_forever()

        stage.trace.act[step] = call_off
        await stage.host.apps.register("shop", EVERYTHING)
    assert scope.cancelled_caught
    assert nothing_is_left_of(stage, "shop", tmp_path)
    assert [(operation, context["cancelled"]) for _, operation, _, context in stage.provider.failures] == [
        (step, True)
    ]


@each_step
async def test_a_step_that_fails_for_one_app_does_not_touch_its_neighbour(stage: Stage, step: str) -> None:
    neighbour = await stage.host.apps.register("neighbour", EVERYTHING)
    failing(stage, step)
    with pytest.raises(PlughostError):
        await stage.host.apps.register("shop", {**EVERYTHING, "url": "memory://another"})
    assert stage.host.apps["neighbour"] == neighbour
    assert neighbour.connection.closed == 0
    assert stage.provider.done == ["neighbour migrated", "neighbour seeded"]


async def test_steps_are_undone_in_reverse_order(stage: Stage) -> None:
    failing(stage, "load_models")
    with pytest.raises(PlughostError):
        await stage.host.apps.register("shop", EVERYTHING)
    undoing = stage.trace.of("shop")[COMING.index("load_models") + 1 :]
    assert undoing == [
        "app_rollback_started",
        "rollback_app",
        "app_rollback_completed",
        "connection_shutdown",
        "operation_failed",
    ]
    assert stage.provider.failures[0][3]["undone"] == ("run_migrations", "open_connection")


async def test_an_error_in_a_hook_that_only_tells_does_not_stop_the_registration(stage: Stage) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("an onlooker stumbled")

    for hook in (
        "app_registration_started",
        "connection_created",
        "auto_operations_started",
        "app_registered",
    ):
        stage.trace.act[hook] = fail
    await stage.host.apps.register("shop", EVERYTHING)
    assert stage.host.apps["shop"].state is AppState.REGISTERED
    assert stage.provider.failures == []


async def test_a_plugin_that_hangs_in_a_step_is_given_up_after_its_limit(tmp_path: Path) -> None:
    from plughost.core.calls.policy import CallPolicy

    class Hanging:
        @hookimpl(priority=50)
        async def run_migrations(self) -> None:
            await anyio.sleep_forever()

    async with staged(tmp_path, policy=CallPolicy(timeouts={"hanging.run_migrations": 0.05})) as stage:
        await stage.host.load("hanging", Hanging())
        with pytest.raises(AppError, match=r"0\.05 s") as caught:
            await stage.host.apps.register("shop", EVERYTHING)
        assert caught.value.step == "run_migrations"
        assert nothing_is_left_of(stage, "shop", tmp_path)


async def test_an_undo_that_fails_does_not_keep_the_others_from_being_tried(stage: Stage) -> None:
    failing(stage, "load_models")
    failing(stage, "rollback_app")
    with pytest.raises(PlughostError, match="load_models says no"):
        await stage.host.apps.register("shop", EVERYTHING)
    assert not stage.provider.open_now
    context = stage.provider.failures[0][3]
    assert context["undone"] == ("open_connection",)
    assert context["not_undone"] == {"run_migrations": "rollback_app says no"}


async def test_an_app_whose_undo_failed_is_listed_as_unfinished_until_it_is_registered(stage: Stage) -> None:
    failing(stage, "load_models")
    failing(stage, "rollback_app")
    with pytest.raises(PlughostError):
        await stage.host.apps.register("shop", EVERYTHING)
    assert "shop" not in stage.host.apps
    [entry] = stage.host.apps.unfinished
    assert str(entry).startswith("the registration of app 'shop' stopped in run_migrations: undo failed: ")
    stage.trace.act.clear()
    await stage.host.apps.register("shop", EVERYTHING)
    assert stage.host.apps.unfinished == ()


# on the way out


async def test_a_rollback_that_fails_marks_the_app_and_touches_nothing_else(stage: Stage) -> None:
    await stage.host.apps.register("neighbour", EVERYTHING)
    await stage.host.apps.register("shop", EVERYTHING)

    def fail(_: str) -> None:
        raise OSError("disk on fire")

    stage.trace.act["rollback_app"] = fail
    with pytest.raises(AppError, match="disk on fire") as caught:
        await stage.host.apps.unregister("shop", rollback=True)
    assert caught.value.step == "rollback_app"
    assert stage.host.apps["shop"].state is AppState.FAILED
    assert "disk on fire" in stage.host.apps["shop"].reason
    assert stage.host.apps["neighbour"].state is AppState.REGISTERED
    assert len(stage.provider.open_now) == 1
    assert [(name, step) for name, step, *_ in stage.provider.failures] == [("shop", "rollback_app")]


@pytest.mark.parametrize("rollback", [True, False])
async def test_a_marked_app_can_be_unregistered_again(stage: Stage, rollback: bool) -> None:
    await stage.host.apps.register("shop", EVERYTHING)
    failing(stage, "rollback_app")
    with pytest.raises(PlughostError):
        await stage.host.apps.unregister("shop", rollback=True)
    stage.trace.act.clear()
    await stage.host.apps.unregister("shop", rollback=rollback)
    assert "shop" not in stage.host.apps
    assert not stage.provider.open_now
    assert stage.host.apps.unfinished == ()


async def test_a_marked_app_can_be_registered_again(stage: Stage) -> None:
    await stage.host.apps.register("shop", EVERYTHING)
    failing(stage, "rollback_app")
    with pytest.raises(PlughostError):
        await stage.host.apps.unregister("shop", rollback=True)
    stage.trace.act.clear()
    await stage.host.apps.register("shop", EVERYTHING)
    assert stage.host.apps["shop"].state is AppState.REGISTERED
    assert len(stage.provider.open_now) == 1


async def test_an_unregistration_that_is_called_off_before_its_rollback_changes_nothing(stage: Stage) -> None:
    record = await stage.host.apps.register("shop", EVERYTHING)
    with anyio.CancelScope() as scope:

        async def call_off(_: str) -> None:
            scope.cancel()
            await anyio.sleep_forever()

        stage.trace.act["app_unregistration_started"] = call_off
        await stage.host.apps.unregister("shop", rollback=True)
    assert stage.host.apps["shop"] == record
    assert stage.provider.done == ["shop migrated", "shop seeded"]


async def test_an_unregistration_that_is_called_off_after_its_rollback_is_finished(stage: Stage) -> None:
    await stage.host.apps.register("shop", EVERYTHING)
    with anyio.CancelScope() as scope:

        async def call_off(_: str) -> None:
            scope.cancel()
            await anyio.lowlevel.checkpoint()

        stage.trace.act["connection_shutdown"] = call_off
        await stage.host.apps.unregister("shop", rollback=True)
    assert "shop" not in stage.host.apps
    assert stage.trace.of("shop")[-1] == "app_unregistered"


async def test_a_rollback_result_that_is_not_ok_counts_as_a_failure(stage: Stage) -> None:
    class Pessimist:
        @hookimpl(priority=50)
        def rollback_app(self) -> OperationResult:
            return OperationResult(operation="rollback", ok=False, detail="it is too late")

    await stage.host.apps.register("shop", EVERYTHING)
    await stage.host.load("pessimist", Pessimist())
    with pytest.raises(AppError, match="it is too late"):
        await stage.host.apps.unregister("shop", rollback=True)
    assert stage.host.apps["shop"].state is AppState.FAILED


async def test_a_journal_that_cannot_be_written_fails_the_registration_cleanly(
    stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "apps").write_text("a file where the folder should be")
    with pytest.raises(AppError, match="run_migrations"):
        await stage.host.apps.register("shop", EVERYTHING)
    assert "shop" not in stage.host.apps
    assert not stage.provider.open_now
