"""Sessions in Redis or Valkey, for several instances of an application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sniffio

from plughost.contracts import (
    SYSTEM_CLOCK,
    NewSession,
    PurgedSession,
    ReplacedSession,
    SessionPatch,
    SessionStats,
    StoredSession,
    VersionConflict,
    get_logger,
    session_too_large,
)
from plughost.exceptions import ConfigError, SessionUnreadableError, StoreUnavailableError
from plughost.plugins.sessions.stores import redis_scripts as scripts
from plughost.plugins.sessions.stores.redis_together import Together

try:
    from redis import BlockingConnectionPool as BlockingPool
    from redis import Redis as PlainClient
    from redis import exceptions as answers
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.retry import Retry as PlainRetry
except ImportError as error:
    raise ConfigError(
        "store = 'redis' needs the redis package: pip install 'plughost[redis]'",
        path="plugins.sessions.config.store",
    ) from error

_CONNECTIONS = 64
_PAUSE = 0.5  # seconds after a failure in which nobody tries again

_REFUSALS: tuple[tuple[type[Exception], str], ...] = (
    (answers.ReadOnlyError, "it is a replica: let redis_url lead to the primary"),
    (answers.BusyLoadingError, "it is still loading its data"),
    (answers.OutOfMemoryError, "it is out of memory: give it more, or raise its maxmemory"),
    (answers.AskError, "it belongs to a cluster: sessions need one server"),
    (answers.ClusterError, "it belongs to a cluster: sessions need one server"),
    (answers.AuthenticationError, "the name or the password in redis_url is wrong"),
    (answers.NoPermissionError, "the user in redis_url may not do that"),
    (answers.ResponseError, "see its log"),
)
"""What Redis may answer instead of doing what it is asked, the nearest first. Anything else is no answer at all."""
_IN_SCRIPTS = {"OOM": answers.OutOfMemoryError, "READONLY": answers.ReadOnlyError}
_ANSWERED = tuple(kind for kind, _ in _REFUSALS)

_log = get_logger("plughost.sessions")
_decode_names = msgspec.msgpack.Decoder(list[str]).decode


class RedisStore:
    """A ``SessionStore`` over one Redis deployment. Works on asyncio only, as its client does.

    Every call is one script; reads, changes and touches of one turn of the loop share one. When Redis is away,
    calls fail at once for half a second after each failure, so that a busy server does not wait for one time-out
    per request; nothing is tried twice. An answer that refuses one command is that command's failure alone. When
    the server turns out to be a replica, all connections to it are let go: the next ones lead to the server that
    took its place.

    Args:
        url: Where it is.
        prefix: First part of all keys, and their hash tag.
        timeout: Longest wait for a connection or an answer, in seconds.
        now: Returns the time, for tests; None takes the server's own.
    """

    name = "redis"

    def __init__(
        self, url: str, *, prefix: str, timeout: float = 2.0, now: Callable[[], float] | None = None
    ) -> None:
        self._url = url
        self._base = f"{{{prefix}}}"
        self._timeout = timeout
        self._now = now
        self._quiet_until = 0.0
        self._client: Redis | None = None
        self._plain: PlainClient | None = None  # for looks that do not await
        self._left: list[Redis] = []  # clients of servers that became replicas, with calls still under way
        self._scripts: dict[str, Any] = {}
        self._read, self._patch, self._touch = (
            self._together(script) for script in (scripts.READ, scripts.PATCH, scripts.TOUCH)
        )

    def __repr__(self) -> str:
        return f"RedisStore(prefix={self._base!r})"  # the address may hold a password

    async def open(self) -> None:
        """Connect, and look whether sessions are safe there.

        Raises:
            ConfigError: This event loop is not asyncio's, or the address is not a Redis URL.
            StoreUnavailableError: It cannot be reached.
        """
        if sniffio.current_async_library() != "asyncio":
            raise ConfigError(
                "the Redis client works on asyncio only: run the host there, or use store = 'sqlite'",
                path="plugins.sessions.config.store",
            )
        self._client = self._connected()
        try:
            await self._do(self._client.ping)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let the connections go."""
        for calls in (self._read, self._patch, self._touch):
            await calls.finish()
        plain, self._plain = self._plain, None
        if plain is not None:
            plain.close()
        clients, self._left = [*self._left, *([self._client] if self._client else [])], []
        self._client = None
        self._scripts.clear()
        for client in clients:
            await client.aclose()
            await client.connection_pool.disconnect()

    async def self_check(self) -> str:
        """Write something, and say whether Redis may evict sessions.

        Raises:
            StoreUnavailableError: It cannot be reached, or refuses to write.
        """
        await self._run(scripts.PROBE)
        assert self._client is not None  # noqa: S101 - or there would have been nobody to ask
        try:
            policy = (await self._client.info("memory")).get("maxmemory_policy", "")
        except answers.RedisError:
            return "cannot see whether Redis may evict sessions: allow its user INFO, and set noeviction"
        if policy == "noeviction":
            return ""
        return (
            f"Redis may evict sessions when its memory is short (maxmemory-policy {policy or 'unknown'}), and"
            " their people are signed out: set maxmemory-policy noeviction"
        )

    async def look_after(self) -> None:
        """Notice that the server became a replica, whose sessions would be those of a moment ago."""
        if self._client is None or SYSTEM_CLOCK.monotonic() < self._quiet_until:
            return
        try:
            role, *_ = await self._client.role()
        except (answers.RedisError, OSError):
            return  # calls tell by themselves
        if role in (b"slave", "slave"):
            await self._let_go()

    async def create(self, new: NewSession) -> StoredSession | None:
        """Store a new session."""
        return _row(await self._run(scripts.CREATE, new.digest.hex(), *_new(new)))

    async def read(self, digest: bytes) -> StoredSession | ReplacedSession | None:
        """Return the session if it is alive."""
        return _read(await self._read(digest.hex()), digest)

    def read_waiting(self, digest: bytes) -> StoredSession | ReplacedSession | None:
        """Return the session if it is alive; the thread waits for the answer."""
        if self._client is None:
            raise StoreUnavailableError("the session store is closed")
        if self._plain is None:
            self._plain = self._over(BlockingPool, PlainClient, PlainRetry)
        script = self._plain.register_script(scripts.READ)
        try:
            self._refuse_soon_after_a_failure()
            return _read(script(keys=[self._base], args=[self._moment(), digest.hex()]), digest)
        except _ANSWERED as refusal:
            raise self._refused(refusal) from refusal
        except (answers.RedisError, OSError, TimeoutError) as error:
            raise self._away(error) from error

    async def patch(self, digest: bytes, patch: SessionPatch) -> StoredSession | None:
        """Merge a change into a living session."""
        pairs = [part for pair in patch.set.items() for part in pair]
        removed = [name for name in patch.remove if name not in patch.set]
        answer = await self._patch(
            digest.hex(),
            "" if patch.version is None else patch.version,
            patch.max_bytes,
            "" if patch.idle is None else repr(patch.idle),
            "" if patch.about is None else "1",
            patch.about or b"",
            len(patch.set),
            *pairs,
            *removed,
        )
        if isinstance(answer, int):
            raise session_too_large(answer, patch.max_bytes)
        return _row(_no_conflict(answer), digest)

    async def touch(self, digest: bytes) -> None:
        """Note that it is used."""
        await self._touch(digest.hex())

    async def replace(
        self, digest: bytes, new: NewSession, *, version: int, grace: float
    ) -> StoredSession | None:
        """Put a new session in the place of a living one."""
        answer = await self._run(
            scripts.REPLACE, digest.hex(), version, repr(grace), new.digest.hex(), *_new(new)
        )
        return _row(_no_conflict(answer))

    async def delete(self, digest: bytes) -> StoredSession | None:
        """End a session."""
        return _row(await self._run(scripts.DELETE, digest.hex()))

    async def end_subject(self, subject: str, keep: bytes | None = None) -> int:
        """End all sessions of a subject but one."""
        kept = "" if keep is None else keep.hex()
        return int(await self._run(scripts.END_SUBJECT, subject, kept))

    async def list_subject(self, subject: str, limit: int | None = None) -> list[StoredSession]:
        """Return the living sessions of a subject, newest first."""
        rows = [_row(found) for found in await self._run(scripts.LIST, subject, limit or 0)]
        alive = [row for row in rows if row is not None]
        return sorted(alive, key=lambda row: (-row.created_at, row.digest))

    async def purge(self, limit: int) -> list[PurgedSession]:
        """Remove what sessions that are over left behind; Redis itself has removed most of them."""
        gone = await self._run(scripts.PURGE, limit)
        return [
            PurgedSession(handle.decode(), subject.decode() if has else None, bool(expired))
            for handle, has, subject, expired in gone
        ]

    async def stats(self) -> SessionStats:
        """Return the figures."""
        active, expired, users = await self._run(scripts.STATS)
        return SessionStats(active=active, expired=expired, users=users, store=self.name)

    async def page(self, cursor: str | None, limit: int) -> tuple[list[StoredSession], str | None]:
        """Return living sessions in pages of about that many; one that changes meanwhile may come twice."""
        following, *found = await self._run(scripts.PAGE, cursor or "0", limit)
        rows = [row for one in found if (row := _row(one)) is not None]
        return rows, None if following == b"0" else following.decode()

    async def adopt(self, sessions: Sequence[StoredSession]) -> int:
        """Take over living sessions of another store."""
        taken = 0
        for row in sessions:
            times = (row.created_at, row.touched_at, row.idle, row.deadline, row.expires_at)
            taken += await self._run(
                scripts.ADOPT,
                row.digest.hex(),
                row.handle,
                "" if row.subject is None else "1",
                row.subject or "",
                row.version,
                *(repr(moment) for moment in times),
                row.about,
                *(part for pair in row.fields.items() for part in pair),
            )
        return taken

    async def _run(self, script: str, *arguments: object) -> Any:
        if self._client is None:
            raise StoreUnavailableError("the session store is closed")
        if script not in self._scripts:
            self._scripts[script] = self._client.register_script(script)
        return await self._do(self._scripts[script], keys=[self._base], args=[self._moment(), *arguments])

    def _moment(self) -> str:
        return "" if self._now is None else repr(self._now())

    def _together(self, script: str) -> Together:
        several = scripts.repeated_calls(script)

        async def many(calls: Sequence[tuple[Any, ...]]) -> list[Any]:
            parts = [part for call in calls for part in (len(call), *call)]
            found = await self._run(several, *parts)
            return [
                await self._refusal(one) if isinstance(one, answers.ResponseError) else one for one in found
            ]

        return Together(lambda call: self._run(script, *call), many)

    async def _do(self, call: Callable[..., Any], **options: Any) -> Any:
        self._refuse_soon_after_a_failure()
        try:
            return await call(**options)
        except _ANSWERED as refusal:
            raise await self._refusal(refusal) from refusal
        except (answers.RedisError, OSError, TimeoutError) as error:
            raise self._away(error) from error

    def _refuse_soon_after_a_failure(self) -> None:
        if SYSTEM_CLOCK.monotonic() < self._quiet_until:
            raise StoreUnavailableError("Redis was away a moment ago: try again in a second")

    def _away(self, error: BaseException) -> StoreUnavailableError:
        self._quiet_until = SYSTEM_CLOCK.monotonic() + _PAUSE
        _log.warning("session store is away", store="redis", error=type(error).__name__)
        return StoreUnavailableError(f"Redis cannot be reached: {type(error).__name__}")

    async def _refusal(self, refusal: Exception) -> StoreUnavailableError:
        # Redis 6 and older say within a sentence on the script what a command in it was answered.
        said = next((kind for code, kind in _IN_SCRIPTS.items() if f"-{code} " in str(refusal)), None)
        refusal = refusal if said is None else said(str(refusal))
        if isinstance(refusal, answers.ReadOnlyError):
            await self._let_go()
        return self._refused(refusal)

    def _refused(self, refusal: Exception) -> StoreUnavailableError:
        why = next(text for kind, text in _REFUSALS if isinstance(refusal, kind))
        _log.warning("session store refused", store="redis", error=type(refusal).__name__, why=why)
        return StoreUnavailableError(f"Redis refused, {type(refusal).__name__}: {why}")

    def _connected(self) -> Redis:
        return self._over(BlockingConnectionPool, Redis, Retry)  # type: ignore[no-any-return]

    def _over(self, pool_class: Any, client_class: Any, retry_class: Any) -> Any:
        """Return a client with a pool of its own, of the one or the other kind."""
        try:
            pool = pool_class.from_url(
                self._url,
                max_connections=_CONNECTIONS,
                timeout=self._timeout,
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                retry=retry_class(NoBackoff(), 0),
            )
        except ValueError as error:
            raise ConfigError(
                "redis_url is not a Redis URL: write redis://HOST:6379/0, rediss:// or unix:///PATH",
                path="plugins.sessions.config.redis_url",
            ) from error
        return client_class(connection_pool=pool)

    async def _let_go(self) -> None:
        """Turn away from a server that became a replica; what is under way there ends by itself."""
        old = self._client
        if old is None:
            return
        _log.warning("the server of the sessions became a replica, connecting again", store="redis")
        self._client, self._plain = self._connected(), None
        self._scripts.clear()
        self._left.append(old)
        await old.connection_pool.disconnect(inuse_connections=False)


