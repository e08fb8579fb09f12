"""A cluster as one lane: scripts go to the node of their slot, everything else to one connection that listens.

redis-py's cluster client finds the nodes and follows their moves. What was asked for in one turn still travels as one
script per slot. Tracking would need a connection to each node, so coherence comes by publish/subscribe, which a
cluster carries to all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from redis.asyncio import Connection
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ReadOnlyError, RedisClusterException, ResponseError

from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.redis import scripts
from plughost.plugins.cache.redis.lane import (
    Arguments,
    Asked,
    Lane,
    OnPush,
    Packed,
    PushCommand,
    Question,
    is_refusal,
)
from plughost.plugins.cache.redis.scripts import Script

_KEYED: Final = frozenset({b"UNLINK"})
_AT_ONCE: Final = 16
"""Commands under way at the same time: each takes a connection, and its time begins when it has its turn."""

_REDIRECTS: Final = 3
"""Times a command may be sent on, because its slot is moving."""


class ClusterLane(Asked):
    """The same to a link as ``lane.Lane``.

    Args:
        nodes: Hosts and ports to ask for the others.
        options: What connections are made with.
        op_timeout: Seconds a command may take.
        on_push: Called with what is told on the bus.
        on_lost: Called once when the cluster does not answer.
    """

    def __init__(
        self,
        nodes: tuple[tuple[str, int], ...],
        options: dict[str, Any],
        *,
        op_timeout: float,
        on_push: OnPush,
        on_lost: Callable[[Exception], None],
    ) -> None:
        super().__init__()
        self._nodes = nodes
        self._options = options
        self._op_timeout = op_timeout
        self._on_push = on_push
        self._on_lost = on_lost
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: Any = None
        self._ears: Lane | None = None
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.settled = False
        self.sent = 0

    async def start(self, limit: float) -> None:
        """Find the nodes and begin to work.

        Raises:
            StoreUnavailableError: Not in time, or not at all.
        """
        cluster_options = {key: value for key, value in self._options.items() if key != "db"}
        cluster_options |= {"socket_timeout": self._op_timeout, "retry": Retry(NoBackoff(), _REDIRECTS)}
        startup: list[Any] = [ClusterNode(host, port) for host, port in self._nodes]
        self._client = RedisCluster(startup_nodes=startup, **cluster_options)
        try:
            async with asyncio.timeout(5 * limit):
                await self._client.initialize()
            node = self._client.get_primaries()[0]
            options = {key: value for key, value in self._options.items() if key != "db"}
            self._ears = Lane(
                lambda: Connection(host=node.host, port=node.port, **options),
                op_timeout=self._op_timeout,
                on_push=self._on_push,
                on_lost=self.lose,
            )
            await self._ears.start(limit)
        except Exception as error:
            await self._close()
            raise StoreUnavailableError(f"no connection to the cluster: {type(error).__name__}") from error
        self.open = True
        self._spawn(self._write())

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._queue = deque(self._queue), []
            try:
                while batch:
                    await self._send(batch.popleft())
            finally:  # cancelled on the way: nobody may be left waiting
                for question in batch:
                    question.answer(StoreUnavailableError("Redis is away"))

    async def _send(self, question: Question) -> None:
        script, arguments = question.arguments()
        self.sent += 1
        if script is None and arguments[0] not in _KEYED:
            if self._ears is not None:
                known = isinstance(question, PushCommand)
                self._ears.put(question if known else Packed(question, arguments))
            return
        work = self._run(question, script, arguments)
        if script is scripts.ROLL:
            await work  # what follows must find the clock it agrees on
        else:
            self._spawn(work)

    async def _run(self, question: Question, script: Script | None, arguments: Arguments) -> None:
        try:
            async with self._room, asyncio.timeout(self._op_timeout * (_REDIRECTS + 1)):
                reply = await self._execute(script, arguments)
        except (ReadOnlyError, RedisClusterException) as error:
            self._fail(question, error)
        except ResponseError as error:
            question.answer(error)
            if self.settled and is_refusal(error):
                self.lose(error)
        except Exception as error:
            self._fail(question, error)
        except BaseException:
            question.answer(StoreUnavailableError("Redis is away"))
            raise
        else:
            question.answer(reply)

    async def _execute(self, script: Script | None, arguments: Arguments) -> Any:
        if script is None:
            return await self._client.execute_command(arguments[0].decode(), *arguments[1:])
        try:
            return await self._client.execute_command("EVALSHA", script.sha, *arguments)
        except NoScriptError:
            return await self._client.execute_command("EVAL", script.text, *arguments)

    def _fail(self, question: Question, error: Exception) -> None:
        self.lose(error)
        reason = StoreUnavailableError(f"Redis is away: {type(error).__name__}")
        reason.__cause__ = error
        question.answer(reason)

    async def scan(self, pattern: bytes) -> AsyncIterator[list[bytes]]:
        """Iterate over pages of matching names on every node."""
        for node in self._client.get_primaries():
            cursor = 0
            while True:
                cursors, page = await self._client.scan(cursor, pattern, 1000, target_nodes=node)
                yield page
                cursor = int(next(iter(cursors.values())))
                if cursor == 0:
                    break

    def lose(self, error: Exception) -> None:
        """Give the cluster up and tell everyone who waits to be asked; once."""
        if not self.open:
            return
        self.open = False
        waiting, self._queue = self._queue, []
        reason = StoreUnavailableError(f"Redis is away: {type(error).__name__}")
        reason.__cause__ = error
        if self._ears is not None:
            self._ears.lose(error)
        self._on_lost(reason)
        for question in waiting:
            question.answer(reason)

    async def stop(self) -> None:
        """Close all connections."""
        self.lose(ConnectionAbortedError("closed"))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close()

    async def _close(self) -> None:
        with contextlib.suppress(Exception):
            if self._ears is not None:
                await self._ears.stop()
        with contextlib.suppress(Exception):
            await self._client.aclose()
