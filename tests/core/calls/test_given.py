"""Calls of hooks that pluggy's own marker declared, with less or more than the spec names: as pluggy has it."""

import inspect
import types
import warnings

import anyio.lowlevel
import pluggy
import pytest

from plughost.blocking import BlockingHost
from plughost.core.calls.declaration import ForeignTerms
from plughost.core.calls.dispatch import HookDispatcher, HookSetup

pytestmark = pytest.mark.anyio
spec, impl = pluggy.HookspecMarker("acme"), pluggy.HookimplMarker("acme")
DOORS = ("hooks", "sync_hooks")
CALLS = (1, 200)  # the last of so many goes the short way where it can


class Specs:
    @spec
    def tell(self, what, how): ...

    @spec(firstresult=True)
    def pick(self, what, how="softly"): ...


def dispatcher(*plugins, on_error="abort"):
    terms = ForeignTerms(on_error=on_error)
    made = HookDispatcher(setup=HookSetup(project="acme", families=(), hookspecs=(Specs,), terms=terms))
    for number, functions in enumerate(plugins):
        made.register(f"p{number}", holder(**{name: impl(one) for name, one in functions.items()}))
    return made


def holder(**marked):
    module = types.ModuleType("guest")
    vars(module).update(marked)
    return module


async def called(hooks, name, arguments, times=1):
    for _ in range(times):
        found = getattr(hooks, name)(**arguments)
        found = await found if inspect.isawaitable(found) else found
    return found


async def warm(made, times):
    for door in DOORS:
        await called(getattr(made, door), "tell", {"what": 0, "how": 0}, times)
        await called(getattr(made, door), "pick", {"what": 0}, times)


@pytest.mark.parametrize("times", CALLS)
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("arguments", "missing"), [({}, "'what', 'how'"), ({"what": 1}, "'how'"), ({"how": 1}, "'what'")]
)
async def test_the_caller_is_warned_where_it_calls(door, times, arguments, missing):
    made = dispatcher({"tell": lambda: "here"})
    await warm(made, times)
    with pytest.warns(UserWarning, match=rf"^Argument\(s\) {missing} which are declared") as told:
        assert await called(getattr(made, door), "tell", arguments) == ["here"]
    assert [one.filename for one in told] == [__file__]


@pytest.mark.parametrize("times", CALLS)
@pytest.mark.parametrize("door", DOORS)
async def test_whoever_needs_what_is_missing_ends_the_call(door, times):
    seen = []
    made = dispatcher({"tell": lambda what: seen.append(what)}, {"tell": lambda how: seen.append(how)})
    await warm(made, times)
    seen.clear()
    with (
        pytest.raises(pluggy.HookCallError, match="must provide argument 'what'") as raised,
        pytest.warns(UserWarning, match="'what'"),
    ):
        await called(getattr(made, door), "tell", {"how": 2})
    assert seen == [2]
    assert not hasattr(raised.value, "__notes__")
    assert not any(row.errors for row in made.metrics.snapshot())


@pytest.mark.parametrize("door", DOORS)
async def test_it_is_the_caller_s_mistake_where_failures_are_isolated(door):
    made = dispatcher(on_error="isolate")
    made.register("wants", holder(tell=impl(lambda what: what)))
    with (
        pytest.raises(pluggy.HookCallError, match="'what'"),
        pytest.warns(UserWarning, match="'what'"),
    ):
        await called(getattr(made, door), "tell", {"how": 2})


@pytest.mark.parametrize("door", DOORS)
async def test_but_a_wrong_call_that_an_implementation_makes_is_its_own(door):
    made = dispatcher(on_error="isolate")

    def tell(what):
        return made.sync_hooks.pick()

    made.register("wrong", holder(tell=impl(tell), pick=impl(lambda what: what)))
    with pytest.warns(UserWarning, match="'what'"):
        assert await called(getattr(made, door), "tell", {"what": 1, "how": 2}) == []
    assert [row.errors for row in made.metrics.snapshot() if row.hook == "tell"] == [1]


@pytest.mark.parametrize("style", [{"wrapper": True}, {"hookwrapper": True}])
@pytest.mark.parametrize("door", DOORS)
async def test_wrappers_see_the_end_of_the_call(door, style):
    seen = []

    def around(how):
        try:
            outcome = yield
        except pluggy.HookCallError as error:
            seen.append(str(error))
            raise
        seen.append(str(outcome.exception))

    made = dispatcher({"tell": lambda what: what})
    made.register("around", holder(tell=impl(**style)(around)))
    with (
        pytest.raises(pluggy.HookCallError, match="'what'"),
        pytest.warns(UserWarning, match="'what'"),
    ):
        await called(getattr(made, door), "tell", {"how": 2})
    assert seen == ["hook call must provide argument 'what'"]


