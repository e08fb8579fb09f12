"""``plughost check``: for authors and their continuous integration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from plughost._dataclasses import dataclass
from plughost.checks.candidates import candidates_of, command_there, lives_elsewhere, project_of
from plughost.checks.catalogue import CHECKS
from plughost.checks.findings import Check, CheckResult, mended, worst
from plughost.checks.grades import GradeReport, grade_of
from plughost.checks.subject import Subject, examine
from plughost.cli.exits import leave_with_problems
from plughost.cli.findings import result_document, result_text
from plughost.cli.program import Program
from plughost.contracts.commands import json_option
from plughost.core.config import LoadedConfig
from plughost.core.config.load import DEFAULT_FILE
from plughost.core.finding.discovery import PluginCandidate

_IDS = [check.id for check in CHECKS]


@click.command()
@json_option
@click.option("--list", "only_list", is_flag=True, help="List the checks.")
@click.option("--only", multiple=True, type=click.Choice(_IDS), help="Run only this check; may be repeated.")
@click.option("--strict", is_flag=True, help="Exit 3 for warnings too.")
@click.option("--fix", is_flag=True, help="Repair what can be repaired without asking; for a folder.")
@click.argument("path", required=False)
@click.pass_obj
def check(
    program: Program, path: str | None, only: tuple[str, ...], strict: bool, fix: bool, only_list: bool
) -> None:
    """Check the plugins in folder PATH, or the installed plugin of that name, or all that would be loaded.

    A plughost.toml in that folder says which host the plugin is written for. Plugins are imported, not started.
    Errors make the command exit with 3. When all checks are made each plugin gets a grade: bronze, it works; silver,
    nothing is said against it and it has tests; gold, others can rely on it.
    """
    if only_list:
        document = {"checks": [{"id": one.id, "meaning": one.meaning} for one in CHECKS]}
        program.show(document, "\n".join(f"{one.id:18} {one.meaning}" for one in CHECKS))
        return
    if path is not None and program.config_path is None and (own := Path(path) / DEFAULT_FILE).is_file():
        program.config_path = own
    loaded = program.load_config()
    chosen = [one for one in CHECKS if not only or one.id in only]
    candidates = candidates_of(path, loaded)
    found = [
        _look(candidate, loaded, chosen, fix) for candidate in candidates if not lives_elsewhere(candidate)
    ]
    for one in filter(lives_elsewhere, candidates):
        program.talk(
            f"Plugin {one.name!r} has an environment of its own: {command_there(one, 'check')} checks it."
        )
    status = worst(result for one in found for result in one.results)
    text = "\n\n".join("\n".join(_lines(one)) for one in found)
    nothing = "Nothing to check: no plugin would be loaded."
    documents = [
        {
            "name": one.candidate.name,
            "origin": one.candidate.finding.origin,
            "status": worst(one.results),
            "grade": None if one.grade is None else one.grade.grade,
            "missing": [] if one.grade is None else one.grade.missing,
            "checks": [result_document(result) for result in one.results],
        }
        for one in found
    ]
    program.show({"plugins": documents, "status": status}, text or nothing)
    leave_with_problems(status == "fail" or (strict and status == "warn"))


@dataclass(frozen=True, slots=True)
class Checked:
    """One plugin after its checks.

    Attributes:
        candidate: The plugin.
        results: What the checks found.
        grade: Its grade; None when only some checks were made.
    """

    candidate: PluginCandidate
    results: list[CheckResult]
    grade: GradeReport | None


def _look(
    candidate: PluginCandidate, loaded: LoadedConfig, chosen: list[Check[Subject]], fix: bool
) -> Checked:
    subject = examine(candidate, loaded, project_of(candidate))
    results = [check.run(subject) for check in chosen]
    if fix:
        results = [mended(result) for result in results]
    return Checked(candidate, results, grade_of(subject, results) if len(chosen) == len(CHECKS) else None)


def _lines(one: Checked) -> Iterator[str]:
    yield click.style(f"{one.candidate.name} ({one.candidate.finding.origin})", bold=True)
    yield from map(result_text, one.results)
    if one.grade is not None:
        yield f"Grade: {click.style(one.grade.grade, bold=True)}"
        yield from (f"  for the next one: {reason}" for reason in one.grade.missing)
