"""Who is called first: the deployer's order, then priority, then pluggy's own."""

from __future__ import annotations

import pluggy
from hypothesis import given, settings
from hypothesis import strategies as st

from plughost.core.calls.dispatch import CallPolicy, HookDispatcher
from plughost.hookspecs import hookimpl, hookspec


class Specs:
    @hookspec(sync=True, timeout=None)
    def ask(self): ...


def named(name, **options):
    return type("Guest", (), {"ask": staticmethod(hookimpl(**options)(lambda: name))})()


def hosts(*guests, order=(), **named_guests):
    made = HookDispatcher(CallPolicy(order={"ask": order}))
    made.add_hookspecs(Specs)
    for name, options in named_guests.items():
        made.register(name, named(name, **options))
    return made


def test_the_last_one_registered_runs_first_as_in_pluggy():
    assert hosts(a={}, b={}, c={}).hooks.ask() == ["c", "b", "a"]


def test_higher_priority_runs_earlier():
    assert hosts(a={"priority": 10}, b={}, c={"priority": -1}, d={"priority": 10}).hooks.ask() == list("dabc")


def test_priority_goes_before_tryfirst():
    assert hosts(
        a={"priority": 1}, b={"tryfirst": True}, c={"priority": 1, "trylast": True}
    ).hooks.ask() == list("acb")


def test_the_deployer_goes_before_everybody():
    guests = {"a": {"priority": 10}, "b": {"tryfirst": True}, "c": {"trylast": True, "priority": -10}}
    assert hosts(order=["c", "absent", "b"], **guests).hooks.ask() == ["c", "b", "a"]


def test_a_reloaded_plugin_keeps_its_place():
    made = hosts(a={}, b={}, c={})
    made.replace("b", named("new"))
    assert made.hooks.ask() == ["c", "new", "a"]
    made.replace("c", named("newer"))
    assert made.hooks.ask() == ["newer", "new", "a"]


def test_several_implementations_of_one_plugin_keep_pluggys_order():
    class Twice:
        @staticmethod
        @hookimpl(specname="ask")
        def one():
            return "one"

        @staticmethod
        @hookimpl(specname="ask")
        def two():
            return "two"

    made = hosts(a={})
    made.register("twice", Twice())
    assert made.hooks.ask() == made.pluggy.hook.ask() == ["two", "one", "a"]


@settings(deadline=None)
@given(st.lists(st.sampled_from([{}, {"tryfirst": True}, {"trylast": True}]), max_size=8), st.data())
def test_without_priorities_the_order_is_exactly_pluggys(options, data):
    made = hosts(**{f"guest{number}": each for number, each in enumerate(options)})
    if options:
        gone = data.draw(st.integers(0, len(options) - 1))
        made.unregister(f"guest{gone}")
    assert made.hooks.ask() == made.pluggy.hook.ask()
    assert isinstance(made.pluggy, pluggy.PluginManager)
