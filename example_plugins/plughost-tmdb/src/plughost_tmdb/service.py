"""The service: a question is answered from its cache, or by TMDB with the best key there is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from msgspec import ValidationError, convert

from plughost.contracts import Cache, CacheEntry, CacheManager, Clock
from plughost_tmdb.keys import Credential, Keys
from plughost_tmdb.meter import Meter
from plughost_tmdb.protocols import Answer, KeyNeededError, KeyRefusedError, UsageRow
from plughost_tmdb.questions import Question, question
from plughost_tmdb.store import KeyState
from plughost_upstream.protocols import (
    Call,
    Priority,
    Reply,
    Upstream,
    UpstreamError,
    UpstreamGarbageError,
    UpstreamMissingError,
    UpstreamRefusedError,
)

MISSING_FOR: Final = 60.0
SHARED_FACTOR: Final = 4
_LONGEST: Final = 180 * 86_400.0  # TMDB's terms
_MOST_KEPT: Final = 10_000
"""Answers of one kind in memory: 60 MB, when each is as long as the details of a film."""

_MOST_TROUBLES: Final = 1000


class CachedTmdb:
    """Implements ``Tmdb``.

    Args:
        upstream: Returns the way to TMDB.
        caches: The caches of the host.
        keys: The keys.
        meter: Counts.
        clock: Time.
        deadline: Seconds that somebody waits for TMDB when nothing is kept.
    """

    def __init__(
        self,
        upstream: Callable[[], Upstream],
        caches: CacheManager,
        keys: Keys,
        meter: Meter,
        clock: Clock,
        deadline: float,
    ) -> None:
        self._upstream, self._caches, self._keys, self._meter = upstream, caches, keys, meter
        self._clock, self._deadline = clock, deadline
        self._troubles: OrderedDict[str, str] = OrderedDict()
        self.shared_refused = False

    async def answer(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        user: str = "",
        priority: Priority = "person",
    ) -> Answer | None:
        """Return what TMDB says; None when it has no such thing."""
        asked = question(path, params or {})
        entry, loaded = await self._entry(asked, user, priority)
        loaded = loaded and not entry.stale  # a load that failed, or goes on, brought nothing
        if not loaded:
            self._meter.hit(user, "own" if self._keys.has_own(user) else "shared", stale=entry.stale)
        if entry.value is None:
            return None
        trouble = self._troubles.get(asked.key, "upstream_timeout") if entry.stale else ""
        return Answer(
            body=entry.value["body"],
            etag=entry.value["etag"],
            age=entry.age,
            ttl=entry.ttl,
            stale=entry.stale,
            loaded=loaded,
            trouble=trouble,
        )

    def usage(self, since: int = 0) -> Sequence[UsageRow]:
        """Return what was asked since an hour."""
        return self._meter.usage(since)

    async def check(self, credential: Credential, user: str) -> KeyState:
        """Ask TMDB whether it accepts a key; ``unchecked`` when it cannot be asked now."""
        try:
            await self._called(Call(path="/3/authentication", expect="object"), credential, user)
        except UpstreamRefusedError:
            return "refused"
        except UpstreamError:
            return "unchecked"  # away, slow, busy: that says nothing of the key
        return "good"

    async def _entry(self, asked: Question, user: str, priority: Priority) -> tuple[CacheEntry, bool]:
        loaded = False

        async def load() -> Any:
            nonlocal loaded
            loaded = True
            return await self._load(asked, user, priority)

        # Shared answers live longer while their only source is the key that everybody shares.
        ttl = asked.kind.ttl if self._keys.has_own(user) else asked.kind.ttl * SHARED_FACTOR
        ttl = min(ttl, _LONGEST - asked.kind.stale_for)
        cache = self._cache(asked)
        try:
            return await cache.get_or_set_entry(asked.key, load, ttl), loaded
        except (KeyNeededError, KeyRefusedError):
            if loaded:
                raise
        # It was somebody else's load, and their key; this user's may be better.
        return await cache.get_or_set_entry(asked.key, load, ttl), loaded

    def _cache(self, asked: Question) -> Cache:
        return self._caches.get(
            asked.kind.cache,
            max_entries=_MOST_KEPT,
            stale_for=asked.kind.stale_for,
            soft_timeout=0.2,
            load_timeout=self._deadline + 2,
            negative_ttl=MISSING_FOR,
        )

    async def _load(self, asked: Question, user: str, priority: Priority) -> dict[str, Any] | None:
        """Ask TMDB; None when it has no such thing, which takes the place of what was kept."""
        call = Call(path=f"/3/{asked.path}", params=asked.params, expect="object", priority=priority)
        try:
            reply = await self._with_best_key(call, user)
            _check(reply, asked)
        except UpstreamMissingError:
            return None
        except (UpstreamError, KeyNeededError, KeyRefusedError) as error:
            self._note_trouble(asked.key, getattr(error, "code", "key_refused"))
            raise
        self._troubles.pop(asked.key, None)
        return {"body": reply.body, "etag": f'"{sha256(reply.body).hexdigest()[:32]}"'}

    async def _with_best_key(self, call: Call, user: str) -> Reply:
        candidates = await self._keys.candidates(user)
        if not candidates:
            raise KeyNeededError("there is no shared key: enter one of your own")
        for credential in candidates:
            try:
                reply = await self._called(call, credential, user)
            except UpstreamRefusedError:
                await self._mark(credential, "refused")
                continue
            await self._mark(credential, "good")
            return reply
        raise KeyRefusedError(
            "TMDB does not accept the shared key"
            if candidates[-1].kind == "shared"
            else "TMDB does not accept your own key: enter another one"
        )

    async def _mark(self, credential: Credential, state: KeyState) -> None:
        if credential.kind == "shared":
            self.shared_refused = state == "refused"
        else:
            await self._keys.mark(credential, state)

    async def _called(self, call: Call, credential: Credential, user: str) -> Reply:
        began, failed = self._clock.monotonic(), True
        try:
            reply = await self._upstream().send(
                Call(
                    path=call.path,
                    params=call.params,
                    expect=call.expect,
                    priority=call.priority,
                    pace=credential.pace,
                    secrets={"Authorization": credential.header},
                    user=user,
                    deadline=self._deadline,
                )
            )
            failed = False
            return reply
        except UpstreamMissingError:
            failed = False
            raise
        finally:
            self._meter.called(user, credential.kind, self._clock.monotonic() - began, failed=failed)

    def _note_trouble(self, key: str, code: str) -> None:
        self._troubles[key] = code
        self._troubles.move_to_end(key)
        if len(self._troubles) > _MOST_TROUBLES:
            self._troubles.popitem(last=False)


def _check(reply: Reply, asked: Question) -> None:
    try:
        convert(reply.data, asked.kind.answer)
    except ValidationError:
        raise UpstreamGarbageError("the answer is not what was asked for", status=reply.status) from None
