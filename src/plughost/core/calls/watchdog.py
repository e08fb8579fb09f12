"""Time limits."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import anyio


class LimitPassedError(Exception):
    """An implementation was stopped, or abandoned, because it passed its limit."""


class Watchdog:
    """Awaits implementations, each for so long and no longer."""

    async def guard(self, coroutine: Coroutine[Any, Any, Any], limit: float | None) -> Any:
        """Await ``coroutine`` for at most ``limit`` seconds.

        Raises:
            LimitPassedError: It took longer.
        """
        with anyio.move_on_after(limit):
            return await coroutine
        raise LimitPassedError
