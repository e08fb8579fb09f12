"""HTTP routes of a plugin in its own process, as both ends speak of them: what they are, requests, and messages.

Nothing here knows a framework: ``plughost.http.elsewhere`` makes of it what an application serves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, Final, Literal

from plughost._dataclasses import dataclass
from plughost.contracts.http import Message

MOST_AT_ONCE: Final = 1 << 18
"""Bytes of a body that cross in one piece."""

RawHeaders = tuple[tuple[bytes, bytes], ...]
"""Headers as ASGI has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardManifest:
    """A guard, as data.

    Attributes:
        kind: Which of plughost's own guards.
        scope: The scope it wants.
        guards: Those of which one is enough.
    """

    kind: Literal["public", "signed_in", "loopback", "scope", "any_of"]
    scope: str = ""
    guards: tuple[GuardManifest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteManifest:
    """What the host is told of a route.

    Attributes:
        path, methods, csrf, rate, audit, max_body, timeout, name, summary: As of ``plughost.http.Route``.
        guard: Its guard; None when ``refusal`` says why it cannot be served.
        cache: The fields of its cache policy; None for no cache.
        websocket: Whether it takes WebSockets.
        refusal: Why it cannot be served, in a part of a sentence; empty when it can.
    """

    path: str
    methods: tuple[str, ...] | None = None
    guard: GuardManifest | None = None
    csrf: bool = True
    rate: str | None = None
    audit: str = ""
    max_body: int | None = None
    timeout: float | None = None
    cache: Mapping[str, Any] | None = None
    name: str = ""
    summary: str = ""
    websocket: bool = False
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRequest:
    """One request or WebSocket that passed its guard.

    Attributes:
        stream: Number under which its messages go.
        route: Number of the route.
        type: ``http`` or ``websocket``.
        headers: Its headers.
        facts: What else is plain in its ASGI scope.
        identity: The fields of who asks.
        request_id: Its id.
        is_whole: Whether no body is to come.
        max_depth: How deep JSON in its body may nest.
    """

    stream: int
    route: int
    type: str
    headers: RawHeaders
    facts: Mapping[str, Any]
    identity: Mapping[str, Any]
    request_id: str
    is_whole: bool
    max_depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAnswer:
    """What is left to say once an answer was sent.

    Attributes:
        problem: The fields of the problem document to answer with; None when something else was sent.
        notes: What was noted in the request's scope for its entry in the audit trail.
    """

    problem: Mapping[str, Any] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsgiMessage:
    """One ASGI message.

    Attributes:
        type: Its type.
        headers: Its headers.
        body: Its part of a body.
        rest: What else it has.
    """

    type: str
    headers: RawHeaders = ()
    body: bytes = b""
    rest: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, message: Message) -> AsgiMessage:
        """Return a message as data."""
        rest = {key: value for key, value in message.items() if key not in ("type", "headers", "body")}
        headers = tuple((bytes(name), bytes(value)) for name, value in message.get("headers") or ())
        return cls(type=message["type"], headers=headers, body=bytes(message.get("body") or b""), rest=rest)

    def pieces(self) -> Iterator[AsgiMessage]:
        """Yield it as messages whose bodies can cross at once."""
        body = self.body
        if len(body) <= MOST_AT_ONCE:
            yield self
            return
        for at in range(0, len(body), MOST_AT_ONCE):
            is_last = at + MOST_AT_ONCE >= len(body)
            rest = self.rest if is_last else {**self.rest, "more_body": True}
            yield AsgiMessage(type=self.type, body=body[at : at + MOST_AT_ONCE], rest=rest)

    def message(self) -> dict[str, Any]:
        """Return it as ASGI has it."""
        message = {"type": self.type, **self.rest}
        if self.type in _WITH_BODY:
            message["body"] = self.body
        if self.type in _WITH_HEADERS:
            message["headers"] = [*self.headers]
        return message


_WITH_BODY: Final = frozenset({"http.request", "http.response.body"})
_WITH_HEADERS: Final = frozenset({"http.response.start", "http.response.trailers", "websocket.accept"})
