"""A pytest plugin under which pluggy's own tests run on the plugin manager of a host, whatever their markers' name.

``pytest -p pluggys_own path/to/pluggy/testing``, with this folder on the path; ``tox -e conformance`` does it. With
``--through-hooks`` each plain call ``pm.hook.name(...)`` is one of ``host.sync_hooks``; what a caller tells of itself,
and historic calls and those with extra plugins, stay pluggy's. What is in
``DIFFERENT`` must fail then, and no other test.
"""

import pluggy
import pytest

from plughost import Host

UNDECLARED = "a host calls hooks that somebody declared; a name without a declaration is told as a mistake"
MISSING = "an argument that is missing is an error, where pluggy warns or words it otherwise"
DIFFERENT = {
    "test_hook_nonspec_call": UNDECLARED,
    "test_wrapper_runtimeerror_passtrough": UNDECLARED,
    "test_no_hookspec": UNDECLARED,
    "test_wrappers_yield_twice_fails": UNDECLARED,
    "test_wrappers_yield_never_fails": UNDECLARED,
    "test_check_pending_skips_underscore": UNDECLARED,
    "test_check_pending_optionalhook": UNDECLARED,
    "test_check_pending_nonspec_hook": UNDECLARED,
    "test_unregister_plugin_and_name_must_agree": UNDECLARED,
    "test_unregister_falsy_plugin": UNDECLARED,
    "test_only_kwargs": "an argument without a name is refused, as in pluggy, in words that say which names there are",
}
COUNTED = {"through": False, "calls": 0}


class Caller:
    """One hook: called through the host, looked into as pluggy's."""

    def __init__(self, own, through):
        self._own, self._through = own, through

    @property
    def __call__(self):  # nothing of ours is between a test and the function that it calls
        COUNTED["calls"] += 1
        return getattr(self._through, self._own.name)

    def __getattr__(self, name):
        return getattr(self._own, name)

    def __repr__(self):
        return repr(self._own)


class Hooks:
    """The hooks of a manager, each a ``Caller``."""

    def __init__(self, own, through):
        self._own, self._through = own, through

    def __getattr__(self, name):
        found = getattr(self._own, name)
        return Caller(found, self._through) if isinstance(found, pluggy.HookCaller) else found


class ManagerOfAHost(pluggy.PluginManager):
    """What the tests get when they make a ``pluggy.PluginManager``: that of a new host, as they wish to see it."""

    def __new__(cls, project_name):
        host = Host.for_pluggy(project_name, (), environ={}, config={})
        manager = host.pluggy
        kind = type(manager)
        if cls is not ManagerOfAHost:  # a test's own class derives from it
            kind = type(cls.__name__, (cls, kind), {})
        if COUNTED["through"]:
            hook = property(
                lambda self: Hooks(vars(self)["hook"], host.sync_hooks),
                lambda self, own: vars(self).update(hook=own),
            )
            kind = type(kind.__name__, (kind,), {"hook": hook})
        manager.__class__ = kind
        return manager

    def __init__(self, project_name):
        """The host has made it already."""


def pytest_addoption(parser):
    parser.addoption("--through-hooks", action="store_true", help="Call hooks through host.sync_hooks.")


def pytest_configure(config):
    COUNTED["through"] = config.getoption("--through-hooks")


def pytest_collection_modifyitems(items):
    for item in items if COUNTED["through"] else ():
        if reason := DIFFERENT.get(item.originalname):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_terminal_summary(terminalreporter):
    if COUNTED["through"]:
        terminalreporter.write_line(f"{COUNTED['calls']} calls went through host.sync_hooks")


pluggy.PluginManager = ManagerOfAHost
