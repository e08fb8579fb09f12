"""Whoever takes a running plugin out of ``host.pluggy`` by himself: its record says so at once, and it is stopped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import anyio

from plughost.contracts.records import PluginState
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.loading.registry import PluginRegistry, Run
from plughost.core.threads import post

_PATIENCE = 1.0
"""Seconds another thread waits for the record to follow; no longer, for the loop may be waiting for that thread."""


class Departures(Mapping[str, str]):
    """The plugins that were unregistered or blocked on pluggy's manager and are not stopped yet, with the reason.

    Args:
        registry: Whose plugins they are.
        dispatcher: Whose pluggy manager is followed.
        changed: Called after a record changed.
        stop: Called with the start that has to be stopped; it may come back first.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        dispatcher: HookDispatcher,
        changed: Callable[[], None],
        stop: Callable[[Run], None],
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._changed = changed
        self._stop = stop
        self._leaving: dict[str, tuple[Run, str]] = {}
        self._told: deque[Callable[[], None]] = deque()
        self._bell = anyio.Event()
        dispatcher.pluggy.departures.append(partial(self._in_loop, self._went))
        dispatcher.pluggy.arrivals.append(partial(self._in_loop, self._came))

    def __getitem__(self, name: str) -> str:
        return self._leaving[name][1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._leaving)

    def __len__(self) -> int:
        return len(self._leaving)

    def is_leaving(self, run: Run | None) -> bool:
        """Whether this start is in nobody's service any more and has still to be stopped."""
        if run is None:
            return False
        name = run.plugin.candidate.name
        return name in self._leaving and self._leaving[name][0] is run and self._registry[name].run is run

    def forget(self, name: str) -> None:
        """Take a plugin for stopped, and for blocked when its name is."""
        self._leaving.pop(name, None)
        if self._dispatcher.pluggy.is_blocked(name):
            self._registry.note(name, state=PluginState.BLOCKED)

    async def listen(self) -> None:
        """Follow what is done in other threads, until cancelled."""
        while True:
            await self._bell.wait()
            self._bell = anyio.Event()
            while self._told:
                self._told.popleft()()

    def _in_loop(self, follow: Callable[[str, object], None], name: str, plugin: object) -> None:
        home = self._dispatcher.home
        if self._dispatcher.is_changing or home.token is None or home.is_forked:
            return  # the host itself does it, or is not there to follow
        if home.thread == threading.get_ident():
            follow(name, plugin)
        else:
            followed = threading.Event()

            def follow_there() -> None:
                follow(name, plugin)
                followed.set()

            self._told.append(follow_there)
            post(home.token, lambda: self._bell.set())  # the bell of then: there is another after each ring
            followed.wait(_PATIENCE)

    def _went(self, name: str, plugin: object) -> None:
        entry = self._registry.get(name)
        manager = self._dispatcher.pluggy
        run = None if entry is None else entry.run
        if run is None or run.plugin.handle.target is not plugin or manager.get_plugin(name) is plugin:
            return
        what = "its name was blocked" if manager.is_blocked(name) else "it was unregistered"
        reason = f"{what} on host.pluggy"
        self._leaving[name] = (run, reason)
        self._registry.move(name, PluginState.STOPPING, reason=reason, hooks=())
        run.watch.left_service()
        self._changed()
        self._stop(run)

    def _came(self, name: str, plugin: object) -> None:
        run, _ = self._leaving.get(name, (None, ""))
        if run is None or run is not self._registry[name].run or run.plugin.handle.target is not plugin:
            return
        del self._leaving[name]
        self._registry.move(name, PluginState.READY, hooks=self._dispatcher.hooks_of(name))
        run.watch.became_ready()
        self._changed()
