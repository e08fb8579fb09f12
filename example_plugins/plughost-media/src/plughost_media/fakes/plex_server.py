"""A Plex Media Server: XML and JSON, paging, view states of each account, a clip that plays."""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from typing import Any

import anyio
import httpx2
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from plughost_media.fakes.answers import Answer, answered, container
from plughost_media.fakes.library import Item, Library
from plughost_media.fakes.posters import draw
from plughost_media.fakes.upstream import FakeUpstream

Asked = Callable[[Request, int], Any]
_NOTHING = Response()


class FakePlexServer(FakeUpstream):
    """One server; tokens that it knows are in ``accounts``, put there by ``FakePlexTv.share``.

    Attributes:
        machine: Its ``machineIdentifier``.
        accounts: By token: number and name of the account, and whether it owns the server.
        library: What is on its shelves.
        history: What was watched, newest last.
        sessions: What is being watched now.
        activities: What the server is busy with, by uuid.
        endless: Whether pieces of a clip never end.
        left: How many of those were left by whoever asked for them.
        listening: How many are told what happens, as it happens.
    """

    def __init__(
        self,
        name: str = "home",
        *,
        title: str = "",
        machine: str = "",
        library: Library | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name)
        self.title = title or name
        self.machine = machine or f"machine-{name}"
        self.library = library or Library()
        self.accounts: dict[str, tuple[int, str, bool]] = {}
        self.history: list[Item] = []
        self.activities: dict[str, Item] = {}
        self.sessions: list[Item] = []
        self.offsets: dict[tuple[int, str], int] = {}
        self.watched: set[tuple[int, str]] = set()
        self.rated: dict[tuple[int, str], float] = {}
        self.endless = False
        self.left = 0
        self.listening = 0
        self._news: list[bytes] = []
        self._now = now
        self.begin_activity("library.update.section", "Scanning Films", progress=37)

    def begin_activity(self, kind: str, title: str, *, progress: int = -1) -> str:
        """Let the server be busy with something; returns its uuid."""
        uuid = f"{self.machine}-activity-{len(self.activities)}"
        self.activities[uuid] = {
            "uuid": uuid, "type": kind, "cancellable": False, "userID": 1, "title": title, "subtitle": "",
            "progress": progress,
        }  # fmt: skip
        return uuid

    def play(self, account: int, key: str, *, at: int = 60_000, username: str = "ada") -> None:
        """Let somebody watch an item now, ``at`` milliseconds after its beginning."""
        number = len(self.sessions) + 1
        self.offsets[account, key] = at
        self.sessions.append(
            self._seen_by(account, self.library.items[key])
            | {
                "sessionKey": str(number), "User": {"id": str(account), "title": username},
                "Player": {"title": "Browser", "state": "playing", "local": True, "relayed": False,
                           "address": "192.0.2.7", "machineIdentifier": f"player-{number}", "product": "Plex Web"},
                "Session": {"id": f"session-{number}", "bandwidth": 4000, "location": "lan"},
            }
        )  # fmt: skip

    def routes(self) -> list[Route]:
        """Return what it answers."""
        told: dict[str, Asked] = {
            "/": lambda _request, _account: self._identity(),
            "/activities": lambda _request, _account: container(list(self.activities.values()), "Activity"),
            "/status/sessions": lambda _request, _account: container(self.sessions),
            "/status/sessions/history/all": self._history,
            "/library": lambda _request, _account: container(title1="Plex Library"),
            "/library/sections": lambda _request, _account: container(self.library.sections, "Directory"),
            "/library/sections/all": lambda _request, _account: container(self.library.sections, "Directory"),
            "/library/sections/{section}/all": self._all,
            "/library/recentlyAdded": self._recent,
            "/library/onDeck": self._on_deck,
            "/library/metadata/{key}": self._metadata,
            "/library/metadata/{key}/children": self._children,
            "/library/metadata/{key}/allLeaves": self._leaves,
            "/hubs/search": self._search,
            "/hubs/continueWatching": self._continue,
            "/hubs/continueWatching/items": self._on_deck,
            "/:/rate": self._rate,
            "/video/:/transcode/universal/decision": self._decision,
        }
        writes = {"/:/scrobble": functools.partial(self._scrobble, seen=True)}
        writes["/:/unscrobble"] = functools.partial(self._scrobble, seen=False)
        return [
            Route("/identity", lambda request: answered(request, "MediaContainer", self._identity())),
            *(Route(path, self._known(ask), methods=["GET", "PUT"]) for path, ask in (told | writes).items()),
            Route("/library/metadata/{key}/{kind:str}/{version}", self._known(self._picture)),
            Route("/photo/:/transcode", self._known(self._transcoded)),
            Route("/video/:/transcode/universal/start.m3u8", self._known(self._start)),
            Route("/video/:/transcode/universal/session/{id}/base/{file}", self._known(self._clip)),
            Route("/:/eventsource/notifications", self._known(self._listen)),
            Route("/video/:/transcode/universal/stop", self._known(lambda _request, _account: _NOTHING)),
        ]

    def refusal(self, status: int) -> Response:
        """Return an error as the server writes it: a page that says little."""
        return HTMLResponse(f"<html><head><title>{status}</title></head><body></body></html>", status)

    def _known(self, ask: Asked) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            token = request.headers.get("x-plex-token") or request.query_params.get("X-Plex-Token", "")
            if token not in self.accounts:
                return self.refusal(401)
            found = ask(request, self.accounts[token][0])
            if found is None:
                return self.refusal(404)
            return found if isinstance(found, Response) else answered(request, "MediaContainer", found)

        return endpoint

    def _identity(self) -> Answer:
        return {
            "size": 0, "machineIdentifier": self.machine, "version": "1.43.0.10000", "friendlyName": self.title,
            "platform": "Linux", "platformVersion": "12", "updatedAt": self.library.changed_at, "myPlex": True,
            "claimed": True, "apiVersion": "1.2.2",
        }  # fmt: skip

    def _all(self, request: Request, account: int) -> Answer | Response | None:
        section = request.path_params["section"]
        if section not in ("1", "2"):
            return None
        wanted = request.query_params.get("title", "").casefold()
        found = [item for item in self.library.of_section(section) if wanted in item["title"].casefold()]
        key, _, way = request.query_params.get("sort", "titleSort").partition(":")
        by = "title" if key == "titleSort" else key
        found.sort(key=lambda item: item.get(by, ""), reverse=way == "desc")
        return self._paged(request, [self._seen_by(account, item) for item in found])

    def _paged(self, request: Request, found: list[Item]) -> Response:
        given = {**request.query_params, **request.headers}
        start = int(given.get("x-plex-container-start") or given.get("X-Plex-Container-Start") or 0)
        size = given.get("x-plex-container-size") or given.get("X-Plex-Container-Size")
        page = found[start:] if size is None else found[start : start + int(size)]
        answer = container(page, totalSize=len(found), offset=start)
        response = answered(request, "MediaContainer", answer)
        response.headers["X-Plex-Container-Start"] = str(start)
        response.headers["X-Plex-Container-Total-Size"] = str(len(found))
        return response

    def _seen_by(self, account: int, item: Item) -> Item:
        key = item["ratingKey"]
        seen = item | ({"viewCount": 1} if (account, key) in self.watched else {})
        if (account, key) in self.offsets:
            seen["viewOffset"] = self.offsets[account, key]
        if (account, key) in self.rated:
            seen["userRating"] = self.rated[account, key]
        return seen

    def _metadata(self, request: Request, account: int) -> Answer | None:
        keys = request.path_params["key"].split(",")
        found = [self._seen_by(account, self.library.items[key]) for key in keys if key in self.library.items]
        return container(found) if found else None

    def _children(self, request: Request, account: int) -> Answer | None:
        found = self.library.children(request.path_params["key"])
        return container([self._seen_by(account, item) for item in found]) if found else None

    def _leaves(self, request: Request, account: int) -> Answer:
        show, items = request.path_params["key"], self.library.items.values()
        found = [item for item in items if item.get("grandparentRatingKey") == show]
        return container([self._seen_by(account, item) for item in found])

    def _recent(self, request: Request, account: int) -> Response:
        found = sorted(self.library.of_section("1"), key=lambda item: item["addedAt"], reverse=True)
        return self._paged(request, [self._seen_by(account, item) for item in found])

    def _on_deck(self, _request: Request, account: int) -> Answer:
        items = self.library.items
        begun = [self._seen_by(account, items[key]) for who, key in self.offsets if who == account]
        return container(begun)

    def _continue(self, request: Request, account: int) -> Answer:
        items = self._on_deck(request, account)
        hub = {
            "hubIdentifier": "continueWatching",
            "title": "Continue Watching",
            "type": "mixed",
            "more": False,
        }
        return container([{**hub, **items}], "Hub")

    def _search(self, request: Request, account: int) -> Answer | None:
        section = request.query_params.get("sectionId", "")
        if section not in ("", "1", "2"):
            return None
        found = self.library.search(request.query_params.get("query", ""), section)
        hubs = []
        for kind in ("movie", "show", "episode"):
            of_kind = [self._seen_by(account, item) for item in found if item["type"] == kind]
            hub = {"title": kind.title(), "type": kind, "hubIdentifier": kind, "more": False}
            hubs.append({**hub, **container(of_kind)})
        return container(hubs, "Hub")

    def _history(self, request: Request, _account: int) -> Response:
        wanted = request.query_params
        found = [
            event
            for event in self.history
            if wanted.get("accountID", str(event["accountID"])) == str(event["accountID"])
            and event["viewedAt"] >= int(wanted.get("viewedAt>", "0"))
        ]
        return self._paged(request, sorted(found, key=lambda event: event["viewedAt"], reverse=True))

    def watch(self, account: int, key: str, at: int | None = None) -> None:
        """Note that somebody has seen an item to its end."""
        item, number = self.library.items[key], len(self.history) + 1
        self.watched.add((account, key))
        self.offsets.pop((account, key), None)
        shown = (
            "ratingKey",
            "key",
            "type",
            "title",
            "thumb",
            "librarySectionID",
            "grandparentTitle",
            "parentTitle",
        )
        self.history.append(
            {name: item[name] for name in shown if name in item}
            | {"historyKey": f"/status/sessions/history/{number}", "accountID": account, "deviceID": 1}
            | {"viewedAt": int(self._now()) if at is None else at}
        )

    def _scrobble(self, request: Request, account: int, *, seen: bool) -> Response | None:
        key = request.query_params.get("key", "")
        if key not in self.library.items:
            return None
        if seen:
            self.watch(account, key)
        else:
            self.watched.discard((account, key))
        return _NOTHING

    def _rate(self, request: Request, account: int) -> Response | None:
        key, rating = request.query_params.get("key", ""), float(request.query_params.get("rating", "-1"))
        if key not in self.library.items or rating > 10:
            return None
        if rating < 0:
            self.rated.pop((account, key), None)
        else:
            self.rated[account, key] = rating
        return _NOTHING

    def _picture(self, request: Request, _account: int) -> Response | None:
        item = self.library.items.get(request.path_params["key"])
        if item is None or request.path_params["kind"] not in ("thumb", "art"):
            return None
        width, height = (600, 900) if request.path_params["kind"] == "thumb" else (1280, 720)
        return Response(draw(item["title"], width, height, titled=width < height), media_type="image/jpeg")

    def _transcoded(self, request: Request, account: int) -> Response | None:
        asked = request.query_params
        item = self.library.items.get(
            asked.get("url", "").removeprefix("/library/metadata/").partition("/")[0]
        )
        if item is None:
            return None
        size = (int(asked.get("width", "300")), int(asked.get("height", "450")))
        return Response(draw(item["title"], *size, titled=size[0] < size[1]), media_type="image/jpeg")

    def _decision(self, request: Request, account: int) -> Answer | None:
        key = request.query_params.get("path", "").rpartition("/")[2]
        if key not in self.library.items:
            return None
        return container(
            [self._seen_by(account, self.library.items[key])],
            generalDecisionCode=1001, generalDecisionText="Direct play not available; Conversion OK.",
            transcodeDecisionCode=1001, transcodeDecisionText="Conversion OK.", directPlayDecisionCode=3000,
            directPlayDecisionText="App cannot direct play this item.",
        )  # fmt: skip

    def _start(self, request: Request, account: int) -> Response | None:
        session = request.query_params.get("transcodeSessionId", "1")
        if self._decision(request, account) is None:
            return None
        lines = (
            "#EXTM3U",
            "#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=700000",
            f"session/{session}/base/index.m3u8",
        )
        return Response("\n".join((*lines, "")), media_type="application/vnd.apple.mpegurl")

    def _clip(self, request: Request, _account: int) -> Response | None:
        name = request.path_params["file"]
        if self.endless and not name.endswith(".m3u8"):
            return StreamingResponse(self._pieces(), media_type="video/mp4")
        found = files("plughost_media.fakes").joinpath("clip", name)
        if "/" in name or name.startswith(".") or not found.is_file():
            return None
        kind = "application/vnd.apple.mpegurl" if name.endswith(".m3u8") else "video/mp4"
        return FileResponse(str(found), media_type=kind)

    def notify(self, name: str, data: str) -> None:
        """Tell whoever listens that something happened."""
        self._news.append(f"event: {name}\ndata: {data}\n\n".encode())

    def hang_up(self, *, half_way: bool) -> None:
        """End the streams of whoever listens, as one does that is over or one whose connection dies."""
        if half_way:
            self._news.append(b"")
        else:
            self._news = []

    def _listen(self, _request: Request, _account: int) -> Response:
        return StreamingResponse(self._told(), media_type="text/event-stream")

    async def _told(self) -> AsyncIterator[bytes]:
        news, told = self._news, len(self._news)
        self.listening += 1
        try:
            while self._news is news:
                for one in news[told:]:
                    if not one:
                        raise httpx2.ReadError("the connection died")
                    yield one
                told = len(news)
                await anyio.sleep(0.01)
        finally:
            self.listening -= 1

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(1 << 16)
                await anyio.sleep(0.01)
        finally:
            self.left += 1
