"""Apps come and go in the documented order, alone, beside each other and in each other's way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from app_plugins import COMING, EVERYTHING, GOING, Connection, Stage, staged
from plughost.contracts.apps import AppRegistered, AppState, AppUnregistered, OperationResult
from plughost.exceptions import AppError, AppRefused
from plughost.hookspecs import hookimpl

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


async def test_an_app_comes_through_its_hooks_in_the_documented_order(stage: Stage) -> None:
    await stage.host.apps.register("shop", EVERYTHING)
    assert stage.trace.of("shop") == COMING


async def test_an_app_goes_through_its_hooks_in_the_documented_order(stage: Stage) -> None:
    await stage.host.apps.register("shop", EVERYTHING)
    stage.trace.calls.clear()
    await stage.host.apps.unregister("shop", rollback=True)
    assert stage.trace.of("shop") == GOING


async def test_without_a_rollback_nothing_is_rolled_back(stage: Stage) -> None:
    await stage.host.apps.register("shop", EVERYTHING)
    stage.trace.calls.clear()
    await stage.host.apps.unregister("shop")
    assert stage.trace.of("shop") == [hook for hook in GOING if "rollback" not in hook]
    assert stage.provider.done == ["shop migrated", "shop seeded"]


async def test_only_the_operations_that_an_app_names_are_run(stage: Stage) -> None:
    record = await stage.host.apps.register("shop", {"url": "memory://one", "seeds": "s"})
    assert list(record.results) == ["seeds"]
    assert "run_migrations" not in stage.trace.of("shop")


async def test_a_registered_app_can_be_looked_at(stage: Stage) -> None:
    record = await stage.host.apps.register("shop", EVERYTHING)
    assert stage.host.apps["shop"] == record
    assert "shop" in stage.host.apps
    assert list(stage.host.apps) == ["shop"]
    assert record.state is AppState.REGISTERED
    assert record.connection is stage.provider.opened[0]
    assert list(record.results) == ["migrations", "seeds", "models"]


async def test_secrets_in_an_app_are_not_in_its_repr(stage: Stage) -> None:
    record = await stage.host.apps.register("shop", {"url": "memory://user:sesame@here"})
    assert "sesame" not in repr(record)


async def test_events_tell_what_came_and_went(stage: Stage) -> None:
    heard: list[str] = []
    stage.host.events.subscribe(AppRegistered, lambda event: heard.append(f"+{event.app.name}"))
    stage.host.events.subscribe(AppUnregistered, lambda event: heard.append(f"-{event.app_name}"))
    await stage.host.apps.register("shop", {})
    await stage.host.apps.unregister("shop")
    assert heard == ["+shop", "-shop"]


async def test_an_app_without_a_url_has_no_connection_and_no_connection_hooks(stage: Stage) -> None:
    await stage.host.apps.register("plain", {})
    await stage.host.apps.unregister("plain")
    assert not {"connection_created", "connection_shutdown"} & set(stage.trace.of("plain"))


async def test_a_url_that_nobody_opens_is_an_error_that_names_its_scheme(stage: Stage) -> None:
    with pytest.raises(AppError, match="no running plugin opens connections to 'gopher' urls") as caught:
        await stage.host.apps.register("shop", {"url": "gopher://user:sesame@here"})
    assert caught.value.step == "open_connection"
    assert "sesame" not in str(caught.value)
    assert "shop" not in stage.host.apps


async def test_an_operation_that_nobody_knows_is_an_error(stage: Stage) -> None:
    stage.host.dispatcher.unregister("provider")
    with pytest.raises(AppError, match="knows how to do its migrations"):
        await stage.host.apps.register("shop", {"migrations": "m"})


async def test_an_operation_that_is_not_ok_fails_the_registration(stage: Stage) -> None:
    class Pessimist:
        @hookimpl(priority=50)
        def run_seeds(self) -> OperationResult:
            return OperationResult(operation="seeds", ok=False, detail="no seeds in the bag")

    await stage.host.load("pessimist", Pessimist())
    with pytest.raises(AppError, match="no seeds in the bag"):
        await stage.host.apps.register("shop", EVERYTHING)
    assert stage.provider.done == []


async def test_a_plugin_can_refuse_an_app(stage: Stage) -> None:
    def refuse(app_name: str) -> None:
        raise AppRefused(f"{app_name} is not welcome")

    stage.trace.act["app_registration_started"] = refuse
    with pytest.raises(AppRefused, match="shop is not welcome"):
        await stage.host.apps.register("shop", EVERYTHING)
    assert "shop" not in stage.host.apps
    assert stage.provider.opened == []


async def test_a_plugin_can_keep_an_app_from_leaving(stage: Stage) -> None:
    def refuse(_: str) -> None:
        raise AppRefused("not before it is saved")

    record = await stage.host.apps.register("shop", EVERYTHING)
    stage.trace.act["app_unregistration_started"] = refuse
    with pytest.raises(AppRefused):
        await stage.host.apps.unregister("shop", rollback=True)
    assert stage.host.apps["shop"] == record
    assert stage.provider.open_now
    assert stage.provider.done == ["shop migrated", "shop seeded"]


async def test_nobody_keeps_an_app_from_leaving_when_the_host_stops(stage: Stage) -> None:
    def refuse(_: str) -> None:
        raise AppRefused("stay")

    await stage.host.apps.register("shop", EVERYTHING)
    stage.trace.act["app_unregistration_started"] = refuse
    await stage.host.apps.close()
    assert not stage.host.apps
    assert not stage.provider.open_now


async def test_apps_leave_last_one_first_when_the_host_stops(stage: Stage) -> None:
    for name in ("one", "two", "three"):
        await stage.host.apps.register(name, {})
    stage.trace.calls.clear()
    await stage.host.apps.close()
    assert [name for hook, name in stage.trace.calls if hook == "app_unregistered"] == ["three", "two", "one"]


# connections


async def test_apps_with_the_same_url_share_one_connection(stage: Stage) -> None:
    one = await stage.host.apps.register("one", EVERYTHING)
    two = await stage.host.apps.register("two", EVERYTHING)
    assert one.connection is two.connection
    assert len(stage.provider.opened) == 1
    assert stage.host.apps["one"].shared_with == ("two",)


async def test_an_app_may_want_a_connection_of_its_own(stage: Stage) -> None:
    one = await stage.host.apps.register("one", EVERYTHING)
    two = await stage.host.apps.register("two", {**EVERYTHING, "shared": False})
    assert one.connection is not two.connection


async def test_a_shared_connection_closes_only_when_its_last_app_leaves(stage: Stage) -> None:
    await stage.host.apps.register("one", EVERYTHING)
    await stage.host.apps.register("two", EVERYTHING)
    await stage.host.apps.unregister("one")
    assert stage.provider.opened[0].closed == 0
    await stage.host.apps.unregister("two")
    assert stage.provider.opened[0].closed == 1


async def test_apps_that_come_at_the_same_time_share_the_connection_too(stage: Stage) -> None:
    gate = anyio.Event()
    stage.trace.act["open_connection"] = lambda _: gate.wait()
    async with anyio.create_task_group() as group:
        for name in ("one", "two", "three"):
            group.start_soon(stage.host.apps.register, name, EVERYTHING)
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert len(stage.provider.opened) == 1
    assert len(stage.host.apps) == 3


async def test_when_opening_fails_for_one_app_the_next_one_tries_itself(stage: Stage) -> None:
    def fail_once(_: str) -> None:
        del stage.trace.act["open_connection"]
        raise OSError("away")

    stage.trace.act["open_connection"] = fail_once
    errors = await stage.host.apps.register_all({"one": EVERYTHING, "two": EVERYTHING})
    assert len(errors) == 1
    assert len(stage.host.apps) == 1
    assert len(stage.provider.open_now) == 1


async def test_a_connection_that_does_not_close_in_time_does_not_hold_its_app(stage: Stage) -> None:
    await stage.host.apps.register("shop", EVERYTHING)

    def fail(_: str) -> None:
        raise OSError("will not close")

    stage.trace.act["connection_shutdown"] = fail
    await stage.host.apps.unregister("shop")
    assert "shop" not in stage.host.apps
    assert [(name, step) for name, step, *_ in stage.provider.failures] == [("shop", "connection_shutdown")]


# at the same time


async def test_different_apps_are_registered_at_the_same_time(stage: Stage) -> None:
    inside: list[str] = []
    both = anyio.Event()

    async def meet(app_name: str) -> None:
        inside.append(app_name)
        if len(inside) == 2:
            both.set()
        await both.wait()  # each waits for the other: only possible when they run at the same time

    stage.trace.act["run_migrations"] = meet
    errors = await stage.host.apps.register_all({"one": EVERYTHING, "two": EVERYTHING})
    assert errors == {}
    assert sorted(inside) == ["one", "two"]


async def test_of_two_registrations_of_one_name_one_wins_and_the_other_is_told(stage: Stage) -> None:
    gate = anyio.Event()
    stage.trace.act["open_connection"] = lambda _: gate.wait()
    async with anyio.create_task_group() as group:
        group.start_soon(stage.host.apps.register, "shop", EVERYTHING)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(AppError, match="'shop' is being registered at this moment"):
            await stage.host.apps.register("shop", EVERYTHING)
        gate.set()
    assert "shop" in stage.host.apps


async def test_a_name_that_is_taken_is_refused_and_its_app_is_not_touched(stage: Stage) -> None:
    record = await stage.host.apps.register("shop", EVERYTHING)
    with pytest.raises(AppError, match="registered already"):
        await stage.host.apps.register("shop", {})
    assert stage.host.apps["shop"] == record


async def test_unregistering_what_is_not_there_is_an_error_with_a_suggestion(stage: Stage) -> None:
    await stage.host.apps.register("shop", {})
    with pytest.raises(AppError, match="Did you mean 'shop'"):
        await stage.host.apps.unregister("shopp")


async def test_an_app_that_is_leaving_cannot_be_unregistered_again(stage: Stage) -> None:
    await stage.host.apps.register("shop", EVERYTHING)
    gate = anyio.Event()
    stage.trace.act["app_unregistration_started"] = lambda _: gate.wait()
    async with anyio.create_task_group() as group:
        group.start_soon(stage.host.apps.unregister, "shop")
        await anyio.wait_all_tasks_blocked()
        assert stage.host.apps["shop"].state is AppState.UNREGISTERING
        with pytest.raises(AppError, match="being unregistered"):
            await stage.host.apps.unregister("shop")
        gate.set()
    assert "shop" not in stage.host.apps


async def test_while_a_connection_is_closing_the_next_app_waits_and_gets_a_new_one(stage: Stage) -> None:
    first = await stage.host.apps.register("one", EVERYTHING)
    gate = anyio.Event()
    stage.trace.act["connection_shutdown"] = lambda _: gate.wait()
    async with anyio.create_task_group() as group:
        group.start_soon(stage.host.apps.unregister, "one")
        await anyio.wait_all_tasks_blocked()
        group.start_soon(stage.host.apps.register, "two", EVERYTHING)
        await anyio.wait_all_tasks_blocked()
        assert "two" not in stage.host.apps
        gate.set()
    second: Connection = stage.host.apps["two"].connection
    assert second is not first.connection
    assert not second.closed
