"""What can be configured: ``[plugins.sessions.config]``."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from plughost.contracts import Origin, Secret
from plughost.exceptions import ConfigError
from plughost.plugins.sessions.clocks import Lifetimes
from plughost.plugins.sessions.cookies import CookiePolicy
from plughost.plugins.sessions.crypto import check_secret
from plughost.plugins.sessions.csrf import CsrfPolicy
from plughost.plugins.sessions.records import SessionRules

_HERE = "plugins.sessions.config"
OWN_STORES = ("sqlite", "redis", "memory")
"""Stores that need no installation."""


class SessionsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the sessions plugin. Lengths of time are seconds, sizes are bytes.

    Attributes:
        store: ``sqlite`` (the processes of one machine, survives anything), ``redis`` (several machines),
            ``memory`` (tests), ``module:Class`` of somebody else's, or its entry point's name in
            ``plughost.session_stores``.
        store_settings: The settings of somebody else's store.
        path: The SQLite file; ``sessions.db`` in the plugin's data folder when empty.
        redis_url: Where Redis or Valkey is: ``redis://``, ``rediss://`` or ``unix://``.
        redis_prefix: First part of its keys; the host's name when empty.
        redis_timeout: Longest wait for one answer of it.
        idle_timeout: How long a session lives without being used.
        absolute_timeout: How long it lives however much it is used.
        touch_interval: Use is noted at most this often, and at most ten times in one idle time.
        rotation_grace: How long an id that was rotated is still good for reading.
        max_bytes: What one session may take.
        secret: What fields are sealed and tokens are signed with; made and kept in the data folder when
            neither it nor ``secret_file`` is given and the store is ``sqlite`` or ``memory``; others may be shared
            by several machines, which must have the same.
        secret_file: A file with one secret per line, the newest first.
        old_secrets: Secrets that were in force before, the newest first: they still open, and seal nothing.
        encrypt: Whether fields, names, roles and metadata are sealed in the store.
        accept_plain: Whether values stored before encryption was switched on are still read.
        cookie_name: Name of the cookie without prefix; ``NAME_session`` of the host when empty.
        cookie_secure: True always, False never, unset: always but for direct requests on this machine.
        cookie_samesite: ``lax``, ``strict`` or ``none``.
        cookie_path: Where the cookie is sent.
        cookie_domain: Hosts it is sent to; unset for this one alone.
        cookie_persistent: Whether the cookie outlives the browser; false: it goes when the browser is closed.
        cookie_partitioned: Whether a site that embeds this one gets a cookie of its own (``Partitioned``).
        csrf: Whether requests from other sites are refused.
        csrf_strict: Whether programs that send cookies, but not where they come from, need a token.
        trusted_origins: Other origins that may send requests, such as ``https://app.example.org``.
        csrf_exempt_paths: Exact paths that are not checked.
        preload: Whether a request that carries a cookie has its session loaded before its handler runs;
            unset: when the store is over the network and the handler was seen to look without awaiting.
        cleanup_interval: How often expired sessions are removed.
        socket_check_interval: How often open WebSockets are checked against their sessions.
        carry_over: Whether sessions in memory are kept in a file over a restart, and those of such a file taken
            over. A reload keeps them in any case.
    """

    store: str = "sqlite"
    store_settings: dict[str, Any] = {}
    path: str = ""
    redis_url: str = ""
    redis_prefix: str = ""
    redis_timeout: float = 2.0
    idle_timeout: float = 1800.0
    absolute_timeout: float = 28800.0
    touch_interval: float = 60.0
    rotation_grace: float = 10.0
    max_bytes: int = 16_384
    secret: Secret | None = None
    secret_file: str = ""
    old_secrets: tuple[Secret, ...] = ()
    encrypt: bool = True
    accept_plain: bool = False
    cookie_name: str = ""
    cookie_secure: bool | None = None
    cookie_samesite: Literal["lax", "strict", "none"] = "lax"
    cookie_path: str = "/"
    cookie_domain: str | None = None
    cookie_persistent: bool = True
    cookie_partitioned: bool = False
    csrf: bool = True
    csrf_strict: bool = False
    trusted_origins: frozenset[Origin] = frozenset()
    csrf_exempt_paths: frozenset[str] = frozenset()
    preload: bool | None = None
    cleanup_interval: float = 3600.0
    socket_check_interval: float = 30.0
    carry_over: bool = False

    def __repr__(self) -> str:
        """Show no address and no settings of a store: there may be a password among them."""
        return f"SessionsConfig(store={self.store!r})"

    def check(self) -> None:
        """Refuse what a type cannot.

        Raises:
            ConfigError: A setting does not fit another, or is out of range; it is named.
        """
        for name in (
            "redis_timeout", "idle_timeout", "absolute_timeout", "touch_interval", "cleanup_interval",
            "socket_check_interval",
        ):  # fmt: skip
            _require(0 < getattr(self, name) < float("inf"), name, "must be a positive number of seconds")
        _require(
            self.idle_timeout <= self.absolute_timeout, "idle_timeout", "cannot be above absolute_timeout"
        )
        _require(0 <= self.rotation_grace <= 300, "rotation_grace", "must be between 0 and 300 seconds")
        _require(256 <= self.max_bytes <= 1_048_576, "max_bytes", "must be between 256 and 1048576")
        _require(bool(self.redis_url) or self.store != "redis", "redis_url", "is needed with store = 'redis'")
        _require(
            not (self.store in OWN_STORES and self.store_settings), "store_settings",
            f"are for stores of others; store = {self.store!r} has settings of its own beside it",
        )  # fmt: skip
        scheme = self.redis_url.partition("://")[0]
        _require(
            not scheme.startswith("redis+"), "redis_url",
            f"cannot be {scheme}://, since a sign-in changes several keys in one step: give the address of one"
            " server, or one that leads to whichever is the primary",
        )  # fmt: skip
        _require(not (self.secret and self.secret_file), "secret_file", "cannot be given beside secret")
        _require(
            self.store == "redis" or not self.redis_url, "redis_url",
            f"would be left alone with store = {self.store!r}: say store = 'redis', or take it out",
        )  # fmt: skip
        for path in self.csrf_exempt_paths:
            _require(
                path.startswith("/"), "csrf_exempt_paths", f"{path!r} begins with no slash: write /webhook"
            )
        self.cookie_policy("host")
        for number, secret in enumerate((self.secret, *self.old_secrets)):
            if secret is not None:
                check_secret(secret.reveal(), f"{_HERE}.{'old_secrets' if number else 'secret'}")

    def policy(self) -> SessionRules:
        """Return what holds for all sessions."""
        lifetimes = Lifetimes(self.idle_timeout, self.absolute_timeout, self.touch_interval)
        return SessionRules(lifetimes=lifetimes, grace=self.rotation_grace, max_bytes=self.max_bytes)

    def cookie_policy(self, host_name: str) -> CookiePolicy:
        """Return how the cookie is named and fenced in; hosts on one machine have different names."""
        name = "".join(char if char.isalnum() and char.isascii() else "_" for char in host_name.lower())
        return CookiePolicy(
            name=self.cookie_name or f"{name}_session",
            secure=self.cookie_secure,
            samesite=self.cookie_samesite,
            path=self.cookie_path,
            domain=self.cookie_domain,
            persistent=self.cookie_persistent,
            partitioned=self.cookie_partitioned,
        )

    def csrf_policy(self) -> CsrfPolicy:
        """Return which requests from elsewhere may pass."""
        trusted = frozenset(origin.lower() for origin in self.trusted_origins)
        return CsrfPolicy(
            strict=self.csrf_strict, trusted_origins=trusted, exempt_paths=self.csrf_exempt_paths
        )


def _require(condition: bool, name: str, complaint: str) -> None:
    if not condition:
        raise ConfigError(f"{name} {complaint}", path=f"{_HERE}.{name}")