def _new(new: NewSession) -> list[object]:
    return [
        new.handle,
        "" if new.subject is None else "1",
        new.subject or "",
        repr(new.idle),
        "" if new.absolute is None else repr(new.absolute),
        new.about,
        *(part for pair in new.fields.items() for part in pair),
    ]


def _no_conflict(answer: Any) -> Any:
    if answer in (b"conflict", "conflict"):
        raise VersionConflict
    return answer


def _read(found: Any, digest: bytes) -> StoredSession | ReplacedSession | None:
    if found is not None and len(found) == 1:
        return ReplacedSession(successor=bytes.fromhex(found[0].decode()))
    return _row(found, digest)


def _row(found: Any, asked: bytes | None = None) -> StoredSession | None:
    if found is None:
        return None
    digest, via, *flat = found
    row = dict(zip(flat[::2], flat[1::2], strict=True))
    fields = {name[2:].decode(): value for name, value in row.items() if name.startswith(b"f:")}
    try:
        subject = row.get(b"u")
        return StoredSession(
            digest=bytes.fromhex(digest.decode()),
            handle=row[b"h"].decode(),
            subject=None if subject is None else subject.decode(),
            epoch=int(row[b"e"]),
            version=int(row[b"v"]),
            created_at=float(row[b"c"]),
            touched_at=float(row[b"t"]),
            idle=float(row[b"i"]),
            deadline=float(row[b"d"]),
            expires_at=float(row[b"x"]),
            about=row[b"a"],
            fields={
                name: fields[name] for name in (_decode_names(row[b"o"]) if b"o" in row else sorted(fields))
            },
            successor_of=asked if via else None,
        )
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise SessionUnreadableError(
            "a session in Redis is damaged: it was not written by plughost. It is kept"
        ) from error
