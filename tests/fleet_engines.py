"""Engines of a fleet's store for members in made-up time: real ones, that answer before anybody else has a turn.

Made-up time waits for nobody, so an SQLite file is asked in the loop instead of a thread, and a server over a
connection that blocks. What is asked, and what the engine makes of it, is what a host has.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import anyio
from redis import Redis

from plughost.contracts import FleetStore, Word
from plughost.plugins.fleet.stores.memory import MemoryFleetStore
from plughost.plugins.fleet.stores.redis import RedisFleetStore
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
from servers import server

T = TypeVar("T")
Now = Callable[[], float]
Engine = Callable[[Now], FleetStore]


class SqliteAtOnce(SqliteFleetStore):
    """A file that is asked in the loop."""

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return function()


class RedisAtOnce(RedisFleetStore):
    """A server that is asked over a connection that blocks."""

    def __init__(self, path: str, now: Now) -> None:
        super().__init__("redis://made-up", prefix=uuid.uuid4().hex, now=now)
        self._path = path

    async def open(self) -> None:
        if self._client is None:
            self._client = _ClientAtOnce(Redis(unix_socket_path=self._path))  # type: ignore[assignment]

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


class _ClientAtOnce:
    """What the store asks of its client."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        ask = getattr(self._client, name)

        async def answer(*words: Any) -> Any:
            return ask(*words)

        return answer

    def register_script(self, script: str) -> Callable[..., Awaitable[Any]]:
        prepared = self._client.register_script(script)

        async def run(keys: list[str], args: list[Any], client: object) -> Any:
            return prepared(keys=keys, args=args)

        return run


class StoreOver:
    """A store over an engine, whose words are heard in made-up time; what watches or fails is derived from it."""

    def __init__(self, engine: FleetStore, now: Now) -> None:
        self._engine = engine
        self._time = now
        self._waiting = anyio.Event()
        self._word = Word()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def enlist(self, enlistment: Any) -> Any:
        return await self._engine.enlist(enlistment)

    async def claim(self, claim: Any) -> Any:
        return await self._engine.claim(claim)

    async def beat(self, beat: Any) -> Any:
        return await self._engine.beat(beat)

    async def steering(self) -> Any:
        return await self._engine.steering()

    async def propose(self, proposal: Any) -> Any:
        answer = await self._engine.propose(proposal)
        await self._wake(Word(step=True))
        return answer

    async def go_on(self, step: Any) -> bool:
        went = await self._engine.go_on(step)
        await self._wake(Word(step=True))
        return went

    async def wait_for_word(self) -> Word:
        await self._waiting.wait()
        return self._word

    async def _wake(self, word: Word) -> None:
        waiting, self._waiting, self._word = self._waiting, anyio.Event(), word
        waiting.set()


@contextmanager
def engine(name: str) -> Iterator[Engine]:
    """``memory``, ``sqlite`` or ``valkey`` for the time of the block; each store that is made of it is a new fleet."""
    if name == "memory":
        yield MemoryFleetStore
    elif name == "sqlite":
        with TemporaryDirectory() as folder:
            yield lambda now: SqliteAtOnce(Path(folder, uuid.uuid4().hex), now)
    else:
        with server() as started:
            yield lambda now: RedisAtOnce(started.path, now)
