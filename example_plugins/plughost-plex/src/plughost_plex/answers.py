"""What servers said, kept for as long as it is good: by server and account, never by token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlencode

import msgspec

from plughost.contracts import Cache, CacheEntry, CacheManager, Clock
from plughost.exceptions import ServiceError
from plughost_plex.protocols import Account, Answer, PlexError, Server
from plughost_plex.servers import Servers
from plughost_plex.under_way import UnderWay
from plughost_upstream.protocols import Call, UpstreamError, UpstreamGarbageError, UpstreamMissingError

_DAY: Final = 86_400.0
# Not `load_failures`: a cache has the answers of all servers, and each way to one has a breaker of its own.
_COMMON: Final[Mapping[str, Any]] = {
    "load_timeout": 10.0,
    "negative_ttl": 60.0,
    "jitter": 0.0,
}

_MOST_KEPT: Final = 10_000


class _Container(msgspec.Struct):
    """What is taken for granted of an answer: that its lists are lists of objects, and its numbers numbers."""

    Metadata: list[dict[str, Any]] = []
    Directory: list[dict[str, Any]] = []
    Hub: list[dict[str, Any]] = []
    Activity: list[dict[str, Any]] = []
    totalSize: int = 0  # noqa: N815 - as servers write it


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of answer.

    Attributes:
        ttl: Seconds it is good.
        stale_for: Seconds it may be shown after that, while the server is slow or away.
        warm: Whether it is loaded again before its time is over, for as long as somebody reads it.
        soft: Seconds that a reader waits for a new answer when there is an old one.
        check_each: Seconds after which a reader lets a good one be loaded anew behind its back; 0.0 for never.
    """

    ttl: float
    stale_for: float = _DAY
    warm: bool = False
    soft: float = 0.25
    check_each: float = 0.0


KINDS: Final[Mapping[str, Kind]] = {
    "libraries": Kind(_DAY, 30 * _DAY, check_each=300),
    "library": Kind(300, 7 * _DAY),
    "metadata": Kind(3600, 7 * _DAY),
    "search": Kind(300),
    "ondeck": Kind(60),
    "continue": Kind(60),
    "activities": Kind(5, 300, warm=True, soft=0.05),
    "sessions": Kind(10, 300, soft=0.05),
    "history": Kind(300, _DAY, warm=True),
    "recent": Kind(300),
}


