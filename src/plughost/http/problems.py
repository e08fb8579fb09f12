"""Refusals and failures as RFC 9457 problem documents, which say what to do and nothing of the inside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from plughost.contracts.http import Send
from plughost.contracts.json_values import json_bytes
from plughost.contracts.visible import visible

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.responses import Response

PROBLEM_TYPE = "application/problem+json"

_TITLES: Mapping[int, str] = {413: "Content Too Large", 422: "Unprocessable Content"}


class Problem(Exception):
    """Raise it in an endpoint to answer with a problem document.

    Args:
        status: Status code, 400 to 599.
        detail: What is wrong and what to do, for the person who made the request.
        code: A short word for programs, such as ``invalid_token``; becomes the document's ``code``.
        headers: Further headers of the answer.
        members: Further members of the document; must be data that JSON can hold.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        code: str = "",
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail or title_of(status))
        self.status = status
        self.detail = detail
        self.code = code
        self.headers = dict(headers or {})
        self.members = members

    def document(self) -> dict[str, Any]:
        """Return the document: ``type``, ``title``, ``status``, and what else is known."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": title_of(self.status),
            "status": self.status,
        }
        if self.detail:
            document["detail"] = self.detail
        if self.code:
            document["code"] = self.code
        return {**document, **self.members}

    def response(self, connection: HTTPConnection | None = None) -> Response:
        """Return the answer: a page for a browser that navigates, a problem document for all others."""
        from starlette.responses import Response

        headers = {"Cache-Control": "no-store", **self.headers}
        if connection is not None and wants_page(connection):
            title = escape(f"{self.status} {title_of(self.status)}")
            page = (
                f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
                '<meta name="viewport" content="width=device-width, initial-scale=1">'
                '<meta name="color-scheme" content="light dark">'
                f"<main><h1>{title}</h1><p>{escape(visible(self.detail))}</p></main></html>"
            )
            return Response(page, self.status, headers, "text/html; charset=utf-8")
        return Response(json_bytes(self.document()), self.status, headers, PROBLEM_TYPE)


async def send_problem(problem: Problem, send: Send) -> None:
    """Answer with a problem document in plain ASGI; for middleware that knows no framework."""
    body = json_bytes(problem.document())
    given = {"Content-Type": PROBLEM_TYPE, "Cache-Control": "no-store", **problem.headers}
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given.items()]
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def too_often(retry_after: float) -> Problem:
    """Return the refusal of a request that came too soon; who comes back as it says is not too soon again.

    Args:
        retry_after: Seconds until it would be let through.
    """
    wait = whole_seconds(retry_after)
    return Problem(
        429,
        f"Too many requests; try again in {wait} s.",
        code="rate_limited",
        headers={"Retry-After": str(wait)},
    )


def whole_seconds(retry_after: float) -> int:
    """Return the value of ``Retry-After`` for a wait in seconds: rounded up, and 1 at least."""
    return max(1, math.ceil(retry_after))


def title_of(status: int) -> str:
    """Return the name of a status code."""
    try:
        return _TITLES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def wants_page(connection: HTTPConnection) -> bool:
    """Whether a person's browser asks, which prefers HTML to JSON."""
    accept = connection.headers.get("accept", "")
    return "text/html" in accept and "json" not in accept
