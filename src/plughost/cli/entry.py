"""From arguments to an exit code: the one place where errors become words."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from plughost.cli.app import program_group
from plughost.cli.documents import error_document
from plughost.cli.exits import ExitCode
from plughost.cli.program import Program
from plughost.cli.talk import wants_json_lines
from plughost.contracts.error_text import error_text
from plughost.exceptions import PlughostError


def run_program(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    With ``--json`` among the arguments an error is a document on standard output too:
    ``{"code": ..., "details": ..., "message": ...}``.
    """
    program = Program(
        environ=os.environ, as_json="--json" in arguments, json_lines=wants_json_lines(arguments)
    )
    try:
        code = program_group.main(
            args=list(arguments), prog_name="plughost", standalone_mode=False, obj=program
        )
    except click.UsageError as error:
        if program.stderr.as_json:
            program.stderr.say(f"Error: {error.format_message()}", level="error")
        else:
            error.show(sys.stderr)
        _tell_in_json(program, error)
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        program.stderr.say("Aborted.", level="error")
        return ExitCode.FAILED
    except (click.ClickException, PlughostError, OSError) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else _told(error)
        program.stderr.say(f"Error: {said}", level="error")
        _tell_in_json(program, error)
        return ExitCode.FAILED
    except Exception as error:  # a mistake of ours or of a plugin's command: the traceback is what helps
        program.stderr.say_error(error)
        _tell_in_json(program, error)
        return ExitCode.FAILED
    return int(code or 0)


def _told(error: Exception) -> str:
    """Say what a place refused in a sentence; a draft that cannot be made is told by the folder it was to be in."""
    if not isinstance(error, OSError) or not isinstance(error.filename, str | bytes):
        return error_text(error)
    path = Path(os.fsdecode(error.filename))
    if isinstance(error, PermissionError) and not os.path.lexists(path):
        return f"nothing can be made in folder {path.parent}: {error.strerror}. Let this user write there"
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return f"{path} cannot be made: there is no folder {path.parent}. Make it, or name another"
    return f"{path} cannot be used: {error.strerror}"


def _tell_in_json(program: Program, error: Exception) -> None:
    if program.as_json and not program.has_shown:
        program.show(error_document(error))
