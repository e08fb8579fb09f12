"""The host's HTTP side for WSGI servers: each request goes over to the event loop, and both bodies pass in pieces.

An event stream would keep a thread of the server for as long as somebody looks; here there are none, and the
page polls instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

from starlette.requests import Request

from plughost.adapters.exchange import Exchange
from plughost.adapters.threads import HostOfProcess
from plughost.contracts.http import ASGIApp
from plughost.host import Host
from plughost.http import HostApplication, Problem, create_app

StartResponse = Callable[..., Any]
WSGIApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
"""A WSGI application."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class HostWSGI:
    """A WSGI application that serves a host.

    Args:
        hosts: Where the host of the process is.
        prefix: Where it is mounted.
    """

    def __init__(self, hosts: HostOfProcess, prefix: str) -> None:
        self._hosts = hosts
        self._prefix = prefix.rstrip("/")
        self._applications: WeakKeyDictionary[Host, HostApplication] = WeakKeyDictionary()

    def beside(self, outer: WSGIApp) -> WSGIApp:
        """Return one application out of two: below the prefix the host's, everywhere else the other."""

        def both(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            if path == self._prefix or path.startswith(f"{self._prefix}/"):
                return self(environ, start_response)
            return outer(environ, start_response)

        return both

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        # WSGI hands text over as if it were Latin-1, whatever it is (PEP 3333).
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        outer = environ.get("SCRIPT_NAME", "").encode("latin-1").decode("utf-8", "replace")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").removeprefix("HTTP/"),
            "method": environ["REQUEST_METHOD"],
            "scheme": environ.get("wsgi.url_scheme", "http"),
            "path": outer + path,
            "root_path": outer + self._prefix,
            "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
            "headers": list(_headers(environ)),
            "client": (environ["REMOTE_ADDR"], 0) if environ.get("REMOTE_ADDR") else None,
            "server": (environ.get("SERVER_NAME", ""), int(environ.get("SERVER_PORT") or 0)),
        }
        length, problem = _length(environ)
        refusal = None if problem is None else problem.response(Request(scope))
        exchange = Exchange(
            self._hosts.get(),
            environ["wsgi.input"],
            length=length,
            bodiless=environ["REQUEST_METHOD"] == "HEAD",
        )
        status, headers = exchange.start(lambda host: refusal or self._application(host), scope)
        start_response(f"{status} {_PHRASES.get(status, 'Status')}", headers)
        return exchange

    def _application(self, host: Host) -> ASGIApp:
        application = self._applications.get(host)
        if application is None:
            application = self._applications[host] = create_app(host)
            application.runtime.open_streams = application.runtime.settings.max_streams  # none is to be had
        return application


def _length(environ: dict[str, Any]) -> tuple[int | None, Problem | None]:
    """Return how long the body is, None for as long as the server says, and why that cannot be told."""
    told = str(environ.get("CONTENT_LENGTH") or "")
    if told and not (told.isascii() and told.isdecimal()):
        return 0, Problem(400, "Content-Length is not a number.", code="malformed_request")
    if told:
        return int(told), None
    if environ.get("wsgi.input_terminated"):
        return None, None
    if environ.get("HTTP_TRANSFER_ENCODING"):  # reading would wait for ever, and not reading would lose it
        sentence = "This server cannot take a body without a length: send Content-Length."
        return 0, Problem(411, sentence, code="length_required")
    return 0, None


def _headers(environ: dict[str, Any]) -> Iterable[tuple[bytes, bytes]]:
    for key, value in environ.items():
        if key.startswith("HTTP_") and key not in {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}:
            yield key[5:].replace("_", "-").lower().encode("latin-1"), str(value).encode("latin-1")
    for key, name in (("CONTENT_TYPE", b"content-type"), ("CONTENT_LENGTH", b"content-length")):
        if environ.get(key):
            yield name, str(environ[key]).encode("latin-1")
