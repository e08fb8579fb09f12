"""Calls without ``await``, on both ways: the same results, the same failures, the same figures."""

import inspect
import threading

import anyio
import anyio.lowlevel
import pytest

from core.calls.ways import PLAIN, SHORT, dispatcher, figures, plugin
from plughost.contracts import Abstain, Allow, Deny
from plughost.exceptions import HookCallError
from plughost.hookspecs import hookspec


class Specs:
    @hookspec
    def collects(self, what): ...

    @hookspec(mode="first")
    def first(self, what): ...

    @hookspec(mode="waterfall")
    def flows(self, what): ...

    @hookspec(mode="decide")
    def decides(self, what): ...

    @hookspec(on_error="abort")
    def aborts(self, what): ...


def fail(what):
    raise OSError(what)


async def wait(what):
    await anyio.lowlevel.checkpoint()
    return f"waited {what}"


@pytest.fixture(params=[PLAIN, SHORT])
def made(request):
    """Makes a dispatcher whose calls without ``await`` go one way."""

    def make(hook, *functions):
        found = dispatcher(Specs, *(plugin(hook, function) for function in functions))
        if request.param == SHORT:
            for point in found._points.values():
                point._shorten(point.plan, point._kit.here)
            assert found._points[hook].here is not None
        return found

    return make


def test_all_results_come_in_order_and_failures_are_counted(made):
    calls = made("collects", lambda what: what + 1, fail, lambda what: None, lambda what: what + 2)
    assert calls.sync_hooks.collects(what=1) == [2, 3]
    assert [figures(calls, name)[:2] for name in "abcd"] == [(1, 0), (1, 1), (1, 0), (1, 0)]


def test_the_first_answer_ends_the_call(made):
    calls = made("first", lambda what: None, lambda what: "b", fail)
    assert calls.sync_hooks.first(what=1) == "b"
    assert [figures(calls, name)[0] for name in "abc"] == [1, 1, 0]


def test_a_value_flows_through(made):
    calls = made("flows", lambda what: what * 2, lambda what: what + 1)
    assert calls.sync_hooks.flows(what=5) == 11


@pytest.mark.parametrize(
    ("votes", "expected"),
    [((Allow(), Abstain()), Allow), ((Allow(), Deny("no")), Deny), ((Allow(), "yes"), Deny), ((), Deny)],
)
def test_votes_are_counted(made, votes, expected):
    calls = made("decides", *(lambda what, vote=vote: vote for vote in votes))
    assert isinstance(calls.sync_hooks.decides(what=1), expected)


def test_an_abort_comes_out(made):
    calls = made("aborts", lambda what: 1, fail, lambda what: 2)
    with pytest.raises(HookCallError):
        calls.sync_hooks.aborts(what="x")
    assert [figures(calls, name)[:2] for name in "abc"] == [(1, 0), (1, 1), (0, 0)]


def test_what_must_be_awaited_is_handed_back_where_a_list_can_hold_it(made):
    calls = made("collects", lambda what: what, wait)
    plain, waiting = calls.sync_hooks.collects(what=1)
    assert plain == 1
    assert inspect.iscoroutine(waiting)
    waiting.close()


@pytest.mark.parametrize("hook", ["decides", "flows"])
def test_and_refused_where_nothing_can(made, hook):
    calls = made(hook, wait)
    getattr(calls.sync_hooks, hook)(what=1)
    assert figures(calls, "a")[:2] == (1, 1)


@pytest.mark.anyio
async def test_another_thread_waits_for_it_on_the_host_s_loop(made):
    seen = []

    async def where(what):
        await anyio.lowlevel.checkpoint()
        seen.append(threading.get_ident())
        return what

    calls = made("collects", where, lambda what: what + 1)
    calls.move_in()
    found = await anyio.to_thread.run_sync(lambda: calls.sync_hooks.collects(what=1))
    calls.move_out()
    assert found == [1, 2]
    assert seen == [threading.get_ident()]


def test_monitors_see_calls_whichever_way_they_went_before(made):
    calls = made("collects", lambda what: what)
    told = []
    end = calls.pluggy.add_hookcall_monitoring(lambda *said: told.append(said[0]), lambda *said: None)
    assert calls.sync_hooks.collects(what=1) == [1]
    end()
    assert calls.sync_hooks.collects(what=1) == [1]
    assert told == ["collects"]
