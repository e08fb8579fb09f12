"""The hooks of this plugin; implement them with ``@hookimpl(optionalhook=True)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plughost import hookspec
from plughost_plex.protocols import Account, Server, Way


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
async def plex_linked(account: Account) -> None:
    """Hear that somebody signed in with Plex.

    Called after the session began and the servers were asked for.

    Args:
        account: Who it is.
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
async def media_watched(account: Account, machine: str, key: str, seen: bool, at: float) -> None:
    """Hear that somebody saw an item, or marked it as not seen.

    Called after the server took a mark, and within five minutes after somebody saw an item by another player; the
    cached answers were forgotten.

    Args:
        account: Who it was.
        machine: On which server.
        key: The ``ratingKey`` of the item.
        seen: Whether it is seen now.
        at: When, in seconds since the epoch.
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
async def server_state_changed(server: Server, reachable: bool) -> None:
    """Hear that a server is reached again, or no longer.

    Called after all ways to it were tried.

    Args:
        server: Which.
        reachable: Whether one of the ways works.
    """


@hookspec(mode="first", timeout=2.0)
async def choose_connection(server: Server, candidates: Sequence[Way]) -> Way | None:
    """Say which way to a server to try first.

    Called before the ways are tried.

    Args:
        server: Which server.
        candidates: The ways in the order in which they would be tried.

    Returns:
        One of the candidates; None when you do not mind.
    """


@hookspec(mode="waterfall", timeout=2.0)
async def enrich_media(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Add to what a server says of an item.

    Called when details of an item were loaded, before they are kept. What is added is kept with them, for who asked;
    what an implementation cannot have at once it leaves out.

    Args:
        item: An entry of ``Metadata``, as those before have left it. Do not change it.

    Returns:
        A copy with more in it; None to leave it as it is.
    """


@hookspec(mode="first", timeout=2.0)
async def find_tmdb_id(guid: str) -> int | None:
    """Say which number an item has at TMDB.

    Called by whoever wants to add what TMDB knows.

    Args:
        guid: How Plex names it, such as ``tmdb://550`` or ``imdb://tt0137523``.

    Returns:
        The number; None when you do not know it.
    """


@hookspec(mode="broadcast", timeout=2.0, concurrent=True)
async def media_item_seen(item: Mapping[str, Any]) -> None:
    """Hear of an item that somebody looks at.

    Called when its details were loaded, after ``enrich_media``; not while they come from the cache.

    Args:
        item: The entry of ``Metadata`` as it is kept.
    """
