"""How a route's answers are kept: the policy an author writes, and what it means for one request."""

from __future__ import annotations

from plughost._dataclasses import dataclass
from plughost.contracts.arguments import several
from plughost.contracts.cache import CacheManager
from plughost.contracts.http import ASGIApp, Receive, Scope, Send
from plughost.http.cacheability import values
from plughost.http.caching import MOST_BODY, Keeping
from plughost.http.runtime import HttpRuntime, identity_of

CACHE_NAME = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How answers of a route may be cached.

    What a guarded route answers is kept for whoever asked alone. A public route with a cache sees no session, so
    that it cannot show one visitor what it made for another.

    Attributes:
        ttl: Seconds an answer is good for; its own ``Cache-Control: max-age`` can only shorten that.
        vary: Names of the request headers that it depends on; those it names itself in ``Vary`` come on top.
        tags: Tags by which it can be invalidated in the cache ``http``.
        most: Bytes of a body above which it is not kept.
        shared: Whether all whom the guard lets pass get one answer. Say so only of what does not depend on who
            asks; the route sees no session then.
    """

    ttl: float
    vary: tuple[str, ...] = ("accept",)
    tags: tuple[str, ...] = ()
    most: int = MOST_BODY
    shared: bool = False

    def __post_init__(self) -> None:
        """Refuse one name where several are meant."""
        several("vary", self.vary)
        several("tags", self.tags)


async def serve_cached(
    app: ASGIApp, policy: CachePolicy, runtime: HttpRuntime, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer from the cache, or let ``app`` answer and keep that. Only GET and HEAD are cached."""
    if scope["method"] not in ("GET", "HEAD"):
        await app(scope, receive, send)
        return
    identity = identity_of(scope)
    for_one = identity.known and not policy.shared
    if not for_one:
        scope.pop("session", None)
    manager = runtime.service(CacheManager)
    # A credential that nobody looked at may matter to the endpoint (RFC 9111 3.5); an id there must be.
    unclear = not identity.id if identity.known else bool(values(scope["headers"], b"authorization"))
    owner = ""
    if identity.known:
        # What somebody may do is part of it: one user can hold more in one session than in another.
        owner = " ".join((identity.key, *sorted(identity.scopes))) if for_one else "everybody"
    how = Keeping(
        cache=None if manager is None or unclear else manager.get(CACHE_NAME),
        ttl=policy.ttl,
        owner=owner,
        private=identity.known,
        vary=frozenset(name.lower().encode("latin-1") for name in policy.vary),
        tags=policy.tags,
        most=policy.most,
    )
    await runtime.answers.serve(app, how, scope, receive, send)
