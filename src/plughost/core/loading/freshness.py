"""Which code a reload must read again: that of the plugin's own package, when a file of it changed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

_SHARED_ROOTS = frozenset({"plughost"})
"""Packages that many plugins live in; for them only the plugin's own part of it is its package."""


class CodeWatch:
    """Remembers, per plugin, the newest modification of its source files when it was imported."""

    def __init__(self) -> None:
        self._imported: dict[str, float] = {}

    def remember(self, plugin: str, reference: str) -> None:
        """Note the present state of the files behind ``reference``."""
        self._imported[plugin] = _newest(reference)

    def forget_if_stale(self, plugin: str, reference: str) -> bool:
        """Drop the plugin's modules from the interpreter when their files changed; returns whether it did.

        The running plugin keeps its old code: only new imports see the new one.
        """
        if _newest(reference) <= self._imported.get(plugin, float("inf")):
            return False
        for name in list(_modules_of(reference)):
            del sys.modules[name]
        importlib.invalidate_caches()
        return True


def _newest(reference: str) -> float:
    times = (_modified(sys.modules[name]) for name in list(_modules_of(reference)))
    return max(times, default=0.0)


def _modified(module: object) -> float:
    file = getattr(module, "__file__", None)
    try:
        return Path(file).stat().st_mtime if file else 0.0
    except OSError:
        return 0.0


def _modules_of(reference: str) -> Iterator[str]:
    module = reference.partition(":")[0]
    top = module.partition(".")[0]
    root = module if top in _SHARED_ROOTS else top
    return (name for name in sys.modules if name == root or name.startswith(f"{root}."))
