"""Two ASGI middlewares: one says 429 in time, one answers again what was answered before.

Both are plain ASGI, know no framework, and touch HTTP requests only. They are used by importing them from here
and handing them the services of the plugin.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from plughost.contracts import (
    ASGIApp,
    Cache,
    LimitResult,
    Message,
    RateLimiter,
    Receive,
    Scope,
    Seconds,
    Send,
)
from plughost.plugins.cache.freshness import seconds_of

KeyOf = Callable[[Scope], Awaitable[str | None] | str | None]
Headers = list[tuple[bytes, bytes]]

_CACHEABLE: Final = frozenset({200, 203, 204, 300, 301, 404, 410})
_MOST_BODY: Final = 1 << 20


def client_address(scope: Scope) -> str | None:
    """Return the address the connection comes from; None when there is none (a unix socket).

    Headers such as ``X-Forwarded-For`` are anybody's word: let the server that terminates the connection put the
    address where it belongs.
    """
    client = scope.get("client")
    return None if not client else str(client[0])


class RateLimitMiddleware:
    """Refuses with 429 and ``Retry-After`` what comes too often.

    Args:
        app: The application inside.
        limiter: The service that counts.
        limit: Name of a ready-made limit.
        key: Whom to count; None lets the request pass uncounted.
        only: Called with the scope; requests it is false for pass uncounted. None counts all.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limiter: RateLimiter,
        limit: str = "api",
        key: KeyOf = client_address,
        only: Callable[[Scope], bool] | None = None,
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._limit = limit
        self._key = key
        self._only = only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count, then pass on or refuse."""
        if scope["type"] != "http" or (self._only is not None and not self._only(scope)):
            await self._app(scope, receive, send)
            return
        subject = self._key(scope)
        if subject is not None and not isinstance(subject, str):
            subject = await subject
        if subject is None:
            await self._app(scope, receive, send)
            return
        result = await self._limiter.check_named(self._limit, subject)
        if result.allowed:
            await self._app(scope, receive, _with_headers(send, _limit_headers(result)))
        else:
            await _refuse(send, result)


def _limit_headers(result: LimitResult) -> Headers:
    return [
        (b"ratelimit-limit", b"%d" % result.limit),
        (b"ratelimit-remaining", b"%d" % result.remaining),
        (b"ratelimit-reset", b"%d" % math.ceil(result.reset_after)),
    ]


def _with_headers(send: Send, more: Headers) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *more]
        await send(message)

    return sending


async def _refuse(send: Send, result: LimitResult) -> None:
    wait = max(1, math.ceil(result.retry_after))
    body = (
        b'{"type":"about:blank","title":"Too Many Requests","status":429,"detail":"Try again in %d s."}'
        % wait
    )
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"%d" % wait),
        (b"cache-control", b"no-store"),
        *_limit_headers(result),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class ResponseCacheMiddleware:
    """Answers GET and HEAD again as they were answered before, with ``ETag``, ``Age`` and ``Cache-Control``.

    Nobody is shown what was made for somebody else: a request with a cookie or ``Authorization`` is passed on unless
    ``subject`` says whose it is, and an answer that sets a cookie or forbids it is not kept. Requests for the same
    at once are one request to the application, which goes on when the first of those who asked leaves.

    Args:
        app: The application inside.
        cache: Where answers are kept.
        ttl: Seconds they are kept; also ``max-age`` when the application says nothing.
        vary: Names of request headers an answer depends on.
        subject: Returns whose request it is, for answers of their own; None for anybody's.
        tags: Returns the tags of an answer, to invalidate it by.
        only: Called with the scope; requests it is false for are passed on.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        cache: Cache,
        ttl: Seconds = 60.0,
        vary: Sequence[str] = ("accept", "accept-encoding", "accept-language"),
        subject: Callable[[Scope], str | None] | None = None,
        tags: Callable[[Scope], Sequence[str]] | None = None,
        only: Callable[[Scope], bool] | None = None,
    ) -> None:
        self._app = app
        self._cache = cache
        self._ttl = seconds_of(ttl)
        self._vary = tuple(sorted(name.lower().encode("latin-1") for name in vary))
        self._subject = subject
        self._tags = tags
        self._only = only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the cache, or pass on and keep the answer."""
        key = self._key_of(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        kept = await self._cache.entry(key)
        if kept is not None and not kept.stale:
            await self._from_cache(scope, receive, send, kept.value, kept.age)
            return
        answer = _Recorder(send, self._default_headers)

        async def load() -> dict[str, Any]:
            await self._app(scope, receive, answer.send)
            return answer.kept(own=self._subject is not None)

        tags = tuple(self._tags(scope)) if self._tags is not None else ()
        try:
            value = await self._cache.get_or_set(key, load, self._ttl, tags)
        finally:
            answer.detach()  # whoever asked has gone; the others still want the answer
        if not answer.begun:
            await self._from_cache(scope, receive, send, value, 0.0)

    async def _from_cache(self, scope: Scope, receive: Receive, send: Send, value: Any, age: float) -> None:
        """Answer with what is kept; a mark says that this is made anew for everybody."""
        if isinstance(value, dict) and value.keys() == {"status", "headers", "body"}:
            await self._answer(scope, send, value, age)
        else:
            await self._app(scope, receive, send)

    def _key_of(self, scope: Scope) -> str | None:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            return None
        if self._only is not None and not self._only(scope):
            return None
        headers: Headers = list(scope["headers"])
        subject = self._subject(scope) if self._subject is not None else None
        personal = any(name in {b"cookie", b"authorization"} for name, _ in headers)
        if (personal and subject is None) or any(_asks_for_new(name, value) for name, value in headers):
            return None
        varying = sorted((name, value) for name, value in headers if name in self._vary)
        host = next((value for name, value in headers if name == b"host"), b"")
        path = scope.get("raw_path") or scope["path"].encode()
        parts = (scope.get("scheme", "http").encode(), host, path, scope.get("query_string", b""))
        text = repr((scope["method"], parts, varying, subject)).encode()
        return "response:" + hashlib.sha256(text).hexdigest()

    def _default_headers(self, headers: Headers, body_known: bytes | None) -> Headers:
        names = {name.lower() for name, _ in headers}
        more: Headers = []
        if b"cache-control" not in names:
            who = b"private" if self._subject is not None else b"public"
            more.append((b"cache-control", b"%b, max-age=%d" % (who, self._ttl)))
        if b"vary" not in names and self._vary:
            more.append((b"vary", b", ".join(self._vary)))
        if b"etag" not in names and body_known is not None:
            more.append((b"etag", b'"%b"' % hashlib.sha256(body_known).hexdigest()[:32].encode()))
        return more

    async def _answer(self, scope: Scope, send: Send, kept: dict[str, Any], age: float) -> None:
        headers: Headers = [(bytes(name), bytes(value)) for name, value in kept["headers"]]
        headers.append((b"age", b"%d" % age))
        etag = next((value for name, value in headers if name == b"etag"), None)
        if etag is not None and _matches(scope, etag):
            shown = [pair for pair in headers if pair[0] not in {b"content-length", b"content-type"}]
            await send({"type": "http.response.start", "status": 304, "headers": shown})
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.start", "status": kept["status"], "headers": headers})
        await send({"type": "http.response.body", "body": kept["body"]})


def _asks_for_new(name: bytes, value: bytes) -> bool:
    return name == b"range" or (name == b"cache-control" and (b"no-cache" in value or b"no-store" in value))


def _matches(scope: Scope, etag: bytes) -> bool:
    asked = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
    known = {part.strip().removeprefix(b"W/") for part in asked.split(b",")}
    return b"*" in known or etag.removeprefix(b"W/") in known


class _Recorder:
    """Passes an answer on and keeps a copy, up to a size."""

    def __init__(self, send: Send, more: Callable[[Headers, bytes | None], Headers]) -> None:
        self._send: Send | None = send
        self._more = more
        self._start: Message | None = None
        self._status = 0
        self._headers: Headers = []
        self._body = bytearray()
        self._complete = False
        self._too_long = False
        self.begun = False
        """Whether anything was answered through it."""

    def detach(self) -> None:
        """Go on recording, and answer nobody."""
        self._send = None

    async def send(self, message: Message) -> None:
        """Called by the application inside."""
        self.begun = True
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            self._start = message
            return
        if message["type"] == "http.response.body":
            await self._begin(message)
            self._record(message)
        await self._pass_on(message)

    async def _pass_on(self, message: Message) -> None:
        if self._send is not None:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        if self._start is None:
            return
        start, self._start = self._start, None
        if self._status in _CACHEABLE:
            known = None if message.get("more_body") else message.get("body", b"")
            self._headers += self._more(self._headers, known)
        await self._pass_on({**start, "headers": list(self._headers)})

    def _record(self, message: Message) -> None:
        self._body += message.get("body", b"")
        if len(self._body) > _MOST_BODY:
            self._too_long = True
            self._body.clear()
        self._complete = not message.get("more_body", False) and not self._too_long

    def kept(self, *, own: bool) -> dict[str, Any]:
        """Return what to keep: the answer, or a mark that it is made anew for everybody."""
        if not self._complete or self._status not in _CACHEABLE or self._forbidden(own=own):
            return {"pass": True}
        return {"status": self._status, "headers": self._headers, "body": bytes(self._body)}

    def _forbidden(self, *, own: bool) -> bool:
        for name, value in self._headers:
            low = value.lower()
            if name == b"set-cookie" or (name == b"vary" and low.strip() == b"*"):
                return True
            if name == b"cache-control" and (b"no-store" in low or b"no-cache" in low):
                return True
            if name == b"cache-control" and b"private" in low and not own:
                return True
        return False
