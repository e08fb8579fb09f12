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


class MadeUpMember:
    """A member with a connection of its own that beats."""

    def __init__(self, url: str, number: int) -> None:
        self.name = f"host{number:05}"
        self._store = RedisFleetStore(url, prefix="plughost:fleet:many", timeout=60)
        rows = tuple(MemberPlugin(name=f"plugin-{n:02}", version="1.0", state="ready") for n in range(20))
        self._card = msgspec.msgpack.encode(
            MemberCard(host_name="many", machine=self.name, pid=number, plugins=rows)
        )

    async def join(self) -> None:
        """Become a member."""
        await self._store.open()
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

    async def close(self) -> None:
        """Let the connections go."""
        await self._store.close()


class Asker(asyncio.Protocol):
    """The connection on which a member asks what holds for all, and for the revision, as a follower does."""

    def __init__(self, words: Sequence[bytes], read: list[float]) -> None:
        self._words = words
        self._read = read
        self._asked = 0
        self.there = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(encoded("PING"))

    def ask(self) -> None:
        """Ask the next thing; what is answered last is the revision."""
        self._transport.write(self._words[self._asked])
        self._asked += 1

    def data_received(self, data: bytes) -> None:
        if not self.there.is_set():
            self.there.set()
        elif self._asked < len(self._words):
            self.ask()
        else:
            self._asked = 0
            self._read.append(time.perf_counter())


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


async def lend_ears(store: Server, number: int, read: list[float]) -> None:
    """Have each member listen and ask over two connections more.

    Each is waited for until the server answers: where many wait to be taken, asyncio says of a Unix socket that it is
    connected although it was turned away.
    """
    loop, base = asyncio.get_running_loop(), "{plughost:fleet:many}"
    words = []
    for script, more in ((scripts.STEERING, ()), (scripts.REVISION, ("1",))):
        sha = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        words.append(encoded("EVALSHA", sha, "1", base, "", "unused", *more))
    for _ in range(number):
        _, asker = await loop.create_unix_connection(lambda: Asker(words, read), store.path)
        _, ear = await loop.create_unix_connection(partial(Ear, f"{base}:bus", asker), store.path)
        await asker.there.wait()
        await ear.there.wait()
