"""Hooks come and go: the catalogue, that of the application, those of plugins."""

from __future__ import annotations

from types import ModuleType

import pluggy
import pytest

from plughost.core.calls.dispatch import HookDispatcher
from plughost.exceptions import PluginInvalidError, UnknownHookError
from plughost.hookspecs import hookimpl, hookspec


def module(name="family", **functions):
    made = ModuleType(name)
    vars(made).update(functions)
    return made


def shout(text): ...


def whisper(text): ...


def shouting(name="family"):
    return module(name, shout=hookspec(sync=True, timeout=None)(lambda text: None))


def implementing(**functions):
    return type("Guest", (), {name: staticmethod(function) for name, function in functions.items()})()


def test_names_are_returned_and_hooks_appear():
    hosts = HookDispatcher()
    assert hosts.add_hookspecs(module(whisper=hookspec(whisper), shout=hookspec(shout))) == (
        "shout",
        "whisper",
    )
    assert hosts.hooks.shout.__name__ == "shout"
    assert [each.name for each in hosts.declarations()] == ["shout", "whisper"]


def test_a_module_without_hooks_is_refused():
    with pytest.raises(ValueError, match="declares no hooks"):
        HookDispatcher().add_hookspecs(module(shout=lambda text: None))


def test_a_name_where_a_module_is_meant_is_told_so():
    with pytest.raises(
        ValueError, match=r"import 'shop_hooks' and hand it over, or name it in the configuration"
    ):
        HookDispatcher().add_hookspecs("shop_hooks")


def test_specs_of_plain_pluggy_work():
    marker = pluggy.HookspecMarker("plughost")
    hosts = HookDispatcher()
    hosts.add_hookspecs(
        module(many=marker(lambda text: None), one=marker(firstresult=True)(lambda text: None))
    )
    assert {each.name: each.options.mode for each in hosts.declarations()} == {
        "many": "collect",
        "one": "first",
    }


def test_a_spec_with_keyword_only_arguments_is_refused():
    def tell(*, text): ...

    with pytest.raises(ValueError, match="'text' a plain argument"):
        HookDispatcher().add_hookspecs(module(tell=hookspec(tell)))


def test_an_argument_that_begins_with_an_underscore_is_refused():
    with pytest.raises(ValueError, match="'_text' begins with an underscore"):
        HookDispatcher().add_hookspecs(module(tell=hookspec(lambda _text: None)))


class _Late:
    @pluggy.HookimplMarker("plughost")
    def tell(self, text):
        return text.upper()


def test_a_historic_spec_is_called_as_pluggy_calls_it():
    marker = pluggy.HookspecMarker("plughost")
    hosts = HookDispatcher()
    hosts.add_hookspecs(module(tell=marker(historic=True)(lambda text: None)))
    for hooks in (hosts.hooks, hosts.sync_hooks):
        with pytest.raises(AssertionError, match="call_historic"):
            hooks.tell(text="hello")
        with pytest.raises(AssertionError, match="call_historic"):
            hooks.tell.call_extra([], {"text": "hello"})
    heard = []
    hosts.hooks.tell.call_historic(kwargs={"text": "hello"}, result_callback=heard.append)
    hosts.register("late", _Late())
    assert heard == ["HELLO"]


def test_a_waterfall_without_an_argument_is_refused():
    with pytest.raises(ValueError, match="waterfall"):
        HookDispatcher().add_hookspecs(module(flow=hookspec(mode="waterfall")(lambda: None)))


def test_another_module_may_not_declare_a_hook_differently():
    hosts = HookDispatcher()
    hosts.add_hookspecs(module("one", shout=hookspec(lambda text: None)))
    other = module("two", shout=hookspec(lambda text, volume: None), whisper=hookspec(whisper))
    with pytest.raises(ValueError, match=r"two declares hook 'shout' differently from one"):
        hosts.add_hookspecs(other)
    assert [each.name for each in hosts.declarations()] == ["shout"]
    with pytest.raises(UnknownHookError):
        hosts.hooks.whisper  # noqa: B018


