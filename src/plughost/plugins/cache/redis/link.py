"""The connection to Redis over time: there, away, back again.

The first question without an answer opens the circuit: from then on everybody goes on without Redis at the cost
of looking at one flag. A single task tries to come back, with growing, randomly spread pauses. Before anybody may
read again it makes the invalidations that were missed, and empties memory of what was cached meanwhile.
"""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeVar, cast

import anyio
import anyio.abc
import anyio.from_thread
from anyio.lowlevel import EventLoopToken, current_token
from redis.exceptions import ResponseError

from plughost.contracts import SYSTEM_CLOCK, Clock, get_logger
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.codec import Codec
from plughost.plugins.cache.config import CacheConfig, CacheSettings
from plughost.plugins.cache.memory import MemoryEntries
from plughost.plugins.cache.presence import Presence
from plughost.plugins.cache.redis import names, scripts
from plughost.plugins.cache.redis.cluster import ClusterLane
from plughost.plugins.cache.redis.coherence import Coherence
from plughost.plugins.cache.redis.lane import (
    Command,
    Lane,
    PushCommand,
    Question,
    bounded,
    is_refusal,
    new_reply,
    require_asyncio,
    settle,
)
from plughost.plugins.cache.redis.rights import Rights, rights_of
from plughost.plugins.cache.redis.tier import RedisTier
from plughost.plugins.cache.redis.urls import target_of
from plughost.plugins.cache.remote import Remote
from plughost.plugins.cache.stats import Counts

_log = get_logger("plughost.cache.redis")
T = TypeVar("T")
_CLUSTER_SHARDS = 16
_PING_EVERY = 1.0
"""Seconds of silence after which a connection is asked whether it still is one."""