class Answers:
    """Asks servers through the caches ``plex.<kind>``.

    Args:
        servers: Who calls.
        caches: Returns the caches; raises ``ServiceError`` while there are none.
        warm: Whether kinds that say so are kept warm. It hides the time a load takes, and costs calls.
        clock: Time.
    """

    def __init__(
        self, servers: Servers, caches: Callable[[], CacheManager], *, warm: bool, clock: Clock
    ) -> None:
        self._servers, self._caches, self._warm, self._clock = servers, caches, warm, clock
        self._read_at: dict[tuple[str, str], float] = {}
        self._troubles: dict[str, str] = {}
        self.under_way = UnderWay()
        self.reads: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    async def get(
        self,
        account: Account,
        server: Server,
        kind: str,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        item: str = "",
        section: str = "",
        then: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]] | None = None,
    ) -> Answer:
        """Return what a server says to an account.

        Args:
            account: Who asks; two accounts see two answers.
            server: Which server.
            kind: Which of ``KINDS``.
            path: What to ask for.
            params: The query.
            headers: Further headers that the answer depends on.
            item: Key of the item it is about, to be forgotten with it.
            section: Key of the section it is about, to be forgotten with it.
            then: Makes what is kept of what the server said; None keeps it as it is.

        Raises:
            PlexError: There is no such thing, or the server cannot be reached.
            UpstreamError: The server gave no answer, and none is kept.
        """
        call = Call(path=path, params=params or {}, headers=headers or {}, user=account.user_id)
        asked = urlencode(sorted([*(params or {}).items(), *(headers or {}).items()]))
        key = f"{server.machine}:{account.plex_id}:{path}?{asked}"
        made: list[Mapping[str, Any] | None] = []

        async def load() -> Mapping[str, Any] | None:
            self.calls[kind] += 1
            with self.under_way.one(), self._noting(key):
                found = await self._ask(server, call)
                made.append(found if found is None or then is None else await then(found))
                return made[-1]

        self.reads[kind] += 1
        try:
            cache = self._cache(kind)
        except ServiceError:  # nothing is kept while the plugin ``cache`` is away
            return _found(Answer(data=await load() or {}))
        tags = self._tags(account, server, item, section)
        entry = await cache.get_or_set_entry(key, load, tags=tags)
        self._keep_warm(cache, kind, key, load, tags)
        if entry.value is None:
            raise _missing()
        # What this reader had made is new, whatever the clock says it took to bring it here.
        age = 0.0 if made == [entry.value] and not entry.stale else entry.age
        return self._answer(key, entry, age)

    async def all_of(
        self,
        account: Account,
        server: Server,
        kind: str,
        load: Callable[[], Awaitable[Mapping[str, Any] | None]],
    ) -> Answer:
        """Return what takes several calls to put together, through the cache of its kind.

        Raises:
            PlexError: There is no such thing.
            UpstreamError: The server gave no answer, and none is kept.
        """
        self.reads[kind] += 1
        try:
            cache = self._cache(kind)
        except ServiceError:
            return _found(Answer(data=await load() or {}))
        key = f"{server.machine}:{account.plex_id}:all"

        async def noted() -> Mapping[str, Any] | None:
            with self._noting(key):
                return await load()

        tags = self._tags(account, server)
        entry = await cache.get_or_set_entry(key, noted, tags=tags)
        self._keep_warm(cache, kind, key, noted, tags)
        if entry.value is None:
            raise _missing()
        return self._answer(key, entry, entry.age)

    @contextmanager
    def _noting(self, key: str) -> Iterator[None]:
        """Note why a key could not be loaded, for those who are given an old answer."""
        try:
            yield
        except (PlexError, UpstreamError) as error:
            if len(self._troubles) >= _MOST_KEPT:
                self._troubles.clear()
            self._troubles[key] = error.code if isinstance(error, UpstreamError) else "upstream_unavailable"
            raise
        self._troubles.pop(key, None)

    def _answer(self, key: str, entry: CacheEntry, age: float) -> Answer:
        trouble = self._troubles.get(key, "upstream_timeout") if entry.stale else ""
        return Answer(data=entry.value, age=age, ttl=entry.ttl, stale=entry.stale, trouble=trouble)

    async def forget(self, account: Account, server: Server, *kinds: str, item: str = "") -> None:
        """Forget an account's answers of some kinds, and all that is about an item."""
        for kind in kinds:
            await self._invalidate(kind, f"account:{server.machine}:{account.plex_id}")
        if item:
            await self._invalidate("metadata", f"item:{server.machine}:{account.plex_id}:{item}")

    async def forget_watched(self, account: Account, server: Server, key: str) -> None:
        """Forget what is different for an account since it saw or rated an item."""
        await self.forget(account, server, "ondeck", "continue", "history", "library", item=key)

    async def forget_section(self, account: Account, server: Server, section: str) -> None:
        """Forget an account's answers about a section."""
        await self._invalidate("library", f"section:{server.machine}:{account.plex_id}:{section}")

    async def ask(self, server: Server, call: Call, kind: str) -> Mapping[str, Any] | None:
        """Ask a server now; None when it has no such thing."""
        self.calls[kind] += 1
        with self.under_way.one():
            return await self._ask(server, call)

    async def _ask(self, server: Server, call: Call) -> Mapping[str, Any] | None:
        try:
            reply = await self._servers.call(server, call)
        except UpstreamMissingError:
            return None
        container = reply.data.get("MediaContainer") if isinstance(reply.data, dict) else None
        try:
            msgspec.convert(container, _Container, strict=False)
        except msgspec.ValidationError:
            raise UpstreamGarbageError("the server answered something else than it was asked for") from None
        return cast("dict[str, Any]", container)

    def _cache(self, kind: str) -> Cache:
        settings = KINDS[kind]
        return self._caches().get(
            f"plex.{kind}",
            ttl=settings.ttl,
            stale_for=settings.stale_for,
            soft_timeout=settings.soft,
            refresh_threshold=1 - settings.check_each / settings.ttl if settings.check_each else 0.0,
            **_COMMON,
        )

    async def _invalidate(self, kind: str, tag: str) -> None:
        try:
            await self._cache(kind).invalidate_tag(tag)
        except ServiceError:
            return

    def _keep_warm(
        self, cache: Cache, kind: str, key: str, load: Callable[[], Awaitable[Any]], tags: tuple[str, ...]
    ) -> None:
        """Keep a key warm from its first reader on; the cache drops it when nobody reads it for three periods."""
        if not (self._warm and KINDS[kind].warm):
            return
        now = self._clock.monotonic()
        before = self._read_at.get((kind, key))
        if len(self._read_at) > _MOST_KEPT:
            self._read_at.clear()
        self._read_at[kind, key] = now
        if before is None or now - before > 2 * KINDS[kind].ttl:
            cache.keep_warm(key, load, tags=tags)

    @staticmethod
    def _tags(account: Account, server: Server, item: str = "", section: str = "") -> tuple[str, ...]:
        whose = f"{server.machine}:{account.plex_id}"
        about = [f"{what}:{whose}:{key}" for what, key in (("item", item), ("section", section)) if key]
        return (f"server:{server.machine}", f"account:{whose}", *about)


def _found(answer: Answer) -> Answer:
    if not answer.data:
        raise _missing()
    return answer


def _missing() -> PlexError:
    return PlexError(404, "plex_missing", "The server has no such thing.")
