"""What plugins contribute to the HTTP side, as far as it belongs to no framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

from plughost._dataclasses import dataclass
from plughost.contracts.http_settings import AdminPath, HttpSettings

Scope = MutableMapping[str, Any]
"""What an ASGI server says about a connection; middleware may add to it."""

Message = MutableMapping[str, Any]
"""One ASGI event, in either direction."""

Receive = Callable[[], Awaitable[Message]]
"""Waits for the next message from the client."""

Send = Callable[[Message], Awaitable[None]]
"""Sends a message to the client."""

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpContext:
    """What the application that is being put together is like.

    Attributes:
        host_name: Name of the host.
        environment: ``production`` or ``development`` or what the deployer calls it.
        root_path: Where the application is mounted; empty at the top.
        read_only: Whether administrative actions are switched off.
        admin_path: What the addresses of the administration begin with; empty when they begin at the top.
    """

    host_name: str
    environment: str = "production"
    root_path: str = ""
    read_only: bool = False
    admin_path: AdminPath = "/admin"

    @classmethod
    def of(cls, host_name: str, settings: HttpSettings, environment: str | None) -> HttpContext:
        """Return what plugins are told of the application of a host.

        Args:
            host_name: Name of the host.
            settings: How the application behaves.
            environment: The host's own environment, where the settings name none.
        """
        return cls(
            host_name=host_name,
            environment=settings.environment or environment or "production",
            read_only=settings.read_only,
            admin_path=settings.admin_path,
        )


class GuardedRoute(Protocol):
    """What the host must know of a route; ``plughost.http.Route`` is one."""

    @property
    def path(self) -> str:
        """Where it is, such as ``/api/things/{id}``."""

    @property
    def guard(self) -> object:
        """Who may use it. A route without a guard keeps the host from starting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Middleware:
    """An ASGI middleware and where it stands.

    Attributes:
        factory: Called once with the application inside; returns the application around it. Options
            belong into a ``functools.partial``.
        priority: Higher stands further out: it sees a request earlier and a response later.
        name: How reports call it; the factory's own name when empty.
    """

    factory: Callable[[ASGIApp], ASGIApp]
    priority: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelAction:
    """A button on an admin panel.

    Attributes:
        name: Last part of its address; lower case, no slash.
        title: What the button says.
        run: Called when it is pressed, with the fields that were sent; sync or async. Returns one sentence
            that says what was done.
        scope: What a token must be allowed to press it, such as ``cache:write``.
        confirm: Question to ask before; empty for none.
        listed: Whether it is a button below the panel; False for one that the panel's template has, with fields.
    """

    name: str
    title: str
    run: Callable[[Mapping[str, str]], Awaitable[str] | str]
    scope: str
    confirm: str = ""
    listed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminPanel:
    """A tab of the admin page.

    Attributes:
        name: Last part of its address, such as ``cache`` in ``/admin/system/cache``; lower case, no slash.
        title: What the tab says.
        data: Called for each look at it; sync or async. Returns the figures, which are also its JSON twin.
        scope: What a token must be allowed to see it, such as ``cache:read``.
        template: Text of a Jinja template that is given ``data``, and ``allowed``: action -> whether whoever looks may
            press it; None shows the figures as tables.
        actions: Its buttons.
        priority: Higher stands further left.
    """

    name: str
    title: str
    data: Callable[[], Awaitable[Mapping[str, Any]] | Mapping[str, Any]]
    scope: str
    template: str | None = None
    actions: tuple[PanelAction, ...] = ()
    priority: int = 0
