"""Calls over a channel, in both directions: asked and answered, cancelled, or lost with the other end.

An answer may come late, twice or for a call that nobody made: it is dropped. Calls begin at the other end in the
order in which they were sent; their answers come in any.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, Protocol

import anyio
import msgspec

from plughost.core.stepping import event_library
from plughost.core.wire.channel import Channel
from plughost.core.wire.codec import WireCodec
from plughost.core.wire.faults import Fault, as_fault
from plughost.core.wire.frames import MOST_BYTES, Kind, Put
from plughost.core.wire.values import ENCODER

MOST_IN_FLIGHT: Final = 1024
"""Calls that one end may have open at the other; further ones fail."""

MOST_WAITING: Final = MOST_BYTES
"""Bytes that wait until the other end reads them; as long as there are more it is asked nothing."""

_FAULT: Final = msgspec.msgpack.Decoder(Fault)
_LAST_CALL: Final = 0xFFFF_FFFF
_ANSWERS: Final = frozenset({Kind.RESULT, Kind.ERROR, Kind.PONG})


class WireFullError(OverflowError):
    """The other end has so much to do, or to read, that it is asked nothing more now."""


class Crossing(Protocol):
    """How one member's arguments and answer cross."""

    @property
    def arguments(self) -> WireCodec:
        """The arguments, as one tuple."""

    @property
    def answer(self) -> WireCodec:
        """The answer."""


class Served(Protocol):
    """Who answers the calls of the other end."""

    def call(self, call: int, member: int, body: memoryview) -> None:
        """The other end calls a member; it is answered by ``WireCalls.answer`` or ``WireCalls.fail``."""

    def cancel(self, call: int) -> None:
        """The other end wants no answer any more."""

    def note(self, member: int, body: memoryview) -> None:
        """The other end says something that needs no answer."""


