"""Whether a request was made on this machine and comes through no proxy: the one place that says so.

Whoever asks that way is told figures without a token, and gets a session cookie over plain http. A proxy on this
machine makes every visitor look like that, and one that says nothing of them cannot be told from a program by what
it sends: HTTP/1.1, and the address of this server in ``Host``. So what it sends is not enough. The kernel knows whose
connection it is; a proxy runs as a user of its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

from plughost.http.peers import is_of_this_user

TRUST: Final = "plughost.trust_loopback"
"""Key of the ASGI scope: True where the deployer vouches that no proxy is in between, False where one is; None or
missing where neither is known."""

_NEAR: Final = "plughost.from_loopback"
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_FORWARDED = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"via"}
    | {b"x-client-ip", b"true-client-ip", b"cf-connecting-ip"}
)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def from_loopback(connection: Mapping[str, Any]) -> bool:
    """Whether a request was made on this machine, to a local name, and not through a proxy.

    Unless the deployer vouches for it (``http.trust_loopback``), the connection must be to the port that ``Host``
    names, and be one of the user who runs this program. What a test client sends within the process, to a name without
    a dot such as ``testserver``, is of this machine too.
    """
    known = connection.get(_NEAR)
    if known is None:
        known = _is_near(connection)
        if isinstance(connection, dict):
            connection[_NEAR] = known  # asked several times of one request
    return bool(known)


def _is_near(connection: Mapping[str, Any]) -> bool:
    trust = connection.get(TRUST)
    client = connection.get("client")
    if trust is False or not client or connection.get("http_version") == "1.0":
        return False  # 1.0 is what nginx speaks to its upstream when nobody told it otherwise, and says of nobody
    host = ""
    for name, value in connection["headers"]:
        if name in _FORWARDED:
            return False
        if name == b"host":
            host = value.decode("latin-1")
    name, colon, port = host.lower().rpartition(":")
    if not (colon and port.isascii() and port.isdecimal() and len(port) <= 5 and not name.endswith(":")):
        name, port = host.lower(), ""
    try:
        is_local = ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        # No server gives a client a name: this is what test clients are called.
        return "." not in client[0] and ":" not in client[0] and _is_undotted(name)
    # The name is looked at because a page from elsewhere can have its own resolve to this machine (DNS rebinding).
    server = connection.get("server")
    if not server or server[1] is None:  # made within the process
        return _is_undotted(name)
    if trust:
        return name in _LOCAL_NAMES
    expected = int(port) if port else _PORTS.get(connection.get("scheme", "http"))
    return name in _LOCAL_NAMES and expected == server[1] and is_of_this_user(client, server)


def _is_undotted(name: str) -> bool:
    return name in _LOCAL_NAMES or (bool(name) and "." not in name and ":" not in name)
