"""At most so many at once, the most urgent first."""

from __future__ import annotations

import anyio
import pytest

from plughost.core.loading.window import Window

pytestmark = pytest.mark.anyio


async def test_no_more_than_its_size_are_inside() -> None:
    window, inside, most = Window(3), 0, 0

    async def one() -> None:
        nonlocal inside, most
        async with window.place(0):
            inside += 1
            most = max(most, inside)
            await anyio.lowlevel.checkpoint()
            inside -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one)
    assert (most, inside) == (3, 0)


async def test_the_most_urgent_gets_the_place_that_falls_free() -> None:
    window, order = Window(1), []

    async def one(urgency: float) -> None:
        async with window.place(urgency):
            order.append(urgency)

    async with anyio.create_task_group() as tasks, window.place(0):
        for urgency in (1.0, 3.0, 2.0):
            tasks.start_soon(one, urgency)
        await anyio.wait_all_tasks_blocked()
    assert order == [3.0, 2.0, 1.0]


async def test_whoever_is_cancelled_while_waiting_loses_no_place() -> None:
    window = Window(1)
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with window.place(0):
                scope.cancel()
                tasks.start_soon(_wait_cancelled, window)
                with anyio.CancelScope(shield=True):
                    await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(1):
        async with window.place(0):
            pass


async def _wait_cancelled(window: Window) -> None:
    with anyio.move_on_after(0):
        async with window.place(1):
            pass
