"""The host's HTTP side for WSGI servers: each request goes over to the event loop and comes back whole.

An event stream would keep a thread of the server for as long as somebody looks; here there are none, and the
page polls instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from plughost.adapters.threads import HostOfProcess
from plughost.contracts.http import Message, Scope
from plughost.host import Host
from plughost.http import HostApplication, create_app

StartResponse = Callable[..., Any]
WSGIApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
"""A WSGI application."""

Answer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body."""

_MOST_BODY = 64 << 20


class HostWSGI:
    """A WSGI application that serves a host.

    Args:
        hosts: Where the host of the process is.
        prefix: Where it is mounted.
    """

    def __init__(self, hosts: HostOfProcess, prefix: str) -> None:
        self._hosts = hosts
        self._prefix = prefix.rstrip("/")
        self._applications: dict[int, HostApplication] = {}

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
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(min(length, _MOST_BODY)) if length else b""
        host = self._hosts.get()
        told: Answer = host.run(self._answer, _scope(environ, self._prefix), body)
        status, headers, answer = told
        start_response(f"{status} {_phrase(status)}", headers)
        return [answer]

    async def _answer(self, host: Host, scope: Scope, body: bytes) -> Answer:
        application = self._applications.get(id(host))
        if application is None:
            application = self._applications[id(host)] = create_app(host)
            application.runtime.open_streams = application.runtime.settings.max_streams  # none is to be had
        start: Message = {}
        chunks: list[bytes] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                chunks.append(message.get("body", b""))

        await application(scope, receive, send)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
        return start["status"], headers, b"".join(chunks)


def _scope(environ: dict[str, Any], prefix: str) -> Scope:
    # WSGI hands text over as if it were Latin-1, whatever it is (PEP 3333).
    path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
    outer = environ.get("SCRIPT_NAME", "").encode("latin-1").decode("utf-8", "replace")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": outer + path,
        "root_path": outer + prefix,
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": list(_headers(environ)),
        "client": (environ["REMOTE_ADDR"], 0) if environ.get("REMOTE_ADDR") else None,
        "server": (environ.get("SERVER_NAME", ""), int(environ.get("SERVER_PORT") or 0)),
    }


def _headers(environ: dict[str, Any]) -> Iterable[tuple[bytes, bytes]]:
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            yield key[5:].replace("_", "-").lower().encode("latin-1"), str(value).encode("latin-1")
    for key, name in (("CONTENT_TYPE", b"content-type"), ("CONTENT_LENGTH", b"content-length")):
        if environ.get(key):
            yield name, str(environ[key]).encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"
