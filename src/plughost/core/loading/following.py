"""A configuration that was read again becomes steps: which plugins stop, which are reloaded, which are started.

What did not change goes on untouched. A plugin changed when its own settings did, what a reference in them stands
for, its code on the disk, or the place or version it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from plughost.contracts.records import PluginState
from plughost.core.config.paths import canonical
from plughost.core.finding.discovery import Limits, PluginCandidate, Wish, verdict_of
from plughost.core.loading.registry import PluginRegistry, RegisteredPlugin

_AT_REST = frozenset({PluginState.STOPPED})
"""Somebody stopped it by hand: it stays as it is until something of it changes."""

_UNDER_WAY = frozenset(
    {PluginState.IMPORTING, PluginState.WAITING, PluginState.STARTING, PluginState.STOPPING}
)


class Steps(msgspec.Struct):
    """What is to be done, by names of plugins.

    Attributes:
        gone: Those that are nowhere any more.
        stop: Those that run and that the deployer keeps out now.
        reload: Those that run and changed.
        start: Those that do not run and shall.
        failed: Those of which what is found now cannot be loaded, though they run.
    """

    gone: list[str] = msgspec.field(default_factory=list)
    stop: list[str] = msgspec.field(default_factory=list)
    reload: list[str] = msgspec.field(default_factory=list)
    start: list[str] = msgspec.field(default_factory=list)
    failed: list[PluginCandidate] = msgspec.field(default_factory=list)


class Follower:
    """Compares what is found now with what is there.

    Args:
        registry: What is there.
        by_hand: Names of the plugins that code handed over; nothing is found of them.
        limits: What the deployer keeps out now.
        has_changed: Whether a running plugin would start with other settings or other code now.
        keep_out: Rules out a candidate whose name code keeps out.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        by_hand: Mapping[str, object],
        limits: Limits,
        has_changed: Callable[[RegisteredPlugin, PluginCandidate], bool],
        keep_out: Callable[[PluginCandidate], PluginCandidate],
    ) -> None:
        self._registry = registry
        self._by_hand = by_hand
        self._limits = limits
        self._has_changed = has_changed
        self._keep_out = keep_out

    def steps(self, found: Sequence[PluginCandidate]) -> Steps:
        """Enter what is found now, and return what is to be done for it; nothing of a plugin runs here."""
        steps = Steps()
        now = {canonical(one.name): self._keep_out(one) for one in found}
        for name in list(self._registry):
            candidate = self._now(name, now.pop(canonical(name), None))
            if candidate is None:
                steps.gone.append(name)
            elif self._registry[name].run is not None:
                self._of_running(name, candidate, steps)
            elif self._registry[name].record.state not in _UNDER_WAY:
                entry = self._registry[name]
                was, state = entry.candidate, entry.record.state
                changed = (was.wish.config, was.finding, was.wanted) != (
                    candidate.wish.config,
                    candidate.finding,
                    candidate.wanted,
                )
                if not candidate.wanted or changed:
                    self._registry.add(candidate)
                if candidate.wanted and (changed or state not in _AT_REST):
                    steps.start.append(name)
        for candidate in now.values():
            self._registry.add(candidate)
            if candidate.wanted:
                steps.start.append(candidate.name)
        self._add_dependents(steps)
        order = {name: place for place, name in enumerate(self._registry.ready_order)}
        steps.reload.sort(key=lambda name: order.get(name, len(order)))
        return steps

    def _add_dependents(self, steps: Steps) -> None:
        """Let those start too that had to stop because one of these was stopped."""
        for name in steps.start:  # grows: who requires one of those that were added follows
            for other, entry in self._registry.items():
                resting = entry.record.state in _AT_REST and entry.candidate.wanted
                if resting and name in entry.record.requires and other not in steps.start:
                    steps.start.append(other)

    def _now(self, name: str, found: PluginCandidate | None) -> PluginCandidate | None:
        if name not in self._by_hand:
            return None if found is None else replace(found, name=name)
        before = self._registry[name].candidate
        wish = Wish() if found is None else found.wish
        wish = replace(wish, mentioned=True, config=before.wish.config)
        return self._keep_out(
            replace(before, wish=wish).ruled(verdict_of(before.finding, wish, self._limits))
        )

    def _of_running(self, name: str, candidate: PluginCandidate, steps: Steps) -> None:
        entry = self._registry[name]
        if candidate.error is not None:
            steps.failed.append(candidate)
            return
        self._registry.note(name, required=candidate.wish.required)
        if not candidate.wanted:
            entry.candidate = candidate
            steps.stop.append(name)
        elif self._has_changed(entry, candidate):
            steps.reload.append(name)
