"""Is every plugin of earlier starts still there?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from plughost.checks.findings import CheckProblem, check
from plughost.cli.doctor.patient import Patient
from plughost.core.loading.remembered import HostMemory


@check("lost-plugins", "every plugin of earlier starts is still there")
def _lost(patient: Patient) -> Iterator[CheckProblem]:
    memory = HostMemory.of(patient.loaded)
    for seen in memory.lost(patient.candidates):
        yield CheckProblem(
            message=f"{seen}.",
            plugin=seen.name,
            level="warning",
            repair=partial(memory.forget, seen.name),
        )


LOST_CHECKS = (_lost,)
