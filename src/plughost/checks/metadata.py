"""Checks that read metadata only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from plughost.checks.findings import CheckProblem, check
from plughost.checks.repairs import set_in_project, set_on_card
from plughost.checks.subject import Subject
from plughost.contracts.plugin import HOST_API
from plughost.core.finding.discovery import check_host_api
from plughost.exceptions import PluginError, PluginIncompatibleError

_REFERENCE = re.compile(r"^\w+(\.\w+)*(:\w+(\.\w+)*)?$")
_WANTED = {
    "description": 'one line for lists: description = "..."',
    "requires-python": 'the Python versions it works with: requires-python = ">=3.11"',
    "license": 'its licence as an SPDX expression: license = "MIT"',
}


@check("manifest", "its manifest and card can be read and its name is its own")
def _manifest(subject: Subject) -> Iterator[CheckProblem]:
    finding, error = subject.candidate.finding, subject.candidate.error
    if finding.problem:
        yield CheckProblem(message=f"{finding.origin}: {finding.problem}")
    elif error is not None and not isinstance(error, PluginIncompatibleError):
        yield CheckProblem(message=str(error))


@check(
    "entry-point",
    "its entry point names a module or attribute",
    applies=lambda subject: subject.candidate.error is None,
)
def _entry_point(subject: Subject) -> Iterator[CheckProblem]:
    reference = subject.candidate.finding.reference
    if not _REFERENCE.match(reference):
        yield CheckProblem(
            message=f"entry point {subject.name!r} says {reference!r}, which names no module or attribute",
            advice="write it as 'package.module:Class', or 'package.module' for a module plugin",
        )


@check("distribution", "its distribution says what it is", applies=lambda subject: bool(subject.project))
def _distribution(subject: Subject) -> Iterator[CheckProblem]:
    for key, advice in _WANTED.items():
        if not subject.project.get(key):
            # What mends a missing key: only what is not a matter of opinion
            said = {"requires-python": ">=3.11", "description": subject.candidate.card.description}.get(key)
            repaired = set_in_project(subject, key, said) if said else None
            yield CheckProblem(
                message=f"its metadata have no {key}",
                advice=advice,
                level="warning",
                repair=repaired,
            )


@check(
    "host-api",
    "it says which host API it works with, and this host has it",
    applies=lambda subject: not subject.is_foreign,
)
def _host_api(subject: Subject) -> Iterator[CheckProblem]:
    error = subject.candidate.error
    if isinstance(error, PluginIncompatibleError):
        yield CheckProblem(message=str(error))
        return
    own = subject.handle.host_api if subject.is_imported else ""
    try:
        check_host_api(subject.name, own)
    except PluginError as fault:
        yield CheckProblem(message=str(fault))
    said = subject.candidate.card.host_api or own
    if not said and subject.is_imported:  # else nobody knows
        major = int(HOST_API.partition(".")[0])
        yield CheckProblem(
            message="it does not say which host API it works with",
            advice=f'host_api = ">={major},<{major + 1}" in its card or its class',
            level="warning",
            repair=set_on_card(subject, "host_api", f">={major},<{major + 1}"),
        )


METADATA_CHECKS = (_manifest, _entry_point, _distribution, _host_api)
