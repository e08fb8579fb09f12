"""The hook of this plugin; implement it with ``@hookimpl(optionalhook=True)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plughost import hookspec


@hookspec(mode="collect", timeout=5.0, concurrent=True)
async def dashboard_section() -> Mapping[str, Any] | None:
    """Add a section to the dashboard.

    Called each minute, never while somebody waits.

    Returns:
        Data that JSON can hold, with its ``title``; None for nothing.
    """
