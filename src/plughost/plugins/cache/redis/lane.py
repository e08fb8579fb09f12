"""One connection, both ways at once: the only file that knows redis-py's client to be asyncio's.

Whatever was asked for in one turn of the loop leaves in one write, and nobody waits for anybody's answer before
asking. A task writes, a task reads, and a timer looks whether the oldest question is being answered; when it is not,
the connection is given up and everyone who waits on it is told at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from anyio.lowlevel import current_token
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, NoScriptError, ReadOnlyError, ResponseError

from plughost.exceptions import ConfigError, StoreUnavailableError
from plughost.plugins.cache.redis.invalidations import leaves_the_rest, taken_invalidation
from plughost.plugins.cache.redis.scripts import Script

Arguments = Sequence[bytes]
_PIECE: Final = 1 << 18
"""Bytes that are sent before looking whether the server takes them."""

_WORTH_A_PART: Final = 1 << 14
"""Bytes of an argument that are not copied once more than they must be."""

_bulk: Final = b"$%d\r\n%b\r\n".__mod__
"""Writes an argument, given its length and itself."""

OnPush = Callable[[list[Any]], None]


def is_refusal(error: ResponseError) -> bool:
    """Whether a server refused because of the user's rights, by itself or in the middle of a script."""
    text = str(error)
    in_script = "ACL failure in script" in text or "can't run this command" in text
    return in_script or isinstance(error, NoPermissionError)


def require_asyncio() -> None:
    """Refuse any other loop, in words.

    Raises:
        ConfigError: The loop is not asyncio's.
    """
    if "asyncio" not in current_token().backend_class.__module__:
        raise ConfigError(
            "redis_url needs asyncio, because redis-py does; on trio leave it out and cache in memory",
            path="redis_url",
        )


def new_reply() -> asyncio.Future[Any]:
    """Return something to wait for; cancelling the wait harms nobody else."""
    return asyncio.get_running_loop().create_future()


def settle(reply: asyncio.Future[Any], value: Any) -> None:
    """Give a value or an error to whoever waits, if anybody still does."""
    if reply.done():
        return
    if isinstance(value, BaseException):
        reply.set_exception(value)
        reply.exception()  # whoever was to take it may have gone: not to be complained about
    else:
        reply.set_result(value)


class Question(Protocol):
    """Something to be asked in one command."""

    def arguments(self) -> tuple[Script | None, Arguments]:
        """Called once, when it leaves: the script, if it is one, and what comes after its name."""

    def answer(self, reply: Any) -> None:
        """Called once, with the reply or an exception; must not raise."""


class Command:
    """One command that one caller waits for."""

    __slots__ = ("_arguments", "_script", "_then", "reply")

    def __init__(
        self, script: Script | None, arguments: Arguments, then: Callable[[Any], None] | None = None
    ) -> None:
        self._script = script
        self._arguments = arguments
        self._then = then
        self.reply = new_reply()

    def arguments(self) -> tuple[Script | None, Arguments]:
        """What to ask."""
        return self._script, self._arguments

    def answer(self, reply: Any) -> None:
        """Hand the reply over."""
        if self._then is not None:
            self._then(reply)
        settle(self.reply, reply)


class PushCommand(Command):
    """A command whose reply comes as a push of the same name, such as SUBSCRIBE, unless it is refused."""

    def __init__(self, *arguments: bytes) -> None:
        super().__init__(None, arguments)
        self.push = arguments[0].lower()


def pack(arguments: Arguments) -> bytes:
    """Return a command as the protocol writes it."""
    head = b"*%d\r\n" % len(arguments)
    # A script that writes what fifty tasks set has hundreds of these: no step of Python for each.
    if max(map(len, arguments)) < _WORTH_A_PART:
        return head + b"".join(map(_bulk, zip(map(len, arguments), arguments, strict=True)))
    parts = [head]
    for argument in arguments:
        parts += (b"$%d\r\n" % len(argument), argument, b"\r\n")
    return b"".join(parts)


