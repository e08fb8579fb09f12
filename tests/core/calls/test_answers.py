"""What a plugin answers to one of plughost's own hooks is of the kind that the spec names, or the plugin failed."""

from __future__ import annotations

from typing import Any

import anyio.lowlevel
import pluggy
import pytest

from core.calls.ways import PLAIN, SHORT, dispatcher, figures, plugin
from plughost import Host, Plugin, hookimpl
from plughost.contracts import CacheManager, Device, WarmEntry
from plughost.core.calls.answers import fit_for
from plughost.core.calls.declaration import read_declarations
from plughost.exceptions import HookCallError
from plughost.hookspecs import CATALOGUE, PROJECT, contributions

pytestmark = pytest.mark.anyio


class Evil:
    """Whoever asks it for anything gets an exception."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"asked for {name}")


STRANGE = {
    "a number": lambda: 3,
    "a text": lambda: "abc",
    "numbers": lambda: [1, 2],
    "pairs": lambda: [("key", "value")],
    "nothing in a list": lambda: [None],
    "a class": lambda: int,
    "what cannot be asked": Evil,
    "several of these": lambda: [Evil()],
    "a generator of numbers": lambda: (number for number in (1, 2)),
}
ANSWERS: dict[str, Any] = {
    "describe_device": Device(browser="Firefox"),
    "health_check": {"status": "pass"},
    "list_backups": [],
    "warm_cache": [],
}
"""What others answer in hooks that go on without one that failed."""

FITTED = {
    declared.name: (family, declared)
    for family in CATALOGUE
    for declared in read_declarations(pluggy.PluginManager(PROJECT), family)
    if fit_for(declared) is not None
}
TAKE_ANYTHING = {"open_connection"}
"""A connection is what its provider makes."""

HOOKS = sorted(FITTED.keys() - TAKE_ANYTHING)


def answering(hook: str, make: Any, waits: bool) -> Any:
    """An implementation without arguments, which answers what ``make`` makes."""

    async def later() -> Any:
        await anyio.lowlevel.checkpoint()
        return make()

    return plugin(hook, later if waits else lambda: make())


def arguments(hook: str) -> dict[str, Any]:
    return dict.fromkeys(FITTED[hook][1].arguments)


def test_hooks_whose_answers_somebody_goes_on_with_are_fitted() -> None:
    going_on = {"collect", "first", "waterfall"}
    for family in CATALOGUE:
        for declared in read_declarations(pluggy.PluginManager(PROJECT), family):
            wanted = declared.options.mode in going_on and family is not contributions
            assert (declared.name in FITTED) is wanted, declared.name


@pytest.mark.matrix(one_in=6)
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("way", [PLAIN, SHORT])
@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("hook", HOOKS)
async def test_an_answer_of_another_kind_is_the_failure_of_whoever_gave_it(
    hook: str, strange: str, way: str, waits: bool
) -> None:
    family, declared = FITTED[hook]
    stranger = answering(hook, STRANGE[strange], waits)
    if declared.options.on_error == "abort":
        made = dispatcher(family, stranger, way=way)
        with pytest.raises(HookCallError, match=f"plugin 'a' failed in hook '{hook}'"):
            await getattr(made.hooks, hook)(**arguments(hook))
        return
    good = answering(hook, lambda: ANSWERS[hook], waits)
    made = dispatcher(family, stranger, good, way=way)
    result = await getattr(made.hooks, hook)(**arguments(hook))
    assert result == (ANSWERS[hook] if declared.options.mode == "first" else [ANSWERS[hook]])
    assert figures(made, "a") == (1, 1, 0)
    assert figures(made, "b") == (1, 0, 0)


@pytest.mark.parametrize("way", [PLAIN, SHORT])
@pytest.mark.parametrize("hook", sorted(ANSWERS))
async def test_a_wrapper_that_makes_another_kind_of_the_result_failed_as_well(hook: str, way: str) -> None:
    def wrapper() -> Any:
        yield
        return [3] if FITTED[hook][1].options.mode == "collect" else 3

    good = answering(hook, lambda: ANSWERS[hook], False)
    made = dispatcher(FITTED[hook][0], plugin(hook, wrapper, wrapper=True), good, way=way)
    result = await getattr(made.hooks, hook)(**arguments(hook))
    assert result == (ANSWERS[hook] if FITTED[hook][1].options.mode == "first" else [ANSWERS[hook]])
    assert figures(made, "a") == (1, 1, 0)


async def test_what_is_listed_one_by_one_is_a_list_for_whoever_asked() -> None:
    entry = WarmEntry(key="rates", loader=lambda: 1)
    made = dispatcher(FITTED["warm_cache"][0], plugin("warm_cache", lambda: (each for each in [entry])))
    assert await made.hooks.warm_cache(cache="money") == [[entry]]


class Warms(Plugin):
    name = "warms"

    @hookimpl
    def warm_cache(self, cache: str) -> list[WarmEntry]:
        return [WarmEntry(key="rates", loader=lambda: 1)]


class Misleads(Plugin):
    name = "misleads"

    @hookimpl
    def warm_cache(self, cache: str) -> Any:
        return [("rates", lambda: 2)]


class HalfKnows(Plugin):
    name = "half-knows"

    @hookimpl
    def warm_cache(self, cache: str) -> Any:
        return [
            WarmEntry(key="", loader=lambda: 1),
            WarmEntry(key="late", loader=lambda: 1, ttl="soon"),  # type: ignore[arg-type]
            WarmEntry(key="tagged", loader=lambda: 1, tags="abc"),  # type: ignore[arg-type]
            WarmEntry(key="empty", loader=None),  # type: ignore[arg-type]
            WarmEntry(key="half", loader=lambda: 3),
        ]


async def test_what_one_plugin_wants_warm_is_warm_whatever_others_answer(tmp_path: Any) -> None:
    async with Host(config={"host": {"allow": ["cache"], "data_dir": str(tmp_path)}}, environ={}) as host:
        for each in (Warms, Misleads, HalfKnows):
            await host.load_plugin(each)
        caches = host.use(CacheManager)
        money = caches.get("money")
        assert await caches.warm("money") == 2
        assert await money.get_many(["rates", "half", "late", "tagged", "empty"]) == {"rates": 1, "half": 3}
        with pytest.raises(TypeError, match="is not a WarmEntry"):
            await money.warm_many([("rates", lambda: 2)])  # type: ignore[list-item]


async def test_a_list_of_backups_lacks_only_what_cannot_be_read(tmp_path: Any) -> None:
    class Odd(Plugin):
        @hookimpl
        def list_backups(self) -> Any:
            return ["somewhere"]

    async with Host(config={"host": {"allow": [], "data_dir": str(tmp_path)}}, environ={}) as host:
        await host.load_plugin(Odd)
        assert await host.backups.list() == ()
