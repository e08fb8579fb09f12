"""The hook of this plugin; implement it with ``@hookimpl(optionalhook=True)``."""

from __future__ import annotations

from collections.abc import Sequence

from plughost import hookspec
from plughost_upstream.protocols import CallRecord


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
async def upstream_calls(batch: Sequence[CallRecord]) -> None:
    """Hear of the calls that were made: for audits, bills and alerts.

    Called each half second with what ended since; not when nothing did. Calls that were answered from a cache
    are no calls.

    Args:
        batch: The calls in the order in which they ended.
    """
