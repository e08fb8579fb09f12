"""Candidates become a load plan: who waits for whom, and who goes first when there is a choice.

The order is that of list scheduling by critical path (Graham 1969): among the plugins that may start, the one
with the longest chain behind it goes first. Durations are those of the last start, where they are known.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Iterable, Mapping

import msgspec

from plughost.core.config.paths import match_name
from plughost.exceptions import PluginDependencyError, did_you_mean

_REQUIREMENT = r"(?P<name>[^\s<>=!~,]+)\s*(?P<versions>[<>=!~].*)"

TYPICAL_START = 0.05
"""Seconds assumed for a plugin that never started before."""


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What one plugin waits for.

    Attributes:
        requires: Names without which it cannot start.
        after: Names it lets go first when they are there.
        ranges: Required name to the versions of it that will do, where not all will.
    """

    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    ranges: Mapping[str, str] = msgspec.field(default_factory=dict)

    @classmethod
    def said(cls, requires: Iterable[str], after: Iterable[str]) -> Needs:
        """Return the needs that a card or a class states: ``cache``, or with versions ``cache>=1.2,<2``."""
        requires, after = tuple(requires), tuple(after)
        if not requires and not after:
            return _NOTHING
        parted = dict(map(name_and_range, requires))
        return cls(
            requires=tuple(parted),
            after=tuple(dict.fromkeys(after)),
            ranges={name: versions for name, versions in parted.items() if versions},
        )

    def refuse_version(self, plugin: str, wanted: str, version: str) -> None:
        """Refuse a required plugin whose version is not one of those that were asked for.

        Raises:
            PluginDependencyError: It is not, or the range is not one.
        """
        if (versions := self.ranges.get(wanted)) is None:
            return
        # Most plugins name no versions, and this import takes as long as the start of some of them.
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            fits = bool(version) and SpecifierSet(versions).contains(version, prereleases=True)
        except InvalidSpecifier:
            raise PluginDependencyError(
                f"plugin {plugin!r} requires {wanted!r} in versions {versions!r}, which is not a version range:"
                " write it as in `cache>=1.2,<2`",
                plugin=plugin,
            ) from None
        if not fits:
            there = f"version {version}" if version else "one that tells no version"
            raise PluginDependencyError(
                f"plugin {plugin!r} requires {wanted}{versions}, but {there} is loaded: install a version of"
                f" {wanted!r} that fits, or a {plugin!r} that works with this one",
                plugin=plugin,
            )

    def refuse_versions(self, plugin: str, versions: Mapping[str, str]) -> None:
        """Do the same for every required plugin whose version is known."""
        for wanted in self.ranges:
            if version := versions.get(wanted):
                self.refuse_version(plugin, wanted, version)

    def spelled_as(self, known: Collection[str]) -> Needs:
        """Return the same needs, in the spelling of those plugins that are known."""
        if not self.requires and not self.after:
            return self
        return Needs(
            requires=tuple(match_name(name, known) for name in self.requires),
            after=tuple(match_name(name, known) for name in self.after),
            ranges={match_name(name, known): versions for name, versions in self.ranges.items()},
        )


_NOTHING = Needs()


def name_and_range(requirement: str) -> tuple[str, str]:
    """Part ``cache>=1.2,<2`` into the name of a plugin and a version range, which is empty when there is none."""
    found = re.fullmatch(_REQUIREMENT, requirement.strip())
    return (found["name"], found["versions"].replace(" ", "")) if found else (requirement, "")


class LoadPlan(msgspec.Struct, frozen=True):
    """Who starts when, and who never.

    Attributes:
        order: A valid order, the most urgent first.
        urgency: Name -> seconds of work on the longest chain that begins with it.
        hopeless: Name -> why it can never start.
    """

    order: tuple[str, ...]
    urgency: Mapping[str, float]
    hopeless: Mapping[str, PluginDependencyError]


