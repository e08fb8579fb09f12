"""Registration: all or nothing, and every problem named."""

from __future__ import annotations

import pluggy
import pytest

from plughost.core.calls.dispatch import HookDispatcher
from plughost.exceptions import PluginInvalidError, PluginNotFoundError
from plughost.hookspecs import hookimpl, hookspec


class Specs:
    @hookspec
    def ask(self, what, how): ...

    @hookspec(sync=True, timeout=None)
    def register_things(self, context): ...


@pytest.fixture
def hosts():
    made = HookDispatcher()
    made.add_hookspecs(Specs)
    return made


def trace_of(hosts):
    """Everything pluggy knows: plugins, and who implements what."""
    return (
        sorted(name for name, _ in hosts.pluggy.list_name_plugin()),
        {
            name: [impl.plugin_name for impl in caller.get_hookimpls()]
            for name, caller in vars(hosts.pluggy.hook).items()
        },
    )


def refusal(hosts, plugin):
    """The message with which ``plugin`` is refused; pluggy must have no trace of it."""
    before = trace_of(hosts)
    with pytest.raises(PluginInvalidError) as raised:
        hosts.register("guest", plugin)
    assert trace_of(hosts) == before
    assert raised.value.plugin == "guest"
    assert raised.value.phase == "validation"
    return str(raised.value)


def implementing(**functions):
    return type("Guest", (), {name: staticmethod(function) for name, function in functions.items()})()


def test_registering_tells_which_hooks_are_implemented(hosts):
    plugin = implementing(
        ask=hookimpl(lambda what: 1), register_things=hookimpl(lambda context: 2), other=lambda: 3
    )
    assert hosts.register("guest", plugin) == ("ask", "register_things")
    assert hosts.hooks_of("guest") == ("ask", "register_things")
    assert hosts.pluggy.get_plugin("guest") is plugin
    assert isinstance(hosts.pluggy, pluggy.PluginManager)


def test_a_module_a_class_and_an_instance_can_be_plugins(hosts):
    class Guest:
        @staticmethod
        @hookimpl
        def register_things(context):
            return context

    from types import ModuleType

    module = ModuleType("guest")
    module.register_things = hookimpl(specname="register_things")(lambda context: context)
    for name, plugin in [("class", Guest), ("instance", Guest()), ("module", module)]:
        hosts.register(name, plugin)
    assert hosts.hooks.register_things(context=1) == [1, 1, 1]


def test_options_above_staticmethod_are_honoured(hosts):
    class Early:
        @hookimpl(priority=1)
        @staticmethod
        def register_things(context):
            return "early"

    hosts.register("early", Early)
    hosts.register("late", implementing(register_things=hookimpl(lambda context: "late")))
    assert hosts.hooks.register_things(context=1) == ["early", "late"]


def test_an_unknown_hook_is_refused_with_a_suggestion(hosts):
    message = refusal(hosts, implementing(aks=hookimpl(lambda what: 1)))
    assert "unknown hook 'aks'" in message
    assert "Did you mean 'ask'?" in message
    assert "optionalhook" in message


def test_keyword_only_arguments_are_refused(hosts):
    def ask(what, *, how):
        return 1

    assert "'how' is keyword-only" in refusal(hosts, implementing(ask=hookimpl(ask)))


def test_an_unknown_argument_is_refused_with_a_suggestion(hosts):
    message = refusal(hosts, implementing(ask=hookimpl(lambda waht: 1)))
    assert "unknown argument 'waht'" in message
    assert "Did you mean 'what'?" in message


def test_a_wrapper_that_is_no_generator_function_is_refused(hosts):
    message = refusal(hosts, implementing(ask=hookimpl(wrapper=True)(lambda what: 1)))
    assert "plain generator function" in message


def test_an_async_generator_is_no_wrapper(hosts):
    async def ask(what):
        yield

    assert "not 'async def'" in refusal(hosts, implementing(ask=hookimpl(wrapper=True)(ask)))


def test_an_old_style_wrapper_must_be_a_generator_too(hosts):
    def ask(what):
        return what

    marker = pluggy.HookimplMarker("plughost")
    assert "must be a plain generator" in refusal(hosts, implementing(ask=marker(hookwrapper=True)(ask)))


def test_an_async_function_cannot_be_blocking(hosts):
    async def ask(what): ...

    assert "blocking=True is for plain functions" in refusal(
        hosts, implementing(ask=hookimpl(blocking=True)(ask))
    )


def test_a_wrapper_cannot_be_blocking(hosts):
    def ask(what):
        yield

    message = refusal(hosts, implementing(ask=hookimpl(blocking=True, wrapper=True)(ask)))
    assert "a wrapper cannot be blocking" in message


@pytest.mark.parametrize("kind", ["async", "blocking"])
def test_a_hook_that_is_not_awaited_takes_plain_functions_alone(hosts, kind):
    async def waits(context): ...

    function = hookimpl(waits) if kind == "async" else hookimpl(blocking=True)(lambda context: 1)
    message = refusal(hosts, implementing(register_things=function))
    assert f"cannot be {kind}" in message


def test_every_problem_is_named_at_once(hosts):
    def ask(waht, *, how): ...

    plugin = implementing(
        ask=hookimpl(ask), tell=hookimpl(lambda: 1), register_things=hookimpl(blocking=True)(lambda: 1)
    )
    message = refusal(hosts, plugin)
    for part in ("'waht'", "'how'", "'tell'", "'register_things'"):
        assert part in message


def test_a_name_can_be_taken_once(hosts):
    hosts.register("guest", implementing(ask=hookimpl(lambda: 1)))
    assert "name is taken" in refusal(hosts, implementing(ask=hookimpl(lambda: 2)))


def test_a_blocked_name_is_refused(hosts):
    hosts.pluggy.set_blocked("guest")
    assert "blocked" in refusal(hosts, implementing(ask=hookimpl(lambda: 1)))


def test_the_same_object_cannot_be_two_plugins(hosts):
    plugin = implementing(ask=hookimpl(lambda: 1))
    hosts.register("first", plugin)
    assert "registered already, as 'first'" in refusal(hosts, plugin)


def test_unregistering_leaves_no_trace(hosts):
    before = trace_of(hosts)
    hosts.register("guest", implementing(register_things=hookimpl(lambda: 1)))
    hosts.unregister("guest")
    assert hosts.hooks.register_things(context=1) == []
    assert trace_of(hosts) == before
    assert hosts.hooks_of("guest") == ()


def test_a_plugin_that_is_not_there_cannot_go_or_be_replaced(hosts):
    hosts.register("guest", implementing())
    for act in (lambda: hosts.unregister("gest"), lambda: hosts.replace("gest", implementing())):
        with pytest.raises(PluginNotFoundError, match="Did you mean 'guest'"):
            act()


def test_whoever_registers_with_pluggy_itself_is_called_too(hosts):
    plugin = implementing(register_things=hookimpl(lambda: 1))
    hosts.pluggy.register(plugin, "direct")
    assert hosts.hooks.register_things(context=1) == [1]
    hosts.pluggy.unregister(plugin)
    assert hosts.hooks.register_things(context=1) == []


def test_a_warning_made_an_error_leaves_nothing_behind(hosts):
    class Old:
        @hookspec(warn_on_impl=DeprecationWarning("old_hook goes away"))
        def old_hook(self): ...

    hosts.add_hookspecs(Old)
    before = trace_of(hosts)
    with pytest.raises(DeprecationWarning, match="old_hook goes away"):
        hosts.register("guest", implementing(old_hook=hookimpl(lambda: 1), ask=hookimpl(lambda: 1)))
    assert trace_of(hosts) == before
