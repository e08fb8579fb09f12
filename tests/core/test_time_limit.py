"""Somebody else's code is awaited for so long and no longer, and does not drag its caller along."""

from __future__ import annotations

import math

import anyio
import pytest

from plughost.contracts.clock import SYSTEM_CLOCK
from plughost.core.time_limit import LimitPassedError, call_within
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


async def test_the_value_is_returned() -> None:
    async def seven() -> int:
        return 7

    assert await call_within(math.inf, seven, SYSTEM_CLOCK) == 7


async def test_an_error_is_raised_as_it_is() -> None:
    async def time_out() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own") as caught:
        await call_within(5, time_out, FakeClock())
    assert not isinstance(caught.value, LimitPassedError)


async def passed(clock: FakeClock, function: object) -> BaseException | None:
    """Let five seconds pass over a call, and one more; return what it raised."""
    raised: list[BaseException] = []

    async def call() -> None:
        try:
            await call_within(5, function, clock)
        except (LimitPassedError, KeyboardInterrupt) as error:
            raised.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.advance(5)
        await clock.advance(1)
    return raised[0] if raised else None


async def test_what_takes_too_long_is_cancelled() -> None:
    error = await passed(FakeClock(), anyio.sleep_forever)
    assert str(error) == "took longer than its limit of 5 s"


async def test_what_fails_of_its_cancellation_is_too_late_all_the_same() -> None:
    async def fail_late() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("too late")

    error = await passed(FakeClock(), fail_late)
    assert isinstance(error, LimitPassedError)
    assert isinstance(error.__cause__, ValueError)


async def test_a_keyboard_interrupt_goes_through_even_when_it_is_late() -> None:
    async def interrupt_late() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyboardInterrupt

    assert isinstance(await passed(FakeClock(), interrupt_late), KeyboardInterrupt)


async def test_what_swallows_its_cancellation_is_let_go_a_second_later() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                continue

    assert isinstance(await passed(FakeClock(), stubborn), LimitPassedError)


async def test_what_ends_within_the_second_is_still_too_late() -> None:
    clock = FakeClock()

    async def tidy_up() -> str:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await clock.sleep(0.5)
            raise
        return "never"

    assert isinstance(await passed(clock, tidy_up), LimitPassedError)
