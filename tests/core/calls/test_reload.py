"""Plugins change places while hooks are called: no call is lost, doubled or made to one that is gone."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import Counter

import anyio
import anyio.lowlevel
import pytest

from core.calls.ways import PLAIN, SHORT, dispatcher, plugin, shorten
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.threads import run_in_daemon_thread
from plughost.exceptions import PluginInvalidError
from plughost.hookspecs import hookimpl, hookspec

pytestmark = pytest.mark.anyio


class Specs:
    @hookspec(timeout=5)
    def ask(self, what): ...

    @hookspec(timeout=5)
    def other(self, what): ...


class Guest:
    """Knows which calls it answered, and complains when one comes after it was stopped."""

    def __init__(self, number):
        self.number = number
        self.answered = []
        self.stopped = False

    @hookimpl
    async def ask(self, what):
        assert not self.stopped, "called after it was stopped"
        self.answered.append(what)
        for _ in range(what % 4):  # some answer at once, some wait a little
            await anyio.lowlevel.checkpoint()
        assert not self.stopped, "stopped during a call"
        return self.number

    def stop(self):
        self.stopped = True


async def reload_under_load(calls, callers):
    hosts = HookDispatcher()
    hosts.add_hookspecs(Specs)
    guests = [Guest(0)]
    hosts.register("guest", guests[0])
    answers = Counter()
    numbers = iter(range(calls))
    done = anyio.Event()

    async def call():
        for number in numbers:
            report = None
            if number % 50:
                answer = await hosts.hooks.ask(what=number)
            else:
                report = await hosts.hooks.ask.report(what=number)
                answer = report.result
            assert len(answer) == 1, report
            answers[number] += 1
            if number % 10 == 0:
                await anyio.lowlevel.checkpoint()

    async def reload():
        while not done.is_set():
            guests.append(Guest(len(guests)))
            drain = hosts.replace("guest", guests[-1])
            for _ in range(len(guests) % 5):
                await anyio.lowlevel.checkpoint()
            await drain.wait()
            guests[-2].stop()
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(reload)
        async with anyio.create_task_group() as load:
            for _ in range(callers):
                load.start_soon(call)
        done.set()
    assert len(guests) > 10
    assert answers == Counter(range(calls))  # none lost
    # None doubled.
    assert Counter(what for guest in guests for what in guest.answered) == Counter(range(calls))
    (figures,) = hosts.metrics.snapshot()
    assert (figures.calls, figures.errors, figures.timeouts) == (calls, 0, 0)


async def test_ten_thousand_calls_during_reloads():
    await reload_under_load(calls=10_000, callers=40)


@pytest.mark.soak
async def test_a_million_calls_during_reloads():
    await reload_under_load(calls=1_000_000, callers=200)


@pytest.fixture(params=[PLAIN, SHORT])
def way(request, anyio_backend):
    return request.param


class Gate:
    """A plugin whose calls wait until they are let go."""

    def __init__(self):
        self.entered = 0
        self.open = anyio.Event()

    @hookimpl
    async def ask(self, what):
        self.entered += 1
        await self.open.wait()
        return "old"


async def test_a_drain_waits_for_the_calls_under_way(way):
    gate = Gate()
    hosts = dispatcher(Specs, gate, way=way)
    answers = []

    async def call():
        answers.extend(await hosts.hooks.ask(what=1))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        drain = hosts.replace("a", plugin("ask", lambda what: "new"))
        assert drain.under_way == 3
        assert await hosts.hooks.ask(what=1) == ["new"]
        with anyio.move_on_after(0.01) as scope:
            await drain.wait()
        assert scope.cancelled_caught
        gate.open.set()
        await drain.wait()
        assert drain.under_way == 0
    assert answers == ["old"] * 3


async def test_a_drain_also_waits_for_calls_on_plans_that_another_plugin_replaced(way):
    gate = Gate()
    hosts = dispatcher(Specs, gate, way=way)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: hosts.hooks.ask(what=1))
        await anyio.wait_all_tasks_blocked()
        for number in range(3):  # each call goes on on the plan of its time
            hosts.register(f"other{number}", plugin("ask", lambda what: 1))
            group.start_soon(lambda: hosts.hooks.ask(what=1))
            await anyio.wait_all_tasks_blocked()
        drain = hosts.unregister("a")
        assert drain.under_way == 4
        gate.open.set()
        await drain.wait()
    assert hosts.unregister("other0").under_way == 0


async def test_a_drain_does_not_wait_for_calls_of_others(way):
    gate = Gate()
    hosts = dispatcher(Specs, gate, plugin("other", lambda what: 1), way=way)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: hosts.hooks.ask(what=1))
        await anyio.wait_all_tasks_blocked()
        await hosts.unregister("b").wait()
        gate.open.set()


async def test_a_failed_call_is_not_under_way_any_more(way):
    def fail(what):
        raise KeyboardInterrupt

    hosts = dispatcher(Specs, plugin("ask", fail), way=way)
    with pytest.raises(KeyboardInterrupt):
        await hosts.hooks.ask(what=1)
    with pytest.raises(KeyboardInterrupt):
        await hosts.hooks.ask.report(what=1)
    await hosts.unregister("a").wait()


async def test_a_replacement_that_does_not_fit_leaves_the_old_one_in_service(way):
    hosts = dispatcher(Specs, plugin("ask", lambda what: "old"), way=way)
    with pytest.raises(PluginInvalidError, match="unknown argument 'waht'"):
        hosts.replace("a", plugin("ask", lambda waht: "new"))
    assert await hosts.hooks.ask(what=1) == ["old"]
    assert hosts.hooks_of("a") == ("ask",)


async def test_a_replacement_that_is_another_plugin_leaves_the_old_one_in_service(way):
    taken = plugin("other", lambda what: 1)
    hosts = dispatcher(Specs, plugin("ask", lambda what: "old"), taken, way=way)
    with pytest.raises(PluginInvalidError, match="registered already, as 'b'"):
        hosts.replace("a", taken)
    assert await hosts.hooks.ask(what=1) == ["old"]


async def test_a_replacement_that_fails_in_pluggy_leaves_the_old_one_in_service(way, monkeypatch):
    hosts = dispatcher(Specs, plugin("ask", lambda what: "old"), way=way)
    new = plugin("ask", lambda what: "new")
    real = hosts.pluggy.parse_hookimpl_opts
    asked = []

    def fail_at_last(guest, name):  # after it was found to fit, when pluggy itself looks at it
        asked.append(guest is new)
        if guest is new and asked.count(True) == len(dir(new)):
            raise RuntimeError("broken")
        return real(guest, name)

    monkeypatch.setattr(hosts.pluggy, "parse_hookimpl_opts", fail_at_last)
    with pytest.raises(RuntimeError, match="broken"):
        hosts.replace("a", new)
    monkeypatch.undo()
    assert await hosts.hooks.ask(what=1) == ["old"]


async def test_a_plugin_may_be_replaced_by_itself(way):
    guest = plugin("ask", lambda what: what)
    hosts = dispatcher(Specs, guest, way=way)
    await hosts.replace("a", guest).wait()
    assert await hosts.hooks.ask(what=1) == [1]


async def test_plans_of_other_hooks_stay_as_they_are():
    hosts = dispatcher(Specs, plugin("ask", lambda what: 1), plugin("other", lambda what: 1))
    shorten(hosts)
    before = hosts._points["other"].plan
    hosts.replace("a", plugin("ask", lambda what: 2))
    assert hosts._points["other"].plan is before


async def test_figures_outlive_a_reload(way):
    hosts = dispatcher(Specs, plugin("ask", lambda what: 1), way=way)
    await hosts.hooks.ask(what=1)
    hosts.replace("a", plugin("ask", lambda what: 2))
    await hosts.hooks.ask(what=1)
    (figures,) = hosts.metrics.snapshot()
    assert figures.calls == 2


def test_a_drain_can_be_waited_for_in_another_thread_than_that_of_the_calls():
    release = threading.Event()
    entered = threading.Event()

    async def slow(what):
        entered.set()
        await run_in_daemon_thread(release.wait)

    hosts = dispatcher(Specs, plugin("ask", slow))

    async def call():
        await hosts.hooks.ask(what=1)

    async def wait():
        drain = hosts.unregister("a")
        threading.Timer(0.02, release.set).start()
        await drain.wait()
        assert release.is_set()

    thread = threading.Thread(target=anyio.run, args=[call], kwargs={"backend": "trio"})
    thread.start()
    assert entered.wait(10)
    anyio.run(wait)
    thread.join(10)
    assert not thread.is_alive()


async def test_a_plugin_that_was_replaced_can_be_collected(way):
    gone = []
    hosts = dispatcher(Specs, plugin("ask", lambda what: 1), way=way)
    for _ in range(20):
        await hosts.hooks.ask(what=1)
        guest = plugin("ask", lambda what: 2)
        gone.append(weakref.ref(guest))
        hosts.replace("a", guest)
        if way == SHORT:
            shorten(hosts)
    del guest
    gc.collect()
    assert [ref() is None for ref in gone] == [True] * 19 + [False]


async def test_retired_plans_are_forgotten():
    hosts = dispatcher(Specs, plugin("ask", lambda what: 1))
    for number in range(100):
        hosts.replace("a", plugin("ask", lambda what, number=number: number))
    assert hosts._retired == []
