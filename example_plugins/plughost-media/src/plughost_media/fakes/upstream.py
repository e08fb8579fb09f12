"""What all fakes have in common: a log of calls, and troubles that can be switched on and off."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import anyio
import httpx2
from starlette.datastructures import Headers, QueryParams
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Router

from plughost.contracts import ASGIApp, Message, Receive, Scope, Send

Kind = Literal["delay", "away", "500", "429", "garbage", "401", "404", "cut"]
"""What can go wrong: slow, not there, broken, too busy, nonsense, refusing the key, empty, dying in mid-answer."""

TROUBLES: Final[tuple[Kind, ...]] = get_args(Kind)

_HUGE: Final = 9 * 1024 * 1024
_NONSENSE: Final[Mapping[str, Response]] = {
    "html": HTMLResponse("<!doctype html><title>Welcome to the Wi-Fi of the hotel</title>"),
    "cut": Response(b'{"page": 1, "results": [{"id": 1, "tit', media_type="application/json"),
    "wrong": Response(b'["neither", "object", "nor", "container"]', media_type="application/json"),
    "askew": JSONResponse(
        {
            **dict.fromkeys(("results", "images", "id"), "none"),
            "MediaContainer": {
                "totalSize": "many",
                "Metadata": ["none"],
                "Directory": {},
                "Hub": 7,
                "Activity": "none",
            },
        }
    ),
    "huge": Response(b'{"results": "' + b"x" * _HUGE + b'"}', media_type="application/json"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that goes wrong with an upstream.

    Attributes:
        kind: What it is.
        seconds: How long an answer takes with ``delay``.
        status: The status of the answer with ``500``: any of 500 and above.
        retry_after: The header of that name with ``429``; None sends none, as plex.tv does.
        garbage: What ``garbage`` looks like: a page, JSON that was cut off, JSON of another shape, or of
            the right one with the wrong things in it, 9 MB.
        path: Only calls whose path begins with this are affected.
    """

    kind: Kind
    seconds: float = 5.0
    status: int = 500
    retry_after: str | None = "2"
    garbage: Literal["html", "cut", "wrong", "askew", "huge"] = "html"
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that came in, and how it was answered.

    Attributes:
        method: ``GET`` and so on.
        path: Without the query.
        query: The query; of several values the last one.
        headers: By lower-case name.
        status: Of the answer; 0 when the connection was dropped.
        at: When, by ``time.monotonic``.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    status: int
    at: float


class FakeUpstream:
    """An ASGI application that pretends to be somebody's service.

    Attributes:
        name: How the log and the demo call it.
        calls: Every call since the last ``forget``, oldest first; troubled ones too.
        trouble: What is wrong with it now; None when all is well.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[Call] = []
        self.trouble: Trouble | None = None
        self._router = Router(self.routes())

    def routes(self) -> Sequence[BaseRoute]:
        """Return what it answers."""
        return ()

    def refusal(self, status: int) -> Response:
        """Return an answer of that status as this service writes its errors."""
        return PlainTextResponse("", status)

    def begin(self, kind: Kind, **options: Any) -> None:
        """Let something go wrong from now on; ``options`` are those of ``Trouble``."""
        self.trouble = Trouble(kind=kind, **options)

    def end(self) -> None:
        """Let all be well again."""
        self.trouble = None

    def forget(self) -> None:
        """Begin the log anew."""
        self.calls.clear()

    def count(self, path: str = "", method: str = "") -> int:
        """How many calls came for paths that begin with ``path``."""
        return sum(call.path.startswith(path) and method in ("", call.method) for call in self.calls)

    @property
    def is_away(self) -> bool:
        """Whether connections to it shall fail."""
        return self.trouble is not None and self.trouble.kind == "away" and not self.trouble.path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or do what the trouble says."""
        if scope["type"] != "http":
            return
        at = time.monotonic()

        def note(status: int) -> None:
            self.calls.append(
                Call(
                    method=scope["method"], path=scope["path"], status=status, at=at,
                    query=dict(QueryParams(scope["query_string"])), headers=dict(Headers(scope=scope)),
                )
            )  # fmt: skip

        noted = False

        async def noting(message: Message) -> None:
            nonlocal noted
            if message["type"] == "http.response.start":
                noted = True
                note(int(message["status"]))  # before anybody has the answer and looks into the log
            await send(message)

        try:
            await self._answer(scope, receive, noting)
        finally:
            if not noted:
                note(0)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        trouble = self.trouble
        answer: ASGIApp = self._router
        if trouble is not None and scope["path"].startswith(trouble.path):
            if trouble.kind == "away":
                raise httpx2.ConnectError(f"{self.name} is away")
            if trouble.kind == "delay":
                await anyio.sleep(trouble.seconds)
            elif trouble.kind == "cut":
                await _die_half_way(send)
            else:
                answer = self._troubled(trouble)
        await answer(scope, receive, send)

    def _troubled(self, trouble: Trouble) -> Response:
        if trouble.kind == "garbage":
            return _NONSENSE[trouble.garbage]
        response = self.refusal(trouble.status if trouble.kind == "500" else int(trouble.kind))
        if trouble.kind == "429" and trouble.retry_after is not None:
            response.headers["Retry-After"] = trouble.retry_after
        return response


async def _die_half_way(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"page": 1, "results": [', "more_body": True})
    raise httpx2.ReadError("the connection died in the middle of the answer")
