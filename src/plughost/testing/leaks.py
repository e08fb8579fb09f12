"""What a process holds at one moment, and what of it is new: the way to see what a plugin left behind."""

from __future__ import annotations

import gc
import locale
import logging
import os
import signal
import sys
import threading
from dataclasses import fields
from pathlib import Path

import anyio

from plughost._dataclasses import dataclass
from plughost.core.loading.context import Facilities
from plughost.host import Host

_TURNS = 100
"""So many looks, with a pause between them, for what ends a little later to have ended."""

_PAUSE = 0.01

_POOLED = ("AnyIO worker thread", "Trio thread", "asyncio_")
"""Threads of the event loops' own pools; they stay for whoever needs one next."""

_COLLECT_EVERY = 25
"""Files that nobody holds are closed when they are collected, which takes its time."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Names of what there is, to be compared with a later moment.

    Attributes:
        tasks: Tasks of the event loop.
        threads: Threads.
        hooks: Hook implementations of the plugin.
        services: Services that the plugin provides.
        jobs: Jobs of the plugin.
        subscriptions: Event subscriptions of the plugin.
        files: Open files and sockets, where the system tells.
        surroundings: What belongs to the whole process: path, signals, logging, locale, working directory.
    """

    tasks: frozenset[str] = frozenset()
    threads: frozenset[str] = frozenset()
    hooks: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()
    subscriptions: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    surroundings: frozenset[str] = frozenset()

    def new_since(self, earlier: Traces) -> list[str]:
        """Return what is here and was not there, each with what it is: ``thread worker-1``."""
        return [
            f"{one.name.rstrip('s')} {name}"
            for one in fields(self)
            for name in sorted(getattr(self, one.name) - getattr(earlier, one.name))
        ]


def traces_of(host: Host, plugin: str) -> Traces:
    """Return what there is now, in the process and of the plugin in the host."""
    facilities: Facilities = host._facilities
    implementers = facilities.dispatcher.implementers()
    root = logging.getLogger()
    umask = os.umask(0)
    os.umask(umask)
    return Traces(
        tasks=frozenset(f"{task.name} #{task.id}" for task in anyio.get_running_tasks()),
        threads=frozenset(
            f"{thread.name} #{thread.ident}"
            for thread in threading.enumerate()
            if not thread.name.startswith(_POOLED)
        ),
        hooks=frozenset(hook for hook, plugins in implementers.items() if plugin in plugins),
        services=frozenset(name for name, owner in facilities.services.provided().items() if owner == plugin),
        jobs=frozenset(job.name for job in facilities.jobs.snapshot() if job.owner == plugin),
        subscriptions=frozenset(facilities.events.subscribed_by(plugin)),
        files=_open_files(),
        surroundings=frozenset(
            [
                f"sys.path {sys.path!r}",
                f"working directory {Path.cwd()}",
                f"root logger {root.level} with {len(root.handlers)} handlers",
                f"locale {locale.setlocale(locale.LC_ALL)}",
                f"SIGINT {signal.getsignal(signal.SIGINT)!r}",
                f"SIGTERM {signal.getsignal(signal.SIGTERM)!r}",
                f"excepthook {sys.excepthook!r}",
                f"umask {umask:o}",
                *(f"environment {name}" for name in os.environ),
            ]
        ),
    )


async def new_traces(host: Host, plugin: str, earlier: Traces) -> list[str]:
    """Return what is there now and was not earlier, after giving what is ending the time to end."""
    found: list[str] = []
    for turn in range(_TURNS):
        found = traces_of(host, plugin).new_since(earlier)
        if not found:
            break
        if turn % _COLLECT_EVERY == 0:
            gc.collect()
        await anyio.sleep(_PAUSE)
    return found


def _open_files() -> frozenset[str]:
    """Descriptors with what they are of; pipes and sockets by number, so that each counts."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return frozenset()
    found = set()
    for entry in folder.iterdir():
        try:
            found.add(f"{entry.name} -> {entry.readlink()}")
        except OSError:
            continue  # the one that read the folder
    return frozenset(found)
