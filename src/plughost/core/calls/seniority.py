"""Who came when: among equals the plugin that was registered last is called first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import filterfalse
from types import MappingProxyType


class Seniority:
    """The ages of plugins by name, a higher number for one that came later.

    Attributes:
        ages: The ages of the plugins that are there; never changed, but replaced.
    """

    def __init__(self) -> None:
        self.ages: Mapping[str, int] = MappingProxyType({})
        self._reserved: dict[str, int] = {}
        self._newest = 0

    def reserve(self, names: Iterable[str]) -> None:
        """Treat plugins as if they had come in this order, whenever they do."""
        for name in names:
            self._newest += 1
            self._reserved[name] = self._newest

    def keep(self, name: str) -> None:
        """Give a plugin that goes and comes again the age that it has."""
        if name in self.ages:
            self._reserved[name] = self.ages[name]

    def renew(self, present: Iterable[str]) -> None:
        """Forget who is not present; who was not there before takes what is reserved for it, else comes last."""
        there = dict.fromkeys(present)
        ages = dict(self.ages)
        for name in filterfalse(there.__contains__, self.ages):
            del ages[name]
        for name in filterfalse(self.ages.__contains__, there):
            self._newest += 1
            ages[name] = self._reserved.pop(name, self._newest)
        self.ages = ages

    def with_last(self, name: str) -> Mapping[str, int]:
        """Return the ages as if ``name`` had come last."""
        return {**self.ages, name: max(self.ages.values(), default=0) + 1}
