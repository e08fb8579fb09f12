"""Commands as they go over the wire, whatever is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plughost.plugins.cache.redis.lane import pack, taken_invalidation

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


@given(st.lists(KEY, max_size=5), st.binary(max_size=20))
def test_changed_keys_are_taken_whole_with_nothing_behind_them(keys: list[bytes], behind: bytes) -> None:
    buffer = bytearray(invalidation(keys) + behind)
    assert taken_invalidation(buffer) == keys
    assert buffer == behind


@given(st.lists(KEY, max_size=3), st.data())
def test_changed_keys_that_are_not_all_there_yet_stay(keys: list[bytes], data: st.DataObject) -> None:
    whole = invalidation(keys)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    buffer = bytearray(part)
    assert taken_invalidation(buffer) is None
    assert buffer == part


@pytest.mark.parametrize(
    "other",
    [
        b">2\r\n$10\r\ninvalidate\r\n_\r\n",
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
