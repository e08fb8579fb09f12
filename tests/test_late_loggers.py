"""Loggers that are made when they are used: what they say is what structlog's own would."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from plughost.contracts import get_logger


def test_structlog_is_imported_by_the_first_line_that_is_logged() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _FIRST_LINE], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.split() == ["False", "True", "dark", "desk"]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_a_line_below_the_level_of_the_application_imports_nothing(level: str) -> None:
    silent = f"""
import logging, sys
from plughost.contracts import get_logger

logging.disable(logging.CRITICAL)
get_logger("plughost.late").{level}("dark", lamp=3)
print("structlog" in sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", silent], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == "False"


_FIRST_LINE = """
import logging, sys
from plughost.contracts import get_logger

log = get_logger("plughost.late", plugin="desk")
before = "structlog" in sys.modules
lines = []
logging.getLogger("plughost.late").addFilter(lines.append)
log.warning("dark")
print(before, "structlog" in sys.modules, lines[0].getMessage(), lines[0].plugin)
"""


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_each_line_goes_out_at_its_level_with_what_is_bound(
    level: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = get_logger(f"plughost.late.{level}", plugin="desk").bind(lamp=3)
    late = get_logger(f"plughost.late.{level}", plugin="desk", lamp=3)
    for own in (log, late):
        caplog.clear()
        lines = []
        for threshold in (level, "critical", level):  # asked anew for each line
            with caplog.at_level(threshold.upper(), f"plughost.late.{level}"):
                getattr(own, level)("dark", wick="short")
            lines.append(len(caplog.records))
        assert lines == ([1, 2, 3] if level == "critical" else [1, 1, 2])
    record = caplog.records[0]
    assert record.levelno == getattr(logging, level.upper())
    assert (record.plugin, record.lamp, record.wick) == ("desk", 3, "short")  # type: ignore[attr-defined]


def test_what_is_bound_to_a_logger_stays_out_of_the_one_it_was_made_of() -> None:
    log = get_logger("plughost.late", plugin="desk")
    assert log.bind(lamp=3)._context == {"plugin": "desk", "lamp": 3}
    assert log._context == {"plugin": "desk"}


def test_a_name_that_no_logger_has_is_refused() -> None:
    with pytest.raises(AttributeError, match="lamp"):
        get_logger("plughost.late").lamp  # noqa: B018
