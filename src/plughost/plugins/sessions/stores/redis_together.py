"""Calls of one turn of the loop, as one script call: what many requests ask at once costs little more than one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

_MOST_CALLS: Final = 100
"""Calls in one script: nobody else is served meanwhile."""

_MOST_BYTES: Final = 1 << 20
"""Bytes after which a script takes no more calls."""

Arguments = tuple[Any, ...]


class Together:
    """Collects calls until the loop has given every task that is ready its turn, and makes them at once.

    Args:
        one: Makes one call; raises what went wrong.
        many: Makes several; returns for each the answer or the exception.
    """

    def __init__(
        self,
        one: Callable[[Arguments], Awaitable[Any]],
        many: Callable[[Sequence[Arguments]], Awaitable[Sequence[Any]]],
    ) -> None:
        self._one = one
        self._many = many
        self._waiting: list[tuple[Arguments, asyncio.Future[Any]]] = []
        self._size = 0
        self._under_way: set[asyncio.Task[None]] = set()

    async def __call__(self, *arguments: Any) -> Any:
        """Make a call; being cancelled harms none of the others."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._leave, self._waiting)
        reply: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((arguments, reply))
        self._size += sum(len(part) for part in arguments if isinstance(part, str | bytes))
        if len(self._waiting) >= _MOST_CALLS or self._size >= _MOST_BYTES:
            self._leave(self._waiting)
        return await reply

    async def finish(self) -> None:
        """Wait until nothing is under way."""
        self._leave(self._waiting)
        if self._under_way:
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _leave(self, waiting: list[tuple[Arguments, asyncio.Future[Any]]]) -> None:
        if waiting is not self._waiting:
            return  # was full before the turn was over
        self._waiting, self._size = [], 0
        wanted = [(arguments, reply) for arguments, reply in waiting if not reply.done()]
        if wanted:
            task = asyncio.get_running_loop().create_task(self._ask(wanted))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _ask(self, wanted: Sequence[tuple[Arguments, asyncio.Future[Any]]]) -> None:
        answers: Sequence[Any]
        try:
            if len(wanted) == 1:
                answers = [await self._one(wanted[0][0])]
            else:
                answers = await self._many([arguments for arguments, _ in wanted])
        except Exception as error:
            answers = [error] * len(wanted)
        except BaseException:
            for _, reply in wanted:
                reply.cancel()
            raise
        for (_, reply), answer in zip(wanted, answers, strict=True):
            if reply.done():
                continue
            if isinstance(answer, Exception):
                reply.set_exception(answer)
            else:
                reply.set_result(answer)
