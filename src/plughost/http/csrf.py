"""Requests that another site makes in a visitor's name, told by what browsers say of themselves.

The order is that of Go 1.25's CrossOriginProtection: safe methods pass; then ``Sec-Fetch-Site`` decides;
where it is missing, ``Origin`` must be this very origin; who sends neither is not a browser. Origins that the deployer
trusts pass either way. ``Sec-Fetch-Mode`` is not asked: JupyterHub once trusted it and had to take that back
(CVE-2026-40864).

It is the one check of the house. A middleware that asked it, and more (a token, say), notes so in the scope.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from plughost._dataclasses import dataclass
from plughost.http.problems import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
ORIGINS = "plughost.origins"
CSRF_CHECKED = "plughost.csrf_checked"
"""Keys of the ASGI scope: the application's ``OriginPolicy``; True when a middleware has let the request pass."""

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_SECURE = {"ws": "http", "wss": "https"}

Descent = Literal["here", "elsewhere", "foreign", "unsaid"]
"""Where a request comes from: a page of this site or a trusted one; another site, as the browser itself says;
another origin, by the header ``Origin`` alone; nobody said."""


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """Which origins besides an application's own may send requests that change something.

    Attributes:
        trusted: Such as ``https://app.example.org``; kept in lower case and without a default port.
    """

    trusted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, origins: Iterable[str]) -> OriginPolicy:
        """Return the policy that trusts ``origins``, however their ports and letters are written."""
        return cls(frozenset(_normal(origin) for origin in origins))

    def __or__(self, other: OriginPolicy) -> OriginPolicy:
        """Return the policy that trusts whom either trusts."""
        return OriginPolicy(self.trusted | other.trusted) if other.trusted else self

    def descent_of(self, connection: Mapping[str, Any]) -> Descent:
        """Tell where a request or WebSocket handshake comes from; ``connection`` is the ASGI scope."""
        origins = [_normal(value.decode("latin-1")) for value in _values(connection, b"origin")]
        if origins and all(origin in self.trusted for origin in origins):
            return "here"
        site = _values(connection, b"sec-fetch-site")
        if site:
            return "here" if all(value in (b"same-origin", b"none") for value in site) else "elsewhere"
        if not origins:
            return "unsaid"
        scheme = _SECURE.get(connection.get("scheme", "http"), connection.get("scheme", "http"))
        hosts = _values(connection, b"host")
        own = _normal(f"{scheme}://{hosts[0].decode('latin-1')}") if len(hosts) == 1 else None
        return "here" if all(origin == own for origin in origins) else "foreign"


NO_OTHERS = OriginPolicy()
"""Trusts no origin but the application's own."""


def is_cross_site(connection: Mapping[str, Any], policy: OriginPolicy = NO_OTHERS) -> bool:
    """Whether a page of another origin makes a request (or WebSocket handshake) that may change something.

    Args:
        connection: The ASGI scope.
        policy: Which other origins are trusted.
    """
    return not _is_safe(connection) and policy.descent_of(connection) in ("elsewhere", "foreign")


def bears_only_a_token(connection: Mapping[str, Any]) -> bool:
    """Whether the request carries a bearer token and no cookie: no browser sends such a one by itself."""
    return bool(_values(connection, b"authorization")) and not _values(connection, b"cookie")


def is_unchecked_from_elsewhere(connection: Mapping[str, Any]) -> bool:
    """Whether another site's page may have made the request, and no middleware that knows more has let it pass.

    Args:
        connection: The ASGI scope.
    """
    if _is_safe(connection) or connection.get(CSRF_CHECKED):
        return False
    return is_cross_site(connection, connection.get(ORIGINS, NO_OTHERS)) and not bears_only_a_token(
        connection
    )


def cross_site() -> Problem:
    """Return the refusal of a request that another site made."""
    return Problem(
        403,
        "This request was made by a page of another site. Make it from a page of this one.",
        code="cross_site",
        headers={"Vary": "Sec-Fetch-Site, Origin, Cookie"},
    )


def _is_safe(connection: Mapping[str, Any]) -> bool:
    """Whether it is a request that changes nothing; a WebSocket may."""
    return connection["type"] == "http" and connection["method"] in SAFE_METHODS


def _normal(origin: str) -> str:
    origin = origin.lower()
    scheme, _, rest = origin.partition("://")
    return (
        f"{scheme}://{rest.removesuffix(':' + _DEFAULT_PORTS[scheme])}"
        if scheme in _DEFAULT_PORTS
        else origin
    )


def _values(connection: Mapping[str, Any], name: bytes) -> list[bytes]:
    return [value for key, value in connection["headers"] if key == name]
