"""What the process's exit code says."""

from __future__ import annotations

from enum import IntEnum
from typing import NoReturn

import click


class ExitCode(IntEnum):
    """The codes of every command."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    PROBLEMS = 3
    """It did what it was asked, and found something wrong."""


def leave(code: ExitCode) -> NoReturn:
    """End the command with this code."""
    raise click.exceptions.Exit(int(code))


def leave_with_problems(found: object) -> None:
    """End the command with ``PROBLEMS`` when there are any; otherwise go on."""
    if found:
        leave(ExitCode.PROBLEMS)
