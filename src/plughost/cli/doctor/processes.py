"""Can plugins that run in processes of their own run there as the configuration asks?"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

from plughost.checks.findings import CheckProblem, check
from plughost.cli.doctor.patient import Patient
from plughost.core.processes.confine import lacking
from plughost.exceptions import PluginSourceError


@check("environments", "environments of plugins are there, with the plughost of the host")
def _environments(patient: Patient) -> Iterator[CheckProblem]:
    ours = importlib.metadata.version("plughost")
    for candidate in patient.candidates:
        environment = candidate.finding.environment
        if environment is None:
            continue
        if isinstance(candidate.error, PluginSourceError):
            yield CheckProblem(message=str(candidate.error), plugin=candidate.name)
        elif candidate.wanted and environment.version_of("plughost") not in {None, ours}:
            yield CheckProblem(
                message=f"the environment of plugin {candidate.name!r} has plughost "
                f"{environment.version_of('plughost')}, the host {ours}.",
                advice=f"`plughost env upgrade {candidate.name}` makes it anew",
                plugin=candidate.name,
                level="warning",
            )


@check("confinement", "this machine can confine plugins as the configuration asks")
def _confinement(patient: Patient) -> Iterator[CheckProblem]:
    for candidate in patient.candidates:
        section = patient.loaded.plugin(candidate.name)
        wanted = section.process.confine
        if not candidate.wanted or section.isolation != "process" or wanted is None:
            continue
        for part in lacking(wanted):
            yield CheckProblem(
                message=f"plugin {candidate.name!r} cannot be confined as its table asks: {part}.",
                advice="it is started without that, because best_effort is set"
                if wanted.best_effort
                else "it will not be started; best_effort = true starts it without that",
                plugin=candidate.name,
                level="warning" if wanted.best_effort else "error",
            )


PROCESS_CHECKS = (_environments, _confinement)
