"""Calling what an application gave to be called: it fails for itself, and takes nobody along."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread

from plughost.contracts.error_text import error_line
from plughost.exceptions import LoadError


async def call_loader(function: Callable[..., Any], *args: Any, blocking: bool = False) -> Any:
    """Call a plain or coroutine function of somebody else; a blocking one in a worker thread.

    Raises:
        Exception: What it raised.
        LoadError: It raised something that would end whoever waits for it, although nobody asked for that.
    """
    try:
        result = await anyio.to_thread.run_sync(_in_thread, function, args) if blocking else function(*args)
        return await result if inspect.isawaitable(result) else result
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        if is_being_cancelled():
            raise
        raise LoadError(f"a loader ended with {error_line(error)}") from error


def _in_thread(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    try:
        return function(*args)
    except KeyboardInterrupt as error:  # that of the person comes to the main thread
        raise LoadError(f"a loader ended with {error_line(error)}") from error


def is_being_cancelled() -> bool:
    """Whether somebody wants the current task to end, so that a cancellation is meant for it."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    try:
        return anyio.current_effective_deadline() == -float("inf")
    except anyio.NoEventLoopError:
        return False  # driven by a thread without a loop
