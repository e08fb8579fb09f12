"""Log records of a plugin's process go to the host, which writes them like its own."""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

from plughost.contracts.error_text import error_lines
from plughost.contracts.logs import substitute_of
from plughost.contracts.value_text import value_text
from plughost.contracts.visible import writable
from plughost.core.threads import post
from plughost.core.wire.calls import WireCalls
from plughost.core.wire.plain import as_plain
from plughost.core.wire.protocol import LoggedLine, Member, crossing_of

_LONGEST: Final = 10_000
_MOST_FIELDS: Final = 50
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class HostHandler(logging.Handler):
    """Sends records to the host.

    Args:
        calls: The way to it.
        token: The event loop it belongs to.
    """

    def __init__(self, calls: WireCalls, token: Any) -> None:
        super().__init__()
        self._calls = calls
        self._token = token
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, or what stands for one that cannot be made."""
        try:
            line = _line(record)
        except Exception as error:
            line = _line(substitute_of(record, error))
        if threading.get_ident() == self._thread:
            self._send(line)
        else:
            post(self._token, lambda: self._send(line))

    def _send(self, line: LoggedLine) -> None:
        self._calls.note(Member.LOG, (line,), crossing_of(Member.LOG).arguments.put)


def _line(record: logging.LogRecord) -> LoggedLine:
    extra = [(key, value) for key, value in record.__dict__.items() if key not in _STANDARD]
    error = record.exc_info[1] if record.exc_info else None
    return LoggedLine(
        logger=writable(record.name),
        level=record.levelno,
        message=writable(record.getMessage()[:_LONGEST]),
        fields={writable(key[:_LONGEST]): _plain(value) for key, value in extra[:_MOST_FIELDS]},
        trace="" if error is None else writable("".join(error_lines(error))[-_LONGEST:]),
    )


def _plain(value: Any) -> Any:
    try:
        return as_plain(value[:_LONGEST] if isinstance(value, str) else value)
    except OverflowError:
        return hex(value)
    except TypeError:
        return writable(value_text(value)[:_LONGEST])
