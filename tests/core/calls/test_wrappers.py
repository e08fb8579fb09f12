"""pluggy's wrappers around implementations of every kind."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from core.calls.ways import dispatcher, figures, plugin
from plughost.contracts.auth import Abstain, Allow, Deny
from plughost.exceptions import AuthRefused, HookCallError
from plughost.hookspecs import hookspec

pytestmark = pytest.mark.anyio


class Specs:
    @hookspec(mode="broadcast")
    def tell(self, what): ...

    @hookspec(mode="collect")
    def ask(self, what): ...

    @hookspec(mode="first")
    def find(self, what): ...

    @hookspec(mode="waterfall")
    def change(self, what): ...

    @hookspec(mode="decide")
    def judge(self, what): ...

    @hookspec(mode="collect", on_error="abort")
    def ask_all(self, what): ...

    @hookspec(mode="collect", sync=True, timeout=None)
    def register(self, what): ...


async def later(what):
    await anyio.lowlevel.checkpoint()
    return what


def recording(seen):
    def wrapper(what):
        seen.append(("before", what))
        result = yield
        seen.append(("after", result))
        return result

    return wrapper


def broken(what):
    raise ValueError("broken")


@pytest.mark.parametrize(("hook", "result"), [("tell", None), ("ask", [1]), ("find", 1), ("change", 1)])
async def test_a_wrapper_sees_the_awaited_result_in_every_mode(hook, result):
    seen = []
    hosts = dispatcher(Specs, plugin(hook, recording(seen), wrapper=True), plugin(hook, later))
    assert await getattr(hosts.hooks, hook)(what=1) == result
    assert seen == [("before", 1), ("after", result)]


async def test_a_wrapper_sees_the_verdict():
    seen = []
    allow = Allow()
    hosts = dispatcher(Specs, plugin("judge", recording(seen), wrapper=True), plugin("judge", lambda: allow))
    assert await hosts.hooks.judge(what=1) == allow
    assert seen[-1] == ("after", allow)


def test_a_wrapper_works_around_a_hook_that_is_not_awaited():
    def wrapper(what):
        return [*(yield), "wrapped"]

    hosts = dispatcher(
        Specs, plugin("register", wrapper, wrapper=True), plugin("register", lambda what: what)
    )
    assert hosts.hooks.register(what=1) == [1, "wrapped"]


async def test_what_a_wrapper_returns_is_the_result():
    def wrapper(what):
        return [2 * each for each in (yield)]

    hosts = dispatcher(Specs, plugin("ask", wrapper, wrapper=True), plugin("ask", later))
    assert await hosts.hooks.ask(what=2) == [4]


async def test_wrappers_nest_in_call_order():
    seen = []

    def wrapper(name):
        def wrap(what):
            seen.append(name)
            result = yield
            seen.append(name)
            return result

        return wrap

    plugins = [plugin("ask", later)] + [
        plugin("ask", wrapper(name), wrapper=True) for name in ("outer", "inner")
    ]
    await dispatcher(Specs, *plugins).hooks.ask(what=1)
    assert seen == ["outer", "inner", "inner", "outer"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_wrapper_that_raises_is_left_out_under_isolation(when):
    def wrapper(what):
        if when == "before":
            raise ValueError("broken")
        yield
        raise ValueError("broken")

    seen = []
    plugins = [
        plugin("ask", recording(seen), wrapper=True),
        plugin("ask", wrapper, wrapper=True),
        plugin("ask", later),
    ]
    hosts = dispatcher(Specs, *plugins)
    assert await hosts.hooks.ask(what=1) == [1]
    assert seen == [("before", 1), ("after", [1])]
    assert figures(hosts, "b") == (1, 1, 0)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_wrapper_that_raises_aborts_an_abort_hook_by_its_name(when):
    def wrapper(what):
        if when == "before":
            raise ValueError("broken")
        yield
        raise ValueError("broken")

    hosts = dispatcher(Specs, plugin("ask_all", wrapper, wrapper=True), plugin("ask_all", later))
    with pytest.raises(HookCallError) as raised:
        await hosts.hooks.ask_all(what=1)
    assert raised.value.plugin == "a"


@pytest.mark.parametrize("yields", [0, 2])
async def test_a_wrapper_that_does_not_yield_once_is_its_plugins_error(yields):
    def wrapper(what):
        for _ in range(yields):
            yield

    hosts = dispatcher(Specs, plugin("ask", wrapper, wrapper=True), plugin("ask", later))
    assert await hosts.hooks.ask(what=1) == [1]
    assert figures(hosts, "a") == (1, 1, 0)


async def test_a_wrapper_sees_the_abort_and_may_make_a_result_of_it():
    def wrapper(what):
        try:
            return (yield)
        except HookCallError as error:
            return [error.plugin]

    hosts = dispatcher(Specs, plugin("ask_all", wrapper, wrapper=True), plugin("ask_all", broken))
    assert await hosts.hooks.ask_all(what=1) == ["b"]


async def test_an_abort_passes_a_wrapper_that_does_not_care():
    seen = []
    hosts = dispatcher(Specs, plugin("ask_all", recording(seen), wrapper=True), plugin("ask_all", broken))
    with pytest.raises(HookCallError) as raised:
        await hosts.hooks.ask_all(what=1)
    assert raised.value.plugin == "b"
    assert seen == [("before", 1)]


async def test_a_wrapper_cannot_swallow_a_refusal():
    def refuse(what):
        raise AuthRefused("no")

    def wrapper(what):
        try:
            return (yield)
        except AuthRefused:
            return ["fine"]

    hosts = dispatcher(Specs, plugin("ask", wrapper, wrapper=True), plugin("ask", refuse))
    with pytest.raises(AuthRefused):
        await hosts.hooks.ask(what=1)


async def test_a_wrapper_may_refuse():
    def wrapper(what):
        yield
        raise AuthRefused("no")

    hosts = dispatcher(Specs, plugin("ask", wrapper, wrapper=True), plugin("ask", later))
    with pytest.raises(AuthRefused):
        await hosts.hooks.ask(what=1)
    assert figures(hosts, "a") == (1, 0, 0)


async def test_a_wrapper_cannot_swallow_the_callers_cancellation():
    left = []

    def wrapper(what):
        try:
            yield
        except BaseException:
            left.append(what)
        return ["fine"]

    async def hang(what):
        await anyio.sleep_forever()

    hosts = dispatcher(Specs, plugin("ask", wrapper, wrapper=True), plugin("ask", hang))
    with anyio.move_on_after(0.01) as scope:
        await hosts.hooks.ask(what=1)
    assert scope.cancelled_caught
    assert left == [1]


@pytest.mark.parametrize("wanted", [Allow(), Abstain(), None, "yes"])
@pytest.mark.parametrize("vote", [Deny("no"), Abstain()])
async def test_a_wrapper_cannot_allow_what_was_denied(vote, wanted):
    def wrapper(what):
        yield
        return wanted

    hosts = dispatcher(Specs, plugin("judge", wrapper, wrapper=True), plugin("judge", lambda: vote))
    assert isinstance(await hosts.hooks.judge(what=1), Deny)


@pytest.mark.parametrize("wanted", [Deny("no"), Abstain(), None, "yes"])
async def test_a_wrapper_may_deny_what_was_allowed_and_unclear_words_deny(wanted):
    def wrapper(what):
        yield
        return wanted

    hosts = dispatcher(Specs, plugin("judge", wrapper, wrapper=True), plugin("judge", Allow))
    verdict = await hosts.hooks.judge(what=1)
    assert isinstance(verdict, Deny)
    assert verdict == wanted or not isinstance(wanted, Deny)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_wrapper_that_fails_around_a_decision_denies(when):
    def wrapper(what):
        if when == "before":
            raise ValueError("broken")
        yield
        raise ValueError("broken")

    hosts = dispatcher(Specs, plugin("judge", wrapper, wrapper=True), plugin("judge", Allow))
    assert isinstance(await hosts.hooks.judge(what=1), Deny)


async def test_a_report_names_wrappers_too():
    seen = []
    hosts = dispatcher(Specs, plugin("ask", later), plugin("ask", recording(seen), wrapper=True))
    report = await hosts.hooks.ask.report(what=1)
    assert [(each.plugin, each.kind) for each in report.outcomes] == [("b", "value"), ("a", "value")]
