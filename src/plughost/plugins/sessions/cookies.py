"""The cookie that carries a session id, and the headers that keep shared caches away from it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from plughost.contracts import get_logger
from plughost.exceptions import ConfigError
from plughost.http import from_loopback
from plughost.plugins.sessions.tokens import digest_of_id

SameSite = Literal["lax", "strict", "none"]
Header = tuple[bytes, bytes]

_log = get_logger("plughost.sessions")
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class CookiePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How the cookie is named and fenced in.

    Over HTTPS it is ``Secure`` and, with the default path and no domain, ``__Host-``: no other host, not even
    a subdomain, can plant it. Over plain HTTP on this very machine, for development, a cookie of another name
    is used, which nobody reads over HTTPS.

    Attributes:
        name: Name without prefix.
        secure: True: always ``Secure``. False: never. None: always, but for direct requests on this machine.
        samesite: ``lax``, ``strict`` or ``none``.
        path: Where it is sent; anything but ``/`` costs the ``__Host-`` prefix.
        domain: Hosts it is sent to; None is this host alone.
        persistent: Whether it outlives the browser; otherwise it goes when the browser is closed.
        partitioned: Whether a page that embeds this site has a cookie of its own (CHIPS); ``Secure`` ones only.
    """

    name: str
    secure: bool | None = None
    samesite: SameSite = "lax"
    path: str = "/"
    domain: str | None = None
    persistent: bool = True
    partitioned: bool = False

    def __post_init__(self) -> None:
        """Refuse what browsers or parsers would take for something else.

        Raises:
            ConfigError: A part of it has characters that do not belong into a cookie.
        """
        if not self.name or not set(self.name) <= _TOKEN or self.name.lower().startswith("__"):
            raise _wrong(
                "cookie_name", f"{self.name!r} is not a cookie name without prefix; __Host- is added"
            )
        if not self.path.startswith("/") or any(ord(c) < 33 or c in ";," for c in self.path):
            raise _wrong("cookie_path", f"{self.path!r} is not a path")
        if (
            self.domain is not None
            and re.fullmatch(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", self.domain) is None
        ):
            raise _wrong("cookie_domain", f"{self.domain!r} is not a domain: write example.org")
        if self.samesite == "none" and self.secure is False:
            raise _wrong("cookie_samesite", "'none' needs a secure cookie")
        if self.partitioned and self.secure is False:
            raise _wrong("cookie_partitioned", "needs a secure cookie")

    @property
    def secure_name(self) -> str:
        """Name of the cookie over HTTPS."""
        fenced = self.path == "/" and self.domain is None
        return f"__Host-{self.name}" if fenced else f"__Secure-{self.name}"

    @property
    def plain_name(self) -> str:
        """Name of the cookie over plain HTTP."""
        return f"{self.name}_plain"

    def is_secure(self, scope: Mapping[str, Any]) -> bool:
        """Whether the cookie of this request is the secure one."""
        if self.secure is not None:
            return self.secure
        return scope.get("scheme") in ("https", "wss") or not from_loopback(scope)


class SessionCookie:
    """Reads and writes the cookie.

    Args:
        policy: Its name and fences.
    """

    def __init__(self, policy: CookiePolicy) -> None:
        self._policy = policy
        self._secure = policy.secure_name.encode()
        self._plain = policy.plain_name.encode()
        self._told: set[str] = set()
        site = policy.samesite.capitalize()
        where = f"; Domain={policy.domain}" if policy.domain is not None else ""
        fences = f"; Path={policy.path}; HttpOnly; SameSite="
        self._secure_fences = f"{fences}{site}{where}; Secure{'; Partitioned' * policy.partitioned}".encode()
        # Browsers drop SameSite=None without Secure. Plain cookies are for this machine, where Lax is as good.
        self._plain_fences = f"{fences}{'Lax' if site == 'None' else site}{where}".encode()

    def read(self, scope: Mapping[str, Any]) -> str | None:
        """Return the id a request carries, or None; two of them are none, whoever sent the second."""
        found: bytes | None = None
        wanted: bytes | None = None
        for header, line in scope["headers"]:
            if header != b"cookie":
                continue
            wanted = wanted or (self._secure if self._policy.is_secure(scope) else self._plain)
            if wanted not in line:
                continue
            for part in line.split(b";"):
                name, separator, value = part.strip(b" \t").partition(b"=")
                if separator and name == wanted:
                    if found is not None:
                        self._tell_once(
                            "a request carried two session cookies and counts as signed out: somebody set one of this"
                            " name for another path or domain; give this application a cookie_name of its own",
                            wanted,
                        )
                        return None
                    found = value
        return None if found is None else found.decode("latin-1")

    def digest(self, scope: Mapping[str, Any]) -> bytes | None:
        """Return the digest of the id a request carries; None when it carries none that was ever made here."""
        return digest_of_id(self.read(scope))

    def headers(
        self, scope: Mapping[str, Any], sent: Iterable[Header], news: str | None, seconds: float
    ) -> list[Header]:
        """Return the headers of a response that a session was looked at for: its cookie, and no shared cache.

        Args:
            scope: The request.
            sent: The headers as the application sent them.
            news: What the browser must be told: an id, empty to forget the one it sent, or None for nothing.
            seconds: How long the id is good for.
        """
        if news is None:
            return keep_private(sent, store=True)
        ours = self.write(scope, news, seconds) if news else self.clear(scope)
        return [*keep_private(sent, store=False), ours]

    def write(self, scope: Mapping[str, Any], session_id: str, seconds: float) -> Header:
        """Return the header that hands out an id for that many seconds."""
        if scope.get("scheme") not in ("https", "wss") and self._policy.is_secure(scope):
            self._tell_once(
                "a Secure cookie was set over plain http, and browsers drop it: serve https, let the proxy pass the"
                " scheme on (x-forwarded-proto), or set cookie_secure = false on a network you trust",
                self._secure,
            )
        kept = f"; Max-Age={max(math.ceil(seconds), 1)}" if self._policy.persistent else ""
        return self._header(scope, session_id.encode("ascii"), kept.encode())

    def clear(self, scope: Mapping[str, Any]) -> Header:
        """Return the header that takes the cookie away."""
        return self._header(scope, b"", b"; Max-Age=0")

    def _header(self, scope: Mapping[str, Any], value: bytes, kept: bytes) -> Header:
        if self._policy.is_secure(scope):
            return b"set-cookie", b"%s=%s%s%s" % (self._secure, value, kept, self._secure_fences)
        return b"set-cookie", b"%s=%s%s%s" % (self._plain, value, kept, self._plain_fences)

    def _tell_once(self, what: str, cookie: bytes) -> None:
        if what not in self._told:
            self._told.add(what)
            _log.warning(what, cookie=cookie.decode())


def keep_private(headers: Iterable[Header], *, store: bool) -> list[Header]:
    """Return the headers so that no shared cache keeps or mixes up the response.

    Args:
        headers: As the application sent them.
        store: Whether the browser itself may keep it; False when the response hands out or takes away an id.
    """
    kept: list[Header] = []
    vary: list[bytes] = []
    control: list[bytes] = []
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"vary":
            vary += [part.strip() for part in value.split(b",") if part.strip()]
        elif lowered == b"cache-control":
            control += [part.strip() for part in value.split(b",") if part.strip()]
        else:
            kept.append((name, value))
    if b"*" not in vary and b"cookie" not in [part.lower() for part in vary]:
        vary.append(b"Cookie")
    kept.append((b"vary", b", ".join(vary)))
    if b"no-store" not in [part.lower() for part in control]:
        own = [
            part
            for part in control
            if part.lower() not in (b"public", b"private")
            and not part.lower().startswith((b"s-maxage", b"private="))
        ]
        control = [b"private", *own] if store else [b"no-store"]
    kept.append((b"cache-control", b", ".join(control)))
    return kept


def _wrong(setting: str, why: str) -> ConfigError:
    return ConfigError(f"{setting}: {why}", path=f"plugins.sessions.config.{setting}")
