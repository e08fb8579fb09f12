"""What a call returns, mode by mode, and what a failing implementation does to it."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from core.calls.ways import PLAIN, SHORT, dispatcher, figures, plugin
from plughost.contracts.auth import Abstain, Allow, Deny, Principal
from plughost.exceptions import AppRefused, AuthRefused, HookCallError, HookTimeoutError, UserRefused
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
    def change(self, what, by=1): ...

    @hookspec(mode="decide")
    def judge(self, what): ...

    @hookspec(mode="collect", on_error="abort")
    def ask_all(self, what): ...

    @hookspec(mode="waterfall", on_error="abort")
    def change_all(self, what): ...

    @hookspec(mode="first", on_error="abort")
    def find_all(self, what): ...

    @hookspec(mode="broadcast", on_error="abort")
    def tell_all(self, what): ...


EVERY_HOOK = [name for name in vars(Specs) if not name.startswith("_")]


@pytest.fixture(params=[PLAIN, SHORT])
def way(request, anyio_backend):
    return request.param


def raising(error):
    def implementation(what):
        raise error

    return implementation


def returning(value):
    return lambda what: value


async def async_none(what):
    await anyio.lowlevel.checkpoint()


async def doubled(what):
    await anyio.lowlevel.checkpoint()
    return 2 * what


# results


async def test_broadcast_returns_nothing_and_tells_everyone(way):
    told = []
    plugins = [plugin("tell", told.append), plugin("tell", told.append)]
    assert await dispatcher(Specs, *plugins, way=way).hooks.tell(what=1) is None
    assert told == [1, 1]


async def test_collect_returns_what_is_not_none_in_order(way):
    plugins = [
        plugin("ask", f) for f in (doubled, returning(None), async_none, returning(0), returning("last"))
    ]
    assert await dispatcher(Specs, *plugins, way=way).hooks.ask(what=2) == [4, 0, "last"]


async def test_first_returns_the_first_that_is_not_none(way):
    plugins = [plugin("find", f) for f in (returning(None), doubled, returning("later"))]
    assert await dispatcher(Specs, *plugins, way=way).hooks.find(what=2) == 4


async def test_first_asks_the_next_when_an_async_one_returns_none(way):
    async def instantly_none(what):
        return None

    plugins = [plugin("find", f) for f in (async_none, instantly_none, returning("answer"))]
    assert await dispatcher(Specs, *plugins, way=way).hooks.find(what=1) == "answer"


async def test_first_does_not_call_the_later_ones(way):
    called = []
    hosts = dispatcher(Specs, plugin("find", doubled), plugin("find", called.append), way=way)
    report = await hosts.hooks.find.report(what=1)
    assert [(each.plugin, each.kind) for each in report.outcomes] == [("a", "value"), ("b", "skipped")]
    await hosts.hooks.find(what=1)
    assert called == []
    assert figures(hosts, "b") == (0, 0, 0)


async def test_first_returns_none_when_nobody_answers(way):
    assert await dispatcher(Specs, plugin("find", async_none), way=way).hooks.find(what=1) is None


async def test_waterfall_hands_on_the_value(way):
    def add(what, by):
        return what + by

    plugins = [plugin("change", f) for f in (doubled, add, async_none, returning(None), doubled)]
    assert await dispatcher(Specs, *plugins, way=way).hooks.change(what=2, by=3) == 14


async def test_waterfall_returns_the_value_itself_when_nobody_implements_it(way):
    assert await dispatcher(Specs, way=way).hooks.change(what=2) == 2


async def test_nobody_is_no_problem(way):
    hooks = dispatcher(Specs, way=way).hooks
    assert await hooks.tell(what=1) is None
    assert await hooks.ask(what=1) == []
    assert await hooks.find(what=1) is None


async def test_a_plain_function_that_returns_a_coroutine_is_awaited(way):
    def plain(what):
        return doubled(what)

    assert await dispatcher(Specs, plugin("ask", plain), way=way).hooks.ask(what=2) == [4]


async def test_an_awaitable_object_is_a_value_and_not_awaited(way):
    class Connection:
        def __await__(self):
            raise AssertionError("somebody awaited me")

    connection = Connection()
    assert (
        await dispatcher(Specs, plugin("find", returning(connection)), way=way).hooks.find(what=1)
        is connection
    )


async def test_implementations_take_the_arguments_they_want(way):
    seen = []
    plugins = [
        plugin("change", lambda: seen.append("none")),
        plugin("change", lambda by: seen.append(by)),
        plugin("change", lambda by, what: seen.append((by, what))),
        plugin("change", lambda what, by=7, other=8: seen.append((what, by, other))),
    ]
    hosts = dispatcher(Specs, *plugins, way=way)
    await hosts.hooks.change(what=1, by=2)
    assert seen == ["none", 2, (2, 1), (1, 2, 8)]


async def test_the_default_of_the_spec_goes_before_that_of_the_implementation(way):
    seen = []
    hosts = dispatcher(Specs, plugin("change", lambda what, by=7: seen.append(by)), way=way)
    await hosts.hooks.change(what=1)
    assert seen == [1]


# failures


@pytest.mark.parametrize(
    "error", [ValueError("broken"), SystemExit(1), BaseException("odd"), StopIteration()]
)
async def test_isolation_goes_on_with_the_others(way, error):
    told = []
    failing = raising(error)
    for hook, expected in [("tell", None), ("ask", [1]), ("find", 1), ("change", 1)]:
        plugins = [plugin(hook, failing), plugin(hook, lambda what: told.append(what) or 1)]
        hosts = dispatcher(Specs, *plugins, way=way)
        assert await getattr(hosts.hooks, hook)(what=1) == expected
        assert figures(hosts, "a") == (1, 1, 0)
        assert figures(hosts, "b") == (1, 0, 0)
    assert told == [1, 1, 1, 1]


async def test_waterfall_drops_the_change_of_one_that_fails(way):
    plugins = [plugin("change", f) for f in (doubled, raising(ValueError()), doubled)]
    assert await dispatcher(Specs, *plugins, way=way).hooks.change(what=1) == 4


@pytest.mark.parametrize("hook", ["ask_all", "change_all", "find_all", "tell_all"])
async def test_abort_raises_and_names_the_plugin(way, hook):
    called = []
    broken = ValueError("broken")
    hosts = dispatcher(Specs, plugin(hook, raising(broken)), plugin(hook, called.append), way=way)
    with pytest.raises(HookCallError, match=r"'a'.*ValueError: broken") as raised:
        await getattr(hosts.hooks, hook)(what=1)
    assert (raised.value.hook, raised.value.plugin) == (hook, "a")
    assert raised.value.__cause__ is broken
    assert called == []
    assert figures(hosts, "a") == (1, 1, 0)
    with pytest.raises(HookCallError):
        await getattr(hosts.hooks, hook).report(what=1)


async def test_an_abort_that_passes_through_another_hook_names_the_outer_plugin(way):
    async def hang(what):
        await anyio.sleep_forever()

    async def nested(what):
        return await inner.hooks.ask_all(what=what)

    inner = dispatcher(Specs, plugin("ask_all", hang, timeout=0.01))
    hosts = dispatcher(Specs, plugin("find_all", nested), way=way)
    with pytest.raises(HookCallError) as raised:
        await hosts.hooks.find_all(what=1)
    assert not isinstance(raised.value, HookTimeoutError)
    assert (raised.value.hook, figures(hosts, "a")) == ("find_all", (1, 1, 0))


async def test_abort_after_waiting_raises_too(way):
    async def late(what):
        await anyio.lowlevel.checkpoint()
        raise ValueError("broken")

    hosts = dispatcher(Specs, plugin("ask_all", late), way=way)
    with pytest.raises(HookCallError, match="'a'"):
        await hosts.hooks.ask_all(what=1)


@pytest.mark.parametrize("refusal", [AuthRefused, UserRefused, AppRefused])
@pytest.mark.parametrize("hook", EVERY_HOOK)
async def test_a_refusal_goes_through_in_every_mode_and_is_no_error(way, hook, refusal):
    called = []
    hosts = dispatcher(Specs, plugin(hook, raising(refusal("no"))), plugin(hook, called.append), way=way)
    with pytest.raises(refusal):
        await getattr(hosts.hooks, hook)(what=1)
    assert called == []
    assert figures(hosts, "a") == (1, 0, 0)


@pytest.mark.parametrize("hook", EVERY_HOOK)
async def test_a_keyboard_interrupt_goes_through_in_every_mode(way, hook):
    hosts = dispatcher(Specs, plugin(hook, raising(KeyboardInterrupt())), way=way)
    with pytest.raises(KeyboardInterrupt):
        await getattr(hosts.hooks, hook)(what=1)
    assert figures(hosts, "a") == (1, 0, 0)


async def test_a_failure_is_logged_with_plugin_hook_and_kind(way, caplog):
    await dispatcher(Specs, plugin("ask", raising(ValueError("broken"))), way=way).hooks.ask(what=1)
    (record,) = caplog.records
    assert record.name == "plughost.hooks"
    assert (record.plugin, record.hook, record.kind) == ("a", "ask", "error")
    assert record.exc_info[1].args == ("broken",)


async def test_cancelling_something_of_its_own_is_an_implementations_error(way, anyio_backend):
    if anyio_backend == "trio":
        return  # there only scopes can be cancelled, and a scope keeps its cancellation to itself
    import asyncio

    async def careless(what):
        task = asyncio.ensure_future(asyncio.sleep(0))
        task.cancel()
        await task

    hosts = dispatcher(Specs, plugin("ask", careless), plugin("ask", doubled), way=way)
    assert await hosts.hooks.ask(what=1) == [2]
    assert figures(hosts, "a") == (1, 1, 0)


# decisions

ALLOW, DENY = Allow(Principal("1", "ann")), Deny("not you")


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [
        ([ALLOW], ALLOW),
        ([Abstain(), ALLOW, Abstain()], ALLOW),
        ([ALLOW, Allow(Principal("2", "bob"))], ALLOW),
        ([ALLOW, DENY], DENY),
        ([DENY, ALLOW], DENY),
        ([Deny("first"), Deny("second")], Deny("first")),
    ],
)
async def test_a_deny_beats_any_allow_and_the_first_of_a_kind_counts(votes, verdict):
    hosts = dispatcher(Specs, *(plugin("judge", returning(vote)) for vote in votes))
    assert await hosts.hooks.judge(what=1) == verdict


@pytest.mark.parametrize("votes", [[], [Abstain()], [Abstain(), Abstain()]])
async def test_when_nobody_allows_it_is_a_deny(votes):
    hosts = dispatcher(Specs, *(plugin("judge", returning(vote)) for vote in votes))
    assert isinstance(await hosts.hooks.judge(what=1), Deny)


@pytest.mark.parametrize("vote", [None, True, 1, "yes", ALLOW.principal, Allow, Deny, {"allow": True}])
@pytest.mark.parametrize("first", [True, False])
async def test_what_is_no_verdict_is_a_deny(vote, first):
    votes = [vote, ALLOW] if first else [ALLOW, vote]
    hosts = dispatcher(Specs, *(plugin("judge", returning(each)) for each in votes))
    assert isinstance(await hosts.hooks.judge(what=1), Deny)
    assert figures(hosts, "a" if first else "b") == (1, 1, 0)


@pytest.mark.parametrize("error", [ValueError("password hunter2"), SystemExit(0), TimeoutError()])
@pytest.mark.parametrize("first", [True, False])
async def test_an_error_is_a_deny_that_does_not_tell_the_error(error, first):
    plugins = [plugin("judge", raising(error)), plugin("judge", returning(ALLOW))]
    hosts = dispatcher(Specs, *(plugins if first else reversed(plugins)))
    verdict = await hosts.hooks.judge(what=1)
    assert isinstance(verdict, Deny)
    assert "hunter2" not in verdict.reason


async def test_everybody_is_asked_even_after_a_deny():
    asked = []
    hosts = dispatcher(
        Specs, plugin("judge", returning(DENY)), plugin("judge", lambda what: asked.append(1) or ALLOW)
    )
    assert await hosts.hooks.judge(what=1) == DENY
    assert asked == [1]


# reports


async def test_a_report_tells_what_each_one_did(way):
    broken = ValueError("broken")
    plugins = [plugin("ask", f) for f in (doubled, raising(broken), async_none)]
    report = await dispatcher(Specs, *plugins, way=way).hooks.ask.report(what=1)
    assert (report.hook, report.result) == ("ask", [2])
    assert [(each.plugin, each.kind, each.value, each.error) for each in report.outcomes] == [
        ("a", "value", 2, None),
        ("b", "error", None, broken),
        ("c", "value", None, None),
    ]
    assert report.duration >= sum(each.duration for each in report.outcomes) > 0


async def test_a_vote_that_is_no_verdict_is_an_error_in_the_report():
    report = await dispatcher(Specs, plugin("judge", returning("yes"))).hooks.judge.report(what=1)
    assert report.outcomes[0].kind == "error"
    assert isinstance(report.outcomes[0].error, TypeError)
    assert isinstance(report.result, Deny)


async def test_timeouts_are_told_from_errors(way):
    async def hang(what):
        await anyio.sleep_forever()

    report = await dispatcher(Specs, plugin("ask", hang, timeout=0.01), way=way).hooks.ask.report(what=1)
    assert report.outcomes[0].kind == "timed_out"
    assert isinstance(report.outcomes[0].error, HookTimeoutError)
