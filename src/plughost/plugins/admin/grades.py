"""What the checks for authors say of each plugin, asked once for each of its starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plughost import Host
from plughost.checks import GradeReport, grades_of
from plughost.contracts import PluginRecord


class Grades:
    """Grades by plugin, kept until one of the plugins is started anew."""

    def __init__(self) -> None:
        self._starts: dict[str, int] = {}
        self._grades: Mapping[str, GradeReport] = {}

    async def renew(self, host: Host) -> None:
        """Have the plugins graded again when one of them was started since the last time."""
        starts = {name: record.generation for name, record in host.plugins.items()}
        if starts != self._starts:
            self._starts = starts
            self._grades = await grades_of(host)

    def of(self, record: PluginRecord) -> dict[str, Any] | None:
        """Return the grade and what is missing for the next one; None for a plugin that does not run."""
        report = self._grades.get(record.name)
        return None if report is None else {"grade": report.grade, "missing": list(report.missing)}
