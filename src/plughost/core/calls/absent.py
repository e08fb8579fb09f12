"""Families of the catalogue that a host leaves out: plughost itself calls them all the same, and nobody answers.

So an application may have a hook of its own under a name that the catalogue has, and the host still works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.calls.relays import HookRelay
from plughost.hookspecs import Hooks


class OwnHooks(Hooks):
    """plughost's own hooks: in the host's namespace those that it declares, beside it those that it leaves out.

    Args:
        declared: The hooks of the host.
        absent: The hooks of the families that it leaves out.
        own_first: Whether a name that both have is plughost's.
    """

    def __init__(self, declared: HookRelay, absent: HookRelay, *, own_first: bool) -> None:
        self._declared = declared
        self._absent = absent
        self._own_first = own_first

    if not TYPE_CHECKING:  # a type checker shall see the types of Hooks

        def __getattr__(self, name: str) -> Any:
            left_out = name in self._absent and (self._own_first or name not in self._declared)
            return getattr(self._absent if left_out else self._declared, name)


def own_hooks(dispatcher: HookDispatcher) -> Hooks:
    """Return the hooks as plughost itself calls them: a name of the catalogue is never the application's."""
    return _with_absent(dispatcher, own_first=True)


def hooks_of_plugins(dispatcher: HookDispatcher) -> Hooks:
    """Return the hooks as plugins call them: the host's, and in silence those that it leaves out."""
    return _with_absent(dispatcher, own_first=False)


def _with_absent(dispatcher: HookDispatcher, *, own_first: bool) -> Hooks:
    absent = dispatcher.setup.absent
    if not absent.families:
        return dispatcher.hooks
    return OwnHooks(dispatcher.hooks, HookDispatcher(setup=absent).hooks, own_first=own_first)
