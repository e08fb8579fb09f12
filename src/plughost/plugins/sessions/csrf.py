"""Requests that another site makes in a visitor's name.

First ``Sec-Fetch-Site``, which only browsers write: ``same-origin`` and ``none`` pass, anything else is
refused, siblings of our domain included. A browser that does not send it (an old one, or any over plain HTTP
to another machine) sends ``Origin``, which must be scheme, host and port of this server, or be trusted by
name. Where that fails or says nothing, a token bound to the session may speak for the request.
``Sec-Fetch-Mode`` is never asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_PORTS = {"http": "80", "https": "443"}
_SCHEMES = {"ws": "http", "wss": "https"}
_TOKEN_HEADER = b"x-csrf-token"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrfPolicy:
    """What the deployer decided.

    Attributes:
        strict: Whether a request with a session cookie but neither ``Sec-Fetch-Site`` nor ``Origin`` needs a
            token; programs that keep cookies send neither.
        trusted_origins: Other origins that may send requests, such as ``https://app.example.org``.
        exempt_paths: Exact paths that are not checked; no patterns.
    """

    strict: bool = False
    trusted_origins: frozenset[str] = frozenset()
    exempt_paths: frozenset[str] = frozenset()


class CsrfCheck:
    """Says No to requests from elsewhere.

    Args:
        policy: What the deployer decided.
        token_matches: Given the scope and a token, whether it belongs to the session of that request.
        has_cookie: Given the scope, whether it carries a session cookie.
    """

    def __init__(
        self,
        policy: CsrfPolicy,
        token_matches: Callable[[Mapping[str, Any], str], bool],
        has_cookie: Callable[[Mapping[str, Any]], bool],
    ) -> None:
        self._policy = policy
        self._token_matches = token_matches
        self._has_cookie = has_cookie

    def refuses(self, scope: Mapping[str, Any]) -> bool:
        """Whether a request that may change something (or a WebSocket handshake) comes from elsewhere."""
        if scope["path"] in self._policy.exempt_paths:
            return False
        found: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            found.setdefault(name, []).append(value)
        if b"authorization" in found and b"cookie" not in found:
            return False  # no browser adds such a header by itself
        origins = found.get(b"origin", [])
        site = found.get(b"sec-fetch-site", [])
        if site:
            allowed = all(value in (b"same-origin", b"none") for value in site)
            return not allowed and not self._trusts(origins)
        if origins:
            own = _own_origins(scope, found.get(b"host", []))
            return not (self._trusts(origins) or _all_in(origins, own) or self._token_speaks(scope, found))
        if self._policy.strict and self._has_cookie(scope):
            return not self._token_speaks(scope, found)
        return False

    def _trusts(self, origins: list[bytes]) -> bool:
        return bool(origins) and _all_in(origins, self._policy.trusted_origins)

    def _token_speaks(self, scope: Mapping[str, Any], found: dict[bytes, list[bytes]]) -> bool:
        tokens = found.get(_TOKEN_HEADER, [])
        return len(tokens) == 1 and self._token_matches(scope, tokens[0].decode("latin-1"))


def _all_in(origins: list[bytes], allowed: frozenset[str] | set[str]) -> bool:
    return all(value.decode("latin-1").lower() in allowed for value in origins)


def _own_origins(scope: Mapping[str, Any], hosts: list[bytes]) -> set[str]:
    if len(hosts) != 1:
        return set()
    scheme = scope.get("scheme", "http")
    scheme = _SCHEMES.get(scheme, scheme)
    host = hosts[0].decode("latin-1").lower()
    default = f":{_PORTS.get(scheme, '')}"
    bare = host.removesuffix(default)
    return {f"{scheme}://{bare}", f"{scheme}://{bare}{default}"}
