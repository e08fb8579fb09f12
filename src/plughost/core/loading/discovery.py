"""Findings become candidates: one per name, each with a verdict. Still nothing of a plugin is imported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from plughost.contracts.plugin import HOST_API
from plughost.contracts.records import PluginState
from plughost.core.loading.cards import PluginCard, find_card, read_card
from plughost.core.loading.sources import Finding
from plughost.exceptions import (
    PluginDependencyError,
    PluginError,
    PluginIncompatibleError,
    PluginInvalidError,
    PluginNotFoundError,
    PluginSourceError,
    did_you_mean,
)

_SETTLED = frozenset({"configuration", "package"})
"""Sources in which the deployer says which of two plugins of one name is meant."""

FIRST_PARTY = "plughost"
"""Name of our own distribution: in safe mode its plugins are the only ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the deployer wants of one plugin.

    Attributes:
        enabled: False: never import it.
        required: The host is not ready without it.
        mentioned: Whether the configuration speaks of it at all; it is then expected to be there.
        config: Its configuration, not yet checked.
    """

    enabled: bool = True
    required: bool = False
    mentioned: bool = False
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Which plugins may come at all.

    Attributes:
        allow: Plugin or distribution names; None allows all, empty none.
        safe_mode: First-party plugins only.
    """

    allow: frozenset[str] | None = None
    safe_mode: bool = False


NO_LIMITS = Limits()
"""Every plugin may come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginCandidate:
    """A plugin that might be loaded, and whether it will be.

    Attributes:
        name: Its name.
        finding: Where it was found.
        card: What its card says; empty when it has none.
        wish: What the deployer wants of it.
        verdict: ``DISCOVERED`` when it is to be loaded, else the state it stays in.
        reason: Why not, in a sentence that ends with what to do.
        error: The same as an exception, when it is a failure rather than somebody's wish.
    """

    name: str
    finding: Finding
    card: PluginCard = field(default_factory=PluginCard)
    wish: Wish = field(default_factory=Wish)
    verdict: PluginState = PluginState.DISCOVERED
    reason: str = ""
    error: PluginError | None = None

    @property
    def wanted(self) -> bool:
        """Whether it is to be imported."""
        return self.verdict is PluginState.DISCOVERED

    def refused(self, verdict: PluginState, reason: str) -> PluginCandidate:
        """The same candidate, not to be loaded."""
        return replace(self, verdict=verdict, reason=reason)

    def failed(self, error: PluginError) -> PluginCandidate:
        """The same candidate, broken before any of its code ran."""
        state = PluginState.INCOMPATIBLE if isinstance(error, PluginIncompatibleError) else PluginState.FAILED
        return replace(self, verdict=state, reason=str(error), error=error)


def discover(
    findings: Iterable[Finding], wishes: Mapping[str, Wish], limits: Limits = NO_LIMITS
) -> list[PluginCandidate]:
    """Return one candidate per plugin name, in alphabetical order, those only wished for included."""
    by_name: dict[str, list[Finding]] = {}
    for finding in findings:
        by_name.setdefault(finding.name, []).append(finding)
    wishes = {match_name(name, by_name): wish for name, wish in wishes.items()}
    candidates = [_judge(name, found, wishes.get(name, Wish()), limits) for name, found in by_name.items()]
    absent = [_absent(name, wish, by_name) for name, wish in wishes.items() if name not in by_name]
    return sorted(candidates + absent, key=lambda candidate: candidate.name)


def match_name(name: str, known: Iterable[str]) -> str:
    """Return the known name that differs from ``name`` only in case, dashes and underscores, else ``name``."""
    plain = _plain(name)
    return next((other for other in known if _plain(other) == plain), name)


RESERVED = frozenset({"apps", "backups"})
"""Folders beside those of the plugins in the data folder; a plugin of that name would write into the host's own."""