class WireCalls:
    """The calls of one end, and the way to answer those of the other.

    Attributes:
        abandoned: Calls that were cancelled and have not come to their end at the other end yet.

    Args:
        served: Who answers.
        given_up: Called when a caller leaves, who then wants no answer any more.
        overfull: Called when the other end does not read what it is answered or told; given how many bytes wait.
            None: it will read them.
        full: Makes what a call fails with that the other end has no room for, of a text that says why.
    """

    def __init__(
        self,
        served: Served,
        given_up: Callable[[], None] = lambda: None,
        overfull: Callable[[int], None] | None = None,
        full: Callable[[str], Exception] = WireFullError,
    ) -> None:
        self.abandoned: set[int] = set()
        self._served = served
        self._given_up = given_up
        self._overfull = overfull
        self._full = full
        self._channel: Channel | None = None
        self._pending: dict[int, tuple[Reply, WireCodec | None]] = {}
        self._last = 0
        self._why_ended: Callable[[], Exception] | None = None

    def open_over(self, channel: Channel) -> None:
        """Use a channel whose frames go to ``frame``."""
        self._channel = channel

    @property
    def in_flight(self) -> int:
        """How many calls wait for their answer."""
        return len(self._pending)

    def is_pending(self, call: int) -> bool:
        """Whether somebody still waits for the answer to that call."""
        return call in self._pending

    def call(self, member: int, arguments: tuple[Any, ...], crossing: Crossing) -> Coroutine[Any, Any, Any]:
        """Call a member of the other end, once the coroutine is awaited, which returns its answer.

        Raises:
            Exception: What the member raised, why the other end is gone, what keeps a value from crossing, or what
                ``full`` makes when the other end has too much to do already.
        """
        return self._ask(Kind.CALL, member, arguments, crossing.arguments.put, crossing.answer)

    async def ping(self) -> None:
        """Return when the event loop of the other end turns."""
        await self._ask(Kind.PING, 0, None, None, None)

    async def _ask(
        self, kind: Kind, member: int, value: Any, put: Put | None, answer: WireCodec | None
    ) -> Any:
        if self._why_ended is not None or self._channel is None:
            raise ConnectionError("nobody is there yet") if self._why_ended is None else self._why_ended()
        if kind is Kind.CALL:
            # Those given up count until the other end is through with them: it may not even have read them.
            if len(self._pending) + len(self.abandoned) >= MOST_IN_FLIGHT:
                raise self._full(f"it has {MOST_IN_FLIGHT} calls to answer already")
            if (waiting := self._channel.waiting) > MOST_WAITING:
                raise self._full(f"it has {waiting} bytes to read already, and reads none of them now")
        self._last = call = self._last % _LAST_CALL + 1
        self._channel.send(kind, call, member, value, put)
        reply = awaited_reply()
        self._pending[call] = reply, answer
        try:
            return await reply
        except BaseException:
            if self._pending.pop(call, None) is not None and kind is Kind.CALL:
                self.abandoned.add(call)
                self._channel.send(Kind.CANCEL, call, member)
                self._given_up()
            raise

    def end(self, why: Callable[[], Exception]) -> None:
        """Fail the calls that wait, and all later ones, with what ``why`` makes; close the channel."""
        if self._why_ended is not None:
            return
        self._why_ended = why
        if self._channel is not None:
            self._channel.close()
        pending, self._pending = self._pending, {}
        for reply, _ in pending.values():
            if not reply.done():
                reply.set_exception(why())

    def answer(self, call: int, value: Any, put: Put | None) -> None:
        """Answer a call of the other end, or say that the answer cannot cross."""
        try:
            self._send(Kind.RESULT, call, value, put)
        except Exception as error:
            self.fail(call, TypeError(f"the answer cannot cross: {error}"))

    def fail(self, call: int, error: BaseException) -> None:
        """Answer a call of the other end with an exception."""
        self._send(Kind.ERROR, call, as_fault(error), ENCODER.encode_into)

    def note(self, member: int, value: Any, put: Put) -> None:
        """Say something that needs no answer."""
        self._send(Kind.NOTE, 0, value, put, member)

    def frame(self, kind: int, call: int, member: int, body: memoryview) -> None:
        """Take in a frame."""
        if kind in _ANSWERS:
            self.abandoned.discard(call)
            reply, answer = self._pending.pop(call, (None, None))
            if reply is None or reply.done():
                return  # late: its caller went away
            try:
                if kind == Kind.ERROR:
                    reply.set_exception(_FAULT.decode(body).revived())
                else:
                    reply.set_result(None if answer is None else answer.read(body))
            except Exception as error:
                reply.set_exception(TypeError(f"the answer is not what it should be: {error}"))
        elif kind == Kind.CALL:
            self._served.call(call, member, body)
        elif kind == Kind.CANCEL:
            self._served.cancel(call)
        elif kind == Kind.NOTE:
            self._served.note(member, body)
        elif kind == Kind.PING:
            self._send(Kind.PONG, call)

    def _send(
        self, kind: Kind, call: int, value: Any = None, put: Put | None = None, member: int = 0
    ) -> None:
        if self._why_ended is not None or self._channel is None:
            return
        if self._overfull is not None and self._channel.waiting > MOST_WAITING:
            self._overfull(self._channel.waiting)
            return
        self._channel.send(kind, call, member, value, put)


class Reply(Protocol):
    """What a caller waits for."""

    def __await__(self) -> Generator[Any, Any, Any]:
        """Wait for it."""

    def done(self) -> bool:
        """Whether it is there."""

    def set_result(self, value: Any) -> None:
        """Let it be this."""

    def set_exception(self, error: Exception) -> None:
        """Let the caller fail with this."""


class _EventReply:
    """What is a future on asyncio, on trio."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._value: Any = None
        self._error: Exception | None = None

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from self._event.wait().__await__()
        if self._error is not None:
            raise self._error
        return self._value

    def done(self) -> bool:
        return self._event.is_set()

    def set_result(self, value: Any) -> None:
        self._value = value
        self._event.set()

    def set_exception(self, error: Exception) -> None:
        self._error = error
        self._event.set()


def awaited_reply() -> Reply:
    """Return what a caller can wait for, on the event loop that runs here."""
    if event_library.name == "trio":
        return _EventReply()
    return asyncio.get_running_loop().create_future()
