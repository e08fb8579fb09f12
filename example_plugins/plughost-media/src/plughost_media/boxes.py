"""What the page consists of: boxes, each of which asks one address of the application for whoever looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio

from plughost.http import host_from, subrequest

if TYPE_CHECKING:
    from starlette.requests import Request

    from plughost.http import Subanswer

_PATIENCE: Final = 3.0
"""Seconds that a whole page waits for a box; what comes later is fetched by the page itself."""

Tone = Literal["", "fresh", "stale", "bad"]


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
    """

    name: str
    title: str
    path: str
    each: float
    needs: tuple[str, ...]
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
    Box(name="activities", title="What the server does", path="/api/plex/activities", each=2.0, needs=_OF_PLEX),
    Box(name="figures", title="In figures", path="/api/plex/stats/dashboard", each=15.0, needs=("dashboard", "cache")),
    Box(name="servers", title="Servers", path="/api/plex/servers", each=5.0, needs=_OF_PLEX),
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
    answer = await subrequest(request, "GET", box.path, query=box.query)
    if not answer.ok:
        return Filled(box=box, data=None, age=_trouble(request, box, answer), tone="bad")
    age, tone = _freshness(answer)
    return Filled(box=box, data=answer.json(), age=age, tone=tone)


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


def _span(seconds: int) -> str:
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
