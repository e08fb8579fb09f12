"""pluggy's implementations of one hook become a frozen call plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import filterfalse
from operator import attrgetter
from typing import Any, Literal

import msgspec
import pluggy

from plughost.core.calls.answers import Fit, fit_for
from plughost.core.calls.declaration import Declaration
from plughost.core.calls.drain import Traffic
from plughost.core.calls.metrics import CallMetrics, Tally
from plughost.core.calls.modes import Gathering, gathering_for
from plughost.core.calls.observing import watching
from plughost.core.calls.old_wrappers import as_wrapper
from plughost.core.calls.policy import CallPolicy
from plughost.core.calls.verify import is_async, options_of

Kind = Literal["plain", "async", "blocking", "wrapper"]

Place = tuple[int, int, int, int]
"""The deployer's rank, the priority negated, pluggy's tier, and the age."""


class Step(msgspec.Struct, frozen=True, eq=False):
    """One implementation in its place.

    Attributes:
        plugin: Name of the plugin.
        hook: Name of the hook.
        function: The implementation, bound.
        arguments: Names of what it takes by position.
        keywords: Names of what it takes with a default of its own, as far as a call may have them.
        sole: Name of the one thing that it takes, as most do; None if that is more or less.
        kind: How it is to be called.
        limit: Seconds it may take; None means no limit.
        aborts: Whether its failure is the caller's.
        enforced: Whether its verdicts and refusals count; otherwise they are recorded alone.
        bare: Whether a failure that is the caller's comes out as it is, as with pluggy.
        tally: Where its calls are counted.
        source: What it was made of.
        place: Where it stands among the others; the least comes first.
    """

    plugin: str
    hook: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]
    keywords: tuple[str, ...]
    sole: str | None
    kind: Kind
    limit: float | None
    aborts: bool
    enforced: bool
    bare: bool
    tally: Tally
    source: pluggy.HookImpl
    place: Place

    def call(self, values: Mapping[str, Any]) -> Any:
        """Call the implementation with what it takes of the call's arguments."""
        if self.sole is not None:
            return self.function(values[self.sole])
        if not self.keywords:
            return self.function(*[values[name] for name in self.arguments])
        positional = [values[name] for name in self.arguments]
        return self.function(*positional, **{name: values[name] for name in self.keywords if name in values})


class CallPlan(msgspec.Struct, frozen=True, eq=False):
    """Who is called, in which order, and what is made of it. Never changed: a new one takes its place.

    Attributes:
        declaration: The hook.
        wrappers: Outermost first.
        steps: The others, first one first.
        gather: Makes the gathering of one call out of its arguments.
        fit: Makes of an answer what whoever asked goes on with; None if that is the answer itself.
        side_by_side: Whether its implementations wait together.
        traffic: The calls under way on this plan.
        source: pluggy's implementations it was made of, to see whether they changed.
    """

    declaration: Declaration
    wrappers: tuple[Step, ...]
    steps: tuple[Step, ...]
    gather: Callable[[dict[str, Any]], Gathering]
    fit: Fit | None
    side_by_side: bool
    source: tuple[pluggy.HookImpl, ...]
    traffic: Traffic = msgspec.field(default_factory=Traffic)

    def follow(self) -> None:
        """Count what goes the short way from now on; before there is one, every call is counted at its steps."""
        self.traffic.followed = True
        for step in (*self.wrappers, *self.steps):
            step.tally.follow(self.traffic)

    def settle(self) -> None:
        """Close the books of a plan on which no call is under way and none will be."""
        for step in (*self.wrappers, *self.steps) if self.traffic.followed else ():
            step.tally.settle(self.traffic)

    def calls(self, plugin: str) -> bool:
        """Whether a plugin of that name is called."""
        return any(step.plugin == plugin for step in (*self.wrappers, *self.steps))

    def is_made_of(self, declaration: Declaration, impls: Sequence[pluggy.HookImpl]) -> bool:
        """Whether a plan made of these would be the same."""
        return declaration is self.declaration and [*map(id, impls)] == [*map(id, self.source)]


