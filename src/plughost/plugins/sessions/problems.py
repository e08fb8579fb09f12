"""The two answers the middleware gives by itself, as problem documents (RFC 9457)."""

from __future__ import annotations

import msgspec

from plughost.contracts.http import Send

RETRY_AFTER = 5  # seconds


async def send_unavailable(send: Send) -> None:
    """Answer that the session store is away: try again. It never means "not signed in"."""
    detail = "The session could not be looked up. You are still signed in; try again in a moment."
    await _send(send, 503, "Sessions unavailable", detail, [(b"retry-after", b"%d" % RETRY_AFTER)])


async def send_forbidden(send: Send) -> None:
    """Answer that the request came from another site."""
    detail = "This request was made by a page of another site. Make it from a page of this one."
    await _send(send, 403, "Cross-site request", detail, [(b"vary", b"Sec-Fetch-Site, Origin, Cookie")])


async def _send(send: Send, status: int, title: str, detail: str, headers: list[tuple[bytes, bytes]]) -> None:
    body = msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail})
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
