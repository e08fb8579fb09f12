"""``plughost doctor``: for operators."""

from __future__ import annotations

import click

from plughost.checks.findings import mended, worst
from plughost.cli.doctor import CHECKS
from plughost.cli.doctor.patient import admit
from plughost.cli.exits import leave_with_problems
from plughost.cli.findings import result_document, result_text
from plughost.cli.program import Program
from plughost.contracts.commands import json_option


@click.command()
@json_option
@click.option("--fix", is_flag=True, help="Repair what can be repaired without asking.")
@click.pass_obj
def doctor(program: Program, fix: bool) -> None:
    """Find problems of an installation, and say how to solve them.

    Only metadata are read, so this works whatever a plugin does. Whether plugins start is what
    `plughost run --once` tells. Errors make the command exit with 3, warnings do not.
    """
    patient = admit(program)
    results = [check.run(patient) for check in CHECKS]
    if fix:
        results = [mended(result) for result in results]
    status = worst(results)
    document = {"checks": [result_document(result) for result in results], "status": status}
    program.show(document, "\n".join(map(result_text, results)))
    leave_with_problems(status == "fail")
