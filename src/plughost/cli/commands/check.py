"""``plughost check``: for authors and their continuous integration."""

from __future__ import annotations

import click

from plughost.cli.checks import CHECKS, Subject
from plughost.cli.checks.subject import examine
from plughost.cli.documents import Document
from plughost.cli.exits import leave_with_problems
from plughost.cli.findings import Check, CheckResult, result_document, result_text, worst
from plughost.cli.program import Program, reads
from plughost.cli.subjects import candidates_of, project_of

_IDS = [check.id for check in CHECKS]


@click.command()
@reads
@click.option("--list", "only_list", is_flag=True, help="Say which checks there are.")
@click.option("--only", multiple=True, type=click.Choice(_IDS), help="Make this check only; may be repeated.")
@click.option("--strict", is_flag=True, help="Exit 3 for warnings too.")
@click.argument("path", required=False)
@click.pass_obj
def check(program: Program, path: str | None, only: tuple[str, ...], strict: bool, only_list: bool) -> None:
    """Check the plugins in folder PATH, or the installed plugin of that name, or all that would be loaded.

    Plugins are imported, not started. Errors make the command exit with 3.
    """
    if only_list:
        _show_checks(program)
        return
    loaded = program.load_config()
    chosen = [one for one in CHECKS if not only or one.id in only]
    found = [
        (
            candidate.name,
            candidate.finding.origin,
            _run(chosen, examine(candidate, loaded, project_of(candidate))),
        )
        for candidate in candidates_of(path, loaded)
    ]
    status = worst(result for _, _, results in found for result in results)
    program.show(_document(found, status), _text(found))
    leave_with_problems(status == "fail" or (strict and status == "warn"))


def _run(chosen: list[Check[Subject]], subject: Subject) -> list[CheckResult]:
    return [check.run(subject) for check in chosen]


def _document(found: list[tuple[str, str, list[CheckResult]]], status: str) -> Document:
    plugins = [
        {"name": name, "origin": origin, "status": worst(results), "checks": [*map(result_document, results)]}
        for name, origin, results in found
    ]
    return {"plugins": plugins, "status": status}


def _text(found: list[tuple[str, str, list[CheckResult]]]) -> str:
    if not found:
        return "Nothing to check: no plugin would be loaded."
    return "\n\n".join(
        "\n".join([click.style(f"{name} ({origin})", bold=True), *map(result_text, results)])
        for name, origin, results in found
    )


def _show_checks(program: Program) -> None:
    document = {"checks": [{"id": one.id, "meaning": one.meaning} for one in CHECKS]}
    program.show(document, "\n".join(f"{one.id:18} {one.meaning}" for one in CHECKS))
