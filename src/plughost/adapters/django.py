"""Django: ``application = asgi(get_asgi_application(), app)``, or for WSGI ``wsgi(get_wsgi_application())``.

In views of an ASGI application ``host_from_django(request)`` is the host; in those of a WSGI application it
is the same host made blocking.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings  # type: ignore[import-untyped]

from plughost.adapters.asgi import STATE, beside
from plughost.adapters.threads import HostOfProcess
from plughost.adapters.wsgi import HostWSGI, StartResponse, WSGIApp
from plughost.blocking import BlockingHost
from plughost.contracts.http import ASGIApp
from plughost.host import Host
from plughost.http import HostApplication

_ENVIRON = "plughost.hosts"


def asgi(outer: ASGIApp, application: HostApplication, prefix: str = "/ops") -> ASGIApp:
    """Return Django's application with the host's beside it; the server's lifespan runs the host.

    Args:
        outer: What ``get_asgi_application()`` returned.
        application: What ``create_app(host)`` returned.
        prefix: Where to serve it.
    """
    return beside(outer, application, prefix)


def wsgi(outer: WSGIApp, *, name: str = "plughost", prefix: str = "/ops") -> WSGIApp:
    """Return Django's application with the host's beside it; the host starts with the first use in each process.

    Args:
        outer: What ``get_wsgi_application()`` returned.
        name: Name of the host; its configuration is ``settings.PLUGHOST_CONFIG``, as for ``Host``.
        prefix: Where to serve it.
    """
    hosts = HostOfProcess(name, getattr(settings, "PLUGHOST_CONFIG", None))

    def with_host(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ[_ENVIRON] = hosts
        return outer(environ, start_response)

    return HostWSGI(hosts, prefix).beside(with_host)


def host_from_django(request: Any) -> Host | BlockingHost:
    """Return the host of a request, as a view gets it.

    Raises:
        LookupError: The application was not made by ``asgi`` or ``wsgi`` of this module.
    """
    scope = getattr(request, "scope", None)
    if scope is not None and STATE in scope.get("state", {}):
        host: Host = scope["state"][STATE]
        return host
    hosts = getattr(request, "environ", {}).get(_ENVIRON)
    if isinstance(hosts, HostOfProcess):
        return hosts.get()
    raise LookupError("no host: make the application with plughost.adapters.django.asgi or .wsgi")
