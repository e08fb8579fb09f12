"""Commands as they go over the wire, whatever is in them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis._parsers import _AsyncRESP3Parser
from redis._parsers.encoders import Encoder

from counting import counted
from plughost.plugins.cache.memory import MemoryEntries
from plughost.plugins.cache.policies import policy_named
from plughost.plugins.cache.redis.coherence import Coherence
from plughost.plugins.cache.redis.invalidations import leaves_the_rest, taken_invalidation
from plughost.plugins.cache.redis.lane import pack
from plughost.plugins.cache.redis.names import parse_entry

from .conftest import shared

LARGE = st.integers(1 << 14, 1 << 15).map(lambda size: b"x\r\n" * size)


@given(st.lists(st.one_of(st.binary(max_size=40), LARGE), min_size=1, max_size=6))
def test_a_command_is_packed_as_the_protocol_says(arguments: list[bytes]) -> None:
    expected = b"*%d\r\n" % len(arguments)
    for argument in arguments:
        expected += b"$" + str(len(argument)).encode() + b"\r\n" + argument + b"\r\n"
    assert pack(arguments) == expected


KEY = st.one_of(st.binary(max_size=40), st.just(b"\r\n$1\r\n"))


def invalidation(keys: list[bytes]) -> bytes:
    return b">2\r\n$10\r\ninvalidate\r\n*%d\r\n" % len(keys) + b"".join(
        b"$%d\r\n%b\r\n" % (len(key), key) for key in keys
    )


@given(st.lists(KEY, max_size=30), st.binary(max_size=20))
def test_changed_keys_are_taken_whole_with_nothing_behind_them(keys: list[bytes], behind: bytes) -> None:
    buffer = bytearray(invalidation(keys) + behind)
    assert taken_invalidation(buffer) == keys
    assert buffer == behind


@given(st.lists(KEY, max_size=20), st.data())
def test_changed_keys_that_are_not_all_there_yet_stay(keys: list[bytes], data: st.DataObject) -> None:
    whole = invalidation(keys)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    buffer = bytearray(part)
    assert taken_invalidation(buffer) is None
    assert buffer == part


def test_what_fifty_tasks_set_is_heard_of_in_few_instructions() -> None:
    """Counted for each key, from the bytes to the memory; the server tells us of each that we write."""
    keys = [b"key:%d" % number for number in range(50)]
    coherence = Coherence("house", b"sender", bool)
    memory = MemoryEntries(policy_named("lru", 100), bool, on_gone=lambda *_: None)
    coherence.bind("plain", memory)
    names = [b"house:e:{plain:%d}:" % (number % 4) + key for number, key in enumerate(keys)]
    for _ in range(2):
        buffer = bytearray(invalidation(names))
        with counted() as found:
            coherence.heard([b"invalidate", taken_invalidation(buffer)])
    assert found.instructions / len(keys) < 100
    assert memory.clock.allows(memory.clock.now, "key:7")
    assert not memory.clock.allows(0, "key:7")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (b"house:e:{plain:0}:key", ("plain", "key")),
        (b"house:e:{pl:ain:12}:k}:e{y", ("pl:ain", "k}:e{y")),
        (b"house:e:{plain:0}:", ("plain", "")),
        (b"house:e:{plain}:key", None),
        (b"house:e:{plain:0}key", None),
        (b"house:l:{plain:0}:key", None),
        (b"mouse:e:{plain:0}:key", None),
        (b"house:e:{pl\xff:0}:key", None),
        (b"house:e:{plain:0}:\xff", None),
        (b"house:e:", None),
        (b"", None),
        (b"}:", None),
    ],
)
def test_the_name_of_an_entry_tells_cache_and_key(name: bytes, place: tuple[str, str] | None) -> None:
    for _ in range(2):  # the second time, its head is known
        assert parse_entry(b"house:e:", name) == place


@pytest.mark.parametrize(
    "other",
    [
        b">2\r\n$10\r\ninvalidate\r\n_\r\n",
        b">2\r\n$10\r\ninvalidate\r\n*20\r\n" + b":12\r\n\r\n" * 20,
        b">2\r\n$10\r\ninvalidate\r\n*?\r\n",
        b">2\r\n$10\r\ninvalidate\r\n*1\r\n:12\r\n",
        b">2\r\n$10\r\ninvalidate\r\n*1\r\n$-1\r\n",
        b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
        b"$10\r\ninvalidate\r\n",
        b"+OK\r\n",
    ],
)
def test_what_is_anything_else_is_left_to_redis_py(other: bytes) -> None:
    buffer = bytearray(other)
    assert taken_invalidation(buffer) is None
    assert buffer == other


class Greedy(_AsyncRESP3Parser):
    """Reads all there is, as hiredis does, and as redis-py's own might one day."""

    async def read_response(self, disable_decoding: bool = False, push_request: bool = False) -> object:
        return (await self._stream.read(self._read_size)).partition(b"\r\n")[0]


class Unlike(_AsyncRESP3Parser):
    """Is made otherwise."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(limit)


class Hungry(_AsyncRESP3Parser):
    """Wants more than was sent."""

    async def read_response(self, disable_decoding: bool = False, push_request: bool = False) -> object:
        return await self._stream.readexactly(1000)


class Renamed(asyncio.StreamReader):
    """Keeps what came elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = bytearray()

    def feed_data(self, data: bytes) -> None:
        self._kept += data


def connection_of(parser: type[_AsyncRESP3Parser], reader: asyncio.StreamReader) -> SimpleNamespace:
    made = parser.__new__(parser)
    return SimpleNamespace(_parser=made, _reader=reader, encoder=Encoder("utf-8", "strict", False))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_redis_py_and_asyncio_keep_what_came_behind_an_answer_where_it_is_looked_for() -> None:
    assert await leaves_the_rest(connection_of(_AsyncRESP3Parser, asyncio.StreamReader()))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
@pytest.mark.parametrize("parser", [Greedy, Unlike, Hungry])
async def test_nothing_is_looked_for_behind_an_answer_of_a_parser_that_works_otherwise(parser) -> None:
    assert not await leaves_the_rest(connection_of(parser, asyncio.StreamReader()))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_nothing_is_looked_for_in_a_reader_that_is_another_or_keeps_it_elsewhere(monkeypatch) -> None:
    assert not await leaves_the_rest(connection_of(_AsyncRESP3Parser, Renamed()))
    assert not await leaves_the_rest(SimpleNamespace())
    monkeypatch.setattr(asyncio, "StreamReader", Renamed)
    assert not await leaves_the_rest(connection_of(_AsyncRESP3Parser, Renamed()))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_cache_hears_of_changes_over_a_parser_that_reads_ahead(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def nothing_is_left(connection: object) -> bool:
        seen.append(connection)
        return False

    monkeypatch.setattr("plughost.plugins.cache.redis.lane.leaves_the_rest", nothing_is_left)
    async with shared(redis_url) as mine, shared(redis_url) as others:
        await mine.default.set("k", 1)
        assert await others.default.get("k") == 1
        await mine.default.set("k", 2)
        for _ in range(5000):  # the server tells it, or it was told already
            if await others.default.get("k") == 2:
                break
            await asyncio.sleep(0.002)
        assert await others.default.get("k") == 2
    assert len(seen) == 2
