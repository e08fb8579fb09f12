"""Requests that another site makes in a visitor's name, told by what browsers say of themselves.

The order is that of Go 1.25's CrossOriginProtection: safe methods pass; then ``Sec-Fetch-Site`` decides;
where it is missing, ``Origin`` must be this very origin; who sends neither is no browser. ``Sec-Fetch-Mode``
is not asked: JupyterHub once trusted it and had to take that back (CVE-2026-40864).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_SECURE = {"ws": "http", "wss": "https"}


def is_cross_site(connection: Mapping[str, Any]) -> bool:
    """Whether a page of another origin makes a request (or WebSocket handshake) that may change something.

    Args:
        connection: The ASGI scope.
    """
    if connection["type"] == "http" and connection["method"] in SAFE_METHODS:
        return False
    site = _values(connection, b"sec-fetch-site")
    if site:
        return any(value not in (b"same-origin", b"none") for value in site)
    origins = _values(connection, b"origin")
    return any(value.decode("latin-1").lower() not in _own_origins(connection) for value in origins)


def bears_only_a_token(connection: Mapping[str, Any]) -> bool:
    """Whether the request carries a bearer token and no cookie: no browser sends such a one by itself."""
    return bool(_values(connection, b"authorization")) and not _values(connection, b"cookie")


def _own_origins(connection: Mapping[str, Any]) -> set[str]:
    scheme = _SECURE.get(connection.get("scheme", "http"), connection.get("scheme", "http"))
    hosts = _values(connection, b"host")
    if len(hosts) != 1:
        return set()
    host = hosts[0].decode("latin-1").lower()
    default = f":{_DEFAULT_PORTS.get(scheme, '')}"
    bare = host.removesuffix(default)
    return {f"{scheme}://{bare}", f"{scheme}://{bare}{default}"}


def _values(connection: Mapping[str, Any], name: bytes) -> list[bytes]:
    return [value for key, value in connection["headers"] if key == name]
