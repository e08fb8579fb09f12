"""Could every plugin be loaded, as far as metadata can tell?"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from plughost.checks.findings import CheckProblem, check
from plughost.cli.app import COMMANDS
from plughost.cli.doctor.patient import Patient
from plughost.contracts.records import PluginState
from plughost.core.calls.declared import HookSetup
from plughost.core.config.paths import canonical
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.finding.installed import entry_points
from plughost.core.loading.ordering import Needs, plan_load
from plughost.exceptions import (
    PluginDependencyError,
    PluginIncompatibleError,
    PluginInvalidError,
    did_you_mean,
)


@check("left-overs", "no installation was broken off, and every place can be searched")
def _leftovers(patient: Patient) -> Iterator[CheckProblem]:
    said: list[str] = []
    entry_points(patient.loaded.config.host.plugin_groups, tell=said.append)
    for sentence in said:
        yield CheckProblem(message=f"{sentence}.", level="warning")


@check("manifests", "every manifest and card can be read")
def _manifests(patient: Patient) -> Iterator[CheckProblem]:
    shared = _shared_names(patient)
    for candidate in patient.candidates:
        if isinstance(candidate.error, PluginInvalidError) and canonical(candidate.name) not in shared:
            yield CheckProblem(message=str(candidate.error), plugin=candidate.name)


@check("duplicates", "no two plugins have one name")
def _duplicates(patient: Patient) -> Iterator[CheckProblem]:
    shared = _shared_names(patient)
    for candidate in patient.candidates:
        if canonical(candidate.name) in shared and isinstance(candidate.error, PluginInvalidError):
            yield CheckProblem(message=str(candidate.error), plugin=candidate.name)


def _shared_names(patient: Patient) -> set[str]:
    seen: set[str] = set()
    shared: set[str] = set()
    for finding in patient.findings():
        (shared if canonical(finding.name) in seen else seen).add(canonical(finding.name))
    return shared


@check("extras", "packages that plugins need are installed")
def _extras(patient: Patient) -> Iterator[CheckProblem]:
    for candidate in patient.candidates:
        if candidate.verdict is PluginState.SKIPPED:
            yield CheckProblem(
                message=f"plugin {candidate.name!r} {candidate.reason}",
                plugin=candidate.name,
                level="warning",
            )
        elif isinstance(candidate.error, PluginDependencyError):
            yield CheckProblem(message=str(candidate.error), plugin=candidate.name)


@check("modules", "the modules of installed plugins are there")
def _modules(patient: Patient) -> Iterator[CheckProblem]:
    """Only the top package is looked for: to find what is inside it, Python would import it."""
    for candidate in _wanted(patient):
        finding = candidate.finding
        top = finding.reference.partition(":")[0].partition(".")[0]
        home = finding.environment
        try:
            found = importlib.util.find_spec(top) if home is None else home.home_of(finding.reference)
        except (ImportError, ValueError):
            found = None
        if finding.folder is None and found is None:
            yield CheckProblem(
                message=f"module {top} of plugin {candidate.name!r} was not found ({finding.origin})",
                advice="reinstall its distribution, or correct `module` in the configuration",
                plugin=candidate.name,
            )


@check("dependencies", "what plugins require is there, and nobody waits in a circle")
def _dependencies(patient: Patient) -> Iterator[CheckProblem]:
    wanted = {one.name: Needs.said(one.card.requires, one.card.after) for one in _wanted(patient)}
    away = {one.name: one.reason for one in patient.candidates if not one.wanted}
    for name, error in plan_load(wanted, unavailable=away).hopeless.items():
        yield CheckProblem(message=str(error), plugin=name)


@check("host-api", "plugins work with this version of the host API")
def _host_api(patient: Patient) -> Iterator[CheckProblem]:
    for candidate in patient.candidates:
        if isinstance(candidate.error, PluginIncompatibleError):
            yield CheckProblem(message=str(candidate.error), plugin=candidate.name)


@check("required", "required plugins will be loaded")
def _required(patient: Patient) -> Iterator[CheckProblem]:
    for candidate in patient.candidates:
        if candidate.wish.required and not candidate.wanted:
            yield CheckProblem(
                message=f"plugin {candidate.name!r} is required, so the host cannot become ready, and will "
                f"not be loaded: {candidate.reason}",
                plugin=candidate.name,
            )


@check("hooks", "cards name hooks that exist and are not deprecated")
def _hooks(patient: Patient) -> Iterator[CheckProblem]:
    setup = HookSetup.of(patient.loaded.config.host)
    known = [one.name for one in (*setup.declarations(), *setup.absent.declarations())]
    old = {**setup.absent.deprecations(), **setup.deprecations()}
    for candidate in _wanted(patient):
        for hook in candidate.card.hooks:
            if hook in old:
                yield _hook_problem(candidate, f"implements {hook!r}, which is deprecated: {old[hook]}")
            elif hook not in known:
                yield _hook_problem(
                    candidate,
                    f"implements {hook!r}, which is not in the catalogue.{did_you_mean(hook, known)}",
                )


@check("commands", "every command on a card can be called")
def _commands(patient: Patient) -> Iterator[CheckProblem]:
    holders = dict.fromkeys(COMMANDS, "plughost itself")
    for candidate in _wanted(patient):
        for command in candidate.card.commands or ():
            holder = holders.setdefault(command, repr(candidate.name))
            if holder != repr(candidate.name):
                yield CheckProblem(
                    message=f"command {command!r} of plugin {candidate.name!r} cannot be called: {holder} has it",
                    advice="ask for another name of the command, or disable one of the plugins",
                    plugin=candidate.name,
                    level="warning",
                )


def _hook_problem(candidate: PluginCandidate, what: str) -> CheckProblem:
    return CheckProblem(
        message=f"plugin {candidate.name!r} {what}",
        advice="ask for a newer version of the plugin; `plughost check` looks at its code",
        plugin=candidate.name,
        level="warning",
    )


def _wanted(patient: Patient) -> Iterator[PluginCandidate]:
    return (candidate for candidate in patient.candidates if candidate.wanted)


PLUGIN_CHECKS = (
    _leftovers,
    _manifests,
    _duplicates,
    _extras,
    _modules,
    _dependencies,
    _host_api,
    _required,
    _hooks,
    _commands,
)
