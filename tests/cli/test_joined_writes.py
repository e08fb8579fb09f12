"""The head of an answer and its body leave together; what is held back for that never waits, is lost or overtaken."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plughost.cli.serving.writes import JoinedWrites, WritesOfTurn

PIECES = st.lists(
    st.one_of(st.binary(min_size=1, max_size=30), st.just(b"x" * 20_000), st.none()), max_size=12
)
"""What is written; None ends the turn of the event loop."""


async def pair() -> tuple[socket.socket, JoinedWrites]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=theirs)
    return ours, JoinedWrites(transport, WritesOfTurn())


async def read(there: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(there, 1 << 20)


def test_what_is_written_in_one_turn_of_the_event_loop_arrives_in_one_piece() -> None:
    async def main() -> None:
        there, writes = await pair()
        writes.write(b"head ")
        writes.write(b"body")
        assert await read(there) == b"head body"
        writes.close()
        there.close()

    asyncio.run(main())


def test_what_nothing_follows_leaves_at_the_end_of_the_turn() -> None:
    async def main() -> None:
        there, writes = await pair()
        writes.write(b"the first piece of a stream")
        async with asyncio.timeout(30):
            assert await read(there) == b"the first piece of a stream"
        writes.close()
        there.close()

    asyncio.run(main())


@given(PIECES)
def test_all_that_was_written_arrives_in_its_order_before_the_end(pieces: list[bytes | None]) -> None:
    async def main() -> bytes:
        there, writes = await pair()
        for piece in pieces:
            if piece is None:
                await asyncio.sleep(0)
            else:
                writes.write(piece)
        writes.close()
        arrived = b""
        while more := await read(there):
            arrived += more
        there.close()
        return arrived

    assert asyncio.run(main()) == b"".join(piece for piece in pieces if piece is not None)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_every_kind_are_joined_and_may_be_filled_anew(kind: Any) -> None:
    async def main() -> None:
        there, writes = await pair()
        buffer = bytearray(b"first ")
        writes.write(kind(buffer))
        buffer[:] = b"other "
        writes.write(kind(b"second"))
        assert await read(there) == b"first second"
        writes.close()
        there.close()

    asyncio.run(main())


@pytest.mark.parametrize("read_of_the_transport", ["is_closing", "get_extra_info", "pause_reading"])
def test_all_else_is_the_transports_own(read_of_the_transport: str) -> None:
    async def main() -> None:
        there, writes = await pair()
        assert getattr(writes, read_of_the_transport) == getattr(writes.transport, read_of_the_transport)
        writes.close()
        there.close()

    asyncio.run(main())


def test_one_step_of_the_loop_ends_the_turn_of_all_transports_and_a_failure_harms_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Wire:
        def __init__(self) -> None:
            self.written = b""

        def is_closing(self) -> bool:
            return False

        def write(self, data: bytes) -> None:
            if data == b"broken":
                raise RuntimeError("cannot write")
            self.written += data

    async def main() -> tuple[list[bytes], list[Any], int]:
        loop, turn = asyncio.get_running_loop(), WritesOfTurn()
        steps, told = 0, []
        usual = loop.call_soon

        def call_soon(*step: Any, **more: Any) -> Any:
            nonlocal steps
            steps += 1
            return usual(*step, **more)

        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        monkeypatch.setattr(loop, "call_soon", call_soon)
        wires: list[Any] = [Wire() for _ in range(10)]
        for number, wire in enumerate(wires):
            JoinedWrites(wire, turn).write(b"broken" if number == 3 else b"%d" % number)
        at_once = steps
        for _ in range(3):
            await asyncio.sleep(0)
        return [wire.written for wire in wires], told, at_once

    written, told, steps = asyncio.run(main())
    assert written == [b"" if number == 3 else b"%d" % number for number in range(10)]
    assert len(told) == 1
    assert steps == 1
