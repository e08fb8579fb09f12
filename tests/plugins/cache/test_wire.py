"""Commands as they go over the wire, whatever is in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plughost.plugins.cache.redis.lane import pack

LARGE = st.integers(1 << 14, 1 << 15).map(lambda size: b"x\r\n" * size)


@given(st.lists(st.one_of(st.binary(max_size=40), LARGE), min_size=1, max_size=6))
def test_a_command_is_packed_as_the_protocol_says(arguments: list[bytes]) -> None:
    expected = b"*%d\r\n" % len(arguments)
    for argument in arguments:
        expected += b"$" + str(len(argument)).encode() + b"\r\n" + argument + b"\r\n"
    assert pack(arguments) == expected
