"""Connections shared out among workers: who has more of them than another leaves it the next.

Left to themselves, the processes that listen on one socket share by chance: who wakes first takes all that wait, and
a client that opens many connections at once and keeps them has one worker answer all of its requests.
"""

from __future__ import annotations

import asyncio
import mmap
import select
import socket
import ssl
import sys
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Final

from plughost.cli.serving.connections import TurnedAway
from plughost.contracts.logs import get_logger

_AWAY: Final = -1
_PAUSE: Final = 0.001
_PATIENCE: Final = 5
"""How many pauses a connection waits for a worker that has fewer, and may be stuck."""

_MOST_ABOVE: Final = 1024
_AT_ONCE: Final = 16
"""How many are taken before those are handed over: the bound of connections counts and closes only what was, and a
crowd would take the descriptors that it keeps back. Who then is slow to agree on TLS holds up nobody."""

_OUT_OF_DESCRIPTORS: Final = 1.0
"""Seconds until it is tried again when the operating system gives no connection out."""

_log = get_logger("plughost.workers")


class WorkerShare:
    """What one worker tells the others of its connections, and sees of theirs, in memory that all of them have.

    Args:
        file: Where that memory is; ``make_shares`` makes it. None for a process that serves alone.
        number: Which worker.
    """

    def __init__(self, file: Path | None, number: int) -> None:
        self._number = number if file is not None else 0
        if file is None:
            self._counts = memoryview(bytearray(4)).cast("i")
            return
        with file.open("r+b") as opened:
            self._counts = memoryview(mmap.mmap(opened.fileno(), 0)).cast("i")

    def tell(self, count: int) -> None:
        """Let the others know how many connections this one has."""
        self._counts[self._number] = count

    def leave(self) -> None:
        """Let the others know that this one takes no connections."""
        self._counts[self._number] = _AWAY

    def is_taken(self) -> bool:
        """Whether another one has clearly fewer connections: by an eighth, once they are many."""
        mine = self._counts[self._number]
        return any(each != _AWAY and mine > each + each // 8 for each in self._counts)


def make_shares(file: Path, workers: int) -> None:
    """Make the memory of so many workers, none of which takes connections yet."""
    file.write_bytes(_AWAY.to_bytes(4, sys.byteorder, signed=True) * workers)


class SharedListener:
    """Takes connections from a socket that other workers listen on; what uvicorn closes in place of a server.

    A process that serves alone has it for TLS: a server of asyncio tells nobody of a connection before both sides have
    agreed on that, and whoever opens connections and says nothing would have as many as there are descriptors.

    Args:
        listener: The socket.
        make_protocol: Makes what a connection is handed to.
        tls: How connections are encrypted; None for not at all.
        share: What the workers know of each other.
        connections: Those that this worker has.
        turned_away: Knows how many it may have.
        patience: Seconds in which a client must have agreed on TLS.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
        share: WorkerShare,
        connections: Sized,
        turned_away: TurnedAway,
        patience: float,
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._tls = tls
        self._share = share
        self._connections = connections
        self._turned_away = turned_away
        self._patience = None if tls is None else patience
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[None]] = set()
        self._in_hand = 0  # taken, and not yet handed over
        self._pause: asyncio.TimerHandle | None = None
        self._pauses = 0
        # How many are taken above the share when others do not take theirs; doubled each time.
        self._above = 1
        self._waiting = select.poll()
        self._waiting.register(listener, select.POLLIN)
        listener.setblocking(False)
        share.tell(len(connections))
        self._watch()

    def close(self) -> None:
        """Take no more connections."""
        self._share.leave()
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()
        for task in self._arriving:
            task.cancel()

    async def wait_closed(self) -> None:
        """Return at once; uvicorn waits for the connections itself."""

    def _watch(self) -> None:
        self._pause, self._pauses = None, 0
        self._loop.add_reader(self._listener, self._take)

    def _take(self) -> None:
        """Take what waits, until another worker has fewer connections; then leave it some time to take the rest."""
        above = self._above if self._pauses >= _PATIENCE else 0
        self._above = min(2 * above, _MOST_ABOVE) or self._above
        while self._in_hand < _AT_ONCE:  # the event loop calls again for what still waits
            self._share.tell(len(self._connections) + len(self._arriving))
            if not self._share.is_taken():
                self._above = 1
            elif above:
                above -= 1
            else:
                self._leave_to_others(_PAUSE)
                return
            self._pauses = 0
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                _log.error("no connection can be taken", error=str(error))
                self._leave_to_others(_OUT_OF_DESCRIPTORS)
                return
            self._in_hand += 1
            task = self._loop.create_task(self._hand_over(connection))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    def _leave_to_others(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        """Watch again if another one took it; else see who has how many now, and at last take it all the same."""
        pauses = self._pauses + 1
        is_waiting = bool(self._waiting.poll(0))
        self._watch()
        if is_waiting:
            self._pauses = pauses
            self._take()

    async def _hand_over(self, connection: socket.socket) -> None:
        self._in_hand -= 1
        count = len(self._connections) + len(self._arriving)
        # In words it can be turned away only by the protocol, once both sides have agreed on TLS.
        if self._tls is not None and self._turned_away.is_one_of(count, self._loop.time()):
            connection.close()
            return
        try:
            await self._loop.connect_accepted_socket(
                self._make_protocol, connection, ssl=self._tls, ssl_handshake_timeout=self._patience
            )
        except OSError:  # it is gone, or does not speak TLS
            connection.close()
