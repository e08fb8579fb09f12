"""What the page consists of: boxes, each of which asks one address of the application for whoever looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio

from plughost.http import host_from, runtime_of, subrequest

if TYPE_CHECKING:
    from starlette.requests import Request

    from plughost.http import Subanswer

_PATIENCE: Final = 3.0
"""Seconds that a whole page waits for a box; what comes later is fetched by the page itself."""

_PATIENCE_FOR_NAMES: Final = 2.0
"""Seconds of it that a box waits for how the things in it are called."""

_A_MOMENT: Final = 10.0

Tone = Literal["", "fresh", "stale", "bad"]

WALLS: Final = {
    "all/week": "Trending this week", "all/day": "Trending today", "movie/week": "Films of this week",
    "movie/day": "Films of today", "tv/week": "Series of this week", "tv/day": "Series of today",
}  # fmt: skip
"""What the setting ``wall`` may say, and how the wall is headed then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box of the page.

    Attributes:
        name: Its name in addresses and templates.
        title: Its heading.
        path: What it asks.
        query: The query of that.
        each: Seconds between two looks of a page that is open.
        needs: Plugins that it cannot do without, the nearest first.
        refused: What to say to who may not see what is in it.
    """

    name: str
    title: str
    path: str
    each: float
    needs: tuple[str, ...]
    refused: str = ""
    query: Mapping[str, str] = field(default_factory=dict)


_OF_PLEX: Final = ("plex", "upstream", "vault")
BOXES: Final = (
    Box(name="trending", title="Trending this week", path="/api/tmdb/trending/all/week", each=30.0,
        needs=("tmdb", "upstream")),
    Box(name="watchlist", title="Your list", path="/api/media/watchlist", each=30.0, needs=("media",)),
    Box(name="recommended", title="For you", path="/api/media/recommendations", each=60.0, needs=("media", "tmdb")),
    Box(name="ondeck", title="On deck", path="/api/plex/ondeck", each=20.0, needs=_OF_PLEX),
    Box(name="library", title="Your films", path="/api/plex/library/1/all", query={"size": "30"}, each=60.0,
        needs=_OF_PLEX),
    Box(name="history", title="What you saw", path="/api/media/history", query={"size": "6"}, each=20.0,
        needs=("media",)),
    Box(name="activities", title="What the server does", path="/api/plex/activities", each=2.0, needs=_OF_PLEX,
        refused="for the owner of the server"),
    Box(name="figures", title="In figures", path="/api/plex/stats/dashboard", each=15.0, needs=("dashboard", "cache")),
    Box(name="servers", title="Servers", path="/api/plex/servers", each=5.0, needs=_OF_PLEX),
    Box(name="usage", title="Asked and saved today", path="/api/media/usage", each=15.0, needs=("dashboard", "cache")),
    Box(name="settings", title="Your settings", path="/api/media/settings", each=60.0, needs=("media",)),
    Box(name="key", title="Your own TMDB key", path="/api/tmdb/usage", each=15.0, needs=("tmdb",)),
    Box(name="parts", title="Parts of this host", path="/api/media/state", each=2.0, needs=("media",)),
)  # fmt: skip
NAMED: Final = {box.name: box for box in BOXES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A box and what there is to show in it.

    Attributes:
        box: The box.
        data: What was answered; None when there is nothing to show.
        age: How old that is, or why there is nothing, in words.
        tone: How to show that.
        late: Whether it was not waited for.
    """

    box: Box
    data: Any
    age: str
    tone: Tone
    late: bool = False


async def filled(request: Request, box: Box) -> Filled:
    """Ask for what is in a box."""
    if box.name == "trending":
        box = await _wall_of(request, box)
    answer = await subrequest(request, "GET", box.path, query=box.query)
    if answer.status == 403 and box.refused and answer.json().get("code") == "insufficient_scope":
        return Filled(box=box, data=None, age=box.refused, tone="")
    if not answer.ok:
        return Filled(box=box, data=None, age=_trouble(request, box, answer), tone="bad")
    age, tone = _freshness(answer)
    data = answer.json()
    if box.name == "figures":
        age, tone = f"{_span(int(data['age']))} old", "stale" if data["stale"] else ""
    if box.name == "history":
        data = {"events": await _named(request, data["events"])}
    return Filled(box=box, data=data, age=age, tone=tone)


async def _wall_of(request: Request, box: Box) -> Box:
    """Return the wall that somebody has chosen."""
    answer = await subrequest(request, "GET", NAMED["settings"].path)
    chosen = answer.json()["settings"].get("wall") if answer.ok else None
    if chosen not in WALLS:
        return box
    return replace(box, title=WALLS[chosen], path=f"/api/tmdb/trending/{chosen}")


async def _named(request: Request, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events with how the items are called, as far as their servers say it soon, and how long ago they were."""
    now = runtime_of(request).clock.time()
    found = [{**event, "ago": _ago(now - event["at"]), "title": ""} for event in events]

    async def look(event: dict[str, Any]) -> None:
        answer = await subrequest(
            request, "GET", f"/api/plex/metadata/{event['key']}", query={"server": event["machine"]}
        )
        for item in answer.json()["MediaContainer"].get("Metadata", ()) if answer.ok else ():
            series, title = item.get("grandparentTitle"), str(item.get("title", ""))
            event["title"] = f"{series}: {title}" if series else title

    with anyio.move_on_after(_PATIENCE_FOR_NAMES):
        async with anyio.create_task_group() as group:
            for event in found:
                group.start_soon(look, event)
    return found


async def all_filled(request: Request) -> dict[str, Filled]:
    """Ask for all boxes side by side; one that takes too long is left to the open page."""
    found: dict[str, Filled] = {}

    async def fill(box: Box) -> None:
        found[box.name] = Filled(box=box, data=None, age="Still asking…", tone="stale", late=True)
        with anyio.move_on_after(_PATIENCE):
            found[box.name] = await filled(request, box)

    async with anyio.create_task_group() as group:
        for box in BOXES:
            group.start_soon(fill, box)
    return found


def _trouble(request: Request, box: Box, answer: Subanswer) -> str:
    """Say which part is away; when all are there, what the service said."""
    known = host_from(request).plugins
    away = [name for name in box.needs if name not in known or not known[name].running]
    if away:
        return f"The part {' and '.join(away)} is away." if len(away) < 2 else f"Away: {', '.join(away)}."
    if answer.status == 500:
        return f"The part {box.needs[0]} failed."
    said = answer.json()
    return str(said["detail"]) if isinstance(said, dict) and "detail" in said else f"Status {answer.status}"


def _freshness(answer: Subanswer) -> tuple[str, Tone]:
    seconds = answer.headers.get("age")
    if seconds is None:
        return "", ""
    if "detail=" in answer.headers.get("cache-status", ""):
        return f"stale, {seconds} s old", "stale"
    return ("fresh", "fresh") if seconds == "0" else (f"{_span(int(seconds))} old", "")


def _ago(seconds: float) -> str:
    return "just now" if seconds < _A_MOMENT else f"{_span(int(seconds))} ago"


def _span(seconds: int) -> str:
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
