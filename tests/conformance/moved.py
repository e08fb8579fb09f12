"""Runs a program that was written for bare pluggy, unchanged, on a host: ``python moved.py MODE PROGRAM``.

``MODE`` is ``own`` for the manager that the program makes for itself, ``pluggy`` for ``host.pluggy`` in its place, or
``hooks`` for ``host.sync_hooks`` as well. ``PROGRAM`` is a name of ``PROGRAMS``; what it says is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import pluggy
from asked import PROGRAMS

from plughost import Host
from plughost.blocking import BlockingHost

GROUPS = {"kedro": "kedro.hooks"}
"""Groups of entry points that are not named like the project."""

CONFIG = {"host": {"load_timeout": float(os.environ.get("MOVED_LOAD_TIMEOUT", "30"))}}

HOSTS: list[Any] = []
"""Every host that a program was given."""


class Moved:
    """What a program gets when it makes a ``pluggy.PluginManager``: that of a host.

    Args:
        project: The name in its markers.
    """

    through_hooks = True

    def __init__(self, project: str) -> None:
        kind: Any = Host if project == "datasette" else BlockingHost  # datasette has an event loop
        self.host = kind.for_pluggy(project, (), group=GROUPS.get(project), config=CONFIG, environ={})
        self.manager = self.host.pluggy
        self.hook: Any = self.host.sync_hooks if self.through_hooks else self.manager.hook
        self._entered = False
        HOSTS.append(self.host)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.manager, name)

    def load_setuptools_entrypoints(self, group: str, name: str | None = None) -> int:
        """Let the host find and start the plugins; the next time, start those that were unregistered meanwhile."""
        if not self._entered:
            self._entered = True
            self.host.start()
            return len(self.host.report.loaded)
        gone = [
            one.name for one in self.host.plugins.values() if one.source == "entry point" and not one.running
        ]
        for each in gone:
            self.host.load_plugin(each)
        return len(gone)


class Derived(pluggy.PluginManager):
    """The same for a program whose manager is of a class that derives from ``pluggy.PluginManager``."""

    through_hooks = True

    def __new__(cls, *_: Any, **__: Any) -> Any:
        host = Host.for_pluggy("pytest", (), config=CONFIG, environ={})
        HOSTS.append(host)
        manager: Any = host.pluggy
        manager.__class__ = type(cls.__name__, (cls, type(manager)), {})
        return manager

    def __init__(self, project: str) -> None:
        if self.through_hooks:
            self.hook = HOSTS[-1].sync_hooks


def move(mode: str, kind: type[Any] = Moved) -> None:
    """Hand hosts out in the place of plugin managers from now on."""
    if mode != "own":
        pluggy.PluginManager = type(kind.__name__, (kind,), {"through_hooks": mode == "hooks"})  # type: ignore[misc]


def main(mode: str, program: str) -> None:
    """Run one program and print what came of it, on the last line."""
    move(mode, Derived if program == "pytest" else Moved)
    said = PROGRAMS[program](None if mode == "own" else HOSTS)
    said = asyncio.run(said) if asyncio.iscoroutine(said) else said
    print("\n" + json.dumps(said, default=str), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