def _judge(name: str, found: list[Finding], wish: Wish, limits: Limits) -> PluginCandidate:
    finding = _chosen(found)
    candidate = PluginCandidate(name=name, finding=finding, wish=wish)
    if not wish.enabled:
        return candidate.refused(
            PluginState.DISABLED, f"disabled in the configuration; `plughost enable {name}` turns it on"
        )
    if limits.safe_mode and finding.distribution != FIRST_PARTY:
        return candidate.refused(
            PluginState.BLOCKED, "safe mode loads first-party plugins only; start without it to load this one"
        )
    if limits.allow is not None and not {_plain(name), _plain(finding.distribution)} & set(
        map(_plain, limits.allow)
    ):
        return candidate.refused(
            PluginState.BLOCKED, "not in the list of plugins to load (PLUGHOST_LOAD_PLUGINS or host.allow)"
        )
    rivals = [other for other in found if other.origin != finding.origin]
    if rivals and finding.source not in _SETTLED:
        return candidate.failed(_name_taken(name, found))
    if name in RESERVED:
        return candidate.failed(_reserved(name))
    if finding.problem:
        return candidate.failed(_unusable(name, finding))
    return _with_card(candidate)


def _chosen(found: list[Finding]) -> Finding:
    """Configuration that names a module or a package settles it; otherwise the first one speaks for the name."""
    return next((finding for finding in found if finding.source in _SETTLED), found[0])


def _unusable(name: str, finding: Finding) -> PluginError:
    if finding.source == "package":
        return PluginSourceError(finding.problem, plugin=name)
    return PluginInvalidError(f"plugin folder {finding.origin}: {finding.problem}", plugin=name)


def _with_card(candidate: PluginCandidate) -> PluginCandidate:
    finding = candidate.finding
    try:
        path = find_card(finding.reference, finding.folder)
        card = read_card(candidate.name, path) if path is not None else PluginCard()
        candidate = replace(candidate, card=card)
        check_host_api(candidate.name, card.host_api)
    except PluginError as error:
        return candidate.failed(error)
    missing = card.missing_extras()
    return _without_extras(candidate, missing) if missing else candidate


def _without_extras(candidate: PluginCandidate, missing: list[str]) -> PluginCandidate:
    distribution = candidate.finding.distribution or candidate.name
    reason = f"needs packages that are not installed: pip install '{distribution}[{','.join(missing)}]'"
    if candidate.wish.mentioned or candidate.wish.required:
        return candidate.failed(
            PluginDependencyError(f"plugin {candidate.name!r} {reason}", plugin=candidate.name)
        )
    return candidate.refused(PluginState.SKIPPED, reason)


def check_host_api(plugin: str, wanted: str) -> None:
    """Refuse a plugin whose ``host_api`` excludes this host.

    Raises:
        PluginIncompatibleError: The range excludes ``HOST_API``.
        PluginInvalidError: The range cannot be read.
    """
    try:
        fits = HOST_API in SpecifierSet(wanted)
    except InvalidSpecifier as error:
        raise PluginInvalidError(
            f"host_api {wanted!r} of plugin {plugin!r} is not a version range: write it like '>=1,<2'",
            plugin=plugin,
        ) from error
    if not fits:
        raise PluginIncompatibleError(
            f"plugin {plugin!r} works with host API {wanted}, this host has {HOST_API}: install a version of the "
            f"plugin for it, or another plughost",
            plugin=plugin,
        )


def _name_taken(name: str, found: list[Finding]) -> PluginError:
    places = " and ".join(_place(finding) for finding in found)
    return PluginInvalidError(
        f"two plugins are named {name!r}: {places}. Uninstall one, or choose with "
        f"[plugins.{name}] module = {found[0].reference!r}",
        plugin=name,
    )


def _reserved(name: str) -> PluginError:
    return PluginInvalidError(
        f"a plugin cannot be named {name!r}: the host keeps data of its own under that name. Rename the entry point",
        plugin=name,
    )


def _place(finding: Finding) -> str:
    owner = f" of {finding.distribution}" if finding.distribution else ""
    return f"{finding.origin}{owner}"


def _absent(name: str, wish: Wish, known: Iterable[str]) -> PluginCandidate:
    finding = Finding(name=name, reference="", source="configuration", origin=f"[plugins.{name}]")
    candidate = PluginCandidate(name=name, finding=finding, wish=wish)
    if not wish.enabled:
        return candidate.refused(PluginState.DISABLED, "disabled in the configuration, and not installed")
    return candidate.failed(
        PluginNotFoundError(
            f"plugin {name!r} is configured but not installed, and [plugins.{name}] names no module: install its "
            f"distribution or set module.{did_you_mean(name, known)}",
            plugin=name,
        )
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
