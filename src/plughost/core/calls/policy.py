"""What the deployer decides about hook calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec


class CallPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The deployer's word on hook calls; it wins over the authors'.

    Attributes:
        order: Hook name to plugin names: those listed run first, in that order, the others after them.
        timeouts: Seconds each implementation may take, by ``"plugin.hook"``, ``"plugin"`` or ``"hook"``, the
            first of these that is listed counting. None means no limit. A plain function that is not marked
            ``blocking`` runs to its end whatever its limit.
        blocking_threads: How many blocking implementations may run at once on one event loop.
        sample_every: Once a hook is called often, one call in so many is timed for p50 and p95; rounded up to
            a power of two.
        enforces: Tells whether the verdicts and refusals of a plugin count.
        grace: Seconds an implementation gets to clean up after it was cancelled for passing its limit, before
            it is abandoned.
    """

    order: Mapping[str, Sequence[str]] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    timeouts: Mapping[str, float | None] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    blocking_threads: int = 40
    sample_every: int = 512
    grace: float = 0.5
    enforces: Callable[[str], bool] = lambda _: True

    def rank(self, hook: str, plugin: str) -> int:
        """Where the deployer wants ``plugin`` in ``hook``; those not listed share the last place."""
        listed = self.order.get(hook, ())
        return list(listed).index(plugin) if plugin in listed else len(listed)

    def limit(self, hook: str, plugin: str, *, asked: float | None, declared: float | None) -> float | None:
        """Seconds this implementation may take: the deployer's word, else the author's, else the spec's."""
        for key in (f"{plugin}.{hook}", plugin, hook):
            if key in self.timeouts:
                return self.timeouts[key]
        return declared if asked is None else asked
