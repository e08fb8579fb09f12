"""An implementation that raises ``StopIteration``, which Python lets out of no coroutine and no generator."""

import pluggy
import pytest

from plughost.core.calls.dispatch import HookDispatcher, HookSetup

pytestmark = pytest.mark.anyio
spec, impl = pluggy.HookspecMarker("acme"), pluggy.HookimplMarker("acme")


class Specs:
    @spec
    def tell(self, seen): ...


class Stops:
    @impl
    def tell(self, seen):
        if seen is not None:
            next(iter(()))


class Passes:
    @impl(wrapper=True)
    def tell(self):
        return (yield)


class Sees:
    @impl(wrapper=True)
    def tell(self, seen):
        try:
            return (yield)
        except BaseException as error:
            seen.append(type(error))
            raise


class SeesInTheOldWay:
    @impl(hookwrapper=True)
    def tell(self, seen):
        outcome = yield
        if seen is not None:
            seen.append(type(outcome.exception))


class Mends:
    @impl(wrapper=True)
    def tell(self):
        try:
            return (yield)
        except StopIteration:
            return ["mended"]


class StopsAfterwards:
    @impl(wrapper=True)
    def tell(self, seen):
        result = yield
        if seen is not None:
            next(iter(()))
        return result


class Asks:
    """What it raises is its own, however much it looks like what Python makes of a stop."""

    @impl
    def tell(self, seen):
        if seen is not None:
            raise RuntimeError("coroutine raised StopIteration") from StopIteration()


PLUGINS = [
    (Stops,),
    (Stops, Passes),
    (Stops, Sees, SeesInTheOldWay),
    (Stops, SeesInTheOldWay, Passes, Sees),
    (Stops, Mends, Sees),
    (StopsAfterwards, Sees),
    (Asks, Sees, SeesInTheOldWay),
]


def outcome(call):
    seen = []
    try:
        result = call(seen=seen)
    except BaseException as error:
        return type(error), type(error.__cause__), seen
    return result, None, seen


@pytest.mark.parametrize("plugins", PLUGINS)
@pytest.mark.parametrize("times", [0, 200])
async def test_it_is_what_it_is_on_pluggy(plugins, times):
    made = HookDispatcher(setup=HookSetup(project="acme", families=(), hookspecs=(Specs,)))
    manager = pluggy.PluginManager("acme")
    manager.add_hookspecs(Specs)
    for kind in plugins:
        made.register(kind.__name__, kind())
        manager.register(kind())
    for _ in range(times):
        made.sync_hooks.tell(seen=None)
        await made.hooks.tell(seen=None)
    expected, cause, seen = outcome(manager.hook.tell)
    assert outcome(made.sync_hooks.tell) == (expected, cause, seen)
    assert outcome(lambda seen: made.sync_hooks.tell.call_extra([], {"seen": seen})) == (
        expected,
        cause,
        seen,
    )
    heard = []
    if isinstance(expected, list):
        assert await made.hooks.tell(seen=heard) == expected
    else:
        with pytest.raises(RuntimeError) as raised:
            await made.hooks.tell(seen=heard)
        assert isinstance(raised.value.__cause__, StopIteration)
    assert heard == seen


async def test_whoever_watches_sees_it_too():
    made = HookDispatcher(setup=HookSetup(project="acme", families=(), hookspecs=(Specs,)))
    made.register("stops", Stops())
    seen = []
    made.pluggy.add_hookcall_monitoring(
        lambda *_: None, lambda result, *_: seen.append(type(result.exception))
    )
    with pytest.raises(StopIteration):
        made.sync_hooks.tell(seen=[])
    assert seen == [StopIteration]


def test_the_wrapper_that_let_it_through_is_not_blamed():
    made = HookDispatcher(setup=HookSetup(project="acme", families=(), hookspecs=(Specs,)))
    made.register("stops", Stops())
    made.register("passes", Passes())
    with pytest.raises(StopIteration) as raised:
        made.sync_hooks.tell(seen=[])
    assert raised.value.__notes__ == ["in hook 'tell' of plugin 'stops'"]
    assert [(row.plugin, row.errors) for row in made.metrics.snapshot()] == [("passes", 0), ("stops", 1)]
