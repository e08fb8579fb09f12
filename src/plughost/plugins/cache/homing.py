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

    @wraps(method)
    async def wherever(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        if get_ident() == self.line.thread:
            return await method(self, *args, **kwargs)
        if not self.line.available:
            raise StoreUnavailableError("the shared tier is away")
        return await anyio.to_thread.run_sync(lambda: self.line.call_home(method, self, *args))

    return cast("Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]", wherever)