class RedisLink(Presence):
    """Implements ``manager.Link`` over one connection.

    Args:
        config: The plugin's configuration; ``redis_url`` is set.
        clock: Time.
    """

    def __init__(self, config: CacheConfig, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(clock)
        self.config = config
        self.target = target_of(config.redis_url or "", connect_timeout=config.connect_timeout)
        self._name = secrets.token_hex(8).encode()
        self.sender = self._name
        """Who asks: another name on each connection."""
        self.gone: list[bytes] = []
        """Names of connections that were given up, and may have something under way still."""
        self.rights = Rights()
        self.coherence = Coherence(config.keyspace, self._name, partial(self._tell, flush=True))
        self.tiers: dict[str, RedisTier] = {}
        self.thread: int | None = None
        self.generation = 0
        """How many connections there have been; what was agreed with an earlier one has to be agreed again."""
        self._lane: Lane | ClusterLane | None = None
        self._lost: anyio.Event | None = None
        self._replayed = 0
        self._group: anyio.abc.TaskGroup | None = None
        self._token: EventLoopToken | None = None
        self.tracking = False

    # What the manager asks

    @property
    def coherent(self) -> bool:
        """Whether changes by others are heard of; with ``coherence = "off"`` nobody wants to.

        Who may not tell others takes it that others may not either: there is no proof that they are heard.
        """
        if self.config.coherence == "off":
            return self.available
        rights = self.rights
        wanted = self.config.coherence == "pubsub" or rights.tracking
        return self.available and wanted and rights.subscribe and (self.tracking or rights.publish)

    @property
    def echoes(self) -> bool:
        """Whether the server tells us of our own writes too: scripts escape its NOLOOP."""
        return self.tracking

    @property
    def shards(self) -> int:
        """Hash slots of a cache."""
        return self.config.shards or (_CLUSTER_SHARDS if self.target.kind == "cluster" else 1)

    def attach(self, name: str, settings: CacheSettings, codec: Codec) -> Remote:
        """Return the shared tier of one cache."""
        tier = self.tiers.get(name)
        if tier is None:
            tier = self.tiers[name] = RedisTier(self, name, settings, codec)
        return tier

    def bind(self, name: str, memory: MemoryEntries, counts: Counts) -> None:
        """Say whose memory is to hear of changes."""
        self.coherence.bind(name, memory)
        self.tiers[name].counts = counts

    def status(self) -> Mapping[str, object]:
        """How it does."""
        return {
            "mode": self.target.kind,
            "server": self.target.shown,
            "available": self.available,
            "coherence": self.coherence_kind,
            "away_seconds": round(self.away(), 3),
            "journal": sum(len(tier.journal) for tier in self.tiers.values()),
            "connections": self.generation,
            "error": self._error,
            "missing_rights": list(self.rights.missing),
        }

    @property
    def coherence_kind(self) -> str:
        """``tracking``, ``pubsub`` or ``off``."""
        if self.config.coherence == "off":
            return "off"
        return "tracking" if self.tracking else "pubsub"

    def forget(self) -> None:
        """In a forked child: the socket is the parent's."""
        self.available = False
        self._lane = None

    # What the tiers ask

    def put(self, question: Question) -> None:
        """Ask something; its answer is an error when Redis is away."""
        if self._lane is None or not self.available:
            question.answer(StoreUnavailableError("Redis is away"))
        else:
            self._lane.put(question)

    def put_first(self, question: Question) -> None:
        """The same on a connection that is being set up."""
        if self._lane is None:
            question.answer(StoreUnavailableError("Redis is away"))
        else:
            self._lane.put(question)

    async def ask(self, *arguments: bytes, script: scripts.Script | None = None) -> Any:
        """Ask and wait."""
        command = Command(script, arguments)
        self.put(command)
        return await command.reply

    async def scan(self, pattern: bytes) -> AsyncIterator[list[bytes]]:
        """Iterate over pages of matching key names; never all at once."""
        cursor = b"0"
        while True:
            lane = self._lane
            if lane is None:
                raise StoreUnavailableError("Redis is away")
            if isinstance(lane, ClusterLane):
                async for page in lane.scan(pattern):
                    yield page
                return
            cursor, page = await lane.ask(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"1000")
            yield page
            if cursor == b"0":
                return

    def call_home(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function in the connection's loop, from a thread."""
        if self._token is None:
            raise StoreUnavailableError("Redis is away")
        return anyio.from_thread.run(function, *args, token=self._token)

    @property
    def sent(self) -> int:
        """Commands sent over the present connection."""
        return 0 if self._lane is None else self._lane.sent

    # Coming and going

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Connect, stay connected, and come back until cancelled."""
        require_asyncio()
        self.thread = threading.get_ident()
        self._token = current_token()
        pause = self.config.backoff
        try:
            async with anyio.create_task_group() as self._group:
                while True:
                    connected = await self._try_to_connect()
                    task_status.started()
                    task_status = anyio.TASK_STATUS_IGNORED
                    if connected:
                        pause = self.config.backoff
                        async with anyio.create_task_group() as beside:
                            beside.start_soon(self._follow_primary)
                            await self._watch()
                            beside.cancel_scope.cancel()
                    await self._retire()
                    await self._clock.sleep(random.uniform(0, pause))  # noqa: S311 # spreads load, hides nothing
                    pause = min(self.config.backoff_cap, pause * 2)
        finally:
            self.available = False
            self._group = None
            await self._retire()
            with anyio.CancelScope(shield=True):
                await self.target.close()

    async def _retire(self) -> None:
        """Close what is left of a connection."""
        lane, self._lane = self._lane, None
        if lane is not None:
            with anyio.CancelScope(shield=True):
                await lane.stop()

    async def finish(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run something to its end, whatever becomes of the caller.

        A shielded scope would not do: asyncio's own cancellation knows no scopes.
        """
        if self._group is None:
            raise StoreUnavailableError("Redis is away")
        reply = new_reply()

        async def run() -> None:
            try:
                settle(reply, await function())
            except Exception as error:
                settle(reply, error)
            except BaseException:
                settle(reply, StoreUnavailableError("Redis is away"))
                raise

        self._group.start_soon(run)
        return cast("T", await reply)

    async def _try_to_connect(self) -> bool:
        limit = self.config.connect_timeout
        self._lost = anyio.Event()
        target, timeout = self.target, self.config.op_timeout

        def on_lost(reason: Exception) -> None:
            if self._note_away(_in_words(reason)):
                _log.warning("the server of the cache is away", server=self.target.shown, error=self._error)
                self._tell(flush=False)
            self.coherence.wake_all()
            if self._lost is not None:
                self._lost.set()

        heard, lost = self.coherence.heard, on_lost
        self._lane = (
            ClusterLane(target.nodes, target.options, op_timeout=timeout, on_push=heard, on_lost=lost)
            if target.connect is None
            else Lane(target.connect, op_timeout=timeout, on_push=heard, on_lost=lost)
        )
        try:
            await self._lane.start(limit)
            self.gone.append(self.sender)
            self.generation += 1
            self.sender = self._name + b"-%d" % self.generation
            await bounded(10 * limit, self._set_up)
        except Exception as error:
            self._error = _in_words(error)
            self._lane.lose(error)
            return False
        return True

    async def _set_up(self) -> None:
        lane = self._lane
        assert lane is not None  # noqa: S101 # made a moment ago
        tracked = self.config.coherence == "tracking" and self.target.kind != "cluster"
        self.rights = await rights_of(lane, self.config.keyspace, tracked=tracked)
        if self.rights.subscribe:
            announcement = PushCommand(b"SUBSCRIBE", names.bus(self.config.keyspace))
            lane.put(announcement)
            await announcement.reply
        self.tracking = False
        if tracked and self.rights.tracking:
            prefix = names.entry_prefix(self.config.keyspace)
            self.tracking = await self._quietly(
                lane, b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX", prefix
            )
        await lane.ask(b"PING")
        while any(len(tier.journal) for tier in self.tiers.values()) or self.generation != self._replayed:
            self._replayed = self.generation
            for tier in tuple(self.tiers.values()):
                await tier.replay()
        self.gone.clear()
        lane.settled = True
        self._note_there()
        _log.info("the server of the cache is there", server=self.target.shown, coherence=self.coherence_kind)
        for right in self.rights.missing:
            _log.warning(
                "a right is missing on the server of the cache", server=self.target.shown, right=right
            )
        self._tell(flush=True)

    @staticmethod
    async def _quietly(lane: Lane | ClusterLane, *arguments: bytes) -> bool:
        try:
            await lane.ask(*arguments)
        except StoreUnavailableError:
            raise
        except Exception as error:  # refused by the server, which is an answer
            _log.debug(
                "the server of the cache refused a command", command=arguments[0].decode(), error=str(error)
            )
            return False
        return True

    async def _follow_primary(self) -> None:
        """Leave a server when the sentinels name another one.

        They make another the primary while the old one is still there, and tell it seconds later: until then it takes
        writes that it will lose, and hears nothing of those that went to the other.
        """
        lane, primary = self._lane, self.target.primary
        while primary is not None and isinstance(lane, Lane) and lane.open:
            await anyio.sleep(_PING_EVERY)
            try:
                named = await bounded(2 * self.config.connect_timeout, primary)
            except Exception as error:  # no reason to leave a server that answers
                _log.debug("no sentinel names a primary", server=self.target.shown, error=_in_words(error))
                continue
            if named != lane.address:
                lane.lose(StoreUnavailableError("the sentinels name another server as primary"))

    async def _watch(self) -> None:
        """Stay until the connection is lost; extend leases, and ask for a sign of life now and then."""
        lost, lane = self._lost, self._lane
        assert lost is not None  # noqa: S101 # set when connecting
        assert lane is not None  # noqa: S101 # set when connecting
        sent = lane.sent
        while not lost.is_set():
            with anyio.move_on_after(min(_PING_EVERY, self.config.lease_time / 3)):
                await lost.wait()
            if not lane.open:
                return
            for tier in self.tiers.values():
                tier.extend_leases()
            if lane.sent == sent:
                lane.put(Command(None, (b"PING",)))
            sent = lane.sent


def _in_words(error: Exception) -> str:
    """Return what is wrong with a connection: our own words, the kind of a foreign error, and a refusal in full."""
    cause = error.__cause__ or error
    if isinstance(cause, StoreUnavailableError) or (isinstance(cause, ResponseError) and is_refusal(cause)):
        return str(cause)
    return type(cause).__name__
