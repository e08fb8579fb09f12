"""The one cache of HTTP answers: kept for the next who asks, as RFC 9111 and RFC 9211 (``Cache-Status``) have it.

It knows no framework. A route's ``CachePolicy`` and ``ResponseCacheMiddleware`` are its two faces: they say for
whom an answer is and how long it is good for; everything else is decided here.

Requests for the same at once wait for one answer, but nobody waits for what is not kept or comes in pieces: an
event stream, a long download and a slow client hold up nobody else. An invalidation always wins: what was being
made when it came is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from secrets import token_hex
from typing import Any, Final

import anyio

from plughost._dataclasses import dataclass
from plughost.contracts.cache import Cache
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.http import ASGIApp, Message, Receive, Scope, Send
from plughost.http.cacheability import (
    directives,
    etag_of,
    has_it_already,
    key_of,
    lifetime,
    may_be_kept,
    values,
    vary_names,
)

MOST_BODY: Final = 1 << 20
"""Bytes of a body above which it is not kept, unless somebody says otherwise."""

_MOST_PASSING = 4096
_LONGEST_MAKING = 3600.0  # seconds
_MADE_ANEW = frozenset({b"age", b"cache-status", b"date"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How the answer to one request may be kept.

    Attributes:
        cache: Where; None keeps nothing and only tells clients how they may.
        ttl: Seconds it is good for.
        owner: For whom alone it is, such as ``session:42``; empty for anybody. Part of the key.
        private: Whether caches on the way must not share it.
        vary: Names of the request headers it depends on, in lower case.
        tags: Tags to invalidate it by.
        most: Bytes of a body above which it is not kept.
    """

    cache: Cache | None
    ttl: float
    owner: str = ""
    private: bool = False
    vary: frozenset[bytes] = frozenset()
    tags: tuple[str, ...] = ()
    most: int = MOST_BODY


@dataclass(slots=True, eq=False)
class _Flight:
    """One request that is being answered while others want the same."""

    settled: anyio.Event = field(default_factory=anyio.Event)
    passes: bool = False

    def settle(self, *, passes: bool = False) -> None:
        """Let those who wait go on: ``passes`` when there is nothing to wait for, else to look again."""
        self.passes = self.passes or passes
        self.settled.set()


class AnswerCache:
    """Answers requests again as they were answered before.

    Args:
        clock: Dates what is kept.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._flights: dict[str, _Flight] = {}
        self._passing: dict[str, None] = {}  # keys whose last answer could not be kept: nobody waits there

    async def serve(self, app: ASGIApp, how: Keeping, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a GET or HEAD from what is kept, or let ``app`` answer and keep that when it may be kept."""
        asked = directives(scope["headers"])
        if how.cache is None or b"no-store" in asked or values(scope["headers"], b"range"):
            await app(scope, receive, _Recorder(self, how, scope, send))
            return
        while True:
            key, kept = await _find(how.cache, how, scope)
            if kept is not None and b"no-cache" not in asked:
                await _send_kept(kept, max(0.0, self._clock.time() - kept["at"]), scope, send)
                return
            if scope["method"] == "HEAD" or key in self._passing:
                await app(scope, receive, _Recorder(self, how, scope, send, key=key))
                return
            flight = self._flights.get(key)
            if flight is None or b"no-cache" in asked:
                # Let ``app`` answer for all who wait; when this one is cancelled, the next takes its place
                recorder = _Recorder(self, how, scope, send, key=key)
                await recorder.begin()
                try:
                    await app(recorder.scope, receive, recorder)
                except Exception:
                    recorder.settle(passes=True)
                    raise
                finally:
                    recorder.settle()
                    await recorder.end()
                return
            await flight.settled.wait()
            if flight.passes:
                await app(scope, receive, _Recorder(self, how, scope, send, key=key))
                return

    def begin(self, key: str) -> _Flight:
        """Note that somebody asks for ``key`` now, unless somebody does already."""
        return self._flights.setdefault(key, _Flight())

    def end(self, key: str, flight: _Flight) -> None:
        """Forget a flight that is over."""
        if self._flights.get(key) is flight:
            del self._flights[key]

    def note(self, key: str, *, kept: bool) -> None:
        """Remember whether the last answer under ``key`` was of the kind that is kept."""
        self._passing.pop(key, None)
        if not kept:
            if len(self._passing) >= _MOST_PASSING:
                del self._passing[next(iter(self._passing))]
            self._passing[key] = None

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        return self._clock.time()


