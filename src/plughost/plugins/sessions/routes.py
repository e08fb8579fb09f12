"""``/api/auth``: sign in, look, validate, sign out."""

from __future__ import annotations

import math

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from plughost.contracts import AuthAttempt, Principal, RequestSession, session_of
from plughost.http import PUBLIC, SIGNED_IN, Problem, Route, host_from, json_body

_USER_AGENT_LIMIT = 512
_LONGEST_NAME = 320  # characters; no address of mail is longer
_LARGEST_SIGN_IN = 16_384  # bytes of the body


class SignIn(msgspec.Struct, forbid_unknown_fields=False):
    """Body of a sign-in; whatever else is in it is handed to the providers as credentials too.

    Attributes:
        username: The name to sign in with.
        password: The password, when there is one.
    """

    username: str = ""
    password: str | None = None


def auth_routes() -> list[Route]:
    """Return the routes; the middleware has refused cross-site requests before they come here."""
    return [
        Route(
            "/api/auth/login", login, methods=["POST"], guard=PUBLIC, name="auth-login", rate="auth",
            max_body=_LARGEST_SIGN_IN,
            summary="Sign in; answers with the session and sets its cookie.", body=SignIn,
        ),
        Route(
            "/api/auth/session", current, methods=["GET"], guard=SIGNED_IN, name="auth-session",
            summary="The session of this request.",
        ),
        Route(
            "/api/auth/validate", validate, methods=["GET"], guard=PUBLIC, name="auth-validate",
            summary="Whether this request is signed in, and as whom.",
        ),
        Route(
            "/api/auth/logout", logout, methods=["POST"], guard=PUBLIC, name="auth-logout",
            summary="Sign out; the session is ended for good.",
        ),
    ]  # fmt: skip


async def login(request: Request) -> Response:
    """Ask the auth hooks; a success gets a new session under a new id, whatever cookie came along."""
    given = await json_body(request, dict[str, object])
    username = given.get("username")
    if not isinstance(username, str) or not username:
        raise Problem(422, "Send a JSON object with `username` and what proves it.", code="username_missing")
    if len(username) > _LONGEST_NAME:
        raise Problem(422, f"`username` may have {_LONGEST_NAME} characters.", code="username_too_long")
    attempt = AuthAttempt(
        username=username,
        credentials={name: value for name, value in given.items() if name != "username"},
        address=request.client.host if request.client else None,
        user_agent=request.headers.get("user-agent", "")[:_USER_AGENT_LIMIT] or None,
    )
    result = await host_from(request).auth.authenticate(attempt)
    if result.retry_after:
        wait = {"Retry-After": str(max(1, math.ceil(result.retry_after)))}
        raise Problem(429, result.reason, code="too_many_attempts", headers=wait)
    if not result.allowed or result.principal is None:
        raise Problem(401, result.reason or "Not signed in.", code="not_signed_in")
    session = session_of(request)
    who = result.principal
    await session.sign_in(who.user_id, username=who.username, roles=who.roles)
    return _shown(session)


async def current(request: Request) -> Response:
    """Show the session: who, which roles, until when, and the token for clients that need one."""
    session = await session_of(request).load()
    if session.user_id is None:
        raise Problem(401, "This request has no session of its own.", code="not_signed_in")
    return _shown(session)


async def validate(request: Request) -> Response:
    """Say whether this request is signed in; never a refusal."""
    session = await session_of(request).load()
    valid = session.user_id is not None
    found = {"valid": valid, "user_id": session.user_id, "username": session.username}
    return JSONResponse(found | {"expires_at": session.expires_at if valid else None})


async def logout(request: Request) -> Response:
    """End the session; signing out twice is signing out."""
    session = await session_of(request).load()
    if session.user_id is not None:
        principal = Principal(session.user_id, session.username, session.roles)
        await host_from(request).auth.sign_out(principal, session.handle, session.sign_out)
    else:
        await session.sign_out()
    return Response(status_code=204, headers={"Clear-Site-Data": '"cache"', "Cache-Control": "no-store"})


def _shown(session: RequestSession) -> Response:
    return JSONResponse(
        {
            "user_id": session.user_id,
            "username": session.username,
            "roles": list(session.roles),
            "handle": session.handle,
            "expires_at": session.expires_at,
            "csrf_token": session.csrf_token,
        }
    )
