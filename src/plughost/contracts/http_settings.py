"""How the HTTP application behaves, as one typed section of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from plughost.contracts.setting_types import Count, GivenName, Origin, PositiveSeconds, ScopeText, SiteUrl

AdminPath = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*\Z", examples=["/admin"])]
"""A prefix of paths such as ``/admin`` or ``/ops/admin``; empty for none."""


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[http]``: what ``create_app`` goes by when it is given no settings.

    Attributes:
        request_timeout: Seconds until a route must have begun its answer; then it is a 503.
        max_body: Bytes a request body may have, where the route says nothing else.
        max_depth: How deep JSON in a request may nest.
        read_only: Refuse every administrative action with 405.
        public_url: How browsers reach the host, when that is not the address it listens on: printed links begin
            so, and its origin counts as the host's own. A request whose ``Host`` is the one in it came that way.
        admin_path: What the addresses of the admin page and its API begin with. Empty puts the page at ``/system``
            and the API at ``/api``, for an application that is mounted at ``/admin`` itself.
        environment: Name shown on the admin page; None takes ``[host] environment``.
        gzip_minimum: Bytes from which on answers are compressed; None never compresses.
        hsts: Seconds that browsers shall insist on https; sent over https only. 0 sends nothing.
        role_scopes: What a session's role may do: role to scopes. No role may do anything unless it is said here:
            a role called ``admin`` is the application's own, whatever it administers.
        link_lifetime: Seconds a sign-in link is good for; a week at most.
        browser_lifetime: Seconds that a browser stays signed in after following one; a year at most.
        max_streams: Event streams that may be open at once.
        max_streams_each: How many of them one client may hold: one token, one browser, one user, or one network
            where nobody is known. None is half of ``max_streams``.
        rate_limits: Name of a rate class (``read``, ``write``, ``code``, ``auth``, ``refused``, or a plugin's
            own) to how many requests per minute one client may make.
        trust_loopback: Who counts as a program on this machine, and is told figures without a token: with None
            whoever connects directly, to the port that ``Host`` names, as the user who runs the host; with True
            everybody who connects from this machine, which includes a proxy that forwards no headers; with False
            nobody. With ``public_url``, and with the options of ``plughost serve`` for a proxy, nobody.
        trusted_origins: Other origins whose pages may send requests that change something, such as
            ``https://app.example.org``; those of ``[plugins.sessions.config]`` count too.
    """

    request_timeout: PositiveSeconds = 30.0
    max_body: Count = 1 << 20
    max_depth: Annotated[int, Meta(ge=1, le=1000)] = 32
    read_only: bool = False
    public_url: SiteUrl = ""
    admin_path: AdminPath = "/admin"
    environment: str | None = None
    gzip_minimum: Annotated[int, Meta(ge=0)] | None = 1024
    hsts: Annotated[int, Meta(ge=0)] = 31_536_000
    role_scopes: Mapping[GivenName, tuple[ScopeText, ...]] = field(default_factory=dict)
    link_lifetime: Annotated[float, Meta(ge=1, le=604_800)] = 600.0
    browser_lifetime: Annotated[float, Meta(ge=1, le=31_536_000)] = 28_800.0
    max_streams: Count = 1000
    max_streams_each: Count | None = None
    rate_limits: Mapping[GivenName, Count] = field(default_factory=dict)
    trust_loopback: bool | None = None
    trusted_origins: frozenset[Origin] = frozenset()

    @property
    def streams_of_one(self) -> int:
        """How many event streams one client may hold."""
        return self.max_streams_each or max(self.max_streams // 2, 1)

    def __post_init__(self) -> None:
        for name in ("role_scopes", "rate_limits"):
            force_setattr(self, name, MappingProxyType(dict(getattr(self, name))))
        if self.max_streams_each is not None and self.max_streams_each > self.max_streams:
            raise ValueError(
                f"max_streams_each is above max_streams, {self.max_streams}, which is for all clients together"
            )