class _Recorder:
    """A ``send`` that lets an answer pass, with validators and cache headers, and keeps it when it may be kept."""

    def __init__(self, answers: AnswerCache, how: Keeping, scope: Scope, send: Send, key: str = "") -> None:
        self.scope = scope
        self._answers = answers
        self._how = how
        self._send = send
        self._key = key
        self._flight: _Flight | None = None
        self._making = ""  # a key that is gone once an invalidation came while the answer was made
        self._start: Message = {}
        self._held = False
        self._cacheable = False
        self._ttl = 0.0
        self._own_vary: frozenset[bytes] = frozenset()
        self._body = bytearray()

    async def begin(self) -> None:
        """Begin to answer for all who want the same."""
        self._flight = self._answers.begin(self._key)
        self._making = f"{self._key}:{token_hex(8)}"
        await self._cache.set(self._making, True, ttl=_LONGEST_MAKING, tags=self._how.tags)

    def settle(self, *, passes: bool = False) -> None:
        """Nobody needs to wait any longer."""
        if self._flight is not None:
            self._flight.settle(passes=passes)
            self._answers.end(self._key, self._flight)
            self._flight = None

    async def end(self) -> None:
        """Tidy up after the answer."""
        making, self._making = self._making, ""
        if making:
            await self._cache.delete(making)

    @property
    def _cache(self) -> Cache:
        assert self._how.cache is not None  # noqa: S101 - the recorders that keep are made with one
        return self._how.cache

    async def __call__(self, message: Message) -> None:
        """Take one message of the answer."""
        if message["type"] == "http.response.start":
            headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            self._start, self._held = {**message, "headers": headers}, True
            how = self._how
            self._own_vary = vary_names(headers)
            self._cacheable = may_be_kept(message["status"], headers, for_one=bool(how.owner), most=how.most)
            self._ttl = lifetime(headers, how.ttl)
            if self._key and self.scope["method"] != "HEAD":
                self._answers.note(self._key, kept=self._cacheable)
            if not self._cacheable:
                self.settle(passes=True)
        elif message["type"] == "http.response.body" and self._cacheable:
            await self._take(message)
        else:
            await self._release()
            await self._send(message)

    async def _take(self, message: Message) -> None:
        more = message.get("more_body", False)
        self._body += message.get("body", b"")
        first, whole = self._held, self._held and not more
        if first:
            how, headers = self._how, self._start["headers"]
            if whole and not values(headers, b"etag") and (self._body or self.scope["method"] == "GET"):
                headers.append((b"etag", etag_of(bytes(self._body))))
            if not values(headers, b"cache-control"):
                who = b"private" if how.private else b"public"
                headers.append((b"cache-control", b"%b, max-age=%d" % (who, how.ttl)))
            depends = self._own_vary | how.vary | ({b"cookie", b"authorization"} if how.private else set())
            if depends:
                headers[:] = [pair for pair in headers if pair[0] != b"vary"]
                headers.append((b"vary", b", ".join(sorted(depends))))
        if more:
            self.settle(passes=True)  # it comes in pieces, as fast as this client takes them
        if len(self._body) > self._how.most:
            self._body.clear()
            self._cacheable = False
            if self._key:
                self._answers.note(self._key, kept=False)
            await self.end()
        stored = bool(self._making) and not more and await self._keep()
        self.settle(passes=not stored)
        if first:
            told = b"plughost; fwd=miss" + (b"; stored" if stored else b"")
            self._start["headers"].append((b"cache-status", told))
            if whole and has_it_already(self.scope, self._start["headers"]):
                self._held = False
                await _send_not_modified(self._start["headers"], self._send)
                return
        await self._release()
        await self._send(message)

    async def _release(self) -> None:
        if self._held:
            self._held = False
            # A copy: middleware further out, such as compression, edits the list it is given.
            await self._send({**self._start, "headers": list(self._start["headers"])})

    async def _keep(self) -> bool:
        """Keep the answer; False when it was refused, or something was invalidated since it was begun."""
        cache, how = self._cache, self._how
        if not await cache.exists(self._making):
            return False
        names = self._own_vary - how.vary
        key = key_of(self.scope, how.owner, how.vary)
        if names or key != self._key:
            before = await cache.get(key)
            if _is_signpost(before):  # what an answer ever depended on stays part of the key
                names |= _names(before["vary"])
            await cache.set(key, {"vary": sorted(names)}, ttl=how.ttl, tags=how.tags)
            key = key_of(self.scope, how.owner, how.vary | names)
        kept = {
            "at": self._answers.now(),
            "status": self._start["status"],
            "headers": [[name, value] for name, value in self._start["headers"] if name not in _MADE_ANEW],
            "body": bytes(self._body),
            "ttl": self._ttl,
        }
        stored = await cache.set(key, kept, ttl=self._ttl, tags=how.tags)
        if not await cache.exists(self._making):
            await cache.delete(key)
            return False
        return stored


async def _find(cache: Cache, how: Keeping, scope: Scope) -> tuple[str, dict[str, Any] | None]:
    """Return the key of a request, and the answer that is kept under it.

    Under what is known beforehand lies either the answer or, when answers named further headers in ``Vary``,
    a signpost with these names.
    """
    key = key_of(scope, how.owner, how.vary)
    kept = await cache.get(key)
    if _is_signpost(kept):
        key = key_of(scope, how.owner, how.vary | _names(kept["vary"]))
        kept = await cache.get(key)
    return key, kept if isinstance(kept, dict) and "body" in kept else None


def _is_signpost(kept: Any) -> bool:
    return isinstance(kept, dict) and kept.keys() == {"vary"}


def _names(names: Iterable[Any]) -> frozenset[bytes]:
    return frozenset(bytes(name) for name in names)


async def _send_kept(kept: dict[str, Any], age: float, scope: Scope, send: Send) -> None:
    headers = [(bytes(name), bytes(value)) for name, value in kept["headers"]]
    headers += [
        (b"age", b"%d" % age),
        (b"cache-status", b"plughost; hit; ttl=%d" % max(0.0, kept["ttl"] - age)),
    ]
    if has_it_already(scope, headers):
        await _send_not_modified(headers, send)
        return
    await send({"type": "http.response.start", "status": kept["status"], "headers": headers})
    body = b"" if scope["method"] == "HEAD" else kept["body"]
    await send({"type": "http.response.body", "body": body})


async def _send_not_modified(headers: list[tuple[bytes, bytes]], send: Send) -> None:
    lean = [(name, value) for name, value in headers if name not in (b"content-length", b"content-type")]
    await send({"type": "http.response.start", "status": 304, "headers": lean})
    await send({"type": "http.response.body", "body": b""})
