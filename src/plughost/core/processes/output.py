"""What a plugin's process writes to its standard streams: always taken from it, told line by line, and its end kept."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

import anyio

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.logs import get_logger
from plughost.contracts.visible import visible
from plughost.core.processes.allowance import Allowance

_KEPT: Final = 65_536
_AT_ONCE: Final = 65_536
_MOST_READS: Final = 32  # more than the biggest pipe holds
_LONGEST_LINE: Final = 2_000
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), 127)}
_LINES: Final = 100  # that are told of each second; a flood would drown what others say


class Output:
    """Reads the pipe behind the standard streams.

    Args:
        pipe: The end to read from; it is closed with this.
        plugin: Name of the plugin.
        clock: Counts the seconds.
    """

    def __init__(self, pipe: int, plugin: str, clock: Clock = SYSTEM_CLOCK) -> None:
        os.set_blocking(pipe, False)
        self._pipe = pipe
        self._log = get_logger(f"plughost.plugin.{plugin}", plugin=plugin)
        self._tail = bytearray()
        self._line = bytearray()
        self._allowance = Allowance(
            _LINES,
            clock,
            lambda lines: self._log.warning("plugin wrote more than is told of it", lines=lines),
        )
        self._is_open = True

    @property
    def tail(self) -> str:
        """The end of all that came."""
        return self._tail.decode(errors="replace")

    async def drain(self) -> None:
        """Take in what comes, until nothing can come any more."""
        while self._is_open:
            try:
                await anyio.wait_readable(self._pipe)
                if not self._read():
                    return
            except BlockingIOError:
                continue
            except (OSError, anyio.ClosedResourceError):
                return

    def read_rest(self) -> None:
        """Take in what is there; the process is gone."""
        with suppress(BlockingIOError):
            for _ in range(_MOST_READS):  # what it left behind may write on, until it is ended as well
                if not self._is_open or not self._read():
                    break
        if self._line:
            self._take(b"\n")
        self._allowance.settle()

    def close(self) -> None:
        """Close the pipe."""
        if self._is_open:
            self._is_open = False
            with suppress(OSError):
                anyio.notify_closing(self._pipe)
            os.close(self._pipe)

    def _read(self) -> bool:
        data = os.read(self._pipe, _AT_ONCE)
        self._take(data)
        return bool(data)

    def _take(self, data: bytes) -> None:
        self._tail += data
        del self._tail[:-_KEPT]
        self._line += data
        *lines, rest = self._line.split(b"\n")
        self._line = rest[:_LONGEST_LINE]
        for line in lines:
            if line.strip() and self._allowance.take():
                text = visible(line[:_LONGEST_LINE].decode(errors="replace").translate(_CONTROLS))
                self._log.info("plugin wrote a line", line=text)
