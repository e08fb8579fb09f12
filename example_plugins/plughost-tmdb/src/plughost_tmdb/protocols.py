"""What other plugins use: ``from plughost_tmdb.protocols import Tmdb`` and ``context.use(Tmdb)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

KeyKind = Literal["shared", "own"]
"""Whose key a call was made with."""


class KeyNeededError(Exception):
    """There is no key to ask TMDB with: neither a shared one nor one of the user's own."""


class KeyRefusedError(Exception):
    """TMDB does not accept the key, and there is no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What TMDB answered, now or some time ago.

    Attributes:
        body: Its JSON, as it came.
        etag: Tells it from any other.
        age: Seconds since it came.
        ttl: Seconds it is fresh; negative once it is stale.
        stale: Whether it is given only because TMDB is slow or away.
        loaded: Whether it came just now, for this question.
        trouble: Why it is stale: the code of the error; empty when it is not, or nobody knows.
    """

    body: bytes
    etag: str
    age: float
    ttl: float
    stale: bool
    loaded: bool
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """What one user, or nobody in particular, asked within one hour with one kind of key.

    Attributes:
        hour: Hours since the epoch.
        user: Who.
        key: Whose key the calls were made with.
        calls: Calls to TMDB.
        hits: Answers from the cache, stale ones among them.
        stale: Answers that were stale.
        errors: Calls that failed.
        ms: Milliseconds that the calls took together.
    """

    hour: int
    user: str
    key: KeyKind
    calls: int = 0
    hits: int = 0
    stale: int = 0
    errors: int = 0
    ms: int = 0


class Tmdb(Protocol):
    """TMDB behind caches."""

    async def answer(
        self, path: str, params: Mapping[str, str] | None = None, *, user: str = ""
    ) -> Answer | None:
        """Return what TMDB says; None when it has no such thing.

        Args:
            path: A path of TMDB's version 3 from here on, such as ``movie/550``.
            params: Its parameters.
            user: Who asks, for their own key and figures; empty for nobody in particular.

        Raises:
            ValueError: The path or a parameter is none that is served.
            KeyNeededError: There is no key.
            KeyRefusedError: TMDB accepts no key there is.
            UpstreamError: It cannot be had, and nothing is kept.
        """

    def usage(self, since: int = 0) -> Sequence[UsageRow]:
        """Return what was asked since an hour, the oldest first. Waits for a file: call it in a thread."""
