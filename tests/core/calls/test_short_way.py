"""The short way does exactly what the plain way does, only sooner."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.calls.ways import PLAIN, SHORT, dispatcher, figures, plugin
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


@pytest.mark.parametrize(
    ("hook", "function", "options"),
    [
        ("judge", lambda value: None, {}),
        ("ask", lambda value: None, {"blocking": True}),
    ],
)
def test_decisions_and_threads_have_no_short_way(hook, function, options):
    hosts = dispatcher(Specs, plugin(hook, function, **options), way=SHORT)
    assert hosts._points[hook].short is None


def test_wrappers_have_no_short_way():
    def wrapper(value):
        return (yield)

    hosts = dispatcher(Specs, plugin("ask", wrapper, wrapper=True), way=SHORT)
    assert hosts._points["ask"].short is None


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
