"""Can the host be in a fleet with others, as its configuration asks?"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plughost.checks.findings import CheckProblem, check
from plughost.cli.doctor.patient import Patient
from plughost.core.config.references import is_reference

_FLEET = "fleet"
_SHORTEST_SECRET = 32


def _is_wanted(patient: Patient) -> bool:
    return any(candidate.name == _FLEET and candidate.wanted for candidate in patient.candidates)


@check("fleet-store", "hosts of a fleet meet in one place", applies=_is_wanted)
def _store(patient: Patient) -> Iterator[CheckProblem]:
    store = _settings(patient).get("store", "sqlite")
    if store == "sqlite" and "KUBERNETES_SERVICE_HOST" in patient.loaded.environ:
        yield CheckProblem(
            message="the fleet meets in a file, and each pod has its own: a job of the fleet runs in each of them.",
            advice="set store, and redis_url or postgresql_url, in [plugins.fleet.config], the same on all;"
            " one pod alone needs nothing",
            plugin=_FLEET,
            level="warning",
        )


@check("fleet-secret", "the secret of a fleet is there, and its owner's alone", applies=_is_wanted)
def _secret(patient: Patient) -> Iterator[CheckProblem]:
    settings = _settings(patient)
    written = settings.get("secret_file", "")
    if not written and settings.get("store") in ("redis", "postgresql"):
        yield CheckProblem(
            message="hosts of several machines share jobs, and cannot be steered: the fleet has no secret_file.",
            advice="give all of them the same file of 32 signs or more, for their owner alone",
            plugin=_FLEET,
            level="warning",
        )
    if not written or is_reference(written):
        return
    path = Path(written)  # as the plugin reads it
    try:
        mode, size = path.stat().st_mode, len(path.read_bytes().strip())
    except OSError as error:
        yield CheckProblem(
            message=f"the fleet's secret_file {path} cannot be read: {error.strerror}.", plugin=_FLEET
        )
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield CheckProblem(
            message=f"the fleet's secret_file {path} can be read by others.",
            advice=f"chmod 600 {path}",
            plugin=_FLEET,
            repair=lambda: path.chmod(0o600),
        )
    if size < _SHORTEST_SECRET:
        yield CheckProblem(
            message=f"the fleet's secret_file {path} has {size} signs, and needs {_SHORTEST_SECRET}.",
            plugin=_FLEET,
        )


def _settings(patient: Patient) -> dict[str, Any]:
    return dict(patient.loaded.plugin(_FLEET).config)


FLEET_CHECKS = (_store, _secret)