class Asked:
    """What questions are put on, to be sent together when somebody comes to it.

    Attributes:
        open: Whether what is asked is sent.
    """

    def __init__(self) -> None:
        self.open = False
        self._queue: list[Question] = []
        self._wake = asyncio.Event()

    def put(self, question: Question) -> None:
        """Ask; the answer comes through the question."""
        if not self.open:
            question.answer(StoreUnavailableError("Redis is away"))
            return
        self._queue.append(question)
        if len(self._queue) == 1:
            self._wake.set()

    async def ask(self, *arguments: bytes, script: Script | None = None) -> Any:
        """Ask and wait.

        Raises:
            StoreUnavailableError: The connection was lost.
            redis.exceptions.ResponseError: The server refused.
        """
        command = Command(script, arguments)
        self.put(command)
        return await command.reply


class Lane(Asked):
    """A connection that questions are put on.

    Args:
        connect: Returns a redis-py connection that is not open yet.
        op_timeout: Seconds questions may stay without anything being sent or received.
        on_push: Called with what the server says by itself.
        on_lost: Called once, with the reason, when the connection is given up.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        op_timeout: float,
        on_push: OnPush,
        on_lost: Callable[[Exception], None],
    ) -> None:
        super().__init__()
        self._connect = connect
        self._op_timeout = op_timeout
        self._on_push = on_push
        self._on_lost = on_lost
        self._connection: Any = None
        self._asked: deque[tuple[Question, float]] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._progress = 0.0
        self.settled = False
        """Whether it is set up: from now on nothing is asked for that the user may not do."""
        self._loop = asyncio.get_running_loop()
        self.sent = 0
        """Commands sent, for figures and benchmarks."""

    async def start(self, limit: float) -> None:
        """Connect and begin to work.

        Raises:
            StoreUnavailableError: Not within ``limit`` seconds, or not at all.
        """
        connection = self._connect()
        try:
            async with asyncio.timeout(limit):
                await connection.connect()
        except Exception as error:
            with contextlib.suppress(Exception):
                await connection.disconnect(nowait=True)
            raise StoreUnavailableError(f"no connection to Redis: {type(error).__name__}") from error
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        feed = connection._reader.feed_data

        def note(data: bytes) -> None:
            self._progress = self._loop.time()
            feed(data)

        connection._reader.feed_data = note
        parser = connection._parser  # the one way redis-py offers to hear what the server says by itself
        parser.set_invalidation_push_handler(self._pushed)
        parser.set_pubsub_push_handler(self._pushed)
        self._connection = connection
        self.open = True
        self._tasks = [self._loop.create_task(self._write()), self._loop.create_task(self._read())]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it is connected to."""
        return self._connection.host, self._connection.port

    async def _pushed(self, message: list[Any]) -> list[Any]:
        first = self._asked[0][0] if self._asked else None
        if isinstance(first, PushCommand) and bytes(message[0]) == first.push:
            self._asked.popleft()
            first.answer(message)
        self._on_push(message)
        return message

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                batch, self._queue = self._queue, []
                await self._send(batch)
        except Exception as error:
            self.lose(error)

    async def _send(self, batch: list[Question]) -> None:
        """Send, in pieces: what is large has to be taken by the server before more of it is made."""
        waiting = deque(batch)
        try:
            while waiting:
                chunks: list[bytes] = []
                size = 0
                now = self._progress = self._loop.time()
                while waiting and size < _PIECE:
                    question = waiting.popleft()
                    script, arguments = question.arguments()
                    if script is not None:
                        arguments = (b"EVALSHA", script.sha, *arguments)
                        question = _OnceMore(question, script, arguments, self)
                    chunks.append(pack(arguments))
                    size += len(chunks[-1])
                    self._asked.append((question, now))
                self.sent += len(chunks)
                if self._timer is None:
                    self._timer = self._loop.call_later(self._op_timeout, self._look)
                await self._connection.send_packed_command(chunks, check_health=False)
                self._progress = self._loop.time()
        finally:  # given up on the way: nobody may be left waiting
            for question in waiting:
                question.answer(StoreUnavailableError("Redis is away"))

    async def _read(self) -> None:
        try:
            reader = self._connection._reader
            rest_is_seen = await leaves_the_rest(self._connection)
            while True:
                if rest_is_seen:
                    if not reader._buffer and not reader.at_eof() and reader.exception() is None:
                        await reader._wait_for_data("read")
                    changed = taken_invalidation(reader._buffer)
                    if changed is not None:
                        reader._maybe_resume_transport()
                        self._on_push([b"invalidate", changed])
                        continue
                try:
                    reply = await self._connection.read_response(disable_decoding=True)
                except ReadOnlyError:
                    raise  # the server was demoted: whoever is primary now is somewhere else
                except RedisConnectionError:
                    raise
                except ResponseError as error:
                    reply = error
                self._asked.popleft()[0].answer(reply)
                if self.settled and isinstance(reply, ResponseError) and is_refusal(reply):
                    raise reply  # a right was taken away: what leaned on it must not go on
        except Exception as error:
            self.lose(error)

    def _look(self) -> None:
        self._timer = None
        if not self._asked or not self.open:
            return
        waited = self._loop.time() - max(self._progress, self._asked[0][1])
        if waited >= self._op_timeout:
            self.lose(TimeoutError(f"nothing heard for {waited * 1000:.0f} ms"))
        else:
            self._timer = self._loop.call_later(self._op_timeout - waited, self._look)

    def lose(self, error: Exception) -> None:
        """Give the connection up and tell everyone who waits; once."""
        if not self.open:
            return
        self.open = False
        if self._timer is not None:
            self._timer.cancel()
        try:
            current = asyncio.current_task()
        except RuntimeError:  # called from outside of any loop
            current = None
        for task in self._tasks:
            if task is not current:
                task.cancel()
        # Not closed but cut: what was not sent must not reach the server later.
        transport = getattr(getattr(self._connection, "_writer", None), "transport", None)
        if transport is not None:
            transport.abort()
        reason = StoreUnavailableError(f"Redis is away: {type(error).__name__}")
        reason.__cause__ = error
        waiting = [question for question, _ in self._asked] + self._queue
        self._asked.clear()
        self._queue = []
        self._on_lost(reason)
        for question in waiting:
            question.answer(reason)

    async def stop(self) -> None:
        """Close the connection; whoever waits is told."""
        tasks = self._tasks
        self.lose(ConnectionAbortedError("closed"))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._connection is not None:
            with contextlib.suppress(Exception):
                await self._connection.disconnect(nowait=True)


