"""Starlette and FastAPI: ``Starlette(lifespan=lifespan(app), routes=[Mount("/ops", app)])``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from plughost.adapters.asgi import STATE, running
from plughost.http import HostApplication

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
"""A lifespan as Starlette takes it."""


def lifespan(application: HostApplication, around: Lifespan | None = None) -> Lifespan:
    """Return a lifespan that runs the host; ``host_from(request)`` then works in every endpoint.

    Args:
        application: What ``create_app(host)`` returned; mount it where you like.
        around: The lifespan you had; it begins before the host and ends after it, and its state is kept.
    """

    @asynccontextmanager
    async def with_host(outer: Any) -> AsyncIterator[Mapping[str, Any]]:
        async with AsyncExitStack() as stack:
            state = await stack.enter_async_context(around(outer)) if around is not None else None
            host = await stack.enter_async_context(running(application))
            yield {**(state or {}), STATE: host}

    return with_host
