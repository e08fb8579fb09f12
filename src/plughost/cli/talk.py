"""What a command says to people on standard error: lines of text, or JSON objects for those who collect them."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from types import TracebackType
from typing import Any

import click

from plughost.cli.documents import plain
from plughost.contracts.error_text import error_lines
from plughost.contracts.visible import visible

_log = logging.getLogger("plughost.cli")


def wants_json_lines(arguments: Sequence[str]) -> bool:
    """Whether ``--log-format json`` was asked for: also a mistake in the other arguments is then told in JSON."""
    return "--log-format=json" in arguments or ("--log-format", "json") in pairwise(arguments)


class Talk:
    """Standard error of one run of the command line.

    Args:
        as_json: Whether every line is one JSON object, with ``level``, ``logger``, ``message`` and ``timestamp``, as
            those of the log are.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def say(self, message: str, *, level: str = "info", text: str | None = None, **fields: Any) -> None:
        """Write one message.

        Args:
            message: It, in a line or two.
            level: How bad it is.
            text: What is written for people instead, such as a table.
            fields: What programs may want to know besides.
        """
        if not self.as_json:
            click.echo(visible(message if text is None else text), err=True)
            return
        line = {
            **plain(fields),
            "level": level,
            "logger": _log.name,
            "message": message,
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }
        click.echo(visible(json.dumps(line, sort_keys=True, ensure_ascii=False)), err=True)

    def say_error(self, error: Exception) -> None:
        """Write an error that nobody expected, with its traceback."""
        traceback = "".join(error_lines(error)).rstrip("\n")
        self.say(f"Error: {traceback.splitlines()[-1]}", level="error", text=traceback, exception=traceback)

    def take_over(self) -> None:
        """In a program of its own: let what Python itself would write to standard error be lines of the log."""
        if not self.as_json:
            return
        logging.captureWarnings(capture=True)

        def of_thread(args: threading.ExceptHookArgs) -> None:
            if args.exc_type is not SystemExit:
                name = args.thread.name if args.thread is not None else "?"
                _log.error("thread %s ended with an error", name, exc_info=_info(args.exc_value))

        def unraisable(args: sys.UnraisableHookArgs) -> None:
            _log.error(
                "%s: %r", args.err_msg or "ignored error in", args.object, exc_info=_info(args.exc_value)
            )

        threading.excepthook = of_thread
        sys.unraisablehook = unraisable


def _info(
    error: BaseException | None,
) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    return None if error is None else (type(error), error, error.__traceback__)
