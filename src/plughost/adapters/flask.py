"""Flask: ``Plughost(app, mount="/ops")``, or ``plughost.init_app(app)`` in a factory."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app

from plughost.adapters.threads import HostOfProcess
from plughost.adapters.wsgi import HostWSGI
from plughost.blocking import BlockingHost
from plughost.host import ConfigSource


class Plughost:
    """An extension with one host for each process, which starts with the first use.

    Args:
        app: The application; None when ``init_app`` follows.
        name: Name of the host.
        config: As for ``Host``; ``app.config["PLUGHOST_CONFIG"]`` when None.
        mount: Where to serve the host's routes and its admin page; None serves nothing.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        name: str = "plughost",
        config: ConfigSource = None,
        mount: str | None = None,
    ) -> None:
        self._name = name
        self._config = config
        self._mount = mount
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Tie the host to an application; several applications have a host each."""
        config = app.config.get("PLUGHOST_CONFIG") if self._config is None else self._config
        hosts = HostOfProcess(self._name, config)
        app.extensions["plughost"] = hosts
        if self._mount is not None:
            outer: Any = app.wsgi_app
            both: Any = HostWSGI(hosts, self._mount).beside(outer)
            app.wsgi_app = both  # type: ignore[method-assign]  # as Flask's documentation does it

    @property
    def host(self) -> BlockingHost:
        """The host of the present application."""
        return current_host()


def current_host() -> BlockingHost:
    """Return the host of the present application, started.

    Raises:
        KeyError: The application has no ``Plughost``.
    """
    hosts: HostOfProcess = current_app.extensions["plughost"]
    return hosts.get()
