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


def configure_logging(environ: Mapping[str, str], verbosity: int = 0) -> None:
    """Send the logs of ``plughost`` to standard error: for people on a terminal, as JSON lines elsewhere.

    Args:
        environ: Where NO_COLOR and FORCE_COLOR are looked for.
        verbosity: 0 shows warnings, 1 what happens, 2 everything.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_for_people(environ) if sys.stderr.isatty() else _for_machines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)])


def _for_people(environ: Mapping[str, str]) -> logging.Formatter:
    renderer = structlog.dev.ConsoleRenderer(colors=wants_colour(environ, tty=True))
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
