"""A wire between client and server that can be made slow, or cut."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Self


class Proxy:
    """Passes a unix socket on to another.

    Args:
        path: Where clients connect.
        target: The server's socket.

    Attributes:
        delay: Seconds that answers wait.
        hold_answers: While set, answers are kept back, and come all at once afterwards.
    """

    def __init__(self, path: Path, target: str) -> None:
        self.url = f"unix://{path}"
        self.delay = 0.0
        self.open = asyncio.Event()
        self.open.set()
        self._path = str(path)
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        writers = [writer]
        try:
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_unix_connection(self._target)
                writers.append(back)
                self._writers |= {writer, back}
                await asyncio.gather(
                    self._pass(reader, back, held=False), self._pass(there, writer, held=True)
                )
        finally:
            for one in writers:
                self._writers.discard(one)
                one.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool) -> None:
        try:
            while data := await reader.read(65536):
                if held:
                    await asyncio.sleep(self.delay)
                    await self.open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
