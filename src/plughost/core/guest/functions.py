"""Functions of a plugin that the host calls by number: jobs, subscribers, background tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plughost.contracts.fleet_jobs import RUN_UNDER_WAY
from plughost.core.threads import run_in_daemon_thread
from plughost.core.wire.protocol import FunctionCall


class Functions:
    """Gives numbers to functions."""

    def __init__(self) -> None:
        self._known: dict[int, Callable[..., Any]] = {}
        self._last = 0

    def add(self, function: Callable[..., Any]) -> int:
        """Return the number under which the host can call a function."""
        self._last += 1
        self._known[self._last] = function
        return self._last

    def remove(self, number: int) -> None:
        """Forget a function."""
        self._known.pop(number, None)

    def call(self, call: FunctionCall) -> Any:
        """Call it; what it returns may have to be awaited.

        Raises:
            LookupError: It is forgotten.
        """
        RUN_UNDER_WAY.set(call.run)  # each call has a task, and so a context, of its own
        return self._known[call.function](*call.arguments)


def in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what calls a plain function in a thread, and any other as it is."""
    import inspect

    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return function

    async def call(*arguments: Any) -> Any:
        value = await run_in_daemon_thread(lambda: function(*arguments))
        return await value if inspect.isawaitable(value) else value

    return call
