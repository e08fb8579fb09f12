"""The routes of who is signed in: servers, shelves, what goes on, playback."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from plughost.contracts import Clock, Receive, Scope, Send, session_of
from plughost.exceptions import LoadTimeoutError, ServiceError
from plughost.http import (
    PUBLIC,
    SIGNED_IN,
    Problem,
    Route,
    any_of,
    identity_of,
    json_body,
    scope,
)
from plughost_plex.protocols import Account, Answer, OwnsServer, PlexError, Server
from plughost_plex.sections import SORTED
from plughost_upstream.protocols import Call, UpstreamError

if TYPE_CHECKING:
    from plughost_plex.service import PlexService

Endpoint = Callable[[Request], Awaitable[Response]]

_KEY: Final = re.compile(r"\d{1,18}")
_MOST_ITEMS: Final = 200
_SORTS: Final = frozenset(
    f"{name}:{way}"
    for name in ("titleSort", "addedAt", "year", "rating", "lastViewedAt")
    for way in ("asc", "desc")
)


_OF_A_PIECE: Final = ("accept-ranges", "content-length", "content-range")
_CODES: Final = {"upstream_refused": "plex_refused", "upstream_missing": "plex_missing"}


class Bandwidth(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a playback: kilobits each second that the browser measured."""

    bandwidth: int | None = None


