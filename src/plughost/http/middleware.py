"""Two ASGI middlewares: one says 429 in time, one answers again what was answered before.

Both are plain ASGI, know no framework, and touch HTTP requests only. Hand them the services of a host:

    RateLimitMiddleware(app, limiter=host.use(RateLimiter), limit="api")
    ResponseCacheMiddleware(app, cache=host.use(CacheManager).get("pages"))
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

from plughost.contracts.arguments import several
from plughost.contracts.cache import Cache
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.http import ASGIApp, Message, Receive, Scope, Send
from plughost.contracts.limits import RateLimiter
from plughost.contracts.plugin import Seconds, seconds_of
from plughost.http.caching import AnswerCache, Keeping
from plughost.http.problems import send_problem, too_often
from plughost.http.rates import network_of

KeyOf = Callable[[Scope], Awaitable[str | None] | str | None]


def client_address(scope: Scope) -> str | None:
    """Return the network the connection comes from; None when there is none (a unix socket).

    That is the address, or for IPv6 its /64: one customer has all of that. Headers such as ``X-Forwarded-For`` are
    anybody's word: let the server that terminates the connection put the address where it belongs.
    """
    client = scope.get("client")
    return None if not client else network_of(str(client[0]))


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
        told = [
            (b"ratelimit-limit", b"%d" % result.limit),
            (b"ratelimit-remaining", b"%d" % result.remaining),
            (b"ratelimit-reset", b"%d" % math.ceil(result.reset_after)),
        ]

        async def send_telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *told]
            await send(message)

        if result.allowed:
            await self._app(scope, receive, send_telling)
        else:
            await send_problem(too_often(result.retry_after), send_telling)


class ResponseCacheMiddleware:
    """Answers GET and HEAD again as they were answered before, with ``ETag``, ``Age`` and ``Cache-Control``.

    Nobody is shown what was made for somebody else: a request with a cookie or ``Authorization`` is passed on unless
    ``subject`` says whose it is, and an answer that sets a cookie or forbids it is not kept. Requests for the same
    at once are one request to the application; when the one who made it leaves, the next takes its place.

    Args:
        app: The application inside.
        cache: Where answers are kept.
        ttl: Seconds they are kept; also ``max-age`` when the application says nothing.
        vary: Names of request headers an answer depends on; those in its own ``Vary`` come on top.
        subject: Returns whose request it is, for answers of their own; None for anybody's.
        tags: Returns the tags of an answer, to invalidate it by.
        only: Called with the scope; requests it is false for are passed on.
        clock: Dates what is kept.
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
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._app = app
        self._cache = cache
        self._ttl = seconds_of(ttl, "ttl")
        self._vary = frozenset(name.lower().encode("latin-1") for name in several("vary", vary))
        self._subject = subject
        self._tags = tags
        self._only = only
        self._answers = AnswerCache(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the cache, or pass on and keep the answer."""
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not reads or (self._only is not None and not self._only(scope)):
            await self._app(scope, receive, send)
            return
        subject = self._subject(scope) if self._subject is not None else None
        personal = any(name in {b"cookie", b"authorization"} for name, _ in scope["headers"])
        if personal and subject is None:
            await self._app(scope, receive, send)
            return
        how = Keeping(
            cache=self._cache,
            ttl=self._ttl,
            owner="" if subject is None else f"subject:{subject}",
            private=subject is not None,
            vary=self._vary,
            tags=several("tags", self._tags(scope)) if self._tags is not None else (),
        )
        await self._answers.serve(self._app, how, scope, receive, send)
