"""What fails on the page is logged once: whoever watches a panel asks for it every few seconds."""

from __future__ import annotations

from plughost.contracts import error_line, get_logger

_log = get_logger("plughost.admin")


class FailuresToldOnce:
    """Logs a failure, and the same one not again."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def note(self, what: str, error: Exception) -> None:
        """Log it with its traceback.

        Args:
            what: Which part of the page.
            error: What it raised.
        """
        line = error_line(error)
        if self._last.get(what) != line:
            self._last[what] = line
            _log.error("part of the page failed", what=what, exc_info=error)
