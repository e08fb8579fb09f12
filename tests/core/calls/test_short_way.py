"""The short way does exactly what the plain way does, only sooner."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.calls.ways import PLAIN, SHORT, dispatcher, figures, plugin
from plughost.contracts.auth import Abstain, Allow, Deny
from plughost.core.calls.hook import HookPoint
from plughost.core.calls.shortcut import source_of
from plughost.exceptions import AuthRefused
from plughost.hookspecs import hookspec


class Specs:
    @hookspec(mode="broadcast")
    def tell(self, value, error=0): ...

    @hookspec(mode="collect")
    def ask(self, value, error=0): ...

    @hookspec(mode="first")
    def find(self, value, error=0): ...

    @hookspec(mode="waterfall")
    def change(self, value, error=0): ...

    @hookspec(mode="collect", on_error="abort")
    def ask_all(self, value, error=0): ...

    @hookspec(mode="decide")
    def judge(self, value, error=0): ...

    @hookspec(mode="waterfall", sync=True, timeout=None)
    def adjust(self, value, error=0): ...


def implementation(log, name, is_async, waits, does):
    """An implementation that notes its call, perhaps waits, and then does as it is told."""

    def act(value):
        if isinstance(does, BaseException):
            raise does
        return value + does if does else does

    if not is_async:

        def plain(value, error=5):
            log.append((name, value, error))
            return act(value)

        return plain

    async def awaited(value):
        log.append((name, value))
        for _ in range(waits):
            await asyncio.sleep(0)
        return act(value)

    return awaited


deeds = st.one_of(
    st.none(),
    st.integers(0, 3),
    st.sampled_from([ValueError("broken"), SystemExit(), AuthRefused("no"), KeyboardInterrupt()]),
)
guests = st.lists(st.tuples(st.booleans(), st.integers(0, 2), deeds), max_size=5)


@given(st.sampled_from(["tell", "ask", "find", "change", "ask_all", "judge"]), guests)
@settings(max_examples=150, deadline=None)
def test_both_ways_agree(hook, recipe):
    async def go(way):
        log = []
        made = [plugin(hook, implementation(log, number, *each)) for number, each in enumerate(recipe)]
        hosts = dispatcher(Specs, *made, way=way)
        outcome = None
        try:
            outcome = await getattr(hosts.hooks, hook)(value=1)
        except BaseException as error:
            outcome = type(error), str(error)
        return log, outcome, [figures(hosts, chr(ord("a") + n)) for n in range(len(recipe))]

    assert run(go(PLAIN)) == run(go(SHORT))


@dataclass(frozen=True)
class Saying:
    """Says its vote, whatever it is asked."""

    vote: object

    def __radd__(self, value):
        if isinstance(self.vote, BaseException):
            raise self.vote
        return self.vote


def run(coroutine):
    """``asyncio.run`` is slow, because it makes a loop with sockets and threads each time."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def plan(hook, *functions):
    return dispatcher(Specs, *(plugin(hook, function) for function in functions))._points[hook].plan


def test_the_source_reads_like_the_one_in_the_documentation():
    async def second(value): ...

    source = source_of(plan("ask", lambda value: 1, second))
    assert source.splitlines() == [
        "def run(_values, value, error):",
        "    _at = 0",
        "    try:",
        "        _value = _step_0(value)",
        "        if _type(_value) is _Coroutine:",
        "            _value = yield from _value",
        "    except _BaseException as _error:",
        "        _fail(0, _error)",
        "    else:",
        "        if _value is not None:",
        "            _values.append(_value)",
        "    _at = 1",
        "    try:",
        "        _value = yield from _step_1(value)",
        "    except _BaseException as _error:",
        "        _fail(1, _error)",
        "    else:",
        "        if _value is not None:",
        "            _values.append(_value)",
    ]


def test_threads_have_no_short_way():
    hosts = dispatcher(Specs, plugin("ask", lambda value: None, blocking=True), way=SHORT)
    assert hosts._points["ask"].short is None


def wrapper(log, name, before, after):
    """A wrapper that does as it is told beforehand and afterwards."""

    def wrapped(value):
        log.append(("before", name, value))
        if isinstance(before, BaseException):
            raise before
        result = yield
        log.append(("after", name, result))
        if isinstance(after, BaseException):
            raise after
        return after if after is not None else result

    return wrapped


votes = st.one_of(
    st.sampled_from([Allow(), Deny("one"), Deny("other"), Abstain()]),
    st.none(),
    st.sampled_from([ValueError("broken"), AuthRefused("no"), GeneratorExit()]),
)
"""What implementations of a deciding hook say, or do."""

around = st.lists(
    st.tuples(
        st.sampled_from([None, ValueError("broken"), AuthRefused("no"), GeneratorExit()]),
        st.one_of(
            st.none(),
            st.integers(5, 6),
            st.sampled_from([Allow(), Deny("late"), ValueError("broken"), GeneratorExit()]),
        ),
    ),
    max_size=2,
)


def same(hook, recipe, wrappers, **watched):
    """Whether both ways do the same; ``watched`` has what to watch the short one by."""

    async def go(way):
        log = []
        made = [plugin(hook, implementation(log, number, *each)) for number, each in enumerate(recipe)]
        made += [
            plugin(hook, wrapper(log, number, *each), wrapper=True) for number, each in enumerate(wrappers)
        ]
        hosts = dispatcher(Specs, *made, way=way)
        if way == SHORT and watched:
            hosts.observe(watched["observer"])
        outcome = None
        try:
            called = getattr(hosts.hooks, hook)(value=1)
            outcome = await called if inspect.isawaitable(called) else called
        except BaseException as error:
            outcome = type(error), str(error)
        return log, outcome, [figures(hosts, chr(ord("a") + n)) for n in range(len(made))]

    return run(go(PLAIN)) == run(go(SHORT))


