"""The trace of hook calls in the log: one line for each call, with what each plugin did in it."""

from __future__ import annotations

import logging

from plughost.contracts.error_text import error_line
from plughost.contracts.hooks import HookReport, Outcome
from plughost.contracts.logs import get_logger

_NAME = "plughost.trace"
_log = get_logger(_NAME)


def write_trace(report: HookReport) -> None:
    """Write a call into the log. Values are left out: they belong to whoever called, and may be secret."""
    # Whoever switched the trace on wants to see it, whatever the level of everything else is.
    logging.getLogger(_NAME).setLevel(logging.INFO)

    def in_words(outcome: Outcome) -> str:
        took = f"{outcome.plugin} {outcome.kind.replace('_', ' ')} in {outcome.duration * 1000:.3f} ms"
        if outcome.would_have:
            return f"{took}: would have {outcome.would_have}"
        return f"{took}: {error_line(outcome.error)}" if outcome.error is not None else took

    done = "; ".join(map(in_words, report.outcomes)) or "nobody implements it"
    _log.info("hook call", hook=report.hook, milliseconds=round(report.duration * 1000, 3), outcomes=done)
