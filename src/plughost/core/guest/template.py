"""The template: a process in which plughost is imported and nothing runs, of which plugins' processes are forked.

It has one thread, so a fork copies no lock that somebody holds. It reads requests, forks, and tells how those that it
forked ended; it kills what they leave behind. When the host is gone it ends.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

import structlog  # noqa: F401  loggers import it when they are used, where a plugin may be confined already

from plughost.contracts.error_text import error_line
from plughost.core.guest import life
from plughost.core.guest.birth import adopt_orphans, put_on_leash
from plughost.core.guest.rehearsal import rehearse
from plughost.core.guest.sharing import share_all
from plughost.core.processes.figures import threads_here
from plughost.core.wire.births import (
    BORN,
    ENDED,
    ENDS,
    MESSAGE,
    MOST_BYTES,
    READY,
    SEVERAL_THREADS,
    Ends,
    Request,
    packed,
    scrubbed_environment,
    unpacked,
)
from plughost.core.wire.page import leave_word

_ROUNDS: Final = 100
_LAST_WAIT: Final = 2_000  # milliseconds that those on their leash have to end when the host is gone


def serve_forks(number: int, library: str) -> NoReturn:
    """Be the template, over the socket of that number, for plugins that run on that event library."""
    # What every plugin's process needs is imported and made now, so that it is there after the fork, and shared.
    rehearse(library)
    adopt_orphans()
    share_all()
    gc.freeze()  # and no collection before: each process would fill the holes that it leaves
    control = socket.socket(fileno=number)
    forks = _Forks(control)
    with suppress(OSError):  # the host is gone already
        control.send(READY)
        forks.serve()
    os._exit(0)


class _Forks:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, int] = {}  # descriptor that stands for it -> number
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Serve until the host is gone."""
        while True:
            for number, _ in self._poll.poll():
                if number != self._control.fileno():
                    self._bury(number)
                elif not self._answer():
                    # The host is gone, so all are on their way out; see to it that they leave nothing behind.
                    self._poll.unregister(self._control)
                    while self._children and (ended := self._poll.poll(_LAST_WAIT)):
                        for stands_for, _ in ended:
                            self._bury(stands_for)
                    _kill_all_but(())
                    return

    def _answer(self) -> bool:
        try:
            data, numbers, _, _ = socket.recv_fds(self._control, MOST_BYTES, ENDS)
        except OSError:  # the host is gone, and had not heard the last of what it was told
            return False
        if not data:
            return False
        try:
            stands_for = self._fork(unpacked(data, Request), numbers)
        except OSError as error:
            self._tell(BORN, -(error.errno or errno.EIO))
            return True
        finally:
            for number in numbers:
                os.close(number)
        pid = self._children[stands_for]
        try:
            socket.send_fds(self._control, [MESSAGE.pack(BORN, pid, 0, 0)], [stands_for])
        except OSError:  # the host is gone meanwhile
            return False
        return True

    def _fork(self, request: Request, numbers: list[int]) -> int:
        """Begin a process; return the descriptor that stands for it.

        Raises:
            OSError: It cannot be had.
        """
        if len(numbers) != ENDS:
            raise OSError(errno.EMFILE, "no more files can be opened here")
        if not request.interpreter and threads_here() > 1:
            raise OSError(SEVERAL_THREADS, "a fork would copy the locks that the others hold")
        pid = os.fork()
        if pid == 0:
            self._become(request, Ends(*numbers))
        try:
            stands_for = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._children[stands_for] = pid
        self._poll.register(stands_for, select.POLLIN)
        return stands_for

    def _become(self, request: Request, ends: Ends) -> NoReturn:
        try:
            self._control.close()
            for number in self._children:
                os.close(number)
            if request.interpreter:
                _execute(request, ends)
            life.live(request.spec, ends)
        except BaseException as error:
            leave_word(ends.page, f"{request.interpreter} could not be started: {error_line(error)}")
        finally:
            os._exit(1)

    def _bury(self, stands_for: int) -> None:
        pid = self._children.pop(stands_for)
        self._poll.unregister(stands_for)
        os.close(stands_for)
        _, status, usage = os.wait4(pid, 0)
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        _kill_all_but(self._children.values())
        self._tell(ENDED, pid, status, usage.ru_maxrss)

    def _tell(self, kind: bytes, pid: int, status: int = 0, kilobytes: int = 0) -> None:
        with suppress(OSError):  # nobody is there any more
            self._control.send(MESSAGE.pack(kind, pid, status, kilobytes))


def _kill_all_but(living: Iterable[int]) -> None:
    """Kill what became a child of the template because whoever began it has ended.

    A plugin's process adopts the orphans below it, so what comes here was left by one that is gone.
    """
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    kept = set(living)
    for _ in range(_ROUNDS):  # each that is killed may leave others
        try:
            left = {int(pid) for pid in children.read_text().split()} - kept
        except OSError:
            return  # a kernel that does not tell
        if not left:
            return
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with suppress(OSError):
                os.waitpid(pid, 0)


def _execute(request: Request, ends: Ends) -> NoReturn:
    """Become another interpreter, in which nothing of this one is left."""
    reading, writing = os.pipe()
    os.write(writing, packed(request.spec))
    os.close(writing)
    numbers = (reading, *ends.all())
    put_on_leash(ends.leash)
    for number in numbers:
        os.set_inheritable(number, True)
    environment = scrubbed_environment()
    if request.spec.path:
        environment["PYTHONPATH"] = os.pathsep.join(request.spec.path)
    else:  # its environment has an import path of its own
        environment["VIRTUAL_ENV"] = str(Path(request.interpreter).parent.parent)
    arguments = [request.interpreter, "-P", "-m", "plughost.core.guest", "guest", *map(str, numbers)]
    os.execve(request.interpreter, arguments, environment)  # noqa: S606  no shell is wanted