class Marked(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a mark: the item, and for a rating how good it is (0 to 10; -1 takes it back)."""

    id: str
    rating: float | None = None


class Chosen(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a change of servers."""

    id: str


class Routes:
    """The endpoints.

    Args:
        service: Does the work.
        clock: Time.
        warn: Whether stale answers have the header ``Warning``.
    """

    def __init__(self, service: PlexService, clock: Clock, *, warn: bool) -> None:
        self._plex, self._clock, self._warn = service, clock, warn

    def all(self) -> list[Route]:
        """Return the routes."""
        owner = any_of(scope("plex:monitor"), OwnsServer(self._plex.shelf.owns))
        sign_in, guarded = self._plex.sign_in, _told
        return [
            Route("/api/auth/plex", guarded(sign_in.begin), methods=["POST"], guard=PUBLIC, rate="auth", max_body=4096,
                  summary="Begin to sign in with Plex; answers with the address of Plex's page and a handle."),
            Route("/api/auth/plex/{handle}", guarded(sign_in.look), methods=["GET"], guard=PUBLIC, rate="read",
                  summary="202 while the person thinks, 200 with the session, 410 when it is over."),
            *self._of_everybody(),
            *(
                Route(f"/api/plex/{name}", guarded(functools.partial(self._monitor, what)), methods=["GET"],
                      guard=owner, rate="read", summary=summary)
                for name, what, summary in (
                    ("activities", "activities", "What the server is busy with, and how old that is."),
                    ("sessions", "sessions", "Who watches what now."),
                    ("watch-history", "history", "What was watched, the latest first."),
                    ("media/recent", "recent", "What was added lately."),
                )
            ),
            Route("/api/plex/watch-history/sync", guarded(self._sync), methods=["POST"], guard=owner, rate="write",
                  summary="Forget the history that is kept, so that the next look asks the server."),
        ]  # fmt: skip

    def _of_everybody(self) -> list[Route]:
        reads: dict[str, Endpoint] = {
            "servers": self._servers,
            "libraries": self._libraries,
            "library/{id}/all": self._library,
            "metadata/{id}": self._metadata,
            "search": self._search,
            "ondeck": self._on_deck,
            "continue": self._continue,
        }
        writes: dict[str, tuple[Endpoint, Any]] = {
            "scrobble": (functools.partial(self._mark, "scrobble"), Marked),
            "unscrobble": (functools.partial(self._mark, "unscrobble"), Marked),
            "rate": (self._rate, Marked),
            "servers/{id}/probe": (self._probe, None),
            "playback/{id}": (self._play, Bandwidth),
        }
        return [
            *(Route(f"/api/plex/{path}", _told(ask), methods=["GET"], guard=SIGNED_IN, rate="read")
              for path, ask in reads.items()),
            *(Route(f"/api/plex/{path}", _told(ask), methods=["POST"], guard=SIGNED_IN, rate="write", body=body)
              for path, (ask, body) in writes.items()),
            Route("/api/plex/servers/current", _told(self._choose), methods=["PUT"], guard=SIGNED_IN, rate="write",
                  body=Chosen),
            Route("/api/plex/stream/{ticket}/{part:path}", _told(self._stream), methods=["GET"], guard=SIGNED_IN),
        ]  # fmt: skip

    async def _asking(self, request: Request) -> tuple[Account, Server]:
        account = await self._plex.servers_of_all.account(_user(request))
        return account, await self._plex.servers_of_all.current(account.user_id)

    async def _servers(self, request: Request) -> Response:
        account = await self._plex.servers_of_all.account(_user(request))
        found = await self._plex.servers_of_all.known(account)
        current = await self._plex.shelf.current(account.user_id)
        return JSONResponse(
            {"servers": [_shown(server, current) for server in found], "username": account.username}
        )

    async def _choose(self, request: Request) -> Response:
        chosen = await json_body(request, Chosen)
        server = await self._one(request, chosen.id)
        await self._plex.shelf.choose(server.user_id, server.machine)
        return JSONResponse(_shown(server, server))

    async def _probe(self, request: Request) -> Response:
        server = await self._one(request, request.path_params["id"])
        reached = await self._plex.servers_of_all.probe(server)
        return JSONResponse(_shown(reached, await self._plex.shelf.current(server.user_id)))

    async def _one(self, request: Request, machine: str) -> Server:
        for server in await self._plex.shelf.servers(_user(request)):
            if server.machine == machine:
                return server
        raise PlexError(404, "plex_no_server", "This account has no such server.")

    async def _libraries(self, request: Request) -> Response:
        return self._answer(await self._plex.sections.all(*await self._asking(request)))

    async def _library(self, request: Request) -> Response:
        start, size = _number(request, "start", 0, 10**6), _number(request, "size", 50, _MOST_ITEMS)
        sort = request.query_params.get("sort", SORTED)
        if sort not in _SORTS:
            raise Problem(422, f"`sort` is one of {', '.join(sorted(_SORTS))}.", code="sort_unknown")
        page = {"X-Plex-Container-Start": str(start), "X-Plex-Container-Size": str(size)}
        section = _key(request.path_params["id"])
        asking = await self._asking(request)
        return self._answer(await self._plex.sections.page(*asking, section, sort=sort, page=page))

    async def _metadata(self, request: Request) -> Response:
        key = _key(request.path_params["id"])
        account, server = await self._asking(request)
        if "server" in request.query_params:
            server = await self._one(request, request.query_params["server"])
        return self._answer(await self._plex.details(account, server, key))

    async def _search(self, request: Request) -> Response:
        words = " ".join(request.query_params.get("query", "").split())
        if not 1 <= len(words) <= 200:
            raise Problem(422, "`query` has 1 to 200 characters.", code="query_invalid")
        params = {"query": words.casefold(), "limit": str(_number(request, "limit", 10, 50))}
        return self._answer(
            await self._plex.answers.get(*await self._asking(request), "search", "/hubs/search", params)
        )

    async def _on_deck(self, request: Request) -> Response:
        return self._answer(
            await self._plex.answers.get(*await self._asking(request), "ondeck", "/library/onDeck")
        )

    async def _continue(self, request: Request) -> Response:
        asking = await self._asking(request)
        return self._answer(await self._plex.answers.get(*asking, "continue", "/hubs/continueWatching"))

    async def _monitor(self, what: Any, request: Request) -> Response:
        identity = identity_of(request)
        owner = identity.id if identity.kind == "session" and self._plex.shelf.owns(identity.id) else ""
        answer = await self._plex.monitor(what, owner)
        if what == "activities":
            return self._activities(answer)
        return self._answer(answer)

    async def _sync(self, request: Request) -> Response:
        identity = identity_of(request)
        account, server = await self._plex.owner(identity.id if identity.kind == "session" else "")
        await self._plex.answers.forget(account, server, "history")
        return JSONResponse({"state": "forgotten"})

    async def _mark(self, verb: str, request: Request) -> Response:
        given = await json_body(request, Marked)
        await self._write(request, f"/:/{verb}", _key(given.id), {}, seen=verb == "scrobble")
        return Response(status_code=204)

    async def _rate(self, request: Request) -> Response:
        given = await json_body(request, Marked)
        if given.rating is None or not -1 <= given.rating <= 10:
            raise Problem(422, "`rating` is 0 to 10, or -1 to take it back.", code="rating_invalid")
        await self._write(request, "/:/rate", _key(given.id), {"rating": f"{given.rating:g}"}, seen=None)
        return Response(status_code=204)

    async def _write(
        self, request: Request, path: str, key: str, params: dict[str, str], *, seen: bool | None
    ) -> None:
        account, server = await self._asking(request)
        params |= {"identifier": "com.plexapp.plugins.library", "key": key}
        call = Call(path=path, method="PUT", params=params, expect="bytes", user=account.user_id)
        await self._plex.servers_of_all.call(server, call)
        await self._plex.answers.forget_watched(account, server, key)
        if seen is not None:
            await self._plex.hooks.media_watched(
                account=account, machine=server.machine, key=key, seen=seen, at=self._clock.time()
            )

    async def _play(self, request: Request) -> Response:
        given = await json_body(request, Bandwidth)
        account, server = await self._asking(request)
        session = await session_of(request).load()
        item = _key(request.path_params["id"])
        playing = await self._plex.playback.decide(account, server, item, given.bandwidth, session.handle)
        root = request.scope.get("root_path", "")
        return JSONResponse(
            {
                "stream": f"{root}/api/plex/stream/{playing.ticket}/start.m3u8",
                "decision": playing.decision, "bitrate": playing.bitrate, "resolution": playing.resolution,
            }
        )  # fmt: skip

    async def _stream(self, request: Request) -> Response:
        session = await session_of(request).load()
        ticket = self._plex.playback.opened(request.path_params["ticket"], session.handle)
        server = await self._one(request, ticket.machine)
        part = request.path_params["part"]
        headers = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
        if part.endswith(".m3u8"):
            prefix = f"{request.scope.get('root_path', '')}/api/plex/stream/{request.path_params['ticket']}/"
            text = await self._plex.playback.playlist(server, ticket, part, prefix)
            return Response(text, 200, headers, "application/vnd.apple.mpegurl")
        # A condition on the range would have to be the server's own, and whoever sent it takes the whole as well.
        wanted = "" if "if-range" in request.headers else request.headers.get("range", "")
        held = AsyncExitStack()
        reply = await held.enter_async_context(self._plex.playback.segment(server, ticket, part, wanted))
        headers |= {name: reply.headers[name] for name in _OF_A_PIECE if name in reply.headers}
        kind = "video/mp2t" if part.endswith(".ts") else "text/vtt" if part.endswith(".vtt") else "video/mp4"
        return _Passed(held, reply, reply.status, headers, kind)

    def _answer(self, answer: Answer) -> Response:
        return JSONResponse({"MediaContainer": answer.data}, headers=self._freshness(answer))

    def _activities(self, answer: Answer) -> Response:
        found = answer.data.get("Activity", [])
        about = {"cached": answer.age > 0, "cache_age": round(answer.age, 2), "stale": answer.stale}
        return JSONResponse({"activities": found, **about}, headers=self._freshness(answer))

    def _freshness(self, answer: Answer) -> dict[str, str]:
        detail = f"; detail={answer.trouble.replace('_', '-')}" if answer.stale else ""
        return {
            "Cache-Control": "private, no-cache",
            "Age": str(int(answer.age)),
            "Cache-Status": f"plughost; {'hit' if answer.age else 'fwd=miss'}; ttl={int(answer.ttl)}{detail}",
        } | ({"Warning": '110 - "Response is Stale"'} if self._warn and answer.stale else {})


class _Passed(StreamingResponse):
    """Passes an answer on as it comes, and lets go of it when all is sent or the client has left."""

    def __init__(self, held: AsyncExitStack, *args: Any) -> None:
        super().__init__(*args)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._held.aclose()


def _told(endpoint: Callable[..., Awaitable[Response]]) -> Endpoint:
    """Return the endpoint with the errors of this plugin's work as problem documents."""

    async def told(request: Request) -> Response:
        try:
            return await endpoint(request)
        except PlexError as error:
            more: dict[str, Any] = {"tried": list(error.tried)} if error.tried else {}
            raise Problem(error.status, str(error), code=error.code, **more) from None
        except UpstreamError as error:
            code = _CODES.get(error.code, error.code)
            wait = {} if error.retry_after is None else {"Retry-After": str(max(1, round(error.retry_after)))}
            if error.code in ("upstream_unavailable", "upstream_busy"):
                wait = wait or {"Retry-After": "5"}
            raise Problem(error.http_status, f"Plex: {error}.", code=code, headers=wait) from None
        except LoadTimeoutError:
            raise Problem(504, "Plex did not answer in time.", code="upstream_timeout") from None
        except ServiceError:
            message = "A part of the media suite that this needs is away."
            raise Problem(503, message, code="part_away", headers={"Retry-After": "5"}) from None

    return told


def _user(request: Request) -> str:
    identity = identity_of(request)
    if identity.kind != "session":
        raise PlexError(409, "plex_not_linked", "This needs somebody who signed in with Plex, not a token.")
    return identity.id


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise PlexError(404, "plex_missing", "Keys of items are numbers.")
    return text


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 7 or int(text) > most:
        raise Problem(422, f"`{name}` is a number from 0 to {most}.", code="number_invalid")
    return int(text)


def _shown(server: Server, current: Server | None) -> dict[str, Any]:
    """Return what a browser may know of a server: no address."""
    return {
        "id": server.machine, "name": server.name, "owned": server.owned,
        "current": current is not None and server.machine == current.machine,
        "reached_by": server.reached_by, "slow": server.reached_by == "relay",
        "latency_ms": None if server.latency is None else round(server.latency * 1000, 1),
        "ways": sorted({way.kind for way in server.ways}),
    }  # fmt: skip
