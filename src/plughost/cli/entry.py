"""From arguments to an exit code: the one place where errors become words."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from plughost.cli.app import program_group
from plughost.cli.documents import error_document, sentence_of
from plughost.cli.exits import ExitCode
from plughost.cli.program import Program
from plughost.cli.talk import wants_json_lines
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
        program.stderr.say(f"Error: {sentence_of(error)}", level="error")
        _tell_in_json(program, error)
        return ExitCode.FAILED
    except Exception as error:  # a mistake of ours or of a plugin's command: the traceback is what helps
        program.stderr.say_error(error)
        _tell_in_json(program, error)
        return ExitCode.FAILED
    return int(code or 0)


def _tell_in_json(program: Program, error: Exception) -> None:
    if program.as_json and not program.has_shown:
        program.show(error_document(error))
