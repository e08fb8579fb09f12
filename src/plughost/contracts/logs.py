"""Loggers that say nothing unless the embedding application wants to hear it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from plughost.contracts.error_text import error_line, error_lines
from plughost.contracts.masking import masked_text

if TYPE_CHECKING:
    import structlog

# A LogRecord already has attributes of these names and would refuse ours.
_TAKEN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def get_logger(name: str, /, **bound: Any) -> structlog.stdlib.BoundLogger:
    """Return a structlog logger over the stdlib logger of that name, with values bound to it.

    Nothing global is configured: levels, handlers and rendering belong to the application. structlog is imported with
    the first line that somebody wants to hear.
    """
    logger = logging.getLogger(name)
    logger.addFilter(_hide_secrets)
    return cast("structlog.stdlib.BoundLogger", _LateLogger(logger, bound))


class _LateLogger:
    """A structlog logger that is made when it is used: structlog takes as long to import as half of a host."""

    def __init__(self, logger: logging.Logger, context: dict[str, Any]) -> None:
        self._logger = logger
        self._context = context

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by those who copy things, before there is anything in this one
            raise AttributeError(name)
        if (level := _LEVELS.get(name)) and not self._logger.isEnabledFor(level):
            return lambda *_, **__: None  # what structlog would do, without an import of it
        found = getattr(_structured(self._logger, self._context), name)
        if callable(found):
            self.__dict__[name] = found
        return found

    def __repr__(self) -> str:
        return repr(_structured(self._logger, self._context))


_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


def _structured(logger: logging.Logger, context: dict[str, Any]) -> structlog.stdlib.BoundLogger:
    import structlog

    processors = (
        structlog.stdlib.filter_by_level,
        structlog.contextvars.merge_contextvars,
        _rename_taken,
        structlog.stdlib.render_to_log_kwargs,
    )
    # What structlog.wrap_logger(...).bind(...) makes as well, by way of a proxy for each.
    return structlog.stdlib.BoundLogger(logger, processors, context)


def _hide_secrets(record: logging.LogRecord) -> bool:
    """Take secrets out of a record before any handler of the application sees it."""
    try:
        record.msg, record.args = masked_text(record.getMessage()), ()
    except Exception as error:  # what was given does not fit the message; not worth the caller's failure
        record.msg, record.args = _unmade(error), ()
    for name in record.__dict__.keys() - _TAKEN:
        value = record.__dict__[name]
        if isinstance(value, BaseException):
            record.__dict__[name] = error_line(value)
        elif isinstance(value, str):
            record.__dict__[name] = masked_text(value)
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = "".join(error_lines(record.exc_info[1])).rstrip("\n")
    return True


def substitute_of(record: logging.LogRecord, error: BaseException | None) -> logging.LogRecord:
    """Return what is written in place of a record that cannot be: whose it is, what is wrong, and where to mend it."""
    return logging.makeLogRecord(
        {
            **{name: record.__dict__[name] for name in ("name", "levelno", "levelname", "created")},
            "msg": "%s",
            "args": (_unmade(error),),
            "logged_at": f"{record.pathname}:{record.lineno}",
        }
    )


def _unmade(error: BaseException | None) -> str:
    return f"a message that cannot be made: {error_line(error) if error else 'unknown'}"


def _rename_taken(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    kept = {"exc_info", "stack_info"}
    return {f"{key}_" if key in _TAKEN - kept else key: value for key, value in event.items()}


logging.getLogger("plughost").addHandler(logging.NullHandler())
