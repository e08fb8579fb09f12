"""The two answers the middleware gives by itself."""

from __future__ import annotations

from plughost.contracts import Send
from plughost.http.csrf import cross_site
from plughost.http.problems import Problem, send_problem

RETRY_AFTER = 5  # seconds


async def send_unavailable(send: Send) -> None:
    """Answer that the session store is away: try again. It never means "not signed in"."""
    detail = "The session could not be looked up. You are still signed in; try again in a moment."
    headers = {"Retry-After": str(RETRY_AFTER)}
    await send_problem(Problem(503, detail, code="sessions_unavailable", headers=headers), send)


async def send_forbidden(send: Send) -> None:
    """Answer that the request came from another site."""
    await send_problem(cross_site(), send)