def test_two_modules_may_declare_a_hook_alike_and_it_goes_with_the_last():
    one, two = shouting("one"), shouting("two")
    hosts = HookDispatcher()
    hosts.add_hookspecs(one)
    assert hosts.add_hookspecs(two) == ("shout",)
    hosts.remove_hookspecs(one)
    assert hosts.hooks.shout(text="a") == []
    hosts.remove_hookspecs(two)
    assert not hasattr(hosts.hooks, "shout")
    assert not hasattr(hosts.pluggy.hook, "shout")


def test_a_reloaded_module_may_change_its_own_hooks():
    hosts = HookDispatcher()
    old = shouting()
    hosts.add_hookspecs(old)
    hosts.register("guest", implementing(shout=hookimpl(lambda text: text)))
    new = module(shout=hookspec(sync=True, timeout=None)(lambda text, volume=1: None))
    hosts.add_hookspecs(new)
    hosts.remove_hookspecs(old)
    assert hosts.hooks.shout(text="a", volume=2) == ["a"]
    hosts.remove_hookspecs(new)
    assert not hasattr(hosts.hooks, "shout")


def test_a_reloaded_module_may_not_change_its_hooks_under_an_implementer():
    hosts = HookDispatcher()
    hosts.add_hookspecs(shouting())
    hosts.register("guest", implementing(shout=hookimpl(lambda text: text)))
    with pytest.raises(PluginInvalidError, match="unknown argument 'text'") as raised:
        hosts.add_hookspecs(module(shout=hookspec(lambda words: None)))
    assert raised.value.plugin == "guest"
    assert hosts.hooks.shout(text="a") == ["a"]


def test_implementations_may_come_before_the_hook():
    hosts = HookDispatcher()
    hosts.register("guest", implementing(shout=hookimpl(optionalhook=True)(lambda text: text)))
    hosts.add_hookspecs(shouting())
    assert hosts.hooks.shout(text="a") == ["a"]


def test_a_hook_that_comes_later_names_whoever_does_not_fit_and_is_not_declared():
    def waits(text, *, volume): ...

    hosts = HookDispatcher()
    hosts.register("guest", implementing(shout=hookimpl(optionalhook=True)(waits)))
    with pytest.raises(PluginInvalidError, match="'volume' is keyword-only") as raised:
        hosts.add_hookspecs(shouting())
    assert raised.value.plugin == "guest"
    assert hosts.declarations() == ()
    hosts.unregister("guest")
    hosts.add_hookspecs(shouting())


def test_implementers_survive_the_hook_and_are_called_when_it_comes_back():
    hosts = HookDispatcher()
    first = shouting()
    hosts.add_hookspecs(first)
    hosts.add_hookspecs(module("other", whisper=hookspec(sync=True, timeout=None)(lambda text: None)))
    for name in ("a", "b"):
        hosts.register(
            name,
            implementing(
                shout=hookimpl(optionalhook=True)(lambda text, name=name: name),
                whisper=hookimpl(lambda text, name=name: name),
            ),
        )
    hosts.remove_hookspecs(first)
    assert hosts.hooks_of("a") == ("shout", "whisper")
    assert hosts.hooks.whisper(text="") == ["b", "a"]
    hosts.add_hookspecs(shouting())
    assert hosts.hooks.shout(text="") == ["b", "a"]


def test_taking_a_hook_back_warns_nobody_again():
    specs = shouting()
    old = hookspec(sync=True, timeout=None, warn_on_impl=DeprecationWarning("whisper goes away"))
    hosts = HookDispatcher()
    hosts.add_hookspecs(specs)
    hosts.add_hookspecs(module("other", whisper=old(lambda text: None)))
    with pytest.warns(DeprecationWarning, match="goes away"):
        hosts.register("a", implementing(shout=hookimpl(lambda: 1), whisper=hookimpl(lambda: 1)))
    hosts.remove_hookspecs(specs)  # a warning would be an error here
    assert hosts.hooks.whisper(text="") == [1]


def test_a_held_function_of_a_hook_that_went_says_so():
    hosts = HookDispatcher()
    specs = shouting()
    hosts.add_hookspecs(specs)
    shout = hosts.hooks.shout
    hosts.remove_hookspecs(specs)
    with pytest.raises(UnknownHookError, match="any more"):
        shout(text="a")


def test_removing_what_was_never_added_does_nothing():
    HookDispatcher().remove_hookspecs(shouting())
