"""Connections that wait for their next request: how long, at one timer for each and not one for each answer."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from plughost.cli.serving.heads import QuickCycle


class IdleProtocol(HttpToolsProtocol):
    """uvicorn's faster protocol, with one timer for each connection in place of one for each answer.

    uvicorn begins and cancels a timer between every two requests of a connection. Here it goes on, and looks when it
    rings how long the connection has been idle.
    """

    _idle_since: float | None = None

    def on_headers_complete(self) -> None:
        """Called by the parser at the end of a head."""
        before = self.cycle
        HttpToolsProtocol.on_headers_complete(self)  # super() would cost every request
        if self.cycle is not before:
            self.cycle.__class__ = QuickCycle  # its first step is still to come

    def on_response_complete(self) -> None:
        """Called at the end of an answer: go on with what came meanwhile, or be idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._ring_in(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle long enough; called by the timer."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # the end of the next answer begins another
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            super().timeout_keep_alive_handler()
        else:
            self._ring_in(left)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the connection, also when it broke."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def _ring_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None
