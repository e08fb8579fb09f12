"""The gate in front of every route: who asks, may they, from where, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from plughost.contracts.limits import LimitResult, RateLimiter
from plughost.contracts.session import RequestSession
from plughost.exceptions import StoreUnavailableError
from plughost.http.csrf import (
    cross_site,
    is_unchecked_from_elsewhere,
)
from plughost.http.guards import ANONYMOUS, PUBLIC, Guard, Identity
from plughost.http.problems import Problem, too_often
from plughost.http.rates import subject_of
from plughost.http.runtime import IDENTITY, HttpRuntime

_CHALLENGE = 'Bearer realm="plughost"'


class Gated(Protocol):
    """What the gate must know of a route."""

    guard: Guard
    csrf: bool
    rate: str | None
    audit: str


async def pass_gate(route: Gated, runtime: HttpRuntime, connection: Any) -> None:
    """Let a request through to its endpoint, or refuse it.

    Args:
        route: What it wants.
        runtime: The application's parts.
        connection: The ASGI scope; who asks is noted in it.

    Raises:
        Problem: 401 nobody is known, or the credential is wrong; 403 not allowed, or another site's request;
            405 the administration is read-only; 429 too often; 503 credentials cannot be checked now.
    """
    if route.guard is PUBLIC:
        identity = connection[IDENTITY] = ANONYMOUS
    else:
        try:
            identity = await _admit(route.guard, runtime, connection)
        except Problem:
            subject = subject_of(connection, ANONYMOUS)
            if subject is not None:
                _refuse_beyond(await runtime.rates.check("refused", subject, runtime.service(RateLimiter)))
            raise
    if route.csrf and is_unchecked_from_elsewhere(connection):
        raise cross_site()
    if route.audit and runtime.settings.read_only:
        raise Problem(
            405, "This host is administered read-only.", code="read_only", headers={"Allow": "GET, HEAD"}
        )
    if route.rate is not None:
        subject = subject_of(connection, identity)
        if subject is not None:
            _refuse_beyond(await runtime.rates.check(route.rate, subject, runtime.service(RateLimiter)))


async def may(guard: Guard, runtime: HttpRuntime, connection: Any) -> bool:
    """Whether whoever makes a request would pass ``guard``; for routes that tell some more than others."""
    try:
        await _admit(guard, runtime, connection)
    except Problem:
        return False
    return True


async def is_still_admitted(guard: Guard, runtime: HttpRuntime, connection: Any) -> bool:
    """Whether whoever passed ``guard`` some time ago still is who they were, and would pass again.

    Raises:
        StoreUnavailableError: That cannot be told now.
    """
    was: Identity = connection[IDENTITY]
    if was.kind == "session":
        session = connection.get("session")  # none where a shared answer is made, which is nobody's own
        return not isinstance(session, RequestSession) or await session.is_alive()
    try:
        now = _by_credential(runtime, connection)
    except Problem:
        return False
    return now is not None and now.key == was.key and guard.allows(now, connection)


async def _admit(guard: Guard, runtime: HttpRuntime, connection: Any) -> Identity:
    identity = ANONYMOUS
    if guard.looks_at_identity:
        try:
            identity = _by_credential(runtime, connection) or await _by_session(runtime, connection)
        except StoreUnavailableError as error:
            raise Problem(
                503, "Credentials cannot be checked now; try again later.", code="credentials_unavailable"
            ) from error
    connection[IDENTITY] = identity
    if guard.allows(identity, connection):
        return identity
    if not identity.known:
        raise _unauthorized("Sign in, or send a bearer token.", "")
    wanted = f" It needs the scope {guard.wants}." if guard.wants else ""
    raise Problem(403, f"{identity.name} may not do this.{wanted}", code="insufficient_scope")


def _by_credential(runtime: HttpRuntime, connection: Mapping[str, Any]) -> Identity | None:
    """Return who a bearer token or an administrator's cookie stands for; None when there is neither."""
    given = [value for name, value in connection["headers"] if name == b"authorization"]
    if given:
        scheme, _, token = given[0].decode("latin-1").partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer":
            raise _unauthorized("Send exactly one header `Authorization: Bearer phk_...`.", "invalid_request")
        identity = runtime.tokens.identify(token.strip())
        if identity is None:
            raise _unauthorized("This token is unknown, wrong, expired or revoked.", "invalid_token")
        return identity
    secret = runtime.sign_ins.secret_in(connection)
    return runtime.sign_ins.identify(secret) if secret is not None else None


async def _by_session(runtime: HttpRuntime, connection: Mapping[str, Any]) -> Identity:
    session = connection.get("session")
    if not isinstance(session, RequestSession):
        return ANONYMOUS
    await session.load()
    if session.user_id is None:
        return ANONYMOUS
    granted = (runtime.settings.role_scopes.get(role, ()) for role in session.roles)
    return Identity(
        kind="session",
        name=session.username or session.user_id,
        id=session.user_id,
        scopes=frozenset(scope for scopes in granted for scope in scopes),
    )


def _refuse_beyond(result: LimitResult) -> None:
    if not result.allowed:
        raise too_often(result.retry_after)


def _unauthorized(detail: str, error: str) -> Problem:
    challenge = f'{_CHALLENGE}, error="{error}"' if error else _CHALLENGE
    return Problem(401, detail, code=error or "unauthorized", headers={"WWW-Authenticate": challenge})
