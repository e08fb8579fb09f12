"""Hooks marked ``concurrent``: the implementations wait together, each within its own limit; results stay in order."""

import anyio
import anyio.lowlevel
import pytest

from plughost import hookimpl, hookspec
from plughost.core.calls.dispatch import HookDispatcher
from plughost.exceptions import HookCallError, HookTimeoutError, Refused
from plughost.hookspecs import CATALOGUE

pytestmark = pytest.mark.anyio


class Specs:
    @hookspec(mode="collect", concurrent=True)
    def ask(self, meeting):
        """Ask."""

    @hookspec(mode="broadcast", concurrent=True)
    def tell(self, meeting):
        """Tell."""

    @hookspec(mode="collect", concurrent=True, on_error="abort")
    def insist(self, meeting):
        """Insist."""


class Meeting:
    """Those who come wait for all the others: one after the other they would wait for ever."""

    def __init__(self, size):
        self.missing = size
        self.complete = anyio.Event()
        self.cancelled = 0

    async def come(self):
        self.missing -= 1
        if not self.missing:
            self.complete.set()
        try:
            await self.complete.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise


def implementing(hook, function, **options):
    return type("Guest", (), {hook: staticmethod(hookimpl(**options)(function))})()


def host_with(hook, functions, **options):
    host = HookDispatcher()
    host.add_hookspecs(Specs)
    for number, function in enumerate(functions):
        host.register(f"p{number}", implementing(hook, function, **options))
    return host


def coming(number):
    async def come(meeting):
        await meeting.come()
        return number

    return come


@pytest.mark.parametrize("hook", ["ask", "tell"])
@pytest.mark.parametrize("size", [2, 5])
async def test_they_wait_side_by_side_and_answer_in_order(hook, size):
    host = host_with(hook, [coming(number) for number in range(size)])
    with anyio.fail_after(5):
        for _ in range(70):  # hot or not
            answers = await getattr(host.hooks, hook)(meeting=Meeting(size))
    assert answers == ([*reversed(range(size))] if hook == "ask" else None)


async def test_plain_functions_stand_among_them_in_their_place():
    host = host_with("ask", [coming(0), lambda meeting: "plain", coming(2)])
    with anyio.fail_after(5):
        report = await host.hooks.ask.report(meeting=Meeting(2))
    assert report.result == [2, "plain", 0]
    assert [outcome.plugin for outcome in report.outcomes] == ["p2", "p1", "p0"]


async def test_one_that_passes_its_limit_costs_only_its_own_answer():
    async def hang(meeting):
        await anyio.sleep_forever()

    host = host_with("ask", [coming(0), coming(1)])
    host.register("slow", implementing("ask", hang, timeout=0.02))
    report = await host.hooks.ask.report(meeting=Meeting(2))
    assert report.result == [1, 0]
    assert isinstance(report.outcomes[0].error, HookTimeoutError)


async def test_one_that_fails_is_isolated():
    async def fail(meeting):
        await meeting.come()
        raise ValueError("no")

    host = host_with("ask", [coming(0), fail])
    with anyio.fail_after(5):
        assert await host.hooks.ask(meeting=Meeting(2)) == [0]


@pytest.mark.parametrize("raised", [ValueError("no"), Refused("no")])
async def test_one_that_ends_the_call_ends_the_others(raised):
    async def fail(meeting):
        await anyio.lowlevel.checkpoint()
        raise raised

    meeting = Meeting(3)
    host = host_with("insist", [coming(0), fail, coming(2)])
    with anyio.fail_after(5), pytest.raises(Refused if isinstance(raised, Refused) else HookCallError):
        await host.hooks.insist(meeting=meeting)
    assert meeting.cancelled == 2


async def test_the_caller_s_cancellation_reaches_all_of_them():
    meeting = Meeting(3)
    host = host_with("ask", [coming(0), coming(1)])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: host.hooks.ask(meeting=meeting))
        while meeting.missing > 1:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert meeting.cancelled == 2


@pytest.mark.parametrize("mode", ["first", "waterfall", "decide"])
def test_a_mode_in_which_one_must_come_after_another_refuses_it(mode):
    with pytest.raises(ValueError, match="concurrent=True does not go with"):
        hookspec(mode=mode, concurrent=True)(lambda text: None)


@pytest.mark.parametrize(
    "name", ["health_check", "after_auth", "plugin_failed", "session_ended", "after_backup"]
)
def test_facts_of_the_catalogue_are_told_side_by_side(name):
    host = HookDispatcher()
    for family in CATALOGUE:
        host.add_hookspecs(family)
    declared = {one.name: one for one in host.declarations()}
    assert declared[name].options.concurrent
