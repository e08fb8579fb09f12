"""Named checks and what they find."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import Any, Generic, Literal, TypeVar

from plughost._dataclasses import dataclass
from plughost.contracts.error_text import error_line
from plughost.core.containment import Point, contained

Level = Literal["error", "warning"]
Status = Literal["pass", "warn", "fail", "fixed", "skipped"]

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckProblem:
    """One thing that is wrong.

    Attributes:
        message: What is wrong.
        advice: What to do; empty when the message says it.
        level: An ``error`` makes the command exit with 3, a ``warning`` does not.
        plugin: Which plugin it is about; empty for none.
        repair: What mends it without asking; None when a person must decide.
    """

    message: str
    advice: str = ""
    level: Level = "error"
    plugin: str = ""
    repair: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Check(Generic[S]):
    """One named check of a subject.

    Attributes:
        id: Its name, for ``--only`` and for the documentation; never changes.
        meaning: What a finding of it means.
        look: Called with the subject; yields what is wrong.
        applies: Whether it can be made at all.
    """

    id: str
    meaning: str
    look: Callable[[S], Iterable[CheckProblem]]
    applies: Callable[[S], bool] = lambda _: True

    def run(self, subject: S) -> CheckResult:
        """Look, and note how long it took."""
        if not self.applies(subject):
            return CheckResult(self.id, self.meaning, "skipped")
        began = time.perf_counter()
        try:
            problems = contained(Point.CHECK, lambda: tuple(self.look(subject)))
        except Exception as error:  # what is looked at is a stranger's, and a host goes on beside it
            problems = (CheckProblem(message=f"looking at it raised {error_line(error)}"),)
        return CheckResult(
            self.id, self.meaning, _status(problems), problems, round(time.perf_counter() - began, 4)
        )


def check(
    name: str, meaning: str, applies: Callable[[Any], bool] = lambda _: True
) -> Callable[[Callable[[S], Iterable[CheckProblem]]], Check[S]]:
    """Make a check of the function below, so that what it promises stands above the code that looks.

    Args:
        name: Its id.
        meaning: What a finding of it means.
        applies: Whether it can be made of a subject at all; of each, by default.
    """
    return lambda look: Check(name, meaning, look, applies)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    Attributes:
        id: Its name.
        meaning: What a finding of it means.
        status: The worst of what it found; ``fixed`` when everything was mended.
        problems: What it found.
        seconds: How long it took.
    """

    id: str
    meaning: str
    status: Status
    problems: tuple[CheckProblem, ...] = ()
    seconds: float = 0.0
    fixed: tuple[CheckProblem, ...] = field(default=())


def _status(problems: Sequence[CheckProblem]) -> Status:
    if not problems:
        return "pass"
    return "fail" if any(problem.level == "error" for problem in problems) else "warn"


def worst(results: Iterable[CheckResult]) -> Status:
    """Return ``fail``, ``warn`` or ``pass`` for all of them together."""
    statuses = {result.status for result in results}
    return "fail" if "fail" in statuses else "warn" if "warn" in statuses else "pass"


def mended(result: CheckResult) -> CheckResult:
    """Repair what can be repaired without asking; what remains is found again with what went wrong."""
    remaining: list[CheckProblem] = []
    fixed: list[CheckProblem] = []
    for problem in result.problems:
        if problem.repair is None:
            remaining.append(problem)
            continue
        try:
            problem.repair()
        except OSError as error:
            remaining.append(CheckProblem(message=f"{problem.message} It could not be mended: {error}"))
        else:
            fixed.append(problem)
    status: Status = "fixed" if fixed and not remaining else _status(remaining)
    return CheckResult(result.id, result.meaning, status, tuple(remaining), result.seconds, tuple(fixed))
