"""Logging of the command line itself; the library configures none."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog

from plughost.cli.colour import wants_colour

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
    handler = logging.StreamHandler(sys.stderr)
    machines = not sys.stderr.isatty() if for_machines is None else for_machines
    handler.setFormatter(_for_machines() if machines else _for_people(environ))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logging.getLogger("plughost").setLevel(level)
    # What happens in other libraries is of interest when somebody looks for everything, or something is wrong.
    root.setLevel(logging.DEBUG if level == logging.DEBUG else logging.WARNING)


def _for_people(environ: Mapping[str, str]) -> logging.Formatter:
    renderer = structlog.dev.ConsoleRenderer(colors=wants_colour(environ, tty=sys.stderr.isatty()))
    return _formatter(renderer)


def _for_machines() -> logging.Formatter:
    return _formatter(
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False),
    )


def _formatter(*last: Any) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
