"""What named checks found, as a document and for people."""

from __future__ import annotations

from typing import Any

import click

from plughost.checks.findings import CheckProblem, CheckResult, Status
from plughost.cli.documents import Document


def result_document(result: CheckResult) -> Document:
    """Return the JSON of one result."""
    return {
        "id": result.id,
        "meaning": result.meaning,
        "status": result.status,
        "seconds": result.seconds,
        "problems": [_problem_document(problem) for problem in result.problems],
        "fixed": [_problem_document(problem) for problem in result.fixed],
    }


def _problem_document(problem: CheckProblem) -> dict[str, Any]:
    return {
        "message": problem.message,
        "advice": problem.advice,
        "level": problem.level,
        "plugin": problem.plugin,
        "fixable": problem.repair is not None,
    }


_MARKS: dict[Status, tuple[str, str]] = {
    "pass": ("ok", "green"),
    "warn": ("warning", "yellow"),
    "fail": ("problem", "red"),
    "fixed": ("fixed", "green"),
    "skipped": ("skipped", "bright_black"),
}


def result_text(result: CheckResult) -> str:
    """Return a line for the check, and one for everything it found."""
    word, colour = _MARKS[result.status]
    lines = [f"{click.style(f'{word:8}', fg=colour)} {result.id}"]
    if result.problems:
        lines[0] += f" (expected: {result.meaning})"
    for problem in (*result.problems, *result.fixed):
        lines += [
            f"  {line}" for line in filter(None, (problem.message, problem.advice and f"-> {problem.advice}"))
        ]
    return "\n".join(lines)
