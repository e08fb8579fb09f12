"""How the HTTP application behaves, as one typed section."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field

_ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType({"admin": ("*",)})


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``create_app`` can be told.

    Attributes:
        request_timeout: Seconds until a route must have begun its answer; then it is a 503.
        max_body: Bytes a request body may have, where the route says nothing else.
        max_depth: How deep JSON in a request may nest.
        read_only: Refuse every administrative action with 405.
        environment: Name shown on the admin page; None takes the host's ``environment``.
        gzip_minimum: Bytes from which on answers are compressed; None never compresses.
        hsts: Seconds that browsers shall insist on https; sent over https only. 0 sends nothing.
        role_scopes: What a session's role may do: role to scopes.
        link_lifetime: Seconds a sign-in link is good for.
        browser_lifetime: Seconds that a browser stays signed in after following one.
        max_streams: Event streams that may be open at once.
        rate_limits: Name of a rate class (``read``, ``write``, ``auth``, ``code``, or a plugin's own) to how
            many per minute one client may make.
    """

    request_timeout: float = 30.0
    max_body: int = 1 << 20
    max_depth: int = 32
    read_only: bool = False
    environment: str | None = None
    gzip_minimum: int | None = 1024
    hsts: int = 31_536_000
    role_scopes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(_ROLES))
    link_lifetime: float = 600.0
    browser_lifetime: float = 28_800.0
    max_streams: int = 1000
    rate_limits: Mapping[str, int] = field(default_factory=dict)
