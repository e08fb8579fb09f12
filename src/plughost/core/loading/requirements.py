"""What plugins require of each other, held against what runs and what is known of versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from plughost.contracts.records import PluginRecord
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.loading.ordering import Needs
from plughost.core.loading.registry import PluginRegistry
from plughost.exceptions import PluginDependencyError, did_you_mean


class Requirements:
    """Refuses plugins whose requirements are not met.

    Args:
        registry: What there is.
    """

    def __init__(self, registry: PluginRegistry) -> None:
        self._registry = registry

    @property
    def versions(self) -> Mapping[str, str]:
        """The version of each plugin, empty where it is not known."""
        return {name: entry.record.version for name, entry in self._registry.items()}

    def refuse_unmet(self, name: str, needs: Needs) -> None:
        """Refuse a plugin of which something that it requires does not run, or not in a version that fits.

        Raises:
            PluginDependencyError: What is missing.
        """
        needs = needs.spelled_as(self._registry)
        for wanted in needs.requires:
            other = self._registry.get(wanted)
            if other is None:
                raise not_installed(name, wanted, self._registry)
            if (circle := self._way_back(wanted, name)) is not None:
                way = " -> ".join(map(repr, [name, *circle]))
                raise PluginDependencyError(
                    f"plugin {name!r} waits for itself: {way}. Take one of these out of `requires` or `after`",
                    plugin=name,
                )
            if not other.running:
                raise not_running(name, other.record)
            needs.refuse_version(name, wanted, other.record.version)

    def refuse_hopeless(self, candidate: PluginCandidate) -> None:
        """Refuse a plugin before any of its code runs, when what its card says of others cannot come true.

        Raises:
            PluginDependencyError: One that it requires is not installed, or in a version that does not fit.
        """
        needs = card_needs(candidate).spelled_as(self._registry)
        for wanted in needs.requires:
            if wanted not in self._registry:
                raise not_installed(candidate.name, wanted, self._registry)
        needs.refuse_versions(candidate.name, self.versions)

    def _way_back(self, start: str, goal: str) -> list[str] | None:
        """Return the way on which a running plugin requires another, if it does."""
        ways, seen = [[start]], {start}
        while ways:
            way = ways.pop()
            if way[-1] == goal:
                return way
            entry = self._registry.get(way[-1])
            further = entry.record.requires if entry is not None and entry.running else ()
            ways += [[*way, name] for name in further if name not in seen]
            seen.update(further)
        return None


def card_needs(candidate: PluginCandidate) -> Needs:
    """Return what the card of a plugin says of others; its code may say more."""
    return Needs.said(candidate.card.requires, candidate.card.after)


def not_installed(name: str, wanted: str, known: Iterable[str]) -> PluginDependencyError:
    """Return the error of a plugin that requires one nobody knows."""
    near = did_you_mean(wanted, known)
    return PluginDependencyError(
        f"plugin {name!r} requires {wanted!r}, which is not installed: install it, or disable {name!r}"
        f"{near and f'.{near}'}",
        plugin=name,
    )


def not_running(name: str, other: PluginRecord) -> PluginDependencyError:
    """Return the error of a plugin that requires one that does not run."""
    return PluginDependencyError(
        f"plugin {name!r} requires {other.name!r}, which is {other.state}: {other.reason}", plugin=name
    )