@pytest.mark.parametrize("times", CALLS)
@pytest.mark.parametrize("door", DOORS)
async def test_an_implementation_keeps_its_own_default(door, times):
    made = dispatcher({"tell": lambda what, how="loudly": (what, how)})
    await warm(made, times)
    with pytest.warns(UserWarning, match="'how'"):
        assert await called(getattr(made, door), "tell", {"what": 1}) == [(1, "loudly")]
    assert await called(getattr(made, door), "tell", {"what": 1, "how": 2}) == [(1, 2)]


@pytest.mark.parametrize("times", CALLS)
@pytest.mark.parametrize("door", DOORS)
async def test_what_the_spec_does_not_name_is_handed_on(door, times):
    made = dispatcher({"pick": lambda what, how, new="none": (what, how, new)})
    await warm(made, times)
    hooks = getattr(made, door)
    assert await called(hooks, "pick", {"what": 1}) == (1, "softly", "none")
    assert await called(hooks, "pick", {"what": 1, "new": 3}) == (1, "softly", 3)
    assert await called(hooks, "pick", {"what": 1, "how": 2, "new": 3, "unheard": 4}) == (1, 2, 3)


async def test_what_the_short_way_keeps_for_itself_is_handed_to_nobody():
    async def tell(what, how, _at="own", _step_0="own"):
        await anyio.lowlevel.checkpoint()  # so that the call goes on the plain way
        return what, how, _at, _step_0

    made = dispatcher({"tell": tell}, {"tell": tell})
    for _ in range(200):
        assert await made.hooks.tell(what=1, how=2) == [(1, 2, "own", "own")] * 2


@pytest.mark.parametrize("door", DOORS)
async def test_extra_implementations_for_one_call_ask_alike(door):
    made = dispatcher({"tell": lambda: "here"})

    async def call(method, kwargs):
        found = getattr(made, door).tell.call_extra([method], kwargs)
        return await found if inspect.isawaitable(found) else found

    with pytest.warns(UserWarning, match="'what', 'how'") as told:
        assert await call(lambda: "there", {}) == ["there", "here"]
    assert [one.filename for one in told] == [__file__]
    with pytest.raises(pluggy.HookCallError), pytest.warns(UserWarning, match="'how'"):
        await call(lambda how: how, {"what": 1})


async def test_a_report_says_the_same():
    made = dispatcher({"tell": lambda how="loudly": how})
    with pytest.warns(UserWarning, match="'how'"):
        report = await made.hooks.tell.report(what=1)
    assert report.result == ["loudly"]


def test_a_program_without_a_loop_is_warned_in_its_own_line():
    with BlockingHost.for_pluggy("acme", Specs, config={}, environ={"PLUGHOST_LOAD_PLUGINS": ""}) as host:
        for hooks in (host.hooks, host.sync_hooks):
            with pytest.warns(UserWarning, match="'how'") as told:
                assert hooks.tell(what=1) == []
            assert [one.filename for one in told] == [__file__]


@pytest.mark.parametrize("times", CALLS)
@pytest.mark.parametrize("door", DOORS)
async def test_a_call_with_all_warns_nobody(door, times):
    made = dispatcher({"tell": lambda what, how: (what, how)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await warm(made, times)
        assert await called(getattr(made, door), "tell", {"what": 1, "how": None}) == [(1, None)]


@pytest.mark.parametrize("times", CALLS)
@pytest.mark.parametrize("door", DOORS)
async def test_an_old_wrapper_that_raises_afterwards_warns_whoever_called(door, times):
    armed, closed = [], []

    def around():
        try:
            yield
            if armed:
                raise ZeroDivisionError("afterwards")
        finally:
            closed.append(1)

    made = dispatcher({"tell": lambda: 1})
    made.register("around", holder(tell=impl(hookwrapper=True)(around)))
    await warm(made, times)
    armed.append(1)
    closed.clear()
    with (
        pytest.warns(
            pluggy.PluggyTeardownRaisedWarning, match=r"around.*tell\nZeroDivisionError: afterwards"
        ) as told,
        pytest.raises(ZeroDivisionError),
    ):
        await called(getattr(made, door), "tell", {"what": 1, "how": 2})
    assert [one.filename for one in told] == [__file__]
    assert closed == [1]
