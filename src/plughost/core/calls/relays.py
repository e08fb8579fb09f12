"""``host.hooks`` and ``host.sync_hooks``: an attribute for each declared hook, made when somebody first asks for it.

A host declares some sixty hooks and a program calls a few of them. The function behind each is written for its
signature (``hook.py``), which takes a tenth of a millisecond and is spared for those that are never called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plughost.exceptions import UnknownHookError, did_you_mean
from plughost.hookspecs import Hooks

_MAKERS, _TWIN = "_makers", "_twin"  # no hook's name begins with an underscore


class HookRelay(Hooks):
    """The hooks of one dispatcher, as attributes: ``await hooks.before_auth(attempt=...)``.

    ``await hooks.before_auth.report(attempt=...)`` tells what each implementation did.
    """

    def __init__(self, without_waiting: SyncHookRelay | None = None) -> None:
        vars(self)[_MAKERS] = {}
        vars(self)[_TWIN] = without_waiting

    if not TYPE_CHECKING:  # a type checker shall see the types of Hooks

        def __getattr__(self, name: str) -> Any:
            """Make the function of a hook, or say that nobody declared it; those that are made never get here."""
            makers = vars(self).get(_MAKERS, {})
            if name not in makers:
                raise UnknownHookError(
                    f"nobody declared a hook {name!r}.{did_you_mean(name, makers)}", hook=name
                )
            return vars(self).setdefault(name, makers[name]())

    def __contains__(self, name: object) -> bool:
        return name in vars(self)[_MAKERS]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *vars(self)[_MAKERS]} - {_MAKERS, _TWIN})


class SyncHookRelay(HookRelay):
    """The same hooks without ``await``: ``sync_hooks.before_auth(attempt=...)``; isolated, ordered and counted alike.

    In the host's own thread nothing can wait: what an implementation returns to be awaited is handed back, as
    pluggy does, and blocking implementations run where they are. From any other thread what must be awaited is
    awaited on the host's event loop. Hooks that pluggy's own marker declared are called in the caller's thread, as
    with pluggy; those of plughost's marker on the event loop, so that a plugin's code is in one thread.
    """


def twin_of(relay: HookRelay) -> SyncHookRelay | None:
    """Return the same hooks without ``await``."""
    twin: SyncHookRelay | None = vars(relay)[_TWIN]
    return twin


def offer(relay: HookRelay, name: str, make: Callable[[], Any]) -> None:
    """Let ``make`` make what stands under a name, when it is wanted; what stood there before is gone."""
    vars(relay).pop(name, None)
    vars(relay)[_MAKERS][name] = make


def withdraw(relay: HookRelay, name: str) -> None:
    """Let nothing stand under a name any more."""
    vars(relay).pop(name, None)
    vars(relay)[_MAKERS].pop(name, None)
