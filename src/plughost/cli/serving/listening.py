"""Listening sockets: made here, or inherited from whoever started the process."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import click

from plughost.cli.serving.options import Serving

_FIRST_INHERITED = 3  # SD_LISTEN_FDS_START
_BACKLOG = 2048


class ListeningSockets:
    """The listening sockets of one program, and what has to be tidied up after them."""

    def __init__(self, sockets: list[socket.socket], made: Path | None = None) -> None:
        self.sockets = sockets
        self._made = made
        self._inode = made.stat().st_ino if made is not None else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listener in self.sockets:
            listener.close()
        # Whoever started after us may have put a socket of its own in the place.
        if self._made is not None and self._made.exists() and self._made.stat().st_ino == self._inode:
            self._made.unlink()

    def address(self, scheme: str) -> str:
        """Return the address of the first one, as a person types it."""
        name = self.sockets[0].getsockname()
        if isinstance(name, tuple):
            host = f"[{name[0]}]" if ":" in name[0] else name[0]
            return f"{scheme}://{host}:{name[1]}"
        return f"unix:{name}"

    def url(self, scheme: str) -> str:
        """Return where a browser on this machine reaches the first one; empty when none can."""
        address = self.address(scheme)
        if address.startswith("unix:"):
            return ""
        return address.replace("://0.0.0.0:", "://127.0.0.1:").replace("://[::]:", "://[::1]:")


def listen(serving: Serving, environ: Mapping[str, str]) -> ListeningSockets:
    """Return the sockets to serve on, before the host starts: a place that is taken is known at once.

    In this order: ``--fd``, ``--uds``, those that a service manager handed over (``LISTEN_FDS``), the address.

    Raises:
        click.ClickException: It cannot listen there; the message says why.
    """
    if serving.fds:
        return ListeningSockets([_inherited(number) for number in serving.fds])
    if serving.uds is not None:
        return _at_path(serving.uds)
    # Descriptors may have been handed over as sd_listen_fds(3) describes it, and to another process.
    count = environ.get("LISTEN_FDS", "0") if environ.get("LISTEN_PID") == str(os.getpid()) else "0"
    if count.isdecimal() and int(count):
        numbers = range(_FIRST_INHERITED, _FIRST_INHERITED + int(count))
        return ListeningSockets([_inherited(number) for number in numbers])
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    # The protocol is said, not left at 0: asyncio switches Nagle's algorithm off only for sockets that say TCP,
    # and with it each answer on a kept connection waits 40 ms for the client's acknowledgement.
    with ExitStack() as undo:
        try:
            listener = undo.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((serving.host, serving.port))
            listener.listen(_BACKLOG)
        except OSError as error:
            raise click.ClickException(
                f"cannot listen on {serving.host}:{serving.port}: {error.strerror or error}"
            ) from error
        undo.pop_all()
    return ListeningSockets([listener])


def _at_path(path: Path) -> ListeningSockets:
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise click.ClickException(f"cannot listen on {path}: there is a file that is not a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            if client.connect_ex(os.fspath(path)) == 0:
                raise click.ClickException(f"cannot listen on {path}: another program listens there")
        path.unlink()  # left behind by a program that was killed
    with ExitStack() as undo:
        try:
            listener = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(os.fspath(path))
            path.chmod(0o660)  # whom the folder lets in; a proxy belongs to the group
            listener.listen(_BACKLOG)
        except OSError as error:
            raise click.ClickException(f"cannot listen on {path}: {error.strerror or error}") from error
        undo.pop_all()
    return ListeningSockets([listener], made=path)


def _inherited(number: int) -> socket.socket:
    try:
        inherited = socket.socket(fileno=number)
    except OSError as error:
        raise click.ClickException(f"descriptor {number} is not a socket: {error.strerror}") from error
    if not inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        inherited.detach()
        raise click.ClickException(f"descriptor {number} is a socket that does not listen")
    os.set_inheritable(number, False)
    return inherited
