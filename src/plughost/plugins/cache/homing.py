"""A shared tier has its connection in one event loop, and is asked from any."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from threading import get_ident
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import anyio.to_thread

from plughost.exceptions import StoreUnavailableError

P = ParamSpec("P")
T = TypeVar("T")


def at_home(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Run a method of a tier in the loop of its ``line``, whichever loop it is called from."""

    async def elsewhere(self: Any, *args: Any) -> T:
        if not self.line.available:
            raise StoreUnavailableError("the shared tier is away")
        return await anyio.to_thread.run_sync(lambda: self.line.call_home(method, self, *args))

    # A coroutine of its own would cost every call, most of which come from there
    @wraps(method)
    def wherever(self: Any, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        is_home = get_ident() == self.line.thread
        return method(self, *args, **kwargs) if is_home else elsewhere(self, *args)

    return cast("Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]", wherever)
