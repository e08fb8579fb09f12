"""Logging of the command line itself; the library configures none."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, TextIO

import msgspec
import structlog

from plughost.cli.colour import wants_colour
from plughost.contracts.error_text import error_lines
from plughost.contracts.logs import substitute_of
from plughost.contracts.visible import visible
from plughost.core.config import redacted

_ACCESS = "plughost.access"


class _AccessLine(msgspec.Struct):
    """A line for machines; the last five are what the HTTP application says of a request, in this order."""

    level: str
    logger: str
    message: str
    timestamp: str
    client: str
    method: str
    path: str
    status: int
    milliseconds: float


_SAID = 5
_as_json = msgspec.json.Encoder().encode

_MOST_LINES = 1000
"""Lines that are kept for the end of a turn of the event loop."""

_SHARED: tuple[Any, ...] = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure_logging(
    environ: Mapping[str, str], verbosity: int = 0, *, for_machines: bool | None = None
) -> None:
    """Send the logs of ``plughost`` to standard error: for people on a terminal, as JSON lines elsewhere.

    Args:
        environ: Where NO_COLOR and FORCE_COLOR are looked for.
        verbosity: 0 shows warnings, 1 what happens in plughost and its plugins, 2 everything.
        for_machines: Whether to write JSON lines; None decides by the terminal.
    """
    handler = _Lines(sys.stderr)
    machines = not sys.stderr.isatty() if for_machines is None else for_machines
    handler.setFormatter(_for_machines() if machines else _for_people(environ))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logging.getLogger("plughost").setLevel(level)
    # What happens in other libraries is of interest when somebody looks for everything, or something is wrong.
    root.setLevel(logging.DEBUG if level == logging.DEBUG else logging.WARNING)
    access = logging.getLogger(_ACCESS)
    access.handlers[:] = [_TurnByTurn(sys.stderr, _AccessLines(for_machines=machines))]
    access.propagate = False


class _Lines(logging.StreamHandler[TextIO]):
    """Writes one line for each record, also for one that cannot be formatted.

    The standard library writes the stack and the arguments of such a record instead, in dozens of lines that no
    collector can read and with whatever is secret in them.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Write the substitute of a record that cannot be formatted."""
        # Whoever logs must not fail for it, and when nobody is reading any more there is nobody to be told so either.
        with contextlib.suppress(Exception):
            self.stream.write(self.format(substitute_of(record, sys.exception())) + self.terminator)
            self.flush()


class _TurnByTurn(_Lines):
    """Writes together what was logged in one turn of the event loop: one system call for all requests of it."""

    def __init__(self, stream: TextIO, form: _AccessLines) -> None:
        super().__init__(stream)
        self._lines: deque[str] = deque()
        self._is_due = False
        self._stamp = ""
        self._form = form
        self.setFormatter(form)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line for the end of the turn; outside an event loop write it."""
        try:
            self._keep(self.format(record))
        except Exception:
            self.handleError(record)

    def take_request(self, message: str, said: tuple[Any, ...]) -> bool:
        """Keep the line of a request of which no record was made; return whether a line is all that is wanted.

        All lines of a turn have the time of the first: to look at the clock and write it cost as much as the rest.
        """
        form = self._form
        if self.formatter is not form or self.filters or self.level > logging.INFO:
            return False
        if not self._is_due:
            self._stamp = form.stamp(time.time())
        self._keep(form.line(self._stamp, message % said, _ACCESS, said))
        return True

    def _keep(self, line: str) -> None:
        self._lines.append(line)  # before the question, from whatever thread: who is due writes it then
        if not self._is_due:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
            else:
                self._is_due = True
                loop.call_soon(self.flush)
        elif len(self._lines) >= _MOST_LINES:
            self.flush()

    def flush(self) -> None:
        """Write what there is; called at the end of a turn, and by ``logging`` at the end of the program."""
        self.acquire()
        try:
            self._is_due = False
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            # Nobody may be reading any more, and then there is nobody to be told so either.
            with contextlib.suppress(OSError, ValueError):
                if lines:
                    self.stream.write("\n".join(lines) + "\n")
                super().flush()
        finally:
            self.release()


class _AccessLines(logging.Formatter):
    """Formats what the HTTP application says of each request.

    There is a line for every request, and on the way that all other records take it would cost more than the
    request. It holds an address, a method, a path without its query and figures: nothing that must be masked.
    """

    def __init__(self, *, for_machines: bool) -> None:
        super().__init__()
        self._for_machines = for_machines
        self._second = 0
        self._time = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        said = record.args if isinstance(record.args, tuple) else ()
        return self.line(self.stamp(record.created), record.getMessage(), record.name, said)

    def stamp(self, created: float) -> str:
        """Return a moment as lines tell it."""
        second = int(created)
        if second != self._second:  # thousands of lines share one
            self._second, self._time = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._time}.{int((created - second) * 1e6):06d}Z"

    def line(self, stamp: str, message: str, name: str, said: tuple[Any, ...]) -> str:
        """Return the line of a request of which this was said at that moment."""
        if not self._for_machines:
            return f"{stamp} [info     ] {message} [{name}]"
        if len(said) == _SAID:
            return _as_json(_AccessLine("info", name, message, stamp, *said)).decode()
        return _as_json({"level": "info", "logger": name, "message": message, "timestamp": stamp}).decode()


def _for_people(environ: Mapping[str, str]) -> logging.Formatter:
    return _formatter(
        structlog.dev.ConsoleRenderer(
            colors=wants_colour(environ, tty=sys.stderr.isatty()),
            # The default takes what is installed, and rich prints the values of local variables.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )


def _for_machines() -> logging.Formatter:
    return _formatter(
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False),
    )


def _formatter(*last: Any) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _with_traceback,
            _without_secrets,
            *last,
            lambda _, __, line: visible(str(line)),
        ],
    )


def _with_traceback(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put the traceback into the line as text, without the values of local variables, whatever is installed."""
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["exception"] = "".join(error_lines(error)).rstrip("\n")
    return event


def _without_secrets(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Hide what is secret by its name or its look; records of other libraries come this way too."""
    # "key" is what a cache entry is found by, and no secret in a log.
    return {name: redacted(value, key="" if name == "key" else name) for name, value in event.items()}
