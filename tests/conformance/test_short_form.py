"""What pluggy's own tests try, in short; the whole of them run by ``tox -e conformance``."""

import pluggy
import pytest

from plughost import Host


@pytest.fixture(params=["example", "acme"])
def project(request):
    return request.param


@pytest.fixture
def manager(project):
    return Host.for_pluggy(project, (), config={}, environ={}).pluggy


@pytest.fixture
def specs(project):
    spec = pluggy.HookspecMarker(project)

    class Specs:
        @spec
        def hello(self, arg):
            """Plain."""

        @spec(firstresult=True)
        def pick(self, arg):
            """First."""

        @spec(historic=True)
        def seen(self, arg):
            """Historic."""

    return Specs


def guest(project, **functions):
    impl = pluggy.HookimplMarker(project)
    return type("Guest", (), {name: impl(staticmethod(function)) for name, function in functions.items()})


def test_it_is_a_plugin_manager_of_that_project(manager, project):
    assert isinstance(manager, pluggy.PluginManager)
    assert manager.project_name == project
    assert manager.get_plugins() == set()


def test_hooks_are_called_without_a_loop(manager, project, specs):
    manager.add_hookspecs(specs)
    manager.register(guest(project, hello=lambda arg: arg + 1, pick=lambda arg: arg))
    assert manager.hook.hello(arg=1) == [2]
    assert manager.hook.pick(arg=1) == 1


def test_history_reaches_those_who_come_later(manager, project, specs):
    manager.add_hookspecs(specs)
    manager.hook.seen.call_historic(kwargs={"arg": 1})
    heard = []
    manager.register(guest(project, seen=lambda arg: heard.append(arg)))
    assert heard == [1]


def test_a_misfit_is_refused_in_pluggy_s_words(manager, project, specs):
    manager.add_hookspecs(specs)
    with pytest.raises(pluggy.PluginValidationError):
        manager.register(guest(project, hello=lambda qwe: qwe))


def test_blocked_names_stay_out(manager, project):
    manager.set_blocked("guest")
    assert manager.register(guest(project, hello=lambda arg: arg), "guest") is None
    assert manager.unblock("guest")


def test_tracing_sees_calls(manager, project, specs):
    manager.add_hookspecs(specs)
    manager.register(guest(project, hello=lambda arg: arg))
    said = []
    manager.trace.root.setwriter(said.append)
    undo = manager.enable_tracing()
    manager.hook.hello(arg=3)
    undo()
    assert any("hello" in line for line in said)
