"""Is the configuration what its owner thinks it is?"""

from __future__ import annotations

import stat
from collections.abc import Iterator

from plughost.checks.findings import CheckProblem, check
from plughost.cli.doctor.patient import Patient
from plughost.contracts.secret import MASK
from plughost.exceptions import PluginNotFoundError


@check("configuration", "the configuration can be read")
def _readable(patient: Patient) -> Iterator[CheckProblem]:
    error = patient.error
    if error is None:
        return
    said = [str(problem) for problem in error.problems] or [str(error)]
    for message in said:
        yield CheckProblem(
            message=message, advice="the checks below are made as if the configuration were empty"
        )


@check("unknown-plugins", "every plugin that the configuration names is there")
def _unknown_plugins(patient: Patient) -> Iterator[CheckProblem]:
    for candidate in patient.candidates:
        if isinstance(candidate.error, PluginNotFoundError):
            yield CheckProblem(message=str(candidate.error), plugin=candidate.name)


@check("config-permissions", "secrets in the configuration are the owner's alone")
def _permissions(patient: Patient) -> Iterator[CheckProblem]:
    path = patient.loaded.path
    # What is hidden in the file itself; what a reference names is not in it.
    hidden = [entry for entry in patient.loaded.entries() if entry.value == MASK]
    if path is None or not any(entry.origin.startswith(str(path)) for entry in hidden):
        return
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield CheckProblem(
            message=f"{path} holds secrets and can be read by others.",
            advice=f"chmod 600 {path}, or move the secrets out with $env or $file references",
            level="warning",
            repair=lambda: path.chmod(stat.S_IMODE(path.stat().st_mode) & ~(stat.S_IRWXG | stat.S_IRWXO)),
        )


CONFIGURATION_CHECKS = (_readable, _unknown_plugins, _permissions)
