"""One request of a thread, answered by an ASGI application in the host's event loop.

The thread keeps the bodies: it reads the request's when the application asks for it, and hands the answer's on
piece by piece. The application waits until a piece was taken, so neither body is ever in memory as a whole.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Protocol

import anyio

from plughost._dataclasses import dataclass
from plughost.blocking import BlockingHost
from plughost.contracts.http import ASGIApp, Message, Scope
from plughost.contracts.logs import get_logger
from plughost.exceptions import HostNotReadyError
from plughost.host import Host

_BLOCK: Final = 64 << 10
_log = get_logger("plughost.http")


class Readable(Protocol):
    """A request's body as WSGI servers give it."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes; none at the end."""


class _ReadOn:
    """The application wants the next piece of the request's body."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """The application returned, or raised."""

    error: Exception | None


class Exchange:
    """A request and its answer; iterating gives the answer's body. One thread calls all of it.

    Args:
        host: Where the application runs.
        body: The request's body.
        length: Bytes of it; None when it ends by itself.
        bodiless: Whether the answer's body is to be left out, as in the answer to HEAD.
    """

    def __init__(self, host: BlockingHost, body: Readable, *, length: int | None, bodiless: bool) -> None:
        self._host = host
        self._body, self._left, self._bodiless = body, length, bodiless
        self._told: queue.SimpleQueue[Message | _ReadOn | _Ended] = queue.SimpleQueue()
        self._awaited = False
        self._over = False

    def start(
        self, application: Callable[[Host], ASGIApp], scope: Scope
    ) -> tuple[int, list[tuple[str, str]]]:
        """Have the request answered; return status and headers when they are known.

        Raises:
            Exception: What the application raised; ``RuntimeError`` when it gave no answer.
        """
        self._host.begin(self._run, application, scope)
        message = self._next()
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        return message["status"], headers

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while not self._over:
            message = self._next()
            self._over = not message.get("more_body", False)
            if self._over:
                self._take()  # what the application does after its answer keeps no thread waiting
            piece = message.get("body", b"")
            if piece and not self._bodiless:
                return bytes(piece)
        raise StopIteration

    def close(self) -> None:
        """Tell the application that nobody waits for its answer any more, if that is not complete."""
        self._over = True

        async def leave(_: Host) -> None:
            self._gone.set()
            self._taken.set()
            self._pieces[0].close()

        with suppress(HostNotReadyError, RuntimeError):  # when the host has stopped, so has the application
            self._host.begin(leave)

    # in the thread

    def _next(self) -> Message:
        """Return the next message of the application; read the request's body for it meanwhile."""
        self._take()

        async def hand_over(_: Host, piece: Message) -> None:
            self._pieces[0].send_nowait(piece)

        while True:
            told = self._told.get()
            if isinstance(told, _ReadOn):
                self._host.begin(hand_over, self._read())
            elif isinstance(told, _Ended):
                self._over = True
                raise told.error or RuntimeError("the application returned before its answer was complete")
            else:
                self._awaited = True
                return told

    def _take(self) -> None:
        async def note_taken(_: Host) -> None:
            self._taken.set()

        if self._awaited:
            self._awaited = False
            self._host.begin(note_taken)

    def _read(self) -> Message:
        try:
            piece = self._body.read(_BLOCK if self._left is None else min(_BLOCK, self._left))
        except BaseException:
            self.close()
            raise
        if self._left is None:
            return {"type": "http.request", "body": piece, "more_body": bool(piece)}
        self._left -= len(piece)
        if self._left and not piece:
            return {"type": "http.disconnect"}  # the client promised more
        return {"type": "http.request", "body": piece, "more_body": self._left > 0}

    # in the event loop

    async def _run(self, host: Host, application: Callable[[Host], ASGIApp], scope: Scope) -> None:
        self._gone, self._taken = anyio.Event(), anyio.Event()
        self._pieces = anyio.create_memory_object_stream[Message](1)
        self._whole = self._complete = False
        try:
            await application(host)(scope, self._receive, self._send)
        except Exception as error:
            if self._complete:  # nobody waits for it any more
                _log.error("failed after its answer", path=scope["path"], exc_info=error)
            self._told.put(_Ended(error))
        except BaseException:
            self._told.put(_Ended(HostNotReadyError("the host stopped before the answer was complete")))
            raise
        else:
            self._told.put(_Ended(None))
        finally:
            for end in self._pieces:
                end.close()

    async def _receive(self) -> Message:
        if self._whole or self._gone.is_set():
            await self._gone.wait()
            return {"type": "http.disconnect"}
        self._told.put(_ReadOn())
        try:
            message = await self._pieces[1].receive()
        except anyio.EndOfStream:
            return {"type": "http.disconnect"}
        self._whole = not message.get("more_body", False)
        return message

    async def _send(self, message: Message) -> None:
        if self._gone.is_set():
            raise OSError("the client has left")
        self._complete = message["type"] == "http.response.body" and not message.get("more_body", False)
        self._taken = anyio.Event()
        self._told.put(message)
        await self._taken.wait()
