"""What `plughost check` looks at: one list of named checks, in the order they are made."""

from __future__ import annotations

from plughost.checks.code import CODE_CHECKS
from plughost.checks.findings import Check
from plughost.checks.metadata import METADATA_CHECKS
from plughost.checks.requirements import REQUIREMENT_CHECKS
from plughost.checks.secrecy import SECRECY_CHECKS
from plughost.checks.source import SOURCE_CHECKS
from plughost.checks.subject import Subject
from plughost.checks.waiting import WAIT_CHECKS

CHECKS: tuple[Check[Subject], ...] = (
    *METADATA_CHECKS,
    *CODE_CHECKS,
    *SOURCE_CHECKS,
    *REQUIREMENT_CHECKS,
    *WAIT_CHECKS,
    *SECRECY_CHECKS,
)
"""Every check of a plugin."""
