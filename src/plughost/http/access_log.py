"""A line in the log for every request: ``plughost.access``, at INFO.

``Logger.info`` looks for its caller's file and line, and asks thread and process for their names, which costs more than
all that the host does for a request besides. Here that is known; and where nobody listens but a handler that writes
lines, as with ``plughost serve``, no record is made at all.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any, Final

from plughost.contracts.http import Scope

_log = logging.getLogger("plughost.access")
_MESSAGE: Final = "%s %s %s %d %.1f ms"
_known: dict[tuple[int, int], dict[str, Any]] = {}


def note_request(scope: Scope, status: int, seconds: float) -> None:
    """Log a request that was answered, if somebody wants to know."""
    if not _log.isEnabledFor(logging.INFO):
        return
    path = scope["path"]  # without the query: sign-in codes travel there
    args = (
        (scope.get("client") or ("-",))[0],
        scope["method"],
        path if path.isprintable() else ascii(path),  # one line, whatever was encoded in it
        status,
        seconds * 1000,
    )
    if logging.getLogRecordFactory() is logging.LogRecord:
        handlers = _log.handlers
        if len(handlers) == 1 and not _log.propagate and not _log.filters:
            take = getattr(handlers[0], "take_request", None)
            if take is not None and take(_MESSAGE, args):
                return
        # What ``Logger.info`` would make, without looking up again what does not change.
        place = os.getpid(), threading.get_ident()
        known = _known.get(place)
        if known is None:
            _known.clear()  # of processes that this one was forked from, and of threads that are gone
            made = _log.makeRecord(
                _log.name, logging.INFO, __file__, 0, _MESSAGE, (), None, note_request.__name__
            )
            known = _known[place] = vars(made)
        record = logging.LogRecord.__new__(logging.LogRecord)
        created = time.time()
        record.__dict__.update(known)
        record.args, record.created = args, created
        record.msecs = int(created % 1 * 1000) + 0.0
        record.relativeCreated = known["relativeCreated"] + (created - known["created"]) * 1000
        _log.handle(record)
    else:
        _log.info(_MESSAGE, *args)
