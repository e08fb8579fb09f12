"""WebSockets: their sessions, and their end when the session ends."""

from __future__ import annotations

from typing import Any

import anyio

from plughost.contracts import SOCKET_CLOSED_BY_SESSION, ASGIApp, Message, Receive, Scope, StoredSession
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.announcements import SessionChange
from plughost.plugins.sessions.records import SessionRecords
from plughost.plugins.sessions.session import DONE, OPEN, LazySession


class SocketSession(LazySession):
    """The session of a WebSocket. Its cookie can be set with ``websocket.accept`` only.

    After that, what changes is saved by ``await session.save()``, and at the end at the latest.
    """

    __slots__ = ("_accepted", "_changing", "ended")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.ended = anyio.Event()
        self._accepted = False
        self._changing = False

    @property
    def stored(self) -> StoredSession | None:
        """The session this socket hangs on, if it ever looked at one."""
        if self._changing or self._loaded is None or not self._loaded.looked_at:
            return None
        return self._loaded.row

    async def is_alive(self) -> bool:
        """Whether the session goes on, be it in the place of another."""
        return self._changing or await super().is_alive()

    async def sign_in(self, user_id: str, **options: Any) -> None:
        """Make it the user's; the end of the session it takes the place of does not close this socket."""
        self._changing = True
        try:
            await super().sign_in(user_id, **options)
        finally:
            self._changing = False

    def _to_change(self) -> Any:
        state = self._state
        if self._accepted and state.row is None:
            raise RuntimeError(
                "the socket is accepted: a session can begin with websocket.accept at the latest"
            )
        return state

    def _check_new_id(self) -> None:
        if self._accepted:
            raise RuntimeError("the socket is accepted: it cannot carry a new session id any more")

    async def send(self, message: Message) -> None:
        """Stand between the application and the server."""
        if self.ended.is_set():
            raise OSError("the socket was closed, because its session ended")
        if message["type"] == "websocket.accept" and not self._accepted:
            begun = await self._desk.begin_response(self._loaded, self._scope, message, refused=self._refused)
            if begun is None:
                await self._send({"type": "websocket.close", "code": 1013, "reason": "sessions unavailable"})
                raise StoreUnavailableError("the session store is away: the socket was not accepted")
            message, self._accepted = begun, True
        await self._send(message)

    async def close(self) -> None:
        """Tell the client that its session is over."""
        if self._phase == OPEN:
            self._phase = DONE
            code = SOCKET_CLOSED_BY_SESSION if self._accepted else 1008
            await self._send({"type": "websocket.close", "code": code, "reason": "session ended"})

    async def hand_in(self) -> None:
        """Save what changed, at the end."""
        if self._loaded is not None and self._loaded.row is not None:
            await self._loaded.save(self._desk.records)


class SocketWatch:
    """Knows the open sockets and closes those whose session ended.

    An end in this process is heard at once. Ends by the clock, and those in other processes that share the
    store, are found by ``look_around``, which the plugin calls at an interval.

    Args:
        records: The sessions of the host.
        open_sockets: Those that the run of the plugin before this one left open; None for none.
    """

    def __init__(self, records: SessionRecords, open_sockets: dict[int, SocketSession] | None = None) -> None:
        self._records = records
        # By identity: sessions are mappings, which compare by what is in them.
        self._open: dict[int, SocketSession] = {} if open_sockets is None else open_sockets
        records.announcer.listen(self._hear)

    def __len__(self) -> int:
        """How many sockets are open."""
        return len(self._open)

    async def serve(self, app: ASGIApp, session: SocketSession, scope: Scope, receive: Receive) -> None:
        """Run the application until it is done, or its session ended."""
        failure: Exception | None = None

        async def receive_or_end() -> Message:
            if session.ended.is_set():
                return {"type": "websocket.disconnect", "code": SOCKET_CLOSED_BY_SESSION}
            return await receive()

        self._open[id(session)] = session

        async def close_when_ended(app_scope: anyio.CancelScope) -> None:
            await session.ended.wait()
            with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                await session.close()
            app_scope.cancel()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(close_when_ended, group.cancel_scope)
                try:
                    await app(scope, receive_or_end, session.send)
                except Exception as error:
                    failure = error
                group.cancel_scope.cancel()
        finally:
            del self._open[id(session)]
        if failure is not None and not (session.ended.is_set() and isinstance(failure, OSError)):
            raise failure
        if not session.ended.is_set():
            await session.hand_in()

    async def look_around(self) -> None:
        """Close the sockets whose session is over by now. A store that is away closes nothing."""
        for socket in tuple(self._open.values()):
            row = socket.stored
            if row is None:
                continue
            try:
                if not await self._records.goes_on(row):
                    socket.ended.set()
            except StoreUnavailableError:
                return

    def _hear(self, told: SessionChange) -> None:
        if told.kind != "ended":
            return
        for socket in self._open.values():
            row = socket.stored
            if row is None:
                continue
            all_of_subject = not told.handle and row.subject == told.subject and row.handle != told.spared
            if row.handle == told.handle or all_of_subject:
                socket.ended.set()
