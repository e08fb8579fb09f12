"""Security headers on every answer; what an answer says itself stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Final

from plughost.contracts.plugin import HOST_API

RawHeaders = list[tuple[bytes, bytes]]
_NAME: Final = itemgetter(0)
_pair: Final[Callable[[Sequence[bytes]], tuple[bytes, bytes]]] = itemgetter(0, 1)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere, no frames."""

API_VERSION = HOST_API.partition(".")[0]
"""Version of the HTTP interfaces; told in every answer as ``API-Version``."""


class SecurityHeaders:
    """The headers that are added to each answer.

    Args:
        hsts: Seconds that browsers shall insist on https; sent over https only, because a browser that heard
            it over http must ignore it anyway. 0 sends nothing.
    """

    def __init__(self, hsts: int) -> None:
        common: RawHeaders = [
            (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
            (b"api-version", API_VERSION.encode()),
        ]
        self._http = common
        strict = (b"strict-transport-security", b"max-age=%d; includeSubDomains" % hsts)
        self._https = [*common, strict] if hsts else self._http
        self._names = frozenset(name for name, _ in self._https)

    def added_to(self, headers: Iterable[Sequence[bytes]], scheme: str) -> RawHeaders:
        """Return the headers of an answer with those it lacks."""
        ours = self._https if scheme == "https" else self._http
        added: RawHeaders = [*map(_pair, headers)]
        if self._names.isdisjoint(map(bytes.lower, map(_NAME, added))):
            return added + ours
        names = {name.lower() for name, _ in added}
        return added + [pair for pair in ours if pair[0] not in names]
