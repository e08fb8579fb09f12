"""What TMDB knows of items of a Plex library: added to their details by the hooks of the plugin ``plex``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from msgspec import json

from plughost.exceptions import ServiceError
from plughost_tmdb.protocols import KeyNeededError, KeyRefusedError
from plughost_tmdb.service import CachedTmdb
from plughost_upstream.protocols import UpstreamError

_GUID: Final = re.compile(r"tmdb://(\d{1,9})", re.ASCII)
_KINDS: Final = {"movie": "movie", "show": "tv"}
_ADDED: Final = ("id", "vote_average", "vote_count", "overview", "poster_path", "backdrop_path")
_MOST_GUIDS: Final = 8
_LARGEST: Final = 9_999_999_999


def number_in(guid: str) -> int | None:
    """Return the number in a guid that names TMDB; None for all others."""
    found = _GUID.fullmatch(guid)
    return int(found[1]) if found else None


def is_number(found: object) -> TypeGuard[int]:
    """Whether it is a number that TMDB may have given to something."""
    return type(found) is int and 0 < found <= _LARGEST


async def with_more(item: Mapping[str, Any], tmdb: CachedTmdb, hooks: Any) -> Mapping[str, Any] | None:
    """Return a film or series with what TMDB says of it under ``tmdb``; None when that cannot be had now.

    Args:
        item: An entry of a ``MediaContainer``.
        tmdb: What to ask.
        hooks: Where plugins are asked which number a guid stands for.
    """
    kind = _KINDS.get(item.get("type", ""))
    number = None if kind is None else await _number(item, hooks)
    if number is None:
        return None
    try:
        answer = await tmdb.answer(f"{kind}/{number}")
    except (UpstreamError, ServiceError, KeyNeededError, KeyRefusedError):
        return None
    if answer is None:
        return None
    details = json.decode(answer.body)
    return {**item, "tmdb": {name: details[name] for name in _ADDED if name in details}}


async def _number(item: Mapping[str, Any], hooks: Any) -> int | None:
    guids = item.get("Guid")
    for guid in guids[:_MOST_GUIDS] if isinstance(guids, list) else ():
        text = guid.get("id") if isinstance(guid, dict) else None
        number = await hooks.find_tmdb_id(guid=text) if isinstance(text, str) else None
        if is_number(number):
            return number
    return None
