"""Several processes that serve on the same sockets, and the one that looks after them.

The sockets are made once and inherited, so a worker that dies loses the connections it had and no other. Each
worker tells over a socket of its own, as it would tell a service manager, when it answers requests. Standard
input of a worker is a pipe whose other end this process holds: it ends when this process does, however it ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import anyio
from anyio.abc import Process, TaskGroup

from plughost.cli.serving.listening import ListeningSockets
from plughost.cli.serving.notify import Notifier
from plughost.cli.serving.options import Serving
from plughost.cli.serving.sharing import WorkerShare, make_shares
from plughost.cli.signals import StopSignals, hangups
from plughost.contracts.counting import counted
from plughost.contracts.logs import get_logger

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_LONG_LIFE = 60.0
"""Seconds after which a worker that ends is started again as if it had never ended before."""

_RELOAD_LIMIT = 300.0
_SHARES = "shares"
"""File in which they see how many connections each of them has."""

_log = get_logger("plughost.workers")


class Workers:
    """The workers of one ``plughost serve``.

    Args:
        serving: What the command line said.
        listeners: The sockets they share.
        environ: The environment; each worker gets it, but for what is meant for this process alone.
    """

    def __init__(self, serving: Serving, listeners: ListeningSockets, environ: Mapping[str, str]) -> None:
        self._serving = serving
        self._listeners = listeners
        self._environ = environ
        self._notifier = Notifier(environ)
        self._stopping = anyio.Event()
        self._failed = False
        self._workers: list[_Worker] = []

    async def run(self) -> bool:
        """Start the workers, start those again that die, and stop all when asked to.

        Returns:
            Whether all went well: no worker ended by itself before it was ever ready.
        """
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plughost-")))
            make_shares(folder / _SHARES, self._serving.workers)
            self._workers = [
                stack.enter_context(_Worker(number, folder)) for number in range(self._serving.workers)
            ]
            requests = stack.enter_context(hangups())
            async with StopSignals() as signals, anyio.create_task_group() as tasks:
                tasks.start_soon(self._reload_when_asked, requests)
                for worker in self._workers:
                    tasks.start_soon(self._keep_running, worker, signals)
                    # One after another, so that they do not race to set up what they share.
                    async with anyio.create_task_group() as either:

                        async def end_with(event: StopSignals | anyio.Event) -> None:
                            await event.wait()
                            either.cancel_scope.cancel()

                        either.start_soon(end_with, signals)
                        either.start_soon(end_with, worker.first_ready)
                    if signals.asked:
                        break
                tasks.start_soon(self._notifier.keep_alive)
                if not self._failed and not signals.asked:
                    self._notifier.ready(counted(len(self._workers), "worker"))
                await signals.wait()
                await self._stop(tasks)
        return not self._failed

    async def _keep_running(self, worker: _Worker, signals: StopSignals) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            began = anyio.current_time()
            # This very command line, with what makes it a worker's.
            sockets = [f"--fd={listener.fileno()}" for listener in self._listeners.sockets]
            link = [] if worker.number == 0 and self._serving.link else ["--no-link"]
            code = await worker.live(
                [sys.executable, *sys.orig_argv[1:], *worker.options, *sockets, *link],
                self._listeners,
                self._environ,
            )
            if self._stopping.is_set():
                return
            # One that was killed says nothing of whether it can start: the machine may have been short of memory.
            if not worker.first_ready.is_set() and code >= 0:
                self._failed = True
                signals.stop()
                return
            if anyio.current_time() - began > _LONG_LIFE:
                pause = _FIRST_PAUSE
            _log.error("worker ended", worker=worker.number, exit_code=code, restart_in=pause)
            await anyio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _reload_when_asked(self, requests: AsyncIterable[object]) -> None:
        async for _ in requests:
            self._notifier.reloading()
            for worker in self._workers:  # one after the other: the rest go on answering
                with anyio.move_on_after(_RELOAD_LIMIT):
                    await worker.reload()
            self._notifier.ready(counted(len(self._workers), "worker"))

    async def _stop(self, tasks: TaskGroup) -> None:
        self._stopping.set()
        self._notifier.stopping()
        ends = [worker.ended for worker in self._workers if worker.running]
        for worker in self._workers:
            worker.signal(signal.SIGTERM)
        limit = self._serving.drain_notice + self._serving.drain + _LONGEST_PAUSE
        with anyio.move_on_after(limit):
            for end in ends:
                await end.wait()
        for worker in self._workers:
            worker.signal(signal.SIGKILL)
        tasks.cancel_scope.cancel()


class _Worker:
    """One of the processes, under a number that outlives it."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.ready = anyio.Event()
        self.ended = anyio.Event()
        self.first_ready = anyio.Event()
        self._process: Process | None = None
        self._told = folder / f"{number}.sock"
        self._share = WorkerShare(folder / _SHARES, number)
        self.options = [f"--worker={number}", f"--shares={folder / _SHARES}"]
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def __enter__(self) -> Self:
        self._channel.bind(os.fspath(self._told))
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    async def live(self, command: list[str], listeners: ListeningSockets, environ: Mapping[str, str]) -> int:
        """Start the process, and return its exit code when it ends."""
        mine = {
            name: value for name, value in environ.items() if not name.startswith(("LISTEN_", "WATCHDOG_"))
        }
        process = await anyio.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=None,
            stderr=None,
            env={**mine, "NOTIFY_SOCKET": os.fspath(self._told)},
            pass_fds=[listener.fileno() for listener in listeners.sockets],
        )
        self._process = process

        async def listen() -> None:
            while True:
                await anyio.wait_readable(self._channel)
                if b"READY=1" in self._channel.recv(4096).splitlines():
                    self.first_ready.set()
                    self.ready.set()

        try:
            async with process, anyio.create_task_group() as tasks:
                tasks.start_soon(listen)
                code = await process.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._process = None
            self._share.leave()
            self.ended.set()
            self.ready, self.ended = anyio.Event(), anyio.Event()  # those of the next life
        return code

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None

    async def reload(self) -> None:
        """Have the host of this worker reloaded; return when it is, or when the worker has ended.

        One that is still starting may have read the configuration already, so it is waited for and asked too; one
        that does not run reads it by itself when it starts.
        """
        if not self.running or not await self._becomes_ready():
            return
        self.ready = anyio.Event()
        self.signal(signal.SIGHUP)
        await self._becomes_ready()

    async def _becomes_ready(self) -> bool:
        """Wait until it is ready or has ended; return whether it is ready."""
        ready, ended = self.ready, self.ended
        async with anyio.create_task_group() as either:

            async def end_with(event: anyio.Event) -> None:
                await event.wait()
                either.cancel_scope.cancel()

            either.start_soon(end_with, ready)
            either.start_soon(end_with, ended)
        return ready.is_set() and not ended.is_set()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; does nothing when it does not run."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
