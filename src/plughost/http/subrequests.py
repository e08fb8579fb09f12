"""A route that asks other routes of its application: a page made of what several plugins answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from plughost._dataclasses import dataclass
from plughost.contracts.http import Message
from plughost.http.runtime import runtime_of

_DEEPEST: Final = 8
_DEPTH: Final = "plughost.subrequests"
_OF_THE_OUTER: Final = frozenset({"app", "endpoint", "path_params", "route", "router"})
_ABOUT_ITS_BODY: Final = (b"content-", b"transfer-", b"if-")
_ITS_OWN: Final = frozenset({b"accept", b"accept-encoding", b"range", b"expect", b"connection", b"upgrade"})


@dataclass(frozen=True, slots=True)
class Subanswer:
    """What another route of the application answered.

    Attributes:
        status: Its status; refusals and failures are answers, too.
        headers: Its headers.
        body: All of its body.
    """

    status: int
    headers: Headers
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Return the body as JSON; None when it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None


async def subrequest(
    request: HTTPConnection,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    json: Any = None,
) -> Subanswer:
    """Ask another route of the same application, for whoever asks now.

    The route sees the same person, session and address; its guard, its rate and the check of where a request comes
    from hold as if the browser had asked. What it does to the session goes out with the answer of the outer request.
    What it raises is an answer here, as it would be there, so that one part that fails leaves the others. Middleware
    of plugins has seen the outer request and is not asked again. Ask routes that end: a stream is waited for.

    Args:
        request: The request that is being answered.
        method: ``GET`` and so on.
        path: Path inside the application, such as ``/api/films``, not encoded and without a query.
        query: The query.
        json: The body; None sends none.

    Raises:
        ValueError: The path does not begin with a slash.
        RuntimeError: Routes ask each other in a circle.
        LookupError: The request did not come through an application that ``create_app`` made.
    """
    if not path.startswith("/"):
        raise ValueError(f"a path inside the application begins with a slash, {path!r} does not")
    depth = request.scope.get(_DEPTH, 0) + 1
    if depth > _DEEPEST:
        raise RuntimeError(f"{path}: routes that ask each other {_DEEPEST} deep go round in a circle")
    body = b"" if json is None else msgspec.json.encode(json)
    root: str = request.scope.get("root_path", "")
    # Who asks, and how; what is said of the outer body and of the wanted form is left out.
    headers = [
        (name, value)
        for name, value in request.scope["headers"]
        if name not in _ITS_OWN and not name.startswith(_ABOUT_ITS_BODY)
    ]
    headers.append((b"accept", b"application/json"))
    if body:
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {key: value for key, value in request.scope.items() if key not in _OF_THE_OUTER} | {
        "type": "http",
        "method": method,
        "path": root + path,
        "raw_path": quote(root + path).encode(),
        "query_string": urlencode(query or {}).encode(),
        "headers": headers,
        _DEPTH: depth,
    }
    return await _collected(runtime_of(request).within, scope, body)


async def _collected(application: Any, scope: dict[str, Any], body: bytes) -> Subanswer:
    status, headers, pieces = 0, [], []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            pieces.append(bytes(message.get("body", b"")))

    await application(scope, receive, send)
    return Subanswer(status, Headers(raw=headers), b"".join(pieces))
