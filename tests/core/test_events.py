"""Events reach whoever subscribed, in order, and no subscriber is in another's way."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import anyio
import pytest

from plughost.core.events import EventBus
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Happened:
    what: str = "it"


@dataclass(frozen=True)
class HappenedBadly(Happened):
    """A more special fact."""


class Heard:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def __call__(self, event: object) -> None:
        self.events.append(event)

    async def later(self, event: object) -> None:
        await anyio.lowlevel.checkpoint()
        self.events.append(event)


async def test_a_typed_event_reaches_sync_and_async_subscribers() -> None:
    bus, heard = EventBus(), Heard()
    bus.subscribe(Happened, heard)
    bus.subscribe(Happened, heard.later)
    event = Happened()
    await bus.publish(event)
    assert heard.events == [event, event]


async def test_a_named_event_brings_its_data() -> None:
    bus, heard = EventBus(), Heard()
    bus.subscribe("order-paid", heard)
    await bus.publish("order-paid", {"id": 7})
    await bus.publish("order-paid")
    await bus.publish("order-lost", {"id": 8})
    assert heard.events == [{"id": 7}, None]


async def test_a_subscriber_of_a_base_class_hears_its_subclasses() -> None:
    bus, general, special, all_of_them = EventBus(), Heard(), Heard(), Heard()
    bus.subscribe(Happened, general)
    bus.subscribe(HappenedBadly, special)
    bus.subscribe(object, all_of_them)
    await bus.publish(Happened())
    await bus.publish(HappenedBadly())
    await bus.publish("named")
    assert general.events == [Happened(), HappenedBadly()]
    assert special.events == [HappenedBadly()]
    assert all_of_them.events == [Happened(), HappenedBadly()]


async def test_subscribers_are_told_in_the_order_they_subscribed_whatever_class_they_named() -> None:
    bus = EventBus()
    order: list[int] = []
    for number, kind in enumerate([HappenedBadly, object, Happened, HappenedBadly, Happened]):
        bus.subscribe(kind, lambda _, number=number: order.append(number))
    await bus.publish(HappenedBadly())
    assert order == [0, 1, 2, 3, 4]


async def test_an_ended_subscription_hears_nothing_more() -> None:
    bus, heard = EventBus(), Heard()
    end = bus.subscribe(Happened, heard)
    await bus.publish(Happened())
    end()
    end()
    await bus.publish(Happened())
    assert heard.events == [Happened()]


async def test_the_same_callback_subscribed_twice_is_called_twice_and_ended_once_each() -> None:
    bus, heard = EventBus(), Heard()
    end = bus.subscribe("e", heard)
    bus.subscribe("e", heard)
    await bus.publish("e", 1)
    end()
    await bus.publish("e", 2)
    assert heard.events == [1, 1, 2]


async def test_a_failing_subscriber_is_logged_with_its_owner_and_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, heard = EventBus(), Heard()

    def fail(event: object) -> None:
        raise ValueError("no good")

    async def exit_later(event: object) -> None:
        raise SystemExit(3)

    bus.subscribe(Happened, fail, owner="backup")
    bus.subscribe(Happened, exit_later, owner="cache")
    bus.subscribe(Happened, heard)
    with caplog.at_level(logging.WARNING, "plughost.events"):
        await bus.publish(Happened())
    assert heard.events == [Happened()]
    assert [(r.getMessage(), vars(r)["owner"], vars(r)["event_name"]) for r in caplog.records] == [
        ("event subscriber failed", "backup", "Happened"),
        ("event subscriber failed", "cache", "Happened"),
    ]
    assert caplog.records[0].exc_info is not None


async def test_a_subscriber_that_takes_too_long_is_cancelled_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    bus, heard = EventBus(limit=5, clock=clock), Heard()
    cancelled = anyio.Event()

    async def hang(event: object) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    bus.subscribe("e", hang, owner="slow")
    bus.subscribe("e", heard)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.publish, "e", 1)
        await clock.advance(4.9)
        assert heard.events == []
        await clock.advance(0.1)
        assert cancelled.is_set()
        assert heard.events == [1]
    assert [(r.getMessage(), vars(r)["owner"], vars(r)["limit"]) for r in caplog.records] == [
        ("event subscriber timed out", "slow", 5)
    ]


async def test_a_subscriber_that_swallows_its_cancellation_holds_nobody_up_for_ever() -> None:
    clock = FakeClock()
    bus, heard = EventBus(limit=5, clock=clock), Heard()

    async def stubborn(event: object) -> None:
        while True:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                continue

    bus.subscribe("e", stubborn)
    bus.subscribe("e", heard)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.publish, "e", 1)
        await clock.advance(5)
        await clock.advance(1)
        assert heard.events == [1]


async def test_a_subscriber_that_cancels_itself_does_not_cancel_the_publisher(
    anyio_backend_name: str,
) -> None:
    bus, heard = EventBus(), Heard()

    async def cancel_itself(event: object) -> None:
        if anyio_backend_name == "asyncio":
            import asyncio

            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        else:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anyio.sleep_forever()

    bus.subscribe("e", cancel_itself)
    bus.subscribe("e", heard)
    await bus.publish("e", 1)
    assert heard.events == [1]


async def test_cancelling_the_publisher_cancels_the_subscriber() -> None:
    bus = EventBus()
    seen: list[str] = []

    async def hang(event: object) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            seen.append("cancelled")
            raise

    bus.subscribe("e", hang)
    bus.subscribe("e", lambda _: seen.append("told"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.publish, "e")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert seen == ["cancelled"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_keyboard_interrupt_goes_through(is_async: bool) -> None:
    bus = EventBus()

    def interrupt(event: object) -> None:
        raise KeyboardInterrupt

    async def interrupt_later(event: object) -> None:
        raise KeyboardInterrupt

    bus.subscribe("e", interrupt_later if is_async else interrupt)
    with pytest.raises(KeyboardInterrupt):
        await bus.publish("e")


async def test_who_subscribes_during_a_publication_hears_the_next_one() -> None:
    bus, late = EventBus(), Heard()
    bus.subscribe("e", lambda _: bus.subscribe("e", late))
    await bus.publish("e", 1)
    assert late.events == []
    await bus.publish("e", 2)
    assert late.events == [2]


async def test_who_is_unsubscribed_during_a_publication_hears_no_more_of_it() -> None:
    bus, heard = EventBus(), Heard()
    bus.subscribe("e", lambda _: end())
    end = bus.subscribe("e", heard)
    await bus.publish("e", 1)
    assert heard.events == []


async def test_a_subscriber_may_publish() -> None:
    bus, heard = EventBus(), Heard()

    async def tell_on(event: object) -> None:
        await bus.publish("second", event)

    bus.subscribe("first", tell_on)
    bus.subscribe("second", heard)
    await bus.publish("first", 1)
    assert heard.events == [1]


async def test_an_event_nobody_listens_to_is_not_looked_at() -> None:
    class Untouchable:
        def __repr__(self) -> str:
            raise AssertionError("it was formatted")

        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} was read")

    await EventBus().publish(Untouchable())
    await EventBus().publish("named", Untouchable())


async def test_data_goes_with_names_only() -> None:
    with pytest.raises(TypeError, match="Happened carries its own"):
        await EventBus().publish(Happened(), {"more": 1})


async def test_only_classes_and_names_are_subscribed_to() -> None:
    with pytest.raises(TypeError, match="not to Happened"):
        EventBus().subscribe(Happened(), print)


async def test_ended_subscriptions_leave_nothing_behind() -> None:
    bus = EventBus()
    for _ in range(100):
        bus.subscribe(type("Local", (), {}), print)()
    assert bus._subscriptions == {}
