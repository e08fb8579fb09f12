"""Members that are made up, as many as a server can bear: what they say to it and hear from it, without hosts."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import msgspec

from plughost.contracts import Beat, Greeting, MemberPlugin
from plughost.plugins.fleet.cards import MemberCard
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.seal import Seal
from plughost.plugins.fleet.stores import redis_scripts as scripts
from plughost.plugins.fleet.stores.redis import RedisFleetStore
from servers import Server


@asynccontextmanager
async def revisions_of(server: Server, fleet: str, secret: bytes) -> AsyncIterator[Revisions]:
    """What a fleet follows, as its command has it."""
    store = RedisFleetStore(server.url, prefix=f"plughost:fleet:{fleet}", timeout=60)
    await store.open()
    try:
        yield Revisions(store, Seal(secret))
    finally:
        await store.close()


def stores(server: Server, number: int) -> Sequence[RedisFleetStore]:
    """Return so many connections to what made-up members meet in."""
    return [RedisFleetStore(server.url, prefix="plughost:fleet:many", timeout=60) for _ in range(number)]


class MadeUpMember:
    """A member that beats, over a connection that it may share with others."""

    def __init__(self, store: RedisFleetStore, number: int) -> None:
        self.name = f"host{number:05}"
        self._store = store
        rows = tuple(MemberPlugin(name=f"plugin-{n:02}", version="1.0", state="ready") for n in range(20))
        self._card = msgspec.msgpack.encode(
            MemberCard(host_name="many", machine=self.name, pid=number, plugins=rows)
        )

    async def join(self) -> None:
        """Become a member."""
        await self._store.open()  # once for all that share it
        greeting = Greeting(member=self.name, ttl=3_600_000, card=self._card)
        self._incarnation = (await self._store.join(greeting)).incarnation

    async def beat(self, interval: float, phase: float) -> None:
        """Beat until cancelled."""
        await anyio.sleep(phase)
        while True:
            await self._store.beat(
                Beat(member=self.name, incarnation=self._incarnation, ready=True, lease=15_000)
            )
            await anyio.sleep(interval)


class Asker(asyncio.Protocol):
    """The connection on which members ask what holds for all, and for the revision, as a follower does.

    Those that share it ask one after the other.
    """

    def __init__(self, words: Sequence[bytes], read: list[float]) -> None:
        self._words = words
        self._read = read
        self._asked = 0
        self._waiting = 0
        self.there = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(encoded("PING"))

    def ask(self) -> None:
        """Ask for one member more; what is answered last is the revision."""
        self._waiting += 1
        if self._waiting == 1:
            self._ask_next()

    def _ask_next(self) -> None:
        self._transport.write(self._words[self._asked])
        self._asked += 1

    def data_received(self, data: bytes) -> None:
        if not self.there.is_set():
            self.there.set()
        elif self._asked < len(self._words):
            self._ask_next()
        else:
            self._asked = 0
            self._read.append(time.perf_counter())
            self._waiting -= 1
            if self._waiting:
                self._ask_next()


class Ear(asyncio.Protocol):
    """The connection on which a member hears that there is something."""

    def __init__(self, channel: str, asker: Asker) -> None:
        self._channel = channel
        self._asker = asker
        self.there = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        transport.write(encoded("SUBSCRIBE", self._channel))

    def data_received(self, data: bytes) -> None:
        self.there.set()
        if b"message" in data:
            self._asker.ask()


def encoded(*words: str | bytes) -> bytes:
    """Return a command as it is sent."""
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


async def lend_ears(store: Server, number: int, read: list[float], sharing: int = 1) -> None:
    """Have each member listen over a connection more, and ask over one that ``sharing`` of them share.

    Each is waited for until the server answers: where many wait to be taken, asyncio says of a Unix socket that it is
    connected although it was turned away.
    """
    loop, base = asyncio.get_running_loop(), "{plughost:fleet:many}"
    words = []
    for script, more in ((scripts.STEERING, ()), (scripts.REVISION, ("1",))):
        sha = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        words.append(encoded("EVALSHA", sha, "1", base, "", "unused", *more))
    for place in range(number):
        if place % sharing == 0:
            _, asker = await loop.create_unix_connection(lambda: Asker(words, read), store.path)
            await asker.there.wait()
        _, ear = await loop.create_unix_connection(partial(Ear, f"{base}:bus", asker), store.path)
        await ear.there.wait()
