"""What stands before a server of Redis and answers in its place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.abc
import pytest

from servers import Server

OF_REDIS_6 = b"-ERR Error running script (call to f_0a9a): @user_script:41: @user_script: 41: %b  \r\n"
"""What a server of that version, or an older one, says when a command within a script is refused."""


class Gate:
    """Stands before a server; refuses the next command when told to, and counts who connects."""

    def __init__(self, path: Path, server: Server) -> None:
        self.path, self.server = path, server
        self.url = f"unix://{path}"
        self.refusal = b""
        self.connections = 0

    async def serve(self, client: anyio.abc.SocketStream) -> None:
        self.connections += 1
        async with client, await anyio.connect_unix(self.server.path) as behind:
            try:
                while True:
                    asked = await client.receive()
                    if self.refusal and b"CLIENT" not in asked:
                        answer, self.refusal = self.refusal, b""
                    else:
                        await behind.send(asked)
                        answer = await behind.receive()
                    await client.send(answer)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return


@pytest.fixture
async def gate(server: Server) -> AsyncIterator[Gate]:
    gate = Gate(server.folder / "gate", server)
    listener = await anyio.create_unix_listener(gate.path)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, gate.serve)
        yield gate
        group.cancel_scope.cancel()
