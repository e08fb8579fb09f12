"""Routes of a plugin in its own process: requests come as calls, what is received and sent goes as calls back."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from plughost.contracts.http import Message, Receive, Send
from plughost.contracts.value_text import plain_text, value_text
from plughost.core.wire.calls import WireCalls
from plughost.core.wire.protocol import Member, crossing_of
from plughost.core.wire.routes import AsgiMessage, RouteAnswer, RouteManifest, RouteRequest

RouteApp = Callable[[RouteRequest, Receive, Send], Awaitable[RouteAnswer]]
"""Answers requests of one route."""


class GuestRoutes:
    """The routes that the plugin registered.

    Args:
        calls: The way to the host.
    """

    def __init__(self, calls: WireCalls) -> None:
        self._calls = calls
        self._apps: list[RouteApp] = []

    def add(self, routes: Iterable[Any]) -> tuple[RouteManifest, ...]:
        """Take routes in; return what the host is told of them."""
        given = [*routes]
        manifests = []

        async def unserved(_: RouteRequest, __: Receive, ___: Send) -> RouteAnswer:
            raise LookupError("this route was refused")

        for route in given:
            crossing = getattr(route, "elsewhere", None)
            if crossing is None:
                refusal = f"{value_text(route)} is not a plughost.http.Route, which would have a guard"
                manifests.append(RouteManifest(path=plain_text(getattr(route, "path", "")), refusal=refusal))
                self._apps.append(unserved)
                continue
            manifest, app = crossing(given)
            manifests.append(manifest)
            self._apps.append(app)
        return tuple(manifests)

    async def serve(self, request: RouteRequest) -> RouteAnswer:
        """Answer a request.

        Raises:
            Exception: What the route raised.
        """
        talk = _Talk(self._calls, request)
        return await self._apps[request.route](request, talk.receive, talk.send)


class _Talk:
    """The messages of one request. Each that is sent is waited for, so that no more than one is on its way."""

    def __init__(self, calls: WireCalls, request: RouteRequest) -> None:
        self._calls = calls
        self._stream = request.stream
        self._here: deque[dict[str, Any]] = deque()
        if request.is_whole:
            self._here.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive(self) -> Message:
        if self._here:
            return self._here.popleft()
        crossing = crossing_of(Member.RECEIVE)
        told: AsgiMessage = await self._calls.call(Member.RECEIVE, (self._stream,), crossing)
        return told.message()

    async def send(self, message: Message) -> None:
        told = AsgiMessage.of(message)
        if told.type == "http.response.start":  # whoever sends this sends more soon: nobody waits for it
            self._calls.note(Member.BEGIN, (self._stream, told), crossing_of(Member.BEGIN).arguments.put)
            return
        for piece in told.pieces():
            await self._calls.call(Member.SEND, (self._stream, piece), crossing_of(Member.SEND))
