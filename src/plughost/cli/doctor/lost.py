"""Is every plugin of earlier starts still there?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from plughost.checks.findings import Check, Problem
from plughost.cli.doctor.patient import Patient
from plughost.core.loading.remembered import forget_plugin, lost_plugins


def _lost(patient: Patient) -> Iterator[Problem]:
    for seen in lost_plugins(patient.data_dir, patient.candidates):
        yield Problem(
            message=f"{seen}.",
            plugin=seen.name,
            level="warning",
            repair=partial(forget_plugin, patient.data_dir, seen.name),
        )


LOST_CHECKS = (Check("lost-plugins", "every plugin of earlier starts is still there", _lost),)
