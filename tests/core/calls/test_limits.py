"""Time limits: what an implementation can do about them (nothing), and what the caller notices (an outcome)."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading

import anyio
import anyio.lowlevel
import pytest

from plughost.contracts.auth import Allow, Deny
from plughost.core.calls.dispatch import CallPolicy, HookDispatcher
from plughost.exceptions import AppRefused, HookTimeoutError
from plughost.hookspecs import hookimpl, hookspec

pytestmark = pytest.mark.anyio

LIMIT = 0.05


class Specs:
    @hookspec(mode="collect", timeout=LIMIT)
    def ask(self, what): ...

    @hookspec(mode="first", timeout=LIMIT)
    def find(self, what): ...

    @hookspec(mode="waterfall", timeout=LIMIT, on_error="abort")
    def change(self, what): ...

    @hookspec(mode="decide", timeout=LIMIT)
    def judge(self, what): ...

    @hookspec(mode="collect", timeout=None)
    def wait(self, what): ...


class Fine:
    @hookimpl(trylast=True)
    async def ask(self, what):
        await anyio.lowlevel.checkpoint()
        return what

    @hookimpl(trylast=True)
    def find(self, what):
        return what

    @hookimpl(trylast=True)
    def judge(self, what):
        return Allow()


def dispatcher(*plugins, grace=0.05, fine=True, **policy):
    timeouts = {"fine": 30, **policy.pop("timeouts", {})}  # a busy machine is not the fine one's fault
    made = HookDispatcher(CallPolicy(grace=grace, timeouts=timeouts, **policy))
    made.add_hookspecs(Specs)
    if fine:
        made.register("fine", Fine())
    for number, plugin in enumerate(plugins):
        made.register(f"slow{number or ''}", plugin)
    return made


def slow(function, hook="ask", **options):
    """A plugin whose implementation of ``hook`` is ``function``."""
    options.setdefault("specname", hook)
    return type("Slow", (), {"implementation": staticmethod(hookimpl(**options)(function))})


def kinds(report):
    return {outcome.plugin: outcome.kind for outcome in report.outcomes}


async def hang(what):
    await anyio.sleep_forever()


async def test_one_that_hangs_is_timed_out_and_the_others_answer():
    hosts = dispatcher(slow(hang))
    report = await hosts.hooks.ask.report(what=1)
    assert report.result == [1]
    assert kinds(report) == {"slow": "timed_out", "fine": "value"}
    error = report.outcomes[0].error
    assert isinstance(error, HookTimeoutError)
    assert (error.hook, error.plugin, error.limit) == ("ask", "slow", LIMIT)
    assert "slow.ask" in str(error)


async def test_a_timeout_is_counted_and_is_no_error():
    hosts = dispatcher(slow(hang))
    await hosts.hooks.ask(what=1)
    (figures,) = [each for each in hosts.metrics.snapshot() if each.plugin == "slow"]
    assert (figures.calls, figures.errors, figures.timeouts) == (1, 0, 1)


async def test_in_a_first_hook_the_next_one_is_asked():
    hosts = dispatcher(slow(hang, "find"))
    assert await hosts.hooks.find(what=1) == 1


async def test_in_a_decide_hook_it_is_a_deny():
    hosts = dispatcher(slow(hang, "judge"))
    assert isinstance(await hosts.hooks.judge(what=1), Deny)


async def test_in_an_abort_hook_the_caller_gets_the_timeout():
    hosts = dispatcher(slow(hang, "change"))
    with pytest.raises(HookTimeoutError) as raised:
        await hosts.hooks.change(what=1)
    assert raised.value.plugin == "slow"


async def test_without_a_limit_nobody_is_hurried():
    async def late(what):
        await anyio.sleep(3 * LIMIT)
        return "late"

    assert await dispatcher(slow(late, "wait")).hooks.wait(what=1) == ["late"]


@pytest.mark.parametrize("key", ["slow.ask", "slow", "ask"])
async def test_the_deployer_may_lift_a_limit(key):
    async def late(what):
        await anyio.sleep(2 * LIMIT)
        return "late"

    assert await dispatcher(slow(late, timeout=0.01), timeouts={key: None}).hooks.ask(what=1) == ["late", 1]


async def test_the_limit_of_the_plugin_in_the_hook_goes_before_that_of_the_plugin_and_of_the_hook():
    policy = CallPolicy(timeouts={"hook": 3.0, "plugin": 2.0, "plugin.hook": 1.0})
    assert policy.limit("hook", "plugin", asked=9.0, declared=9.0) == 1.0
    assert policy.limit("other", "plugin", asked=9.0, declared=9.0) == 2.0
    assert policy.limit("hook", "other", asked=9.0, declared=9.0) == 3.0
    assert policy.limit("other", "other", asked=8.0, declared=9.0) == 8.0
    assert policy.limit("other", "other", asked=None, declared=9.0) == 9.0


async def test_the_author_may_ask_for_another_limit_than_the_spec():
    hosts = dispatcher(slow(hang, "wait", timeout=LIMIT))
    report = await hosts.hooks.wait.report(what=1)
    assert kinds(report) == {"slow": "timed_out"}


async def test_cleaning_up_within_the_grace_is_let_happen():
    cleaned = []

    async def tidy(what):
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            cleaned.append(what)

    report = await dispatcher(slow(tidy), grace=5.0).hooks.ask.report(what=1)
    assert kinds(report)["slow"] == "timed_out"
    assert cleaned == [1]


async def test_what_comes_late_is_dropped():
    async def late(what):
        with contextlib.suppress(BaseException):
            await anyio.sleep_forever()
        return "late"

    report = await dispatcher(slow(late)).hooks.ask.report(what=1)
    assert report.result == [1]
    assert kinds(report)["slow"] == "timed_out"


async def test_an_error_that_comes_late_is_still_a_timeout():
    async def late(what):
        try:
            await anyio.sleep_forever()
        except BaseException:
            raise ValueError from None

    report = await dispatcher(slow(late)).hooks.ask.report(what=1)
    assert kinds(report)["slow"] == "timed_out"


async def test_a_refusal_that_comes_late_is_still_a_refusal():
    async def late(what):
        try:
            await anyio.sleep_forever()
        finally:
            raise AppRefused("no")

    with pytest.raises(AppRefused):
        await dispatcher(slow(late), grace=30.0).hooks.ask(what=1)


async def test_one_that_swallows_every_cancellation_is_abandoned():
    left = []

    async def stubborn(what):
        try:
            while True:
                with contextlib.suppress(Exception, anyio.get_cancelled_exc_class()):
                    await anyio.sleep_forever()
        finally:
            left.append(what)

    report = await dispatcher(slow(stubborn)).hooks.ask.report(what=1)
    assert kinds(report) == {"slow": "timed_out", "fine": "value"}
    assert left == [1]


async def test_one_that_does_not_even_close_is_abandoned():
    release = False

    async def immortal(what):
        while not release:
            with contextlib.suppress(BaseException):
                await anyio.sleep_forever()

    hosts = dispatcher(slow(immortal))
    report = await hosts.hooks.ask.report(what=1)
    assert kinds(report) == {"slow": "timed_out", "fine": "value"}
    assert (await hosts.hooks.ask(what=2)) == [2]
    release = True  # so that it can be collected in silence


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_shield_does_not_hold_a_limit_off():
    async def shielded(what):
        with anyio.CancelScope(shield=True):
            await anyio.sleep_forever()

    report = await dispatcher(slow(shielded)).hooks.ask.report(what=1)
    assert kinds(report)["slow"] == "timed_out"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_waiting_for_a_task_that_swallows_its_cancellation_does_not_hold_a_limit_off():
    release = asyncio.Event()

    async def stubborn():
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    tasks = []

    async def waiting(what):
        tasks.append(asyncio.create_task(stubborn()))
        await tasks[0]

    async def gathering(what):
        tasks.append(asyncio.create_task(stubborn()))
        await asyncio.gather(*tasks)

    report = await dispatcher(slow(waiting), slow(gathering)).hooks.ask.report(what=1)
    assert kinds(report) == {"slow": "timed_out", "slow1": "timed_out", "fine": "value"}
    release.set()
    await asyncio.wait(tasks)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_is_awaited_is_cancelled_with_its_implementation():
    cancelled = []

    async def child():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def waiting(what):
        await asyncio.create_task(child())

    report = await dispatcher(slow(waiting), grace=5.0).hooks.ask.report(what=1)
    assert kinds(report)["slow"] == "timed_out"
    assert cancelled == [True]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_result_of_an_awaited_task_arrives():
    async def child():
        await asyncio.sleep(0)
        return "done"

    async def failing():
        await asyncio.sleep(0)
        raise KeyError("lost")

    async def waiting(what):
        with pytest.raises(KeyError):
            await asyncio.create_task(failing())
        return await asyncio.gather(asyncio.create_task(child()), child())

    assert await dispatcher(slow(waiting), fine=False).hooks.ask(what=1) == [["done", "done"]]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_after_a_timeout_the_task_counts_no_cancellation():
    async def stubborn(what):
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    hosts = dispatcher(slow(stubborn), slow(hang))
    await hosts.hooks.ask(what=1)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_short_limit_is_kept_while_a_long_one_is_pending():
    hosts = dispatcher(slow(hang, timeout=30), slow(hang, "find"))
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: hosts.hooks.ask(what=1))
        await anyio.wait_all_tasks_blocked()
        report = await hosts.hooks.find.report(what=1)
        group.cancel_scope.cancel()
    assert kinds(report)["slow1"] == "timed_out"


async def test_many_limits_at_once_are_all_kept():
    hosts = dispatcher(slow(hang), fine=False)
    results = []

    async def call(delay):
        await anyio.sleep(delay)
        results.append(await hosts.hooks.ask(what=1))

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(call, number / 1000)
    assert results == [[]] * 50


# scopes and timeouts inside


async def test_a_timeout_inside_an_implementation_stays_its_own():
    async def careful(what):
        with anyio.move_on_after(0.01):
            await anyio.sleep_forever()
        try:
            with anyio.fail_after(0.01):
                await anyio.sleep_forever()
        except TimeoutError:
            return "gave up"

    hosts = dispatcher(slow(careful), timeouts={"ask": 10})
    assert await hosts.hooks.ask(what=1) == ["gave up", 1]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_asyncio_timeout_inside_an_implementation_stays_its_own():
    async def careful(what):
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(3600)
        except TimeoutError:
            return await asyncio.wait_for(asyncio.sleep(0, "gave up"), 5)

    hosts = dispatcher(slow(careful), timeouts={"ask": 10})
    assert await hosts.hooks.ask(what=1) == ["gave up", 1]


async def test_a_limit_reaches_into_scopes_and_task_groups():
    ended = []

    async def child(task_status=anyio.TASK_STATUS_IGNORED):
        task_status.started("ready")
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("child")

    async def nested(what):
        with anyio.CancelScope(), anyio.move_on_after(100):
            async with anyio.create_task_group() as group:
                assert await group.start(child) == "ready"
                await anyio.sleep_forever()

    report = await dispatcher(slow(nested), grace=5.0).hooks.ask.report(what=1)
    assert kinds(report) == {"slow": "timed_out", "fine": "value"}
    assert ended == ["child"]
    with anyio.move_on_after(0.01) as scope:  # the scopes of the caller still work
        await anyio.sleep_forever()
    assert scope.cancelled_caught


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_abandoning_leaves_the_scopes_of_the_caller_in_order():
    release = asyncio.Event()

    async def stubborn():
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    async def nested(what):
        with anyio.CancelScope(), anyio.move_on_after(100):
            async with anyio.create_task_group() as group:
                group.start_soon(stubborn)

    with anyio.CancelScope():
        report = await dispatcher(slow(nested)).hooks.ask.report(what=1)
        assert kinds(report) == {"slow": "timed_out", "fine": "value"}
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
    release.set()


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_on_trio_a_stubborn_implementation_is_driven_out_of_its_nursery():
    ended = []

    async def child():
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("child")

    async def stubborn(what):
        async with anyio.create_task_group() as group:
            group.start_soon(child)
            while True:
                with contextlib.suppress(Exception, anyio.get_cancelled_exc_class()):
                    await anyio.sleep_forever()

    async with anyio.create_task_group() as group:  # the caller stands in one itself
        report = await dispatcher(slow(stubborn)).hooks.ask.report(what=1)
        group.start_soon(anyio.sleep, 0)
    assert kinds(report) == {"slow": "timed_out", "fine": "value"}
    assert ended == ["child"]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_on_trio_a_child_that_will_not_end_holds_up_the_caller_and_breaks_nothing():
    release = anyio.Event()

    async def child():
        while not release.is_set():
            with contextlib.suppress(anyio.get_cancelled_exc_class()):
                await release.wait()

    async def nested(what):
        async with anyio.create_task_group() as group:
            group.start_soon(child)

    async def let_go():
        await anyio.sleep(4 * LIMIT)
        release.set()

    async with anyio.create_task_group() as group:
        group.start_soon(let_go)
        report = await dispatcher(slow(nested)).hooks.ask.report(what=1)
    assert kinds(report) == {"slow": "timed_out", "fine": "value"}
    assert release.is_set()


async def test_a_task_group_of_an_implementation_works():
    async def busy(what):
        found = []

        async def child(number):
            await anyio.sleep(0.001)
            found.append(number)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(child, number)
        return sorted(found)

    assert await dispatcher(slow(busy), timeouts={"ask": 10}, fine=False).hooks.ask(what=1) == [[0, 1, 2]]


# hooks inside hooks


async def test_the_limit_of_the_outer_hook_reaches_the_inner_one():
    async def outer(what):
        if what == "outer":
            return await hosts.hooks.wait(what="inner")
        return None

    hosts = dispatcher(slow(outer), slow(hang, "wait"), fine=False)
    report = await hosts.hooks.ask.report(what="outer")
    assert kinds(report) == {"slow": "timed_out"}


async def test_an_outer_hook_leaves_even_when_the_inner_one_is_stubborn():
    async def outer(what):
        return await hosts.hooks.wait(what="inner")

    async def stubborn(what):
        while True:
            with contextlib.suppress(Exception, anyio.get_cancelled_exc_class()):
                await anyio.sleep_forever()

    hosts = dispatcher(slow(outer), slow(stubborn, "wait", timeout=0.2))
    report = await hosts.hooks.ask.report(what="outer")
    assert kinds(report) == {"slow": "timed_out", "fine": "value"}


# blocking


async def test_a_blocking_implementation_that_never_returns_is_timed_out():
    release = threading.Event()

    def never(what):
        release.wait()

    report = await dispatcher(slow(never, blocking=True)).hooks.ask.report(what=1)
    assert kinds(report) == {"slow": "timed_out", "fine": "value"}
    release.set()


async def test_a_plugin_whose_threads_all_hang_takes_no_more_of_them():
    release = threading.Event()
    started = []

    def never(what):
        started.append(what)
        release.wait()

    hosts = dispatcher(slow(never, blocking=True), blocking_threads=2)
    for number in range(2):
        assert kinds(await hosts.hooks.ask.report(what=number))["slow"] == "timed_out"
    report = await hosts.hooks.ask.report(what=2)
    assert kinds(report) == {"slow": "error", "fine": "value"}
    assert "2 earlier calls" in str(report.outcomes[0].error)
    assert started == [0, 1]
    release.set()


SCRIPT = """
import sys, threading, anyio
from plughost.core.calls.dispatch import HookDispatcher
from plughost.hookspecs import hookimpl, hookspec
class Specs:
    @hookspec(timeout=0.05)
    def ask(self): ...
class Never:
    @hookimpl(blocking=True)
    def ask(self):
        threading.Event().wait()
async def main():
    hosts = HookDispatcher()
    hosts.add_hookspecs(Specs)
    hosts.register("never", Never())
    report = await hosts.hooks.ask.report()
    print(report.outcomes[0].kind, flush=True)
anyio.run(main, backend={backend!r})
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_blocking_implementation_that_never_returns_does_not_keep_the_process(backend):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.format(backend=backend)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "timed_out\n", "")