def plan_load(
    needs: Mapping[str, Needs],
    *,
    durations: Mapping[str, float] | None = None,
    unavailable: Mapping[str, str] | None = None,
    versions: Mapping[str, str] | None = None,
) -> LoadPlan:
    """Plan the start of the plugins in ``needs``.

    Args:
        needs: What each plugin that is to be started waits for.
        durations: Seconds each took when it last started.
        unavailable: Plugins that exist but will not start -> why.
        versions: Versions of plugins, as far as they are known.
    """
    if all(need is _NOTHING for need in needs.values()):  # as in most hosts
        urgency = {name: (durations or {}).get(name, TYPICAL_START) for name in needs}
        return LoadPlan(tuple(sorted(sorted(urgency), key=urgency.__getitem__, reverse=True)), urgency, {})
    known = [*needs, *(unavailable or {})]
    needs = {name: need.spelled_as(known) for name, need in needs.items()}
    hopeless: dict[str, PluginDependencyError] = {}
    _note_missing(needs, unavailable or {}, hopeless)
    for name, need in needs.items():
        try:
            need.refuse_versions(name, versions or {})
        except PluginDependencyError as error:
            hopeless.setdefault(name, error)
    _spread(needs, hopeless)
    alive = {name: need for name, need in needs.items() if name not in hopeless}
    graph = {name: frozenset(alive.keys() & (*need.requires, *need.after)) for name, need in alive.items()}
    for cycle in _cycles(graph):
        circle = " -> ".join([*cycle, cycle[0]])
        for name in cycle:
            hopeless[name] = PluginDependencyError(
                f"plugin {name!r} is part of a circle of dependencies: {circle}. "
                "Drop one of these requires or after",
                plugin=name,
            )
    _spread(needs, hopeless)
    graph = {name: edges - hopeless.keys() for name, edges in graph.items() if name not in hopeless}
    behind = _behind(graph)
    urgency = _urgency(graph, behind, durations or {})
    return LoadPlan(_order(graph, behind, urgency), urgency, hopeless)


def _note_missing(
    needs: Mapping[str, Needs], unavailable: Mapping[str, str], hopeless: dict[str, PluginDependencyError]
) -> None:
    for name, need in needs.items():
        for wanted in need.requires:
            if wanted in unavailable:
                hopeless[name] = _unmet(name, wanted, f"which is not available: {unavailable[wanted]}")
            elif wanted not in needs:
                near = did_you_mean(wanted, (*needs, *unavailable))
                why = f"which is not installed: install it, or disable {name!r}{near and f'.{near}'}"
                hopeless[name] = _unmet(name, wanted, why)


def _spread(needs: Mapping[str, Needs], hopeless: dict[str, PluginDependencyError]) -> None:
    """Whoever requires a hopeless plugin is hopeless too."""
    changed = True
    while changed:
        changed = False
        for name, need in needs.items():
            lost = next((wanted for wanted in need.requires if wanted in hopeless), None)
            if lost is not None and name not in hopeless:
                hopeless[name] = _unmet(name, lost, "which cannot start either")
                changed = True


def _cycles(graph: Mapping[str, frozenset[str]]) -> Iterable[list[str]]:
    remaining = dict(graph)
    while len(_order(remaining, _behind(remaining), {})) < len(remaining):
        from graphlib import CycleError, TopologicalSorter  # late: only a circle needs it

        try:
            TopologicalSorter(remaining).prepare()
        except CycleError as error:
            cycle = list(error.args[1])[:-1]
            yield cycle
            remaining = {name: edges - set(cycle) for name, edges in remaining.items() if name not in cycle}


def _behind(graph: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """Return who waits for each."""
    behind: dict[str, list[str]] = {name: [] for name in graph}
    for name, edges in graph.items():
        for wanted in edges:
            behind[wanted].append(name)
    return behind


def _urgency(
    graph: Mapping[str, frozenset[str]], behind: Mapping[str, list[str]], durations: Mapping[str, float]
) -> dict[str, float]:
    urgency: dict[str, float] = {}
    for name in reversed(_order(graph, behind, {})):
        chain = max((urgency[follower] for follower in behind[name]), default=0.0)
        urgency[name] = durations.get(name, TYPICAL_START) + chain
    return urgency


def _order(
    graph: Mapping[str, frozenset[str]], behind: Mapping[str, list[str]], urgency: Mapping[str, float]
) -> tuple[str, ...]:
    """Return who comes when: the most urgent first of those who wait for nobody; without those in a circle."""
    waits = {name: len(edges) for name, edges in graph.items()}
    ready = [(-urgency.get(name, 0.0), name) for name, edges in graph.items() if not edges]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        _, first = heapq.heappop(ready)
        order.append(first)
        for follower in behind[first]:
            waits[follower] -= 1
            if not waits[follower]:
                heapq.heappush(ready, (-urgency.get(follower, 0.0), follower))
    return tuple(order)


def _unmet(name: str, wanted: str, why: str) -> PluginDependencyError:
    return PluginDependencyError(f"plugin {name!r} requires {wanted!r}, {why}", plugin=name)


def without_circles(edges: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Return a graph of edges, without those that would close a circle; those that come first are kept."""
    graph: dict[str, set[str]] = {}
    for start, end in edges:
        if not _leads(graph, end, start):
            graph.setdefault(start, set()).add(end)
    return graph


def _leads(graph: Mapping[str, Collection[str]], start: str, goal: str) -> bool:
    waiting, seen = [start], set[str]()
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            waiting.extend(graph.get(name, ()))
    return False
