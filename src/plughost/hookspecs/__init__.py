"""The catalogue: what can be extended, one file per family; ``CATALOGUE`` names them all.

Nothing here acts. A spec is a function without a body whose signature and docstring are the promise, and
whose marker says how a call of it goes. Applications and plugins declare their own in modules just like
these.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from plughost.hookspecs import (
    app_registration,
    app_unregistration,
    auth,
    backup,
    cache,
    contributions,
    health,
    plugins,
    sessions,
    users,
)
from plughost.hookspecs._markers import (
    IMPL_ATTRIBUTE,
    PROJECT,
    SPEC_ATTRIBUTE,
    ImplOptions,
    Mode,
    OnError,
    SpecOptions,
    hookimpl,
    hookspec,
)
from plughost.hookspecs.relay import Hook, Hooks, SyncHook

CATALOGUE: Final[tuple[ModuleType, ...]] = (
    auth,
    users,
    backup,
    app_registration,
    app_unregistration,
    health,
    plugins,
    sessions,
    cache,
    contributions,
)
"""The modules of the catalogue, in the order of the reference."""

__all__ = [
    "CATALOGUE",
    "IMPL_ATTRIBUTE",
    "PROJECT",
    "SPEC_ATTRIBUTE",
    "Hook",
    "Hooks",
    "ImplOptions",
    "Mode",
    "OnError",
    "SpecOptions",
    "SyncHook",
    "hookimpl",
    "hookspec",
]