@given(st.sampled_from(["tell", "ask", "find", "change", "ask_all"]), guests, around)
@settings(max_examples=100, deadline=None)
def test_both_ways_agree_on_wrappers(hook, recipe, wrappers):
    assert same(hook, recipe, wrappers)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), votes), max_size=4), around)
@settings(max_examples=100, deadline=None)
def test_both_ways_agree_on_decisions(recipe, wrappers):
    assert same("judge", [(is_async, waits, Saying(vote)) for is_async, waits, vote in recipe], wrappers)


@given(guests, around)
@settings(max_examples=60, deadline=None)
def test_both_ways_agree_where_nobody_awaits(recipe, wrappers):
    assert same("adjust", [(False, 0, does) for _, _, does in recipe], wrappers)


@given(st.sampled_from(["tell", "ask", "find", "change", "ask_all"]), guests, around)
@settings(max_examples=60, deadline=None)
def test_an_observer_changes_nothing_but_what_it_sees(hook, recipe, wrappers):
    seen = []

    @contextlib.contextmanager
    def observer(name):
        seen.append(name)
        yield

    assert same(hook, recipe, wrappers, observer=observer)
    assert seen == [hook]


@pytest.mark.parametrize("hook", ["ask", "judge"])
def test_hot_hooks_with_wrappers_and_observers_do_not_make_a_call_of_the_plain_way(hook, monkeypatch):
    """Counted and not timed: the plain way makes a ``Call``, with a step for each implementation."""
    made = 0
    usual = HookPoint._run

    async def counting(self, *args, **options):
        nonlocal made
        made += 1
        return await usual(self, *args, **options)

    monkeypatch.setattr(HookPoint, "_run", counting)

    def guest(value):
        return Abstain()

    def passing(value):
        return (yield)

    async def calls(hosts, count):
        nonlocal made
        made = 0
        for _ in range(count):
            await getattr(hosts.hooks, hook)(value=1)
        return made

    async def go():
        hosts = dispatcher(Specs, plugin(hook, guest), plugin(hook, passing, wrapper=True))
        assert await calls(hosts, 64) == 63  # while nobody knows that it will be called often
        assert await calls(hosts, 640) <= 2  # one in 512 is measured
        hosts.observe(lambda name: contextlib.nullcontext())
        assert await calls(hosts, 640) <= 2
        hosts.observe(None)
        assert await calls(hosts, 640) <= 2
        assert figures(hosts, "a") == figures(hosts, "b") == (64 + 3 * 640, 0, 0)

    run(go())


def test_an_abandoned_implementation_leaves_the_short_way_in_silence(recwarn, capfd):
    async def go():
        release = False

        async def immortal(value):
            while not release:
                with contextlib.suppress(BaseException):
                    await asyncio.sleep(3600)

        hosts = dispatcher(Specs, plugin("ask", immortal, timeout=0.01), way=SHORT, grace=0.01)
        assert await hosts.hooks.ask(value=1) == []
        assert figures(hosts, "a") == (1, 0, 1)
        release = True

    asyncio.run(go())
    assert [str(each.message) for each in recwarn] == []
    assert capfd.readouterr().err == ""


class _Turn:
    def __await__(self):
        yield


async def _waits(value):
    await _Turn()
    return 1


async def _listens(value):
    try:
        await _Turn()
    except KeyError:
        return value
    except GeneratorExit:
        value.append("closed")
        raise


async def _leaves(value):
    try:
        await _Turn()
    except KeyError:
        raise GeneratorExit from None


@pytest.mark.parametrize("way", [PLAIN, SHORT])
@pytest.mark.parametrize(
    ("implementations", "results", "errors"),
    [
        ([_listens, _waits], [{}, 1], 0),
        ([_waits, _listens], [1, {}], 0),
        ([_leaves, _waits], [1], 1),
        ([_waits, _leaves], [1], 1),
    ],
)
def test_what_comes_where_nobody_has_an_event_loop_goes_to_who_waits(way, implementations, results, errors):
    hosts = dispatcher(Specs, *(plugin("ask", each) for each in implementations), way=way)
    call = hosts.hooks.ask(value={})
    place = 1 - implementations.index(_waits)
    for _ in range(place + 1):
        call.send(None)
    with pytest.raises(StopIteration) as done:  # noqa: PT012  who answers the error may be the last or not
        call.throw(KeyError())
        call.send(None)
    assert done.value.value == results
    assert figures(hosts, "ab"[place])[1] == errors


@pytest.mark.parametrize("way", [PLAIN, SHORT])
@pytest.mark.parametrize("place", [0, 1])
def test_a_call_that_is_closed_without_an_event_loop_closes_who_waits(way, place):
    guests = [plugin("ask", _listens), plugin("ask", _waits)]
    call = dispatcher(Specs, *(guests if place == 0 else guests[::-1]), way=way).hooks.ask(value=(log := []))
    for _ in range(place + 1):
        call.send(None)
    call.close()
    assert log == ["closed"]
