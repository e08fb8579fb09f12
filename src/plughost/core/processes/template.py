"""The host's template: a process of which those of plugins are forked, started when the first one is needed.

Guests live on when it dies: a new one is started at the next need, and of those it had forked it is only not known
any more how they ended.
"""

from __future__ import annotations

import array
import errno
import os
import socket
import subprocess
import sys
from collections import deque
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from plughost._dataclasses import dataclass
from plughost.core.processes.held import hold, let_go
from plughost.core.stepping import event_library
from plughost.core.threads import run_in_daemon_thread
from plughost.core.wire.births import BORN, MESSAGE, READY, Ends, Request, packed, scrubbed_environment
from plughost.core.wire.calls import Reply, awaited_reply

_MOST_BYTES = 64


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended.

    Attributes:
        status: As from ``os.wait``.
        peak_memory: The most memory it used, in bytes.
    """

    status: int
    peak_memory: int


@dataclass(slots=True)
class Child:
    """A process that the template forked.

    Attributes:
        pid: Its number.
        stands_for: A descriptor that stands for it, whatever becomes of its number.
        ended: Set when the template told how it ended.
        exit: How.
    """

    pid: int
    stands_for: int
    ended: anyio.Event
    exit: ExitStatus | None = None


@dataclass(slots=True)
class _Birth:
    """A process that was asked for: whoever asked may be gone before it is there, and then nobody keeps its number.

    Attributes:
        reply: The process, or why there is none.
        child: The process; None until it is there.
        is_unwanted: Whether nobody waits any more.
    """

    reply: Reply
    child: Child | None = None
    is_unwanted: bool = False

    def came(self, child: Child) -> None:
        self.child = child
        if self.is_unwanted or self.reply.done():
            self.give_up()
        else:
            self.reply.set_result(child)

    def give_up(self) -> None:
        self.is_unwanted = True
        child, self.child = self.child, None
        if child is not None:
            os.close(child.stands_for)


class TemplateProcess:
    """A running template.

    Args:
        tasks: Where the task runs that hears what it says.
        folder: Where relative paths of plugins begin; where the host is now without it, or when it is gone.
    """

    def __init__(self, tasks: TaskGroup, folder: Path | None = None) -> None:
        self._tasks = tasks
        self._folder = folder
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._births: deque[_Birth] = deque()
        self._children: dict[int, Child] = {}
        self._is_there = anyio.Event()
        self._starting = anyio.Lock()

    async def fork(self, request: Request, ends: Ends) -> Child:
        """Have it begin a process.

        Raises:
            OSError: It cannot be had, or the system allows no more processes.
        """
        async with self._starting:
            if self._control is None:
                await self._start()
            control = self._control
            assert control is not None  # noqa: S101  it has just been started
            numbers = array.array("i", ends.all())
            while True:
                try:
                    control.sendmsg([packed(request)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
                    break
                except BlockingIOError:  # many are asked for at once, and it is slow to take them
                    with suppress(anyio.ClosedResourceError):  # sending again tells why
                        await anyio.wait_writable(control)
            birth = _Birth(awaited_reply())
            self._births.append(birth)  # in the order in which they were sent
        try:
            child: Child = await birth.reply
        except BaseException:
            birth.give_up()
            raise
        return child

    def close(self) -> None:
        """Let it end; what it forked is on its own leash."""
        if self._control is not None:
            with suppress(OSError):
                anyio.notify_closing(self._control)
            let_go(self._control.fileno())
            self._control.close()
            self._control = None
        process, self._process = self._process, None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)

    async def _start(self) -> None:
        if self._process is not None:
            self._process.poll()  # of the one before, whose end nobody waited for
        ours, self._process = _spawn(event_library.name or "asyncio", self._folder)
        hold(ours.fileno())
        ours.setblocking(False)
        self._control = ours
        self._is_there = anyio.Event()
        self._tasks.start_soon(self._listen, ours, name="template of plugins' processes")
        # A crash is told by many calls at once, and the first line that is logged would wait for this.
        if "structlog" not in sys.modules:
            with suppress(RuntimeError):  # no further thread is to be had
                await run_in_daemon_thread(import_module, "structlog")
        await self._is_there.wait()
        if self._control is not ours:
            process = self._process
            with anyio.move_on_after(_PATIENCE):  # it has closed its end, and perhaps goes on
                while process is not None and process.poll() is None:  # noqa: ASYNC110  nobody tells of it
                    await anyio.sleep(_LOOK_AGAIN)
            status = None if process is None else process.returncode
            raise OSError(
                f"{sys.executable} did not start as the process of which those of plugins are forked; its exit "
                f"status is {status}. What it said of that is on the host's standard error stream. It has to be an "
                f"interpreter that finds plughost"
            )

    async def _listen(self, control: socket.socket) -> None:
        try:
            while True:
                await anyio.wait_readable(control)
                data, numbers, _, _ = socket.recv_fds(control, _MOST_BYTES, 1)
                if not data:
                    break
                self._hear(data, numbers)
        except (OSError, anyio.ClosedResourceError):
            pass
        finally:
            self._lose(control)

    def _hear(self, data: bytes, numbers: list[int]) -> None:
        if data == READY:
            self._is_there.set()
            return
        kind, pid, status, kilobytes = MESSAGE.unpack(data)
        if kind == BORN:
            birth = self._births.popleft()
            if not numbers:  # it was not born, or this process has too many files open for what stands for it
                error = -pid if pid < 0 else errno.EMFILE
                if not birth.reply.done():
                    birth.reply.set_exception(OSError(error, os.strerror(error)))
                return
            # Known from now on, and not when its reply is heard: the next message may be that it has ended.
            child = self._children[pid] = Child(pid, numbers[0], anyio.Event())
            birth.came(child)
        elif (gone := self._children.pop(pid, None)) is not None:
            gone.exit = ExitStatus(status, kilobytes * 1024)
            gone.ended.set()

    def _lose(self, control: socket.socket) -> None:
        """It is gone: nobody will tell how its children end."""
        if self._control is control:
            self._control = None
            anyio.notify_closing(control)
            let_go(control.fileno())
            control.close()
        self._is_there.set()
        for birth in self._births:
            if not birth.reply.done():
                birth.reply.set_exception(OSError("the process of which those of plugins are forked ended"))
        self._births.clear()
        children, self._children = self._children, {}
        for child in children.values():
            child.ended.set()


def import_path() -> tuple[str, ...]:
    """Return the host's import path, made absolute; what is relative to a working folder that is gone is left out."""
    try:
        here = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        here = ""
    # pathlib's resolve() would follow links, which the host does not.
    joined = (os.path.join(here, one) for one in sys.path)  # noqa: PTH118
    return tuple(os.path.normpath(one) for one in joined if os.path.isabs(one))  # noqa: PTH117


def _spawn(library: str, folder: Path | None) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the template; it takes a fifth of a second to be ready, and no time to be started."""
    if not sys.executable:
        raise OSError(
            "sys.executable is empty, so nobody knows which interpreter is to be started. "
            "The program that embeds Python has to set it"
        )
    # A kernel that lacks it says so here, and not when there is a process already.
    os.close(os.pidfd_open(os.getpid()))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, ExitStack() as kept:
        kept.callback(ours.close)
        process = subprocess.Popen(  # noqa: S603  our own interpreter
            [sys.executable, "-P", "-m", "plughost.core.guest", "template", str(theirs.fileno()), library],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=folder if folder is not None and folder.is_dir() else None,
            env={**scrubbed_environment(), "PYTHONPATH": os.pathsep.join(import_path())},
            start_new_session=True,
        )
        kept.pop_all()
    return ours, process


_LOOK_AGAIN = 0.01
_PATIENCE = 5.0  # seconds it may take to end; it only has to see that nobody is there any more
