"""What registering costs, counted: what a class inherits is not asked, and a hook that nobody touched stays."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pluggy
import pytest

from plughost import Plugin, hookimpl, hookspec
from plughost.core.calls.declared import HookSetup
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.calls.manager import HookManager


def calls_during(act: Callable[[], object], name: str) -> int:
    """How often a function of that name is called while ``act`` runs."""
    seen = 0

    def count(frame: Any, event: str, _: object) -> None:
        nonlocal seen
        seen += event == "call" and frame.f_code.co_name == name

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return seen


class Quiet(Plugin):
    @hookimpl
    async def health_check(self, app_name: str | None) -> None: ...


class Busy(Quiet):
    """The same with a hundred attributes that are nobody's hooks."""

    for number in range(100):
        vars()[f"method_{number}"] = lambda self: None


# Pluggy's, Python's, ours.
@pytest.mark.parametrize("asking", ["_static_hook_attr", "getattr_static", "noted"])
def test_what_is_looked_up_does_not_grow_with_what_a_plugin_inherits_or_has_besides(asking: str) -> None:
    asked = []
    for kind in (Quiet, Busy):
        dispatcher = HookDispatcher(setup=HookSetup())
        asked.append(calls_during(lambda d=dispatcher, k=kind: d.register("p", k()), asking))
    assert asked[0] == asked[1] < 5


def test_plans_are_made_for_the_hooks_of_a_plugin_and_for_no_others() -> None:  # each is given one gathering
    dispatcher = HookDispatcher(setup=HookSetup())
    assert calls_during(lambda: dispatcher.register("p", Quiet()), "gathering_for") == 1
    assert calls_during(lambda: dispatcher.unregister("p"), "gathering_for") == 1


def test_the_function_of_a_hook_is_written_when_somebody_wants_it() -> None:
    made = []
    written = calls_during(lambda: made.append(HookDispatcher(setup=HookSetup())), "define")
    assert written == 0
    assert calls_during(lambda: made[0].hooks.health_check, "define") == 2  # the call and its report
    assert calls_during(lambda: made[0].hooks.health_check, "define") == 0


def test_relays_tell_what_is_declared_and_what_is_not() -> None:
    class Specs:
        @hookspec
        def weigh(self, parcel: str): ...

    dispatcher = HookDispatcher()
    dispatcher.add_hookspecs(Specs)
    for relay in (dispatcher.hooks, dispatcher.sync_hooks):
        assert "weigh" in relay
        assert "weigh" in dir(relay)
        assert relay.weigh is relay.weigh
    dispatcher.remove_hookspecs(Specs)
    for relay in (dispatcher.hooks, dispatcher.sync_hooks):
        assert "weigh" not in relay
        with pytest.raises(AttributeError, match="weigh"):
            relay.weigh  # noqa: B018


# Every way in which pluggy finds an implementation is found without asking the rest.

own, foreign = pluggy.HookimplMarker("plughost"), pluggy.HookimplMarker("shop")


class Slotted:
    __slots__ = ("ask",)

    def __init__(self) -> None:
        self.ask = own(lambda: 1)


class Base:
    @own
    def ask(self) -> int:
        return 1


class Inheriting(Base): ...


class Static:
    @staticmethod
    @own
    def ask() -> int:
        return 1


class MarkedAbove:
    @own
    @classmethod
    def ask(cls) -> int:
        return 1


class Foreign:
    @foreign
    def ask(self) -> int:
        return 1


class OnTheInstance:
    def __init__(self) -> None:
        self.ask = own(lambda: 1)


class BoundElsewhere:
    def __init__(self) -> None:
        self.ask = Base().ask


class Guarded(Base):
    """Nothing but what is asked for statically may be touched."""

    @property
    def trap(self) -> int:
        raise AssertionError("touched")

    def __getattribute__(self, name: str) -> Any:
        if name not in ("ask", "__dir__", "__class__", "__dict__"):
            raise AssertionError(f"{name} was touched")
        return super().__getattribute__(name)


def a_module() -> ModuleType:
    module = ModuleType("guest")
    module.ask = own(lambda: 1)  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    "make",
    [
        *(
            Slotted,
            Inheriting,
            Static,
            MarkedAbove,
            Foreign,
            OnTheInstance,
            BoundElsewhere,
            Guarded,
            a_module,
        ),
        lambda: Static,
        lambda: MarkedAbove,
    ],
)
def test_every_implementation_that_pluggy_finds_is_found(make: Callable[[], object]) -> None:
    plugin = make()
    bare = pluggy.PluginManager("shop" if isinstance(plugin, Foreign) else "plughost")
    ours = HookManager("shop" if isinstance(plugin, Foreign) else "plughost")
    for manager in (bare, ours):
        manager.register(plugin, "guest")
    callers = [[caller.name for caller in manager.get_hookcallers(plugin) or ()] for manager in (bare, ours)]
    assert callers == [["ask"], ["ask"]]
    assert ours.hooks_of("guest") == {"ask"}
    assert [hook for hook, _, _ in ours.implementations(plugin)] == ["ask"]


def test_the_hooks_of_the_catalogue_are_read_once_for_all_hosts_of_a_process() -> None:
    first = HookDispatcher(setup=HookSetup())
    made: list[HookDispatcher] = []
    assert calls_during(lambda: made.append(HookDispatcher(setup=HookSetup())), "read_declaration") == 0
    assert made[0].declarations() == first.declarations()


def test_what_an_application_declares_is_read_again_when_it_changed() -> None:
    for arguments in ("parcel", "box"):
        specs = ModuleType("shop_hooks")
        exec(f"def weigh({arguments}): ...", vars(specs))  # noqa: S102
        specs.weigh = hookspec(specs.weigh)
        dispatcher = HookDispatcher(setup=HookSetup(hookspecs=(specs,)))
        assert dispatcher.declarations()[-1].arguments == (arguments,)


class Lenient(HookManager):
    """Takes what is called ``spoken_`` for an implementation too, as some programs' managers do."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        found = super().parse_hookimpl_opts(plugin, name)
        return {} if found is None and name.startswith("spoken_") else found


class Spoken:
    def spoken_word(self) -> str:
        return "hello"


@pytest.mark.parametrize("way", ["by a class", "by the object"])
def test_a_manager_that_looks_in_its_own_way_is_asked_for_every_attribute(way: str) -> None:
    manager = Lenient("acme") if way == "by a class" else HookManager("acme")
    if way == "by the object":
        manager.parse_hookimpl_opts = Lenient("acme").parse_hookimpl_opts  # type: ignore[method-assign]
    manager.register(Spoken())
    assert [impl.function() for impl in manager.hook.spoken_word.get_hookimpls()] == ["hello"]
