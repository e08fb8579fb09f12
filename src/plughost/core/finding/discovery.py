"""Findings become candidates: one per name, each with a verdict. Still nothing of a plugin is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from plughost.contracts.config import HostSection
from plughost.contracts.plugin import HOST_API
from plughost.contracts.processes import Isolation, ProcessSettings
from plughost.contracts.records import PluginState
from plughost.core.config.paths import canonical
from plughost.core.finding.cards import PluginCard, find_card, read_card
from plughost.core.finding.first_party import is_first_party
from plughost.core.finding.sources import Finding
from plughost.exceptions import (
    PluginBlockedError,
    PluginDependencyError,
    PluginError,
    PluginIncompatibleError,
    PluginInvalidError,
    PluginNotFoundError,
    PluginSourceError,
    did_you_mean,
)

_SETTLED = frozenset({"configuration", "package", "environment"})
"""Sources in which the deployer says which of two plugins of one name is meant."""

SWITCH = "enabled"
"""The setting of a plugin's own table that keeps it out until somebody enables it."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the deployer wants of one plugin.

    Attributes:
        enabled: False: never import it, until somebody enables it.
        required: The host is not ready without it.
        mentioned: Whether the configuration speaks of it at all; it is then expected to be there.
        config: Its configuration, not yet checked.
        distribution: The only distribution whose plugin is meant; empty when any is.
        enforce: Whether its verdicts and refusals count.
        isolation: Whether it runs in a process of its own.
        process: How that process is kept.
    """

    enabled: bool = True
    required: bool = False
    mentioned: bool = False
    config: Mapping[str, Any] | None = None
    distribution: str = ""
    enforce: bool = True
    isolation: Isolation = "none"
    process: ProcessSettings = msgspec.field(default_factory=ProcessSettings)


_NO_WISH = Wish()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Which plugins may come at all.

    Attributes:
        allow: Plugin or distribution names; None allows all, empty none.
        safe_mode: First-party plugins only.
        disabled: Names of plugins that may not.
    """

    allow: frozenset[str] | None = None
    safe_mode: bool = False
    disabled: frozenset[str] = frozenset()

    @classmethod
    def of(cls, host: HostSection) -> Limits:
        """Return what the table ``[host]`` says."""
        allow = None if host.allow is None else frozenset(host.allow)
        return cls(allow=allow, safe_mode=host.safe_mode, disabled=frozenset(host.disabled))


NO_LIMITS = Limits()
"""Every plugin may come."""


class Verdict(msgspec.Struct, frozen=True):
    """Whether the deployer lets a plugin in.

    Attributes:
        state: ``DISCOVERED`` when it may come, else the state it stays in.
        reason: Why not, in a sentence that ends with what to do.
        setting: Which setting keeps it out; empty when none does.
    """

    state: PluginState = PluginState.DISCOVERED
    reason: str = ""
    setting: str = ""


def verdict_of(finding: Finding, wish: Wish, limits: Limits) -> Verdict:
    """Say whether the deployer lets this plugin in: the one answer for every door it could come by.

    What only enabling can lift comes last: whoever may enable a plugin may not lift the other limits by it.
    """
    name = canonical(finding.name)
    if name in _canonical(limits.disabled):
        return Verdict(PluginState.DISABLED, "host.disabled names it; take it out there", "host.disabled")
    if limits.safe_mode and not is_first_party(finding):
        reason = "safe mode loads first-party plugins only; start without it to load this one"
        return Verdict(PluginState.BLOCKED, reason, "host.safe_mode")
    if limits.allow is not None and not {name, canonical(finding.distribution)} & _canonical(limits.allow):
        reason = "not in the list of plugins to load (PLUGHOST_LOAD_PLUGINS or host.allow)"
        return Verdict(PluginState.BLOCKED, reason, "host.allow")
    if not wish.enabled:
        reason = f"disabled in the configuration; `plughost enable {finding.name}` turns it on"
        return Verdict(PluginState.DISABLED, reason, SWITCH)
    return Verdict()


@lru_cache(maxsize=8)
def _canonical(names: frozenset[str]) -> frozenset[str]:
    # Once for a list and not once for each plugin: with both long, it would be their product.
    return frozenset(map(canonical, names))


class PluginCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that might be loaded, and whether it will be.

    Attributes:
        name: Its name.
        finding: Where it was found.
        card: What its card says; empty when it has none.
        wish: What the deployer wants of it.
        verdict: ``DISCOVERED`` when it is to be loaded, else the state it stays in.
        reason: Why not, in a sentence that ends with what to do.
        error: The same as an exception, when it is a failure rather than somebody's wish.
        setting: Which setting of the deployer keeps it out; empty when none does.
    """

    name: str
    finding: Finding
    card: PluginCard = msgspec.field(default_factory=PluginCard)
    wish: Wish = msgspec.field(default_factory=Wish)
    verdict: PluginState = PluginState.DISCOVERED
    reason: str = ""
    error: PluginError | None = None
    setting: str = ""

    @property
    def wanted(self) -> bool:
        """Whether it is to be imported."""
        return self.verdict is PluginState.DISCOVERED

    def refused(self, verdict: PluginState, reason: str) -> PluginCandidate:
        """The same candidate, not to be loaded, which is nobody's mistake."""
        return replace(self, verdict=verdict, reason=reason, error=None)

    def ruled(self, verdict: Verdict) -> PluginCandidate:
        """The same candidate, with what the deployer decided on it."""
        return replace(
            self, verdict=verdict.state, reason=verdict.reason, setting=verdict.setting, error=None
        )

    def refuse_if_kept_out(self) -> None:
        """Raise when the deployer keeps it out.

        Raises:
            PluginBlockedError: A setting does; which one is in it.
        """
        if self.setting:
            raise PluginBlockedError(
                f"plugin {self.name!r} is kept out: {self.reason}", plugin=self.name, setting=self.setting
            )

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
        by_name.setdefault(canonical(finding.name), []).append(finding)
    wanted = {canonical(name): wish for name, wish in wishes.items()}
    candidates = [_judge(found, wanted.get(name, _NO_WISH), limits) for name, found in by_name.items()]
    missing = [name for name in wishes if canonical(name) not in by_name]
    # Each is compared with each; where there are so many, a suggestion is not what helps.
    few = len(missing) * len(candidates) <= _MOST_COMPARED
    names = [candidate.name for candidate in candidates] if few else []
    for name in missing:
        finding = Finding(name=name, reference="", source="configuration", origin=f"[plugins.{name}]")
        absent = PluginCandidate(name=name, finding=finding, wish=wishes[name])
        verdict = verdict_of(finding, wishes[name], Limits(disabled=limits.disabled))
        reason = "disabled in the configuration, and not installed"
        error = PluginNotFoundError(
            f"plugin {name!r} is configured but not installed, and [plugins.{name}] names no module: install its "
            f"distribution or set module.{did_you_mean(name, names)}",
            plugin=name,
        )
        candidates.append(
            absent.ruled(replace(verdict, reason=reason)) if verdict.setting else absent.failed(error)
        )
    return sorted(candidates, key=lambda candidate: candidate.name)


_MOST_COMPARED = 10_000


def _judge(found: list[Finding], wish: Wish, limits: Limits) -> PluginCandidate:
    whose = canonical(wish.distribution)
    meant = [one for one in found if not whose or canonical(one.distribution) == whose]
    # Configuration that names a module or a package settles it; otherwise the first one speaks for the name.
    finding = next((one for one in meant or found if one.source in _SETTLED), (meant or found)[0])
    name = finding.name
    verdict = verdict_of(finding, wish, limits)
    candidate = PluginCandidate(
        name=name,
        finding=finding,
        wish=wish,
        verdict=verdict.state,
        reason=verdict.reason,
        setting=verdict.setting,
    )
    # Which plugins are in what nobody could read, nobody knows: a list of those to load does not settle it.
    if finding.passed_over and verdict.setting in ("", "host.allow"):
        return candidate.refused(PluginState.SKIPPED, finding.passed_over)
    if not candidate.wanted:
        return candidate
    if not meant:
        return candidate.failed(_of_another(name, finding, wish.distribution))
    rivals = [other for other in meant if other.origin != finding.origin]
    if rivals and finding.source not in _SETTLED:
        return candidate.failed(_name_taken(name, meant))
    if finding.problem:
        return candidate.failed(_unusable(name, finding))
    if not finding.reference:
        empty = PluginInvalidError(
            f"the entry point of plugin {name!r} names no module ({_place(finding)}): write {name} = module:Class",
            plugin=name,
        )
        return candidate.failed(empty)
    return _with_card(candidate)


def _unusable(name: str, finding: Finding) -> PluginError:
    if finding.source in {"package", "environment"}:
        return PluginSourceError(finding.problem, plugin=name)
    what = "file" if finding.origin.endswith(".py") else "folder"
    return PluginInvalidError(f"plugin {what} {finding.origin}: {finding.problem}", plugin=name)


def _with_card(candidate: PluginCandidate) -> PluginCandidate:
    finding = candidate.finding
    try:
        home = finding.folder
        if finding.environment is not None:
            home = finding.environment.home_of(finding.reference)
            if home is None:
                return candidate
        path = find_card(finding.reference, home)
        if path is None:
            return candidate
        card = read_card(candidate.name, path)
        candidate = replace(candidate, card=card)
        check_host_api(candidate.name, card.host_api)
    except PluginError as error:
        return candidate.failed(error)
    missing = card.missing_extras(
        finding.environment.import_path if finding.environment is not None else None
    )
    if not missing:
        return candidate
    distribution = finding.distribution or candidate.name
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
        fits = not wanted or _fits(wanted)
    except ValueError as error:
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


@lru_cache
def _fits(wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet  # late as in ``Needs.refuse_version``

    return HOST_API in SpecifierSet(wanted)


def _name_taken(name: str, found: list[Finding]) -> PluginError:
    spelled = " and ".join(map(repr, dict.fromkeys(finding.name for finding in found)))
    places = " and ".join(_place(finding) for finding in found)
    first = found[0]
    # The module of a plugin folder is not on the path, so naming it alone would not find it.
    choice = f"path = {first.origin!r}" if first.source == "directory" else f"module = {first.reference!r}"
    return PluginInvalidError(
        f"two plugins are named {spelled}: {places}. Remove one, or choose with [plugins.{name}] {choice}",
        plugin=name,
    )


def _of_another(name: str, finding: Finding, wanted: str) -> PluginError:
    return PluginInvalidError(
        f"[plugins.{name}] asks for the plugin of distribution {wanted!r}, but what is here is {_place(finding)}: "
        f"install {wanted}, or correct distribution",
        plugin=name,
    )


def _place(finding: Finding) -> str:
    owner = f" of {finding.distribution}" if finding.distribution else ""
    return f"{finding.origin}{owner}"
