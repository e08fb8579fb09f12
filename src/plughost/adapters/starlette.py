"""Starlette and FastAPI: a host around an application of one's own, or mounted within it.

Starlette(routes=..., middleware=[Middleware(HostMiddleware, host=Host("shop"))])
Starlette(lifespan=lifespan(app), routes=[Mount("/ops", app)])
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from plughost.adapters.asgi import STATE, host_running, live_around
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.http import ASGIApp, Receive, Scope, Send
from plughost.contracts.http_settings import HttpSettings
from plughost.host import Host
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
            host = await stack.enter_async_context(host_running(application))
            yield {**(state or {}), STATE: host}

    return with_host


class HostMiddleware:
    """Runs a host with an application, and gives that application's own routes what plugins' routes have.

    Their requests pass the plugins' middleware, so ``session_of(request)`` works where the sessions plugin runs;
    ``host_from(request)`` works in all; a page of another site cannot make requests that change something; and
    what fails is answered with a problem document, without a word of the inside. The plugins' own routes and the
    admin page are where you mount ``create_app(host)``.

    Args:
        app: The application inside; the framework gives it.
        host: The host. It starts before the application does and stops after it.
        settings: How to behave; the configuration's table ``[http]`` when None.
        clock: Time.
    """

    def __init__(
        self, app: ASGIApp, host: Host, *, settings: HttpSettings | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._app = app
        self._application = HostApplication(host, settings or host.config.http, clock, inner=app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, or live as long as the application does."""
        if scope["type"] == "lifespan":
            await live_around(self._app, self._application, scope, receive, send)
        else:
            await self._application(scope, receive, send)
