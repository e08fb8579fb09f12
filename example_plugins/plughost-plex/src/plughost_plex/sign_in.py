"""Sign-in by PIN: the browser gets the address of Plex's page and a handle; the token stays here."""

from __future__ import annotations

import hmac
import math
import secrets
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from plughost.contracts import (
    Abstain,
    Allow,
    AuthAttempt,
    Clock,
    Deny,
    Principal,
    RequestSession,
    Secret,
    Verdict,
    session_of,
)
from plughost.http import Problem, host_from, json_body
from plughost_plex.plex_tv import Person, PlexTv
from plughost_plex.protocols import Account
from plughost_plex.servers import Servers
from plughost_upstream.protocols import UpstreamMissingError

if TYPE_CHECKING:
    from plughost_plex.plugin import PlexConfig

_FIELD: Final = "plex_sign_in"
_PROOF: Final = "plex_proof"
_LONGEST: Final = 1799


class SignIn:
    """The two routes of a sign-in, and the verdict that they ask the host for.

    Args:
        plex_tv: Where PINs come from.
        servers: Where the account is kept.
        config: Who may sign in, and as what.
        hooks: The hooks of the host.
        clock: Time.
    """

    def __init__(
        self, plex_tv: PlexTv, servers: Servers, config: PlexConfig, hooks: Any, clock: Clock
    ) -> None:
        self._plex_tv, self._servers, self._config = plex_tv, servers, config
        self._hooks, self._clock = hooks, clock
        self._proven: dict[str, Person] = {}

    async def begin(self, request: Request) -> Response:
        """Begin a sign-in; what is needed to end it is in the session of this browser and nowhere else."""
        given = await json_body(request, dict[str, object])
        forward = _forward(request, given.get("forward"))
        session = await session_of(request).load()
        pin = await self._plex_tv.begin()
        handle, life = secrets.token_urlsafe(24), min(pin.expires_in, _LONGEST)
        session[_FIELD] = {"handle": handle, "pin": pin.id, "until": self._clock.time() + life}
        address = self._plex_tv.page(pin, forward)
        return JSONResponse({"handle": handle, "address": address, "expires_in": life}, 201)

    async def look(self, request: Request) -> Response:
        """Say whether the person has said yes; the first look after that signs the browser in."""
        session = await session_of(request).load()
        begun = session.get(_FIELD)
        given = request.path_params["handle"]
        if not isinstance(begun, dict) or not hmac.compare_digest(begun["handle"].encode(), given.encode()):
            raise _over()
        if begun["until"] <= self._clock.time():
            await _end_begun(session)
            raise _over()
        try:
            token = await self._plex_tv.look(begun["pin"])
        except UpstreamMissingError:
            await _end_begun(session)
            raise _over() from None
        if token is None:
            return JSONResponse({"state": "waiting"}, 202)
        return await self._end(request, session, token)

    async def _end(self, request: Request, session: RequestSession, token: Secret) -> Response:
        person = await self._plex_tv.person(token)
        proof = secrets.token_urlsafe(24)
        # The token itself passes no hook: other plugins see a word that is good for once.
        self._proven[proof] = person
        try:
            result = await host_from(request).auth.authenticate(
                AuthAttempt(
                    username=person.username,
                    credentials={_PROOF: proof},
                    address=request.client.host if request.client else None,
                    user_agent=request.headers.get("user-agent", "")[:512] or None,
                )
            )
        finally:
            self._proven.pop(proof, None)
        if result.retry_after:
            wait = {"Retry-After": str(max(1, math.ceil(result.retry_after)))}
            raise Problem(429, result.reason, code="too_many_attempts", headers=wait)
        await _end_begun(session)
        who = result.principal
        if not result.allowed or who is None:
            raise Problem(403, result.reason or "Not signed in.", code="not_signed_in")
        account = Account(user_id=who.user_id, plex_id=person.id, username=person.username)
        await self._servers.link(account, token)
        await session.sign_in(who.user_id, username=who.username, roles=who.roles)
        await self._hooks.plex_linked(account=account)
        shown = {"state": "signed_in", "user_id": who.user_id, "username": who.username}
        return JSONResponse(shown | {"roles": list(who.roles), "csrf_token": session.csrf_token})

    def verdict(self, attempt: AuthAttempt) -> Verdict:
        """Say who it is, when a PIN has proved it; the provider of the hook ``authenticate``."""
        proof = attempt.credentials.get(_PROOF)
        if not isinstance(proof, str):
            return Abstain()
        person = self._proven.get(proof)
        if person is None or person.username != attempt.username:
            return Deny("This sign-in is over.")
        allowed = self._config.allowed_users
        if allowed and person.username not in allowed:
            return Deny("This Plex account may not sign in here.")
        return Allow(Principal(f"plex:{person.id}", person.username, self._config.roles))


def _forward(request: Request, path: object) -> str:
    """Return the address of a page of ours to come back to; empty for none."""
    if path is None:
        return ""
    if not isinstance(path, str) or not path.startswith("/") or path[1:2] in ("/", "\\") or len(path) > 500:
        raise Problem(422, "`forward` is a path of this application.", code="forward_invalid")
    return f"{str(request.base_url).rstrip('/')}{path}"


async def _end_begun(session: RequestSession) -> None:
    """Let a handle be good for once. Saved now: a refusal saves nothing, and a sign-in carries over what is stored."""
    session.pop(_FIELD, None)
    await session.save()


def _over() -> Problem:
    return Problem(410, "This sign-in is over; begin again.", code="sign_in_over")
