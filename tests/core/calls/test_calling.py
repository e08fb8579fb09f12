"""How a hook is called, and where calls may come from."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading
import weakref

import anyio
import anyio.lowlevel
import pytest

from core.calls.ways import PLAIN, SHORT, dispatcher, figures, plugin, shorten
from plughost.core.calls.dispatch import HookDispatcher
from plughost.exceptions import HookError, UnknownHookError
from plughost.hookspecs import CATALOGUE, Hooks, hookimpl, hookspec

pytestmark = pytest.mark.anyio


class Specs:
    @hookspec(timeout=5)
    def ask(self, what, how="well"):
        """Ask about something."""

    @hookspec(mode="first", timeout=5)
    def find(self, what): ...

    @hookspec(timeout=None, sync=True)
    def register(self, context): ...

    @hookspec(mode="waterfall", timeout=None, sync=True)
    def adjust(self, value): ...

    @hookspec(mode="first", timeout=None, sync=True)
    def choose(self, value): ...


@pytest.fixture(params=[PLAIN, SHORT])
def way(request, anyio_backend):
    return request.param


async def later(what):
    await anyio.lowlevel.checkpoint()
    return what


async def test_a_positional_argument_is_refused_with_the_way_to_call(way):
    hosts = dispatcher(Specs, way=way)
    for call in (hosts.hooks.ask, hosts.hooks.ask.report):
        for given in ({"what": 1}, {}):
            with pytest.raises(TypeError, match=r"keyword arguments only: ask\(what=\.\.\., how=\.\.\.\)"):
                await call(1, **given)
    for at_once in (hosts.hooks.register, hosts.hooks.register.report, hosts.sync_hooks.register):
        with pytest.raises(TypeError, match=r"keyword arguments only: register\(context=\.\.\.\)"):
            at_once(1)
    with pytest.raises(TypeError, match=r"keyword arguments only: find\(what=\.\.\.\)"):
        hosts.sync_hooks.find(1)


async def test_a_missing_argument_is_named(way):
    hosts = dispatcher(Specs, way=way)
    told = r"ask\(\) missing 'what': call it as ask\(what=\.\.\., how=\.\.\.\)"
    for call in (hosts.hooks.ask, hosts.hooks.ask.report):
        with pytest.raises(TypeError, match=told):
            await call(how="now")
    with pytest.raises(TypeError, match=told):
        hosts.sync_hooks.ask(how="now")
    with pytest.raises(TypeError, match=r"adjust\(\) missing 'value'"):
        hosts.hooks.adjust()


async def test_an_unknown_argument_is_named():
    with pytest.raises(TypeError, match=r"ask\(\) got an unexpected keyword argument 'whta'"):
        dispatcher(Specs).hooks.ask(what=1, whta=1)


async def test_an_unknown_hook_is_an_attribute_error_with_a_suggestion():
    hooks = dispatcher(Specs).hooks
    with pytest.raises(UnknownHookError, match="Did you mean 'register'") as raised:
        hooks.registr  # noqa: B018
    assert isinstance(raised.value, AttributeError)
    assert isinstance(raised.value, HookError)
    assert not hasattr(hooks, "nothing")


async def test_a_hook_tells_its_signature_and_documentation():
    ask = dispatcher(Specs).hooks.ask
    assert str(inspect.signature(ask)) == "(*, what, how='well')"
    assert inspect.iscoroutinefunction(ask)
    assert ask.__name__ == "ask"
    assert inspect.getdoc(ask) == "Ask about something."


def test_hooks_that_are_not_awaited():
    hosts = dispatcher(Specs, plugin("register", lambda context: context), plugin("register", lambda: None))
    for _ in range(2):
        assert hosts.hooks.register(context=1) == [1]
        assert hosts.hooks.adjust(value=3) == 3
        assert hosts.hooks.choose(value=3) is None
        report = hosts.hooks.register.report(context=1)
        assert (report.result, len(report.outcomes)) == ([1], 2)
        shorten(hosts)


def test_values_in_the_modes_of_hooks_that_are_not_awaited():
    plugins = [
        plugin("adjust", lambda value: value + 1),
        plugin("adjust", lambda value: value * 2),
        plugin("choose", lambda value: None),
        plugin("choose", lambda value: value),
    ]
    hosts = dispatcher(Specs, *plugins)
    for _ in range(2):
        assert hosts.hooks.adjust(value=1) == 4
        assert hosts.hooks.choose(value=1) == 1
        shorten(hosts)


def test_a_coroutine_out_of_a_hook_that_is_not_awaited_is_an_error():
    hosts = dispatcher(Specs, plugin("register", lambda context: later(context)))
    for calls in (1, 2):
        assert hosts.hooks.register(context=1) == []
        assert figures(hosts, "a") == (calls, calls, 0)
        shorten(hosts)


class Odd(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError(), SystemExit(), Odd(), asyncio.CancelledError()])
def test_a_hook_that_is_not_awaited_isolates_failures_without_an_event_loop(error):
    def fail(context):
        raise error

    hosts = dispatcher(Specs, plugin("register", fail), plugin("register", lambda context: context))
    for _ in range(2):
        assert hosts.hooks.register(context=1) == [1]
        shorten(hosts)
    assert figures(hosts, "a") == (2, 2, 0)


async def test_a_hook_may_be_called_from_its_own_implementation(way):
    async def countdown(what):
        await anyio.lowlevel.checkpoint()
        return what if what == 0 else await hosts.hooks.find(what=what - 1)

    hosts = dispatcher(Specs, plugin("find", countdown), way=way)
    assert await hosts.hooks.find(what=20) == 0
    assert figures(hosts, "a") == (21, 0, 0)


async def test_a_hook_becomes_hot_and_answers_as_before():
    hosts = dispatcher(Specs, plugin("ask", later), plugin("ask", lambda what: what))
    assert [await hosts.hooks.ask(what=number) for number in range(700)] == [[n, n] for n in range(700)]
    assert figures(hosts, "a") == (700, 0, 0)


async def test_a_call_that_is_made_but_not_awaited_yet_follows_a_reload():
    hosts = dispatcher(Specs, plugin("ask", lambda what: "old"))
    call = hosts.hooks.ask(what=1)
    await hosts.replace("a", plugin("ask", lambda what: "new")).wait()
    assert await call == ["new"]


async def test_a_function_that_was_held_follows_a_reload(way):
    hosts = dispatcher(Specs, plugin("ask", lambda what: "old"), way=way)
    ask = hosts.hooks.ask
    hosts.replace("a", plugin("ask", lambda what: "new"))
    assert await ask(what=1) == ["new"]


async def test_two_dispatchers_know_nothing_of_each_other():
    one, two = (
        dispatcher(Specs, plugin("ask", lambda what: 1)),
        dispatcher(Specs, plugin("ask", lambda what: 2)),
    )
    assert await one.hooks.ask(what=0) == [1]
    assert await two.hooks.ask(what=0) == [2]
    assert figures(one, "a") == (1, 0, 0)


async def test_a_dispatcher_can_be_collected():
    hosts = dispatcher(Specs, plugin("ask", later), way=SHORT)
    await hosts.hooks.ask(what=1)
    gone = weakref.ref(hosts)
    del hosts
    gc.collect()
    assert gone() is None


async def test_implementations_run_in_turn_in_the_callers_task(way):
    seen = []

    async def where(what):
        seen.append(("begin", anyio.get_current_task()))
        await anyio.sleep(0.001)
        seen.append(("end", anyio.get_current_task()))

    hosts = dispatcher(Specs, plugin("ask", where), plugin("ask", where), way=way)
    await hosts.hooks.ask(what=1)
    me = anyio.get_current_task()
    assert seen == [("begin", me), ("end", me)] * 2


async def test_context_variables_pass_into_and_out_of_implementations(way):
    variable = contextvars.ContextVar("variable", default="unset")

    async def change(what):
        found = variable.get()
        await anyio.lowlevel.checkpoint()
        variable.set("by the implementation")
        return found

    hosts = dispatcher(
        Specs, plugin("ask", change), plugin("ask", lambda: variable.get(), blocking=True), way=way
    )
    variable.set("by the caller")
    assert await hosts.hooks.ask(what=1) == ["by the caller", "by the implementation"]
    assert variable.get() == "by the implementation"


@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("trio", "trio"), ("asyncio", "trio")])
@pytest.mark.parametrize("way", [PLAIN, SHORT])
def test_calls_may_come_from_several_loops_at_once(backends, way):
    async def answer(what):
        await anyio.lowlevel.checkpoint()
        return what

    async def hang(what):
        await anyio.sleep_forever()

    hosts = dispatcher(
        Specs, plugin("ask", answer), plugin("find", hang, timeout=0.05), way=way, timeouts={"ask": 30}
    )
    both = threading.Barrier(2)
    answers = []

    async def main():
        both.wait(10)
        for number in range(200):
            assert await hosts.hooks.ask(what=number) == [number]
        answers.append(await hosts.hooks.find(what=1))

    threads = [threading.Thread(target=anyio.run, args=[main], kwargs={"backend": each}) for each in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [None, None]
    assert figures(hosts, "a") == (400, 0, 0)
    assert figures(hosts, "b") == (2, 0, 2)


def test_a_plan_that_got_hot_on_asyncio_keeps_its_limits_on_trio():
    async def hang(what):
        await anyio.sleep_forever()

    hosts = dispatcher(Specs, plugin("ask", hang), way=SHORT, timeouts={"ask": 0.05}, grace=0.05)

    async def main():
        return await hosts.hooks.ask(what=1)

    assert anyio.run(main, backend="trio") == []
    assert anyio.run(main, backend="asyncio") == []
    assert figures(hosts, "a") == (2, 0, 2)


def test_an_event_loop_is_not_kept_by_a_limit_that_was_pending():
    loops = []

    async def ask(what):
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await asyncio.sleep(0)

    hosts = dispatcher(Specs, plugin("ask", ask))

    async def main():
        await hosts.hooks.ask(what=1)

    for _ in range(3):
        asyncio.run(main())
    gc.collect()
    assert [loop() for loop in loops] == [None] * 3


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_call_can_be_made_a_task():
    hosts = dispatcher(Specs, plugin("ask", later), way=SHORT)
    assert await asyncio.gather(*(hosts.hooks.ask(what=number) for number in range(3))) == [[0], [1], [2]]
    assert await asyncio.create_task(hosts.hooks.ask(what=1)) == [1]


async def test_the_catalogue_can_be_declared_and_called():
    hosts = HookDispatcher()
    names = [name for module in CATALOGUE for name in hosts.add_hookspecs(module)]
    assert len(names) == len(set(names)) == len(hosts.declarations())
    assert isinstance(hosts.hooks, Hooks)

    class Health:
        @hookimpl
        async def health_check(self, app_name, health_status):
            return {"fine": True}

    hosts.register("health", Health())
    assert await hosts.hooks.health_check(app_name=None, health_status=None) == [{"fine": True}]


def test_blocking_implementations_of_every_loop_have_their_own_places():
    names = []

    def where(what):
        names.append(threading.current_thread().name)
        return what

    hosts = dispatcher(Specs, plugin("ask", where, blocking=True), blocking_threads=1)

    async def main():
        return await hosts.hooks.ask(what=1)

    assert [anyio.run(main, backend=each) for each in ("asyncio", "trio", "asyncio")] == [[1]] * 3
    assert names == ["plughost a.ask"] * 3
