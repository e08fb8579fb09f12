"""The hook of this plugin; implement it with ``@hookimpl(optionalhook=True)``."""

from __future__ import annotations

from collections.abc import Sequence

from plughost import hookspec
from plughost_media.people import Listed


@hookspec(mode="collect", timeout=8.0, concurrent=True)
async def recommend(user: str, seeds: Sequence[Listed]) -> Sequence[Listed] | None:
    """Say what somebody may like.

    Called each time that a person with a list looks at what is recommended: keep what takes long in a cache.

    Args:
        user: Who it is.
        seeds: What is on that person's list, the latest first.

    Returns:
        Titles, the best first; what is on the list already is left out afterwards. None for nothing.
    """
