"""The caller being cancelled: at every point where it waits, by every means, and never swallowed."""

from __future__ import annotations

import asyncio
import contextlib

import anyio
import anyio.lowlevel
import pytest

from core.calls.ways import PLAIN, SHORT, dispatcher, figures, plugin
from plughost.hookspecs import hookspec

pytestmark = pytest.mark.anyio

on_asyncio_only = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Specs:
    @hookspec(mode="collect", timeout=5)
    def ask(self, what): ...

    @hookspec(mode="collect", timeout=None)
    def wait(self, what): ...

    @hookspec(mode="broadcast", timeout=5, on_error="abort")
    def tell(self, what): ...


@pytest.fixture(params=[PLAIN, SHORT])
def way(request, anyio_backend):
    return request.param


@pytest.fixture(params=["ask", "wait", "tell"])
def hook(request):
    return request.param


async def hang(what):
    await anyio.sleep_forever()


async def ordinary(what):
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    return what


async def swallow(what):
    with contextlib.suppress(BaseException):
        await anyio.sleep_forever()
    return what


async def test_a_cancelled_caller_leaves_and_nobody_is_blamed(way, hook):
    called = []
    hosts = dispatcher(Specs, plugin(hook, hang), plugin(hook, called.append), way=way)
    with anyio.move_on_after(0.01) as scope:
        await getattr(hosts.hooks, hook)(what=1)
    assert scope.cancelled_caught
    assert called == []
    assert figures(hosts, "a") == (1, 0, 0)


async def test_a_timeout_around_the_call_is_the_callers(way, hook):
    hosts = dispatcher(Specs, plugin(hook, hang), way=way)
    with pytest.raises(TimeoutError), anyio.fail_after(0.01):
        await getattr(hosts.hooks, hook)(what=1)
    assert figures(hosts, "a") == (1, 0, 0)


@pytest.mark.parametrize("turns", range(12))
async def test_the_caller_can_be_cancelled_at_every_point(way, hook, turns):
    """Three implementations with three waits each: the caller is cancelled after so many turns of the loop."""
    hosts = dispatcher(Specs, *(plugin(hook, ordinary) for _ in range(3)), way=way)
    done = []

    async def call():
        done.append(await getattr(hosts.hooks, hook)(what=1))

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert done in ([], [[1, 1, 1]], [None])
    assert all(figures(hosts, name)[1:] == (0, 0) for name in "abc")
    assert hosts.unregister("a").under_way == 0


@on_asyncio_only
@pytest.mark.parametrize("turns", range(12))
async def test_a_task_can_be_cancelled_at_every_point(way, hook, turns):
    hosts = dispatcher(Specs, *(plugin(hook, ordinary) for _ in range(3)), way=way)
    task = asyncio.create_task(getattr(hosts.hooks, hook)(what=1))
    for _ in range(turns):
        await asyncio.sleep(0)
    was_done = task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled() or was_done
    assert all(figures(hosts, name)[1:] == (0, 0) for name in "abc")


@on_asyncio_only
async def test_an_implementation_cannot_swallow_the_cancellation_of_a_task(way, hook):
    called = []
    hosts = dispatcher(Specs, plugin(hook, swallow), plugin(hook, called.append), way=way)
    task = asyncio.create_task(getattr(hosts.hooks, hook)(what=1))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert called == []


async def test_an_implementation_cannot_swallow_the_cancellation_of_a_scope(way, hook):
    hosts = dispatcher(Specs, plugin(hook, swallow), plugin(hook, ordinary), way=way)
    with anyio.move_on_after(0.01) as scope:
        await getattr(hosts.hooks, hook)(what=1)
    assert scope.cancelled_caught


@on_asyncio_only
async def test_an_implementation_that_makes_an_error_of_it_is_blamed_but_the_caller_leaves(way):
    async def convert(what):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ValueError from None

    hosts = dispatcher(Specs, plugin("ask", convert), way=way)
    task = asyncio.create_task(hosts.hooks.ask(what=1))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@on_asyncio_only
@pytest.mark.parametrize("offset", [-1e-9, 1e-9])
async def test_a_cancellation_at_the_moment_of_the_limit_wins(way, offset):
    """The owner and the ticker cancel the task in the same turn of the loop, before it wakes."""
    hosts = dispatcher(Specs, plugin("ask", hang, timeout=0.02), way=way)
    task = asyncio.create_task(hosts.hooks.ask(what=1))
    await asyncio.sleep(0)
    (watch,) = hosts._watchdog.ticker().watches
    ticker_was_first = []

    def cancel():
        ticker_was_first.append(watch.cancels == 1)
        task.cancel()

    asyncio.get_running_loop().call_at(watch.deadline + offset, cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ticker_was_first == [offset > 0]
    assert task.cancelling() == 1
    assert figures(hosts, "a") == (1, 0, 0)


async def test_a_limit_and_a_scope_that_end_together_end_the_scope(way):
    hosts = dispatcher(Specs, plugin("ask", hang, timeout=0.05), way=way)
    for delay in (0.045, 0.05, 0.055):
        with anyio.move_on_after(delay) as scope:
            await hosts.hooks.ask(what=1)
            await anyio.sleep_forever()
        assert scope.cancelled_caught


@on_asyncio_only
async def test_asyncio_timeout_around_the_call(way):
    hosts = dispatcher(Specs, plugin("ask", hang), way=way)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await hosts.hooks.ask(what=1)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@on_asyncio_only
async def test_a_stubborn_implementation_is_left_at_its_limit_when_the_caller_was_cancelled(way):
    async def stubborn(what):
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    hosts = dispatcher(Specs, plugin("ask", stubborn, timeout=0.3), way=way, grace=0.01)
    task = asyncio.create_task(hosts.hooks.ask(what=1))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_shielded_implementation_ends_its_work_before_a_cancelled_caller_leaves(way):
    done = []

    async def careful(what):
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.03)
            done.append(what)

    hosts = dispatcher(Specs, plugin("ask", careful), way=way)
    with anyio.move_on_after(0.01) as scope:
        await hosts.hooks.ask(what=1)
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert done == [1]


async def test_closing_a_call_that_waits_closes_its_implementation(way):
    closed = []

    async def waits(what):
        try:
            await anyio.sleep_forever()
        finally:
            closed.append(what)

    hosts = dispatcher(Specs, plugin("wait", waits), way=way)
    call = hosts.hooks.wait(what=1)
    call.send(None)
    call.close()
    assert closed == [1]
    assert figures(hosts, "a") == (1, 0, 0)
    assert hosts.unregister("a").under_way == 0


async def test_closing_a_call_closes_even_an_implementation_that_would_rather_not(way):
    closed = []

    async def reluctant(what):
        for _ in range(3):
            try:
                await anyio.sleep_forever()
            except BaseException as error:
                closed.append(type(error))

    call = dispatcher(Specs, plugin("wait", reluctant), way=way).hooks.wait(what=1)
    call.send(None)
    call.close()
    assert closed == [GeneratorExit] * 3


async def test_nested_task_groups_around_and_inside_a_call(way):
    async def busy(what):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        return what

    hosts = dispatcher(Specs, plugin("ask", busy), way=way)
    results = []

    async def call(number):
        results.extend(await hosts.hooks.ask(what=number))

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(call, number)
    assert sorted(results) == [0, 1, 2, 3, 4]
