"""The routes: TMDB's own paths, and those for a user's own key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import anyio.to_thread
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from plughost.contracts import Secret
from plughost.exceptions import LoadTimeoutError, ServiceError, StoreUnavailableError
from plughost.http import SIGNED_IN, Problem, Route, identity_of, json_body
from plughost_tmdb.keys import Credential, Keys, complaint_about
from plughost_tmdb.meter import Meter
from plughost_tmdb.protocols import Answer, KeyNeededError, KeyRefusedError
from plughost_tmdb.questions import QuestionError
from plughost_tmdb.service import CachedTmdb
from plughost_tmdb.store import OwnKey
from plughost_upstream.protocols import UpstreamError

_PATHS: Final = (
    "trending/{type}/{window}", "search/{type}", "discover/{type}", "movie/{id:int}", "tv/{id:int}", "person/{id:int}",
    "configuration",
)  # fmt: skip
_SHOWN_HOURS: Final = 30 * 24
_AGAIN_AFTER: Final = 5


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``PUT /api/tmdb/key``.

    Attributes:
        key: TMDB's API Read Access Token.
    """

    key: str


class TmdbRoutes:
    """Answers requests.

    Args:
        tmdb: The service.
        keys: The keys.
        meter: What was asked.
        warn: Whether stale answers have the header ``Warning``.
    """

    def __init__(self, tmdb: CachedTmdb, keys: Keys, meter: Meter, *, warn: bool) -> None:
        self._tmdb, self._keys, self._meter, self._warn = tmdb, keys, meter, warn

    def routes(self) -> Sequence[Route]:
        """Return them."""
        reading = [
            Route(
                f"/api/tmdb/{path}", self._ask, methods=["GET"], guard=SIGNED_IN, rate="read",
                name=f"tmdb-{path.partition('/')[0]}", summary=f"TMDB's /3/{path.replace(':int', '')}, from a cache.",
            )
            for path in _PATHS
        ]  # fmt: skip
        return [
            *reading,
            _route("/api/tmdb/key", self._put_key, "PUT", "Store your own key of TMDB.", body=NewKey),
            _route("/api/tmdb/key", self._delete_key, "DELETE", "Remove your own key."),
            _route("/api/tmdb/key/validate", self._validate, "POST", "Ask TMDB whether it accepts your key."),
            _route("/api/tmdb/usage", self._usage, "GET", "What you asked in the last 30 days."),
        ]

    async def _ask(self, request: Request) -> Response:
        params = dict(request.query_params)
        if len(params) < len(request.query_params.multi_items()):
            raise Problem(422, "Each parameter is given once.", code="bad_parameter")
        path = request.url.path.partition("/api/tmdb/")[2]
        try:
            answer = await self._tmdb.answer(path, params, user=user_of(request))
        except Exception as error:
            problem = _problem_of(error)
            if problem is None:
                raise
            raise problem from None
        if answer is None:
            raise Problem(404, "TMDB has no such thing.", code="not_found")
        response = _response(request, answer)
        if self._warn and answer.stale:
            response.headers["Warning"] = '110 - "Response is Stale"'
        return response

    async def _put_key(self, request: Request) -> Response:
        user, given = user_of(request), await json_body(request, NewKey)
        complaint = complaint_about(given.key)
        if complaint:
            raise Problem(422, complaint, code="key_malformed")
        try:
            credential = self._keys.of(user, Secret(given.key))
        except ServiceError:
            raise Problem(
                503, "Keys cannot be stored: the plugin vault is away.", code="vault_missing"
            ) from None
        state = await self._check(credential, user)
        if state == "refused":
            raise Problem(422, "TMDB does not accept this key; your former one stays.", code="key_refused")
        await self._keys.keep(credential, state)
        return JSONResponse({"last4": given.key[-4:], "state": state}, headers=_NO_STORE)

    async def _delete_key(self, request: Request) -> Response:
        if not await self._keys.drop(user_of(request)):
            raise Problem(404, "You have no key of your own here.", code="no_key")
        return Response(status_code=204)

    async def _validate(self, request: Request) -> Response:
        user = user_of(request)
        own = await self._keys.stored(user)
        if own is None:
            raise Problem(404, "You have no key of your own here.", code="no_key")
        credential = self._keys.opened(own)
        if credential is None:
            raise Problem(409, "Your key cannot be opened any more: enter it again.", code="key_lost")
        state = await self._check(credential, user)
        if state != "unchecked":
            await self._keys.mark(credential, state)
        return JSONResponse({"last4": own.last4, "state": state}, headers=_NO_STORE)

    async def _check(self, credential: Credential, user: str) -> Any:
        try:
            return await self._tmdb.check(credential, user)
        except ServiceError:
            return "unchecked"

    async def _usage(self, request: Request) -> Response:
        user = user_of(request)
        own: OwnKey | None = await self._keys.stored(user)
        since = self._meter.hour - _SHOWN_HOURS
        rows = await anyio.to_thread.run_sync(self._meter.usage, since, user)
        document = {
            "key": None if own is None else {"last4": own.last4, "state": own.state},
            "shared_key": self._keys.shared is not None,
            **{
                name: sum(getattr(row, name) for row in rows)
                for name in ("calls", "hits", "stale", "errors", "ms")
            },
        }
        return JSONResponse(document, headers=_NO_STORE)


_NO_STORE: Final = {"Cache-Control": "no-store"}


def user_of(request: Request) -> str:
    """Return who asks, as keys and figures name them."""
    return identity_of(request).key


def _route(path: str, endpoint: Any, method: str, summary: str, body: Any = None) -> Route:
    name = f"tmdb-{method.lower()}-{path.rpartition('/')[2]}"
    return Route(
        path, endpoint, methods=[method], guard=SIGNED_IN, rate="write", name=name, summary=summary, body=body
    )


def _response(request: Request, answer: Answer) -> Response:
    ttl = int(answer.ttl)
    status = f"plughost; hit; ttl={ttl}"
    if answer.loaded:
        status = "plughost; fwd=miss; stored"
    elif answer.stale:
        status = f"{status}; detail={answer.trouble.replace('_', '-')}"
    headers = {
        "Age": str(int(answer.age)),
        "Cache-Status": status,
        "Cache-Control": f"private, max-age={max(0, min(ttl, 60))}",
        "ETag": answer.etag,
    }
    if request.headers.get("if-none-match") == answer.etag:
        return Response(status_code=304, headers=headers)
    return Response(answer.body, 200, headers, "application/json")


def _problem_of(error: Exception) -> Problem | None:
    """Return the refusal that an error is; None when it is none of those that are expected."""
    match error:
        case QuestionError(parameter=""):
            return Problem(404, str(error), code="not_found")
        case QuestionError():
            return Problem(422, f"{error}.", code="bad_parameter", parameter=error.parameter)
        case KeyNeededError():
            return Problem(403, "Enter your own key of TMDB: PUT /api/tmdb/key.", code="key_needed")
        case KeyRefusedError():
            return Problem(403, f"{error}.", code="key_refused")
        case UpstreamError():
            return _away(error.http_status, f"TMDB: {error}.", error.code, error.retry_after)
        case LoadTimeoutError():
            return _away(504, "TMDB does not answer in time.", "upstream_timeout")
        case StoreUnavailableError() | ServiceError():
            return _away(502, "TMDB cannot be asked now.", "upstream_unavailable")
        case _:
            return None


def _away(status: int, detail: str, code: str, retry_after: float | None = None) -> Problem:
    wait = _AGAIN_AFTER if retry_after is None else max(1, round(retry_after))
    return Problem(status, detail, code=code, headers={"Retry-After": str(wait)})
