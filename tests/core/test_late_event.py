"""An event that is made when it is waited for."""

from __future__ import annotations

import anyio
import pytest

from plughost.core.late_event import LateEvent

pytestmark = pytest.mark.anyio


async def test_all_who_wait_are_woken_and_who_comes_later_does_not_wait() -> None:
    event, woken = LateEvent(), []

    async def wait(name: str) -> None:
        await event.wait()
        woken.append(name)

    async with anyio.create_task_group() as tasks:
        for name in ("first", "second"):
            tasks.start_soon(wait, name)
        await anyio.wait_all_tasks_blocked()
        assert (event.is_set(), event.is_awaited, woken) == (False, True, [])
        event.set()
    assert event.is_set()
    assert sorted(woken) == ["first", "second"]
    with anyio.fail_after(10):
        await event.wait()


@pytest.mark.parametrize("is_set", [False, True])
async def test_waiting_can_be_cancelled_whether_or_not_it_has_happened(is_set: bool) -> None:
    event = LateEvent()
    if is_set:
        event.set()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await event.wait()
        pytest.fail("went on")
    assert scope.cancelled_caught
    assert not event.is_awaited
