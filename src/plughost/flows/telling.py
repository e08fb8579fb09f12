"""Facts that plugins are told. A fact cannot be refused, and a plugin that fails at it changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plughost.exceptions import HookError, Refused

if TYPE_CHECKING:
    import structlog


async def tell_fact(log: structlog.stdlib.BoundLogger, hook: Any, **arguments: object) -> None:
    """Call a hook of which nothing is expected; what it raises is for the log alone."""
    try:
        await hook(**arguments)
    except (HookError, Refused):
        log.warning("a plugin failed where it was only told", exc_info=True)
