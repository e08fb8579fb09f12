"""Loggers that say nothing unless the embedding application wants to hear it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import structlog

# A LogRecord already has attributes of these names and would refuse ours.
_TAKEN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def get_logger(name: str, /, **bound: Any) -> structlog.stdlib.BoundLogger:
    """Return a structlog logger over the stdlib logger of that name, with values bound to it.

    Nothing global is configured: levels, handlers and rendering belong to the application.
    """
    import structlog  # not above: it takes longer to import than a command that logs nothing runs

    wrapped = structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _rename_taken,
            structlog.stdlib.render_to_log_kwargs,
        ],
        cache_logger_on_first_use=False,
    )
    return cast("structlog.stdlib.BoundLogger", wrapped.bind(**bound))


def _rename_taken(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    kept = {"exc_info", "stack_info"}
    return {f"{key}_" if key in _TAKEN - kept else key: value for key, value in event.items()}


logging.getLogger("plughost").addHandler(logging.NullHandler())
