"""The routes of what each person keeps: list, history, settings, and what is recommended for the list."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from plughost.contracts import Clock
from plughost.http import SIGNED_IN, Problem, Route, identity_of, json_body
from plughost_media.people import LARGEST_ID, FullError, Listed, People, SettingName, SettingValue

T = TypeVar("T")

_MOST_SHOWN: Final = 100
_MOST_RECOMMENDED: Final = 20
_NO_STORE: Final = {"Cache-Control": "no-store"}


class OwnRoutes:
    """Answers requests; each person sees what is theirs and nothing else.

    Args:
        people: What is kept.
        clock: Time.
        recommended: Returns what plugins recommend to a user for a list: one sequence for each plugin.
    """

    def __init__(
        self,
        people: People,
        clock: Clock,
        recommended: Callable[[str, Sequence[Listed]], Awaitable[Sequence[Sequence[Listed]]]],
    ) -> None:
        self._people, self._clock, self._recommended = people, clock, recommended

    def routes(self) -> list[Route]:
        """Return them."""
        reads = {
            "watchlist": (self._list, "What you want to watch, the latest first."),
            "history": (self._history, "What you marked as seen, the latest first."),
            "recommendations": (self._recommendations, "What plugins recommend for your list."),
            "settings": (self._settings, "Your settings."),
        }
        return [
            *(Route(f"/api/media/{name}", ask, methods=["GET"], guard=SIGNED_IN, rate="read", summary=summary)
              for name, (ask, summary) in reads.items()),
            Route("/api/media/watchlist", self._add, methods=["PUT"], guard=SIGNED_IN, rate="write", body=Listed,
                  summary="Put a title on your list."),
            Route("/api/media/watchlist/{kind}/{id:int}", self._remove, methods=["DELETE"], guard=SIGNED_IN,
                  rate="write", summary="Take a title off your list."),
            Route("/api/media/settings", self._change, methods=["PUT"], guard=SIGNED_IN, rate="write",
                  summary="Change some of your settings; null removes one."),
        ]  # fmt: skip

    async def _list(self, request: Request) -> Response:
        return _answer({"titles": await _waited(self._people.listed, _user(request))})

    async def _add(self, request: Request) -> Response:
        title = await json_body(request, Listed)
        await _waited(self._people.add, _user(request), [title], self._clock.time())
        return Response(status_code=204)

    async def _remove(self, request: Request) -> Response:
        found = request.path_params
        there = found["id"] <= LARGEST_ID
        if not there or not await _waited(self._people.remove, _user(request), found["kind"], found["id"]):
            raise Problem(404, "That is not on your list.", code="not_listed")
        return Response(status_code=204)

    async def _history(self, request: Request) -> Response:
        size, before = _number(request, "size", 50), _number(request, "before", math.inf)
        if not 1 <= size <= _MOST_SHOWN:
            raise Problem(422, f"`size` is 1 to {_MOST_SHOWN}.", code="number_invalid")
        return _answer({"events": await _waited(self._people.history, _user(request), int(size), before)})

    async def _recommendations(self, request: Request) -> Response:
        user = _user(request)
        seeds = await _waited(self._people.listed, user)
        told: dict[tuple[str, int], Listed] = {}
        for titles in await self._recommended(user, seeds) if seeds else ():
            for title in titles:
                told.setdefault((title.kind, title.id), title)
        listed = {(seed.kind, seed.id) for seed in seeds}
        found = [title for key, title in told.items() if key not in listed]
        return _answer({"titles": found[:_MOST_RECOMMENDED]})

    async def _settings(self, request: Request) -> Response:
        return _answer({"settings": await _waited(self._people.settings, _user(request))})

    async def _change(self, request: Request) -> Response:
        given = await json_body(request, dict[SettingName, SettingValue])
        return _answer({"settings": await _waited(self._people.change, _user(request), given)})


async def _waited(work: Callable[..., T], *args: object) -> T:
    try:
        return await anyio.to_thread.run_sync(work, *args)
    except FullError as error:
        raise Problem(409, f"There is no more room: {error}.", code="full") from None


def _answer(document: dict[str, Any]) -> Response:
    return JSONResponse(msgspec.to_builtins(document), headers=_NO_STORE)


def _user(request: Request) -> str:
    return identity_of(request).key


def _number(request: Request, name: str, default: float) -> float:
    try:
        return float(request.query_params.get(name, default))
    except ValueError:
        raise Problem(422, f"`{name}` is a number.", code="number_invalid") from None