class _OnceMore:
    """A script the server may have forgotten: then it is sent in full, once."""

    __slots__ = ("_lane", "_question", "_rest", "_text")

    def __init__(self, question: Question, script: Script, arguments: Arguments, lane: Lane) -> None:
        self._question = question
        self._text = script.text
        self._rest = arguments[2:]
        self._lane = lane

    def answer(self, reply: Any) -> None:
        """Hand the reply over, or ask again."""
        if isinstance(reply, NoScriptError):
            self._lane.put(Packed(self._question, (b"EVAL", self._text, *self._rest)))
        else:
            self._question.answer(reply)

    def arguments(self) -> tuple[Script | None, Arguments]:
        """Not asked: it was packed when it was made."""
        return None, ()


class Packed:
    """A question whose arguments are known already."""

    __slots__ = ("_arguments", "_question")

    def __init__(self, question: Question, arguments: Arguments) -> None:
        self._question = question
        self._arguments = arguments

    def arguments(self) -> tuple[Script | None, Arguments]:
        """What to send."""
        return None, self._arguments

    def answer(self, reply: Any) -> None:
        """Hand the reply over."""
        self._question.answer(reply)


async def bounded(limit: float, function: Callable[[], Awaitable[Any]]) -> Any:
    """Await something for so long at most.

    Raises:
        StoreUnavailableError: It took longer.
    """
    try:
        async with asyncio.timeout(limit):
            return await function()
    except TimeoutError as error:
        raise StoreUnavailableError(f"Redis did not answer within {limit:g} s") from error
