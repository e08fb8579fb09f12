"""Named checks of a plugin, and the grade that follows from them: for ``plughost check`` and the admin page."""

from __future__ import annotations

from plughost.checks.catalogue import CHECKS
from plughost.checks.grades import GradeReport, grade_of
from plughost.checks.running import grades_of
from plughost.checks.subject import Subject, examine

__all__ = ["CHECKS", "GradeReport", "Subject", "examine", "grade_of", "grades_of"]
