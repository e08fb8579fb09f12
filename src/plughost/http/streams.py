"""Event streams (server-sent events) that end when they should.

That is: the reader is gone, the server or their plugin stops, the source is over, or the credential that opened them
has ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import anyio
from starlette.responses import Response

from plughost.contracts.http import Message, Receive, Scope, Send
from plughost.http.problems import Problem
from plughost.http.rates import subject_of
from plughost.http.runtime import HttpRuntime, end_when_leaving, identity_of, runtime_of
from plughost.http.standing import cancel_when_over

_HEARTBEAT = b": still here\n\n"


class EventStream(Response):
    """A response of events from ``source``: mappings with ``data`` and, if wanted, ``event`` and ``id``.

    A comment goes out when the source was silent for ``heartbeat`` seconds, so that proxies keep the
    connection and a reader who is gone is noticed. A reader who takes nothing for ``patience`` seconds is
    given up.

    Args:
        source: Gives the events; it is closed when the stream ends for whatever reason.
        heartbeat: Seconds of silence after which a comment is sent.
        patience: Seconds that one event may wait for its reader.
        retry: Milliseconds after which a browser connects again.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        source: AsyncIterator[Mapping[str, str]],
        *,
        heartbeat: float = 15.0,
        patience: float = 30.0,
        retry: int = 3000,
    ) -> None:
        super().__init__(b"", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._source = source
        self._heartbeat = heartbeat
        self._patience = patience
        self._retry = retry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until somebody has enough."""

        async def when_gone(scope: anyio.CancelScope) -> None:
            while True:
                message: Message = await receive()
                if message["type"] == "http.disconnect":
                    scope.cancel()
                    return

        with held_stream(runtime_of(scope), scope):
            try:
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
                await self._send(send, b"retry: %d\n\n" % self._retry)
                async with anyio.create_task_group() as ends:
                    ends.start_soon(when_gone, ends.cancel_scope)
                    ends.start_soon(when_set, runtime_of(scope).draining, ends.cancel_scope)
                    ends.start_soon(cancel_when_over, scope, ends.cancel_scope)
                    end_when_leaving(scope, ends.cancel_scope)
                    await self._pump(send)
                    ends.cancel_scope.cancel()
            finally:
                close = getattr(self._source, "aclose", None)
                if close is not None:
                    with anyio.CancelScope(shield=True):
                        await close()
            with anyio.CancelScope(shield=True):
                with anyio.move_on_after(1):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Send) -> None:
        """Send what comes; the source waits in a task of its own, because a heartbeat must not cancel it."""
        writer, reader = anyio.create_memory_object_stream[bytes](0)

        async def feed() -> None:
            with writer:
                async for event in self._source:
                    await writer.send(encoded_event(event))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed)
            with reader:
                while True:
                    chunk = None
                    with anyio.move_on_after(self._heartbeat):
                        try:
                            chunk = await reader.receive()
                        except anyio.EndOfStream:
                            return
                    if not await self._send(send, chunk or _HEARTBEAT):
                        tasks.cancel_scope.cancel()

    async def _send(self, send: Send, chunk: bytes) -> bool:
        with anyio.move_on_after(self._patience):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            return True
        return False


@contextmanager
def held_stream(runtime: HttpRuntime, scope: Scope) -> Iterator[None]:
    """Count an event stream for as long as it is open.

    Raises:
        Problem: 503, too many are open; 429, whoever asks holds too many.
    """
    if runtime.open_streams >= runtime.settings.max_streams:
        raise _too_many(503, "Too many event streams are open; poll instead.")
    subject = subject_of(scope, identity_of(scope))
    held = runtime.streams_of
    if subject is not None and held[subject] >= runtime.settings.streams_of_one:
        raise _too_many(429, "You hold too many event streams open; end some, or poll instead.")
    runtime.open_streams += 1
    held[subject] += 1
    try:
        yield
    finally:
        runtime.open_streams -= 1
        held[subject] -= 1
        if not held[subject]:
            del held[subject]


def _too_many(status: int, detail: str) -> Problem:
    return Problem(status, detail, code="too_many_streams", headers={"Retry-After": "10"})


def encoded_event(event: Mapping[str, str]) -> bytes:
    """Return an event as it goes over the wire; line ends in ``data`` become further ``data`` lines."""
    lines = [f"{name}: {event[name]}" for name in ("id", "event") if event.get(name)]
    lines += [f"data: {line}" for line in event.get("data", "").splitlines() or [""]]
    return ("\n".join(lines) + "\n\n").encode()


async def when_set(event: anyio.Event, scope: anyio.CancelScope) -> None:
    """Cancel ``scope`` when something has happened."""
    await event.wait()
    scope.cancel()