_place_of = attrgetter("place")
_kind_of = attrgetter("kind")
_source_of = attrgetter("source")


def _kind(impl: pluggy.HookImpl, *, blocking: bool) -> Kind:
    if impl.wrapper or impl.hookwrapper:
        return "wrapper"
    if blocking:
        return "blocking"
    return "async" if is_async(impl.function) else "plain"


def _is_wrapper(step: Step) -> bool:
    return step.kind == "wrapper"


class Planner:
    """Makes call plans: the deployer's order first, then priority, then pluggy's own.

    pluggy's own is: ``tryfirst``, the others, ``trylast``; among equals the last one registered runs first,
    and last among ``trylast``. The age of a plugin is kept here and not read from pluggy's list, because a
    reloaded plugin takes the place of the old one, while pluggy would put it in front.
    """

    def __init__(self, policy: CallPolicy, metrics: CallMetrics) -> None:
        self._policy = policy
        self._metrics = metrics

    def plan(
        self,
        declaration: Declaration,
        impls: Iterable[pluggy.HookImpl],
        ages: Mapping[str, int],
        before: CallPlan | None = None,
    ) -> CallPlan:
        """Return the plan of one hook.

        Args:
            declaration: The hook.
            impls: pluggy's implementations, as it has them.
            ages: Which plugin came earlier (the smaller number).
            before: The plan that this one follows, of whose steps those that stay are taken over.
        """
        same = before is not None and before.declaration is declaration
        old = (*before.wrappers, *before.steps) if before is not None and same else ()
        known = dict(zip(map(id, map(_source_of, old)), old, strict=True))
        source = tuple(impls)
        newest_first = source[::-1]  # settles ties as pluggy does
        made: list[Any] = [*map(known.get, map(id, newest_first))]
        while None in made:  # mostly one: that of the plugin that has just come
            place = made.index(None)
            made[place] = self._step(declaration, newest_first[place], ages)
        placed = sorted(made, key=_place_of)
        wrapped = "wrapper" in set(map(_kind_of, placed))
        steps = tuple(filterfalse(_is_wrapper, placed)) if wrapped else tuple(placed)
        fit = fit_for(declaration)
        return CallPlan(
            declaration=declaration,
            wrappers=tuple(filter(_is_wrapper, placed)) if wrapped else (),
            steps=steps,
            gather=gathering_for(declaration, fit),
            fit=fit,
            side_by_side=declaration.options.concurrent and len(steps) > 1,
            source=source,
        )

    def _step(self, declaration: Declaration, impl: pluggy.HookImpl, ages: Mapping[str, int]) -> Step:
        options = options_of(impl.plugin, impl.function)
        name = declaration.name
        kind = _kind(impl, blocking=options.blocking)
        tally = self._metrics.tally(name, impl.plugin_name)
        enforced = self._policy.enforces(impl.plugin_name)
        function = as_wrapper(impl.function, impl.plugin_name, name) if impl.hookwrapper else impl.function
        if not enforced and declaration.options.mode == "decide" and kind != "wrapper":
            function = watching(function, impl.plugin_name, name, tally)
        keywords = tuple(
            each for each in impl.kwargnames if declaration.foreign or each in declaration.arguments
        )
        age = ages[impl.plugin_name]
        tier = 2 if impl.trylast else 0 if impl.tryfirst else 1
        rank = self._policy.rank(name, impl.plugin_name)
        return Step(
            plugin=impl.plugin_name,
            hook=name,
            function=function,
            arguments=tuple(impl.argnames),
            keywords=keywords,
            sole=impl.argnames[0] if len(impl.argnames) == 1 and not keywords else None,
            kind=kind,
            limit=self._policy.limit(
                name, impl.plugin_name, asked=options.timeout, declared=declaration.options.timeout
            ),
            aborts=enforced and declaration.options.on_error == "abort",
            enforced=enforced,
            bare=declaration.foreign,
            tally=tally,
            source=impl,
            place=(rank, -options.priority, tier, age if impl.trylast else -age),
        )
