"""The last log lines of each plugin, kept while the page is there to show them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from plughost.contracts import masked_text

_KEPT = 200
_PLUGINS = 200  # names come from whoever logs: without a bound they could fill the memory
_LONGEST = 2000
_ROOT = "plughost"
_USUAL = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "plugin"}


class LogLine(Struct, frozen=True):
    """One line.

    Attributes:
        at: When, in seconds since the epoch.
        level: ``debug``, ``info``, ``warning``, ``error`` or ``critical``.
        message: What was said, without secrets.
        fields: What was said beside it, as text.
        exception: The traceback; empty when there is none.
    """

    at: float
    level: str
    message: str
    fields: str = ""
    exception: str = ""


class PluginLogs(logging.Handler):
    """Takes what plugins log, and what the host logs about them. It changes no level by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[str, deque[LogLine]] = {}

    def begin(self) -> None:
        """Listen from now on."""
        logging.getLogger(_ROOT).addHandler(self)

    def end(self) -> None:
        """Listen no longer."""
        logging.getLogger(_ROOT).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record that is about a plugin."""
        plugin = getattr(record, "plugin", None)
        if not isinstance(plugin, str) or (plugin not in self._lines and len(self._lines) >= _PLUGINS):
            return
        try:
            beside = {
                name: value if isinstance(value, str | int | float | None) else type(value).__name__
                for name, value in record.__dict__.items()
                if name not in _USUAL
            }
            line = LogLine(
                at=record.created,
                level=record.levelname.lower(),
                message=masked_text(record.getMessage())[:_LONGEST],
                fields=masked_text(", ".join(f"{name}={value}" for name, value in beside.items()))[:_LONGEST],
                exception=masked_text(record.exc_text or "")[-_LONGEST:],
            )
        except Exception:
            self.handleError(record)
            return
        self._lines.setdefault(plugin, deque(maxlen=_KEPT)).append(line)

    def lines(self, plugin: str, limit: int = _KEPT) -> Sequence[LogLine]:
        """Return the last lines of a plugin, the newest first."""
        return list(reversed(self._lines.get(plugin, ())))[:limit]


def level_of(plugin: str) -> str:
    """Return from which level on what the plugin logs is written."""
    return logging.getLevelName(_logger(plugin).getEffectiveLevel()).lower()


def set_level(plugin: str, level: str) -> None:
    """Write what the plugin logs from that level on, until the process ends."""
    _logger(plugin).setLevel(level.upper())


def _logger(plugin: str) -> logging.Logger:
    return logging.getLogger(f"plughost.plugin.{plugin}")
