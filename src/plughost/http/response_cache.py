"""Answers kept for the next who asks: validators and cache headers always, a copy when there is a cache.

The rules are those of RFC 9111 as far as a server's own cache needs them, and ``Cache-Status`` is RFC 9211's.
An answer that sets a cookie, or says ``no-store`` or ``private``, is never kept; an answer to somebody who is
known is kept for that one alone; and a public route with a cache sees no session, so that it cannot show one
visitor what it made for another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from plughost.contracts.cache import Cache, CacheManager
from plughost.contracts.http import ASGIApp, Message, Receive, Scope, Send
from plughost.http.guards import Identity
from plughost.http.runtime import HttpRuntime, identity_of

CACHE_NAME = "http"
_FORBIDDING = (b"no-store", b"private", b"no-cache")
_NOT_KEPT = frozenset({b"set-cookie", b"age", b"cache-control", b"cache-status", b"date"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How answers of a route may be cached.

    Attributes:
        ttl: Seconds an answer is good for.
        vary: Names of the request headers that it depends on.
        tags: Tags by which it can be invalidated in the cache ``http``.
        most: Bytes of a body above which it is not kept.
    """

    ttl: float
    vary: tuple[str, ...] = ("accept",)
    tags: tuple[str, ...] = ()
    most: int = 1 << 20


async def serve_cached(
    app: ASGIApp, policy: CachePolicy, runtime: HttpRuntime, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer from the cache, or let ``app`` answer and keep that. Only GET and HEAD are cached."""
    if scope["method"] not in ("GET", "HEAD"):
        await app(scope, receive, send)
        return
    identity = identity_of(scope)
    if not identity.known:
        scope.pop("session", None)
    manager = runtime.service(CacheManager)
    cache = None if manager is None else manager.get(CACHE_NAME)
    key = _key(scope, policy, identity)
    if cache is not None and not _asks(scope, (b"no-cache", b"no-store")):
        kept = await cache.get(key)
        if kept is not None:
            await _send_kept(kept, policy, identity, runtime.clock.time(), scope, send)
            return
    await app(scope, receive, _Recorder(cache, key, policy, identity, runtime, scope, send))


class _Recorder:
    """A ``send`` that lets an answer pass, with its validators, and keeps it when it may be kept."""

    def __init__(
        self,
        cache: Cache | None,
        key: str,
        policy: CachePolicy,
        identity: Identity,
        runtime: HttpRuntime,
        scope: Scope,
        send: Send,
    ) -> None:
        self._cache = None if _asks(scope, (b"no-store",)) or scope["method"] == "HEAD" else cache
        self._key = key
        self._policy = policy
        self._identity = identity
        self._clock = runtime.clock
        self._scope = scope
        self._send = send
        self._start: Message = {}
        self._held = False
        self._cacheable = False
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start, self._held = message, True
            self._cacheable = message["status"] == 200 and _may_be_kept(message)
            return
        if message["type"] != "http.response.body" or not self._cacheable:
            await self._release()
            await self._send(message)
            return
        await self._take(message)

    async def _take(self, message: Message) -> None:
        more = message.get("more_body", False)
        self._body += message.get("body", b"")
        if self._held:
            self._dress(whole=not more)
            if not more and _matches(self._scope, self._start["headers"]):
                await self._keep()
                await _send_not_modified(self._start["headers"], self._send)
                return
        await self._release()
        await self._send(message)
        if len(self._body) > self._policy.most:
            self._cache, self._body = None, bytearray()
        elif not more:
            await self._keep()

    async def _release(self) -> None:
        if self._held:
            self._held = False
            # A copy: middleware further out, such as compression, edits the list it is given.
            await self._send({**self._start, "headers": list(self._start["headers"])})

    def _dress(self, *, whole: bool) -> None:
        headers = list(self._start["headers"])
        if whole and not any(name == b"etag" for name, _ in headers):
            headers.append((b"etag", _etag(bytes(self._body))))
        if not any(name == b"cache-control" for name, _ in headers):
            headers.append(_lifetime(self._policy.ttl, self._identity))
        headers.append((b"vary", _vary(self._policy, self._identity)))
        headers.append((b"cache-status", b"plughost; fwd=miss" + (b"; stored" if self._cache else b"")))
        self._start = {**self._start, "headers": headers}

    async def _keep(self) -> None:
        if self._cache is None:
            return
        headers = [[n, v] for n, v in self._start["headers"] if n not in _NOT_KEPT and n != b"vary"]
        kept = {"at": self._clock.time(), "headers": headers, "body": bytes(self._body)}
        await self._cache.set(self._key, kept, ttl=self._policy.ttl, tags=self._policy.tags)


async def _send_kept(
    kept: dict[str, Any], policy: CachePolicy, identity: Identity, now: float, scope: Scope, send: Send
) -> None:
    age = max(0.0, now - kept["at"])
    left = max(0.0, policy.ttl - age)
    headers = [(bytes(name), bytes(value)) for name, value in kept["headers"]]
    headers += [
        _lifetime(left, identity),
        (b"age", b"%d" % age),
        (b"vary", _vary(policy, identity)),
        (b"cache-status", b"plughost; hit; ttl=%d" % left),
    ]
    if _matches(scope, headers):
        await _send_not_modified(headers, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else kept["body"]
    await send({"type": "http.response.body", "body": body})


async def _send_not_modified(headers: list[tuple[bytes, bytes]], send: Send) -> None:
    lean = [(name, value) for name, value in headers if name not in (b"content-length", b"content-type")]
    await send({"type": "http.response.start", "status": 304, "headers": lean})
    await send({"type": "http.response.body", "body": b""})


def _key(scope: Scope, policy: CachePolicy, identity: Identity) -> str:
    varied = [f"{name}={_header(scope, name.encode()).decode('latin-1')}" for name in policy.vary]
    parts = [
        scope.get("root_path", ""),
        scope["path"],
        scope["query_string"].decode("latin-1"),
        identity.key,
        *sorted(identity.scopes),
        *varied,
    ]
    # Length before each part: no two requests can spell the same key.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def _may_be_kept(start: Message) -> bool:
    for name, value in start["headers"]:
        if name == b"set-cookie" or (name == b"vary" and value.strip() == b"*"):
            return False
        if name == b"cache-control" and any(word in value.lower() for word in _FORBIDDING):
            return False
    return True


def _asks(scope: Scope, words: tuple[bytes, ...]) -> bool:
    asked = _header(scope, b"cache-control").lower()
    return any(word in asked for word in words)


def _matches(scope: Scope, headers: list[tuple[bytes, bytes]]) -> bool:
    wanted = {each.strip().removeprefix(b"W/") for each in _header(scope, b"if-none-match").split(b",")}
    etag = next((value for name, value in headers if name == b"etag"), None)
    return etag is not None and (etag.removeprefix(b"W/") in wanted or b"*" in wanted)


def _header(scope: Scope, name: bytes) -> bytes:
    return b", ".join(value for key, value in scope["headers"] if key == name)


def _etag(body: bytes) -> bytes:
    return b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'


def _lifetime(seconds: float, identity: Identity) -> tuple[bytes, bytes]:
    return b"cache-control", b"%s, max-age=%d" % (b"private" if identity.known else b"public", seconds)


def _vary(policy: CachePolicy, identity: Identity) -> bytes:
    names = [*policy.vary, *(("Cookie", "Authorization") if identity.known else ())]
    return ", ".join(names).encode() or b"Accept"
