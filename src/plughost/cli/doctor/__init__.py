"""What `plughost doctor` looks at: one list of named checks, in the order they are made."""

from __future__ import annotations

from plughost.checks.findings import Check
from plughost.cli.doctor.configuration import CONFIGURATION_CHECKS
from plughost.cli.doctor.fleet import FLEET_CHECKS
from plughost.cli.doctor.folders import FOLDER_CHECKS
from plughost.cli.doctor.lost import LOST_CHECKS
from plughost.cli.doctor.patient import Patient
from plughost.cli.doctor.plugins import PLUGIN_CHECKS
from plughost.cli.doctor.processes import PROCESS_CHECKS

CHECKS: tuple[Check[Patient], ...] = (
    *(*CONFIGURATION_CHECKS, *PLUGIN_CHECKS, *PROCESS_CHECKS),
    *(*FLEET_CHECKS, *FOLDER_CHECKS, *LOST_CHECKS),
)
"""Every check of an installation."""

__all__ = ["CHECKS", "Patient"]
