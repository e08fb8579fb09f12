"""Routes of plugins in processes of their own, as the host serves them.

The guard, the limits, the rate and the cache of such a route are the host's work; its endpoint runs in the process, to
which the request goes as data and of which the answer comes in pieces.
"""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from typing import Final

import anyio

from plughost.contracts.http import Message, Receive, Scope, Send
from plughost.core.processes.routes import ElsewhereRoute, RouteStream
from plughost.core.stepping import belongs_to_caller
from plughost.core.wire.routes import RouteAnswer, RouteRequest
from plughost.exceptions import RouteError
from plughost.http.guards import guard_from
from plughost.http.problems import Problem
from plughost.http.response_cache import CachePolicy
from plughost.http.routes import Route, WebSocketRoute
from plughost.http.runtime import (
    REQUEST_ID,
    end_when_leaving,
    identity_of,
    runtime_of,
)
from plughost.http.standing import cancel_when_over
from plughost.http.streams import held_stream, when_set

_FACTS: Final = (
    *(
        "http_version",
        "method",
        "scheme",
        "path",
        "raw_path",
        "query_string",
        "root_path",
        "client",
        "server",
    ),
    "subprotocols",
)
"""What of an ASGI scope is plain."""

_LAST_WORD: Final = 1.0  # seconds in which a server takes the end of a stream


def route_of(plugin: str, item: ElsewhereRoute) -> Route | WebSocketRoute:
    """Return the route that the host serves for one of a plugin in its own process.

    Raises:
        RouteError: It cannot be served from there.
    """
    told = item.manifest
    if told.guard is None or told.refusal:
        raise RouteError(
            f"plugin {plugin!r}: route {told.path} cannot be served from a process of its own: {told.refusal}",
            plugin=plugin,
            path=told.path,
        )
    guard, endpoint = guard_from(told.guard), _Endpoint(item)
    if told.websocket:
        return WebSocketRoute(
            told.path, endpoint, guard=guard, csrf=told.csrf, rate=told.rate, name=told.name
        )
    return Route(
        told.path,
        endpoint,
        methods=told.methods,
        guard=guard,
        csrf=told.csrf,
        rate=told.rate,
        audit=told.audit,
        max_body=told.max_body,
        timeout=told.timeout,
        cache=None if told.cache is None else CachePolicy(**told.cache),
        name=told.name,
        summary=told.summary,
    )


class _Endpoint:
    """What Starlette takes for the endpoint of such a route."""

    def __init__(self, item: ElsewhereRoute) -> None:
        self._item = item

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _Exchange(self._item, scope, receive, send).run()


class _Exchange:
    """One request that is answered in another process. When the client leaves a stream, the work there is cancelled."""

    def __init__(self, item: ElsewhereRoute, scope: Scope, receive: Receive, send: Send) -> None:
        self._item = item
        self._scope = scope
        self._client_receive = receive
        self._client_send = send
        self._first: Message | None = None
        self._whole, self._gone = anyio.Event(), anyio.Event()
        self._is_watching = self._is_streaming = self._is_event_stream = self._is_done = False
        self._failure: BaseException | None = None
        self._held = ExitStack()

    async def run(self) -> None:
        """Have it answered."""
        answer: RouteAnswer | None = None
        request = await self._request()
        with self._held:
            async with anyio.create_task_group() as self._tasks:
                try:
                    answer = await self._item.answer(request, RouteStream(self._receive, self._send))
                except BaseException as error:
                    if belongs_to_caller(error):
                        raise
                    self._failure = self._failure or error
                self._tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        if answer is None:  # a stream that was ended here, and not by the plugin
            if self._is_event_stream and not self._gone.is_set():
                with anyio.CancelScope(shield=True), anyio.move_on_after(_LAST_WORD):
                    await self._client_send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        self._scope.update(answer.notes)
        if answer.problem is not None:
            members = answer.problem["members"]
            facts = {key: value for key, value in answer.problem.items() if key != "members"}
            raise Problem(**facts, **members)

    async def _request(self) -> RouteRequest:
        scope, identity = self._scope, identity_of(self._scope)
        is_http = scope["type"] == "http"
        names = {name for name, _ in scope["headers"]}
        # What stands in the path the plugin reads itself: numbers there may be larger than any that can be sent.
        own = scope["route"].param_convertors
        outer = {name: value for name, value in scope.get("path_params", {}).items() if name not in own}
        if is_http and not names & {b"content-length", b"transfer-encoding"}:
            self._first = await self._client_receive()
            if not self._first.get("body") and not self._first.get("more_body"):
                self._whole.set()
        return RouteRequest(
            stream=0,
            route=0,
            type=scope["type"],
            headers=tuple((bytes(name), bytes(value)) for name, value in scope["headers"]),
            facts={name: scope[name] for name in _FACTS if name in scope} | {"path_params": outer},
            identity={**dataclasses.asdict(identity), "scopes": frozenset(identity.scopes)},
            request_id=scope[REQUEST_ID],
            is_whole=self._whole.is_set(),
            max_depth=runtime_of(scope).settings.max_depth,
        )

    async def _receive(self) -> Message:
        if self._whole.is_set():
            self._watch()
            await self._gone.wait()
            return {"type": "http.disconnect"}
        try:
            first, self._first = self._first, None
            message = first or await self._client_receive()
        except Exception as error:
            raise self._failed(error) from None
        if message["type"] == "http.request" and not message.get("more_body"):
            self._whole.set()
        return message

    async def _send(self, message: Message) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            if message["type"] == "http.response.start":
                types = [value for name, value in message["headers"] if name == b"content-type"]
                if any(value.startswith(b"text/event-stream") for value in types):
                    runtime = runtime_of(self._scope)
                    self._held.enter_context(held_stream(runtime, self._scope))
                    self._is_event_stream = True
                    self._tasks.start_soon(when_set, runtime.draining, self._tasks.cancel_scope)
                    self._tasks.start_soon(cancel_when_over, self._scope, self._tasks.cancel_scope)
                    end_when_leaving(self._scope, self._tasks.cancel_scope)
            elif message.get("more_body"):
                self._is_streaming = True
                self._watch()
            elif message["type"] == "http.response.body":
                self._is_done = True
            await self._client_send(message)
        except Exception as error:
            raise self._failed(error) from None
        if self._is_streaming and self._gone.is_set():
            self._tasks.cancel_scope.cancel()

    def _failed(self, error: Exception) -> Exception:
        """The server failed, and not the plugin: it is what the request fails with."""
        self._failure = self._failure or error
        self._tasks.cancel_scope.cancel()
        return error

    def _watch(self) -> None:
        async def see_client_leave() -> None:
            await self._whole.wait()
            try:
                message = await self._client_receive()
            except Exception:
                return  # a server that cannot tell
            if message["type"] != "http.disconnect":
                return
            self._gone.set()
            if self._is_streaming and not self._is_done:
                self._tasks.cancel_scope.cancel()

        if not self._is_watching and self._scope["type"] == "http":
            self._is_watching = True
            self._tasks.start_soon(see_client_leave)
