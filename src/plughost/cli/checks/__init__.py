"""What `plughost check` looks at: one list of named checks, in the order they are made."""

from __future__ import annotations

from plughost.cli.checks.annotations import TYPE_CHECKS
from plughost.cli.checks.code import CODE_CHECKS
from plughost.cli.checks.metadata import METADATA_CHECKS
from plughost.cli.checks.secrecy import SECRECY_CHECKS
from plughost.cli.checks.source import SOURCE_CHECKS
from plughost.cli.checks.subject import Subject
from plughost.cli.checks.waiting import WAIT_CHECKS
from plughost.cli.findings import Check

CHECKS: tuple[Check[Subject], ...] = (
    *METADATA_CHECKS,
    *CODE_CHECKS,
    *TYPE_CHECKS,
    *SOURCE_CHECKS,
    *WAIT_CHECKS,
    *SECRECY_CHECKS,
)
"""Every check of a plugin."""

__all__ = ["CHECKS", "Subject"]
