"""TMDB, version 3: the answers, the errors and the limits of the real one, with pictures of its own."""

from __future__ import annotations

import functools
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from plughost_media.fakes.films import FILMS, GENRES, PEOPLE, SERIES, Title, poster_of
from plughost_media.fakes.posters import draw
from plughost_media.fakes.upstream import FakeUpstream

_PER_PAGE, _LAST_PAGE, _MOST_APPENDED = 20, 500, 20
_PICTURE = re.compile(r"(poster|backdrop|profile)(\d+)v\d+\.jpg")
_MESSAGES = {
    401: (7, "Invalid API key: You must be granted a valid key."),
    404: (34, "The resource you requested could not be found."),
    429: (25, "Your request count (#) is over the allowed limit of (40)."),
    500: (11, "Internal error: Something went wrong, contact TMDB."),
    503: (46, "The API is undergoing maintenance. Try again later."),
    504: (24, "Your request to the backend server timed out. Try again."),
}


class FakeTmdb(FakeUpstream):
    """The API below ``/3`` and the pictures below ``/t/p``, of one application.

    Args:
        keys: API keys and read tokens that are good.
        rate: Calls of the API that are answered in one second; the rest gets 429.
        now: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        *,
        keys: Sequence[str] = ("shared-tmdb-key", "own-tmdb-key"),
        rate: int = 40,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("tmdb")
        self.keys = set(keys)
        self.rate = rate
        self._now = now
        self._recent: deque[float] = deque()

    def routes(self) -> list[Route]:
        """Return what it answers."""
        pages = {
            "/3/trending/{type}/{window}": _trending,
            "/3/search/{type}": _search,
            "/3/discover/{type}": _discover,
        }
        return [
            Route("/3/authentication", self._of_key(_authentication)),
            Route("/3/configuration", self._of_key(_configuration)),
            *(Route(path, self._of_key(functools.partial(_page, find))) for path, find in pages.items()),
            *(
                Route(f"/3/{kind}/{{id:int}}", self._of_key(functools.partial(_details, kind)))
                for kind in ("movie", "tv", "person")
            ),
            Route("/t/p/{size}/{file}", _picture),
        ]

    def refusal(self, status: int) -> Response:
        """Return an error as TMDB writes it."""
        code, message = _MESSAGES.get(status, _MESSAGES[500])
        return _refused(status, code, message)

    def _of_key(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            if _key_of(request) not in self.keys:
                return self.refusal(401)
            now = self._now()
            while self._recent and self._recent[0] <= now - 1:
                self._recent.popleft()
            if len(self._recent) >= self.rate:
                return self.refusal(429)
            self._recent.append(now)
            found = answer(request)
            return found if isinstance(found, Response) else JSONResponse(found)

        return endpoint


def _key_of(request: Request) -> str:
    bearer = request.headers.get("authorization", "")
    return bearer.removeprefix("Bearer ") if bearer else request.query_params.get("api_key", "")


def _refused(status: int, code: int, message: str) -> Response:
    return JSONResponse({"success": False, "status_code": code, "status_message": message}, status)


def _trending(request: Request) -> list[dict[str, Any]]:
    kind = request.path_params["type"]
    found = [_item(title, typed=True) for title in (*FILMS, *SERIES)] if kind == "all" else _all_of(kind)
    return found if request.path_params["window"] == "day" else found[::-1]


def _search(request: Request) -> list[dict[str, Any]]:
    words = request.query_params.get("query", "").casefold()
    kind = request.path_params["type"]
    found = [_item(title, typed=True) for title in (*FILMS, *SERIES)] if kind == "multi" else _all_of(kind)
    return [
        item for item in found if words and words in str(item.get("title") or item.get("name")).casefold()
    ]


def _discover(request: Request) -> list[dict[str, Any]]:
    wanted = {int(number) for number in re.findall(r"\d+", request.query_params.get("with_genres", ""))}
    return [
        item for item in _all_of(request.path_params["type"]) if not wanted or wanted & set(item["genre_ids"])
    ]


def _all_of(kind: str) -> list[dict[str, Any]]:
    if kind == "person":
        return [_person(number, name) for number, name in PEOPLE]
    return [_item(title) for title in (SERIES if kind == "tv" else FILMS)]


def _page(find: Callable[[Request], list[dict[str, Any]]], request: Request) -> Any:
    page = int(request.query_params.get("page", "1"))
    if not 1 <= page <= _LAST_PAGE:
        return _refused(
            400, 22, "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer."
        )
    found = find(request)
    first = (page - 1) * _PER_PAGE
    return {
        "page": page,
        "results": found[first : first + _PER_PAGE],
        "total_pages": -(-len(found) // _PER_PAGE),
        "total_results": len(found),
    }


def _item(title: Title, *, typed: bool = False) -> dict[str, Any]:
    names = (
        {
            "name": title.name,
            "original_name": title.name,
            "first_air_date": title.released,
            "origin_country": ["FR"],
        }
        if title.series
        else {
            "title": title.name,
            "original_title": title.name,
            "release_date": title.released,
            "video": False,
        }
    )
    return {
        "adult": title.id == 118,
        "backdrop_path": poster_of(title, "backdrop"),
        "genre_ids": [title.genre],
        "id": title.id,
        "original_language": "en",
        "overview": title.overview,
        "popularity": 100 - title.id % 50,
        "poster_path": poster_of(title),
        "vote_average": 6.0 + title.id % 4,
        "vote_count": title.id * 7,
        **names,
        **({"media_type": "tv" if title.series else "movie"} if typed else {}),
    }


def _person(number: int, name: str) -> dict[str, Any]:
    return {
        "adult": False, "gender": 0, "id": number, "known_for": [], "known_for_department": "Acting", "name": name,
        "original_name": name, "popularity": 10.0, "profile_path": f"/profile{number}v1.jpg",
    }  # fmt: skip


def _details(kind: str, request: Request) -> Any:
    appended = [part for part in request.query_params.get("append_to_response", "").split(",") if part]
    if len(appended) > _MOST_APPENDED:
        return _refused(
            400, 27, "Too many append to response objects: The maximum number of remote calls is 20."
        )
    number = request.path_params["id"]
    found = _one_person(number) if kind == "person" else _one_title(number, kind)
    if found is None:
        return _refused(404, *_MESSAGES[404])
    return found | {part: {"id": number, "results": []} for part in appended}


def _one_person(number: int) -> dict[str, Any] | None:
    name = dict(PEOPLE).get(number)
    more: dict[str, Any] = {
        "also_known_as": [],
        "biography": "",
        "birthday": None,
        "deathday": None,
        "imdb_id": None,
    }
    return None if name is None else _person(number, name) | more | {"place_of_birth": None, "homepage": None}


def _one_title(number: int, kind: str) -> dict[str, Any] | None:
    title = next((title for title in (SERIES if kind == "tv" else FILMS) if title.id == number), None)
    if title is None:
        return None
    item = _item(title) | {
        "genres": [{"id": title.genre, "name": GENRES[title.genre]}],
        "homepage": "", "production_companies": [], "production_countries": [], "spoken_languages": [],
        "status": "Released", "tagline": "",
    }  # fmt: skip
    del item["genre_ids"]
    if not title.series:
        return item | {
            "belongs_to_collection": None, "budget": 0, "imdb_id": f"tt{number:07}", "origin_country": ["US"],
            "revenue": 0, "runtime": 60 + number % 60,
        }  # fmt: skip
    return item | {
        "created_by": [], "episode_run_time": [], "in_production": False, "last_episode_to_air": None,
        "next_episode_to_air": None, "networks": [], "number_of_episodes": 3, "number_of_seasons": 1,
        "seasons": [], "type": "Scripted", "languages": ["fr"], "last_air_date": title.released,
    }  # fmt: skip


def _authentication(_request: Request) -> dict[str, Any]:
    return {"success": True, "status_code": 1, "status_message": "Success."}


def _configuration(_request: Request) -> dict[str, Any]:
    return {
        "images": {
            "base_url": "http://image.tmdb.org/t/p/",
            "secure_base_url": "https://image.tmdb.org/t/p/",
            "backdrop_sizes": ["w300", "w780", "w1280", "original"],
            "logo_sizes": ["w45", "w92", "w154", "w185", "w300", "w500", "original"],
            "poster_sizes": ["w92", "w154", "w185", "w342", "w500", "w780", "original"],
            "profile_sizes": ["w45", "w185", "h632", "original"],
            "still_sizes": ["w92", "w185", "w300", "original"],
        },
        "change_keys": ["overview", "images"],
    }


async def _picture(request: Request) -> Response:
    known = _PICTURE.fullmatch(request.path_params["file"])
    names = {title.id: title.name for title in (*FILMS, *SERIES) if title.picture} | dict(PEOPLE)
    if known is None or int(known[2]) not in names:
        return Response("<h1>404</h1>", 404, media_type="text/html")
    size = re.sub(r"\D", "", request.path_params["size"])
    width = min(int(size or 780), 2000)
    height = width * 9 // 16 if known[1] == "backdrop" else width * 3 // 2
    return Response(
        draw(names[int(known[2])], width, height, titled=known[1] != "backdrop"),
        media_type="image/jpeg",
        headers={"Cache-Control": "public, max-age=31536000"},
    )
