"""Bronze, silver, gold: how far a plugin has come, and what is missing for the next step."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from plughost._dataclasses import dataclass
from plughost.checks.code import implementations_of
from plughost.checks.findings import CheckResult
from plughost.checks.subject import Subject
from plughost.core.calls.annotations import hints_of
from plughost.core.finding.module_files import file_of

Grade = Literal["none", "bronze", "silver", "gold"]


@dataclass(frozen=True, slots=True)
class GradeReport:
    """The grade of a plugin.

    Attributes:
        grade: ``bronze``: it works. ``silver``: nothing is said against it, and it has tests. ``gold``: others can
            rely on it.
        missing: What keeps it from the next grade, one sentence each; empty for ``gold``.
    """

    grade: Grade
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that a grade asks for beyond the checks.

    Attributes:
        grade: Which grade asks for it.
        missing: What to say when it is not there.
        holds: Whether it is there.
    """

    grade: Grade
    missing: str
    holds: Callable[[Subject], bool]


def _mark(grade: Grade, missing: str) -> Callable[[Callable[[Subject], bool]], Mark]:
    """Make a mark of the function below, which looks whether it is there."""
    return partial(Mark, grade, missing)


def grade_of(subject: Subject, results: Sequence[CheckResult]) -> GradeReport:
    """Return the grade that a plugin has by the results of all checks.

    What cannot be seen, such as the tests of an installed distribution, is not there.
    """
    failed = [f"check {one.id}: {one.problems[0].message}" for one in results if one.status == "fail"]
    warned = [f"check {one.id}: {one.problems[0].message}" for one in results if one.status == "warn"]
    if not subject.is_imported and not failed:
        failed = ["it could not be imported"]
    steps: tuple[tuple[Grade, list[str]], ...] = (
        ("bronze", failed),
        ("silver", warned + _missing(subject, "silver") if not failed else []),
        ("gold", _missing(subject, "gold") if not failed else []),
    )
    reached: Grade = "none"
    for grade, missing in steps:
        if missing:
            return GradeReport(reached, tuple(missing))
        reached = grade
    return GradeReport(reached, ())


def _missing(subject: Subject, grade: Grade) -> list[str]:
    return [mark.missing for mark in _MARKS if mark.grade == grade and not mark.holds(subject)]


@_mark("silver", "it has no card (plugin.toml) with a description")
def _has_card(subject: Subject) -> bool:
    return subject.is_foreign or bool(subject.candidate.card.description)


@_mark("silver", "it has no tests that can be seen (tests/test_*.py)")
def _has_tests(subject: Subject) -> bool:
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for tree in _tests(subject)
        for node in ast.walk(tree)
    )


@_mark("gold", "its tests do not use the contract suite (plughost.testing.PluginSuite)")
def _uses_suite(subject: Subject) -> bool:
    """Whether a class of its tests derives from the contract suite."""
    return any(
        isinstance(node, ast.ClassDef) and any("PluginSuite" in ast.dump(base) for base in node.bases)
        for tree in _tests(subject)
        for node in ast.walk(tree)
    )


def _tests(subject: Subject) -> Iterable[ast.AST]:
    home = home_of(subject)
    for file in sorted(home.glob("tests/**/test_*.py")) if home is not None else ():
        try:
            yield ast.parse(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, SyntaxError):
            continue


def home_of(subject: Subject) -> Path | None:
    """Return the folder with the plugin's manifest; None for one that is installed, whose folder nobody knows."""
    return Path(subject.candidate.finding.origin) if subject.candidate.finding.source == "directory" else None


def package_folder(subject: Subject) -> Path | None:
    """Return the folder of the plugin's package; None when it is a single file."""
    module = inspect.getmodule(type(subject.handle.target)) or subject.handle.target
    file = file_of(module)
    is_package = bool(getattr(module, "__package__", ""))
    return Path(file).parent if file is not None and is_package else None


@_mark("gold", "its package has no py.typed")
def _is_typed(subject: Subject) -> bool:
    folder = package_folder(subject)
    return folder is not None and (folder / "py.typed").is_file()


@_mark("gold", "not every hook implementation names its types")
def _names_types(subject: Subject) -> bool:
    """Whether each hook implementation says what it takes and returns."""
    return all(
        set(inspect.signature(function).parameters) | {"return"} <= hints_of(function).keys()
        for _, function, _, _ in implementations_of(subject)
    )


def _has(*patterns: str) -> Callable[[Subject], bool]:
    def look(subject: Subject) -> bool:
        home = home_of(subject)
        return home is not None and any(any(home.glob(pattern)) for pattern in patterns)

    return look


_MARKS = (
    _has_card,
    _has_tests,
    _uses_suite,
    _is_typed,
    _names_types,
    Mark("gold", "it has no README", _has("README*")),
    Mark("gold", "it has no changelog", _has("CHANGE*", "NEWS*")),
    Mark("gold", "it has no licence text", _has("LICEN[CS]E*", "COPYING*")),
)
