"""What a confined plugin tries: each attempt returns something or raises ``OSError``.

Run as a program it reads lines of JSON: a folder, a port, the table ``[plugins.x.process.confine]``, attempts, and what
of ``PREPARATIONS`` to do first. For each it forks a child that confines itself and makes the attempts, and
prints one line: what holds, and each attempt's answer or the error it got.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import importlib
import json
import mmap
import os
import platform
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from plughost.contracts import Confinement
from plughost.core.processes.confine import confine
from plughost.core.processes.places import PluginCode
from plughost.core.processes.seccomp import Rule, refuse
from plughost.exceptions import PluginProcessError


class Ground:
    """A folder with what lies outside and what lies inside.

    Attributes:
        outside: A folder that is nobody's business, with ``secret.txt`` and a listening ``local.sock`` in it.
        data_dir: The plugin's own folder; by default that of a plugin ``x``.
        host: Number of a process of the host.
        port: Where a TCP server listens.
    """

    def __init__(self, folder: Path, host: int, port: int, data_dir: Path | None = None) -> None:
        self.outside = folder / "outside"
        self.data_dir = data_dir or folder / "data" / "x"
        self.host = host
        self.port = port

    @property
    def secret(self) -> Path:
        return self.outside / "secret.txt"

    def mine(self, name: str) -> Path:
        """A new file of the plugin's own."""
        file = self.data_dir / name
        file.write_text("mine")
        return file


Attempt = Callable[[Ground], Any]


def system_call(number: int, *arguments: Any) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    result = library.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


def of_machine(x86_64: int, aarch64: int) -> int:
    return {"x86_64": x86_64, "aarch64": aarch64}[platform.machine()]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def open_files() -> list[str]:
    """What this process has open."""
    found: list[str] = []
    for place in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # what was open to list them
            found.append(str(place.readlink()))
    return found


def _follow_link(ground: Ground) -> str:
    link = ground.data_dir / "link"
    with contextlib.suppress(FileExistsError):
        link.symlink_to(ground.secret)
    return link.read_text()


def _steal(ground: Ground) -> Path:
    return ground.secret.rename(ground.data_dir / "stolen")


def _connect(ground: Ground, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> None:
    with socket.socket(family, kind) as connection:
        connection.settimeout(5)
        if family == socket.AF_UNIX:
            connection.connect(str(ground.outside / "local.sock"))
        else:
            connection.connect(("127.0.0.1", ground.port))


def _point_a_pair_elsewhere(ground: Ground) -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with left, right:
        left.sendto(b"x", str(ground.outside / "local.sock"))


def _fork(_: Ground) -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _signal_by_pidfd(ground: Ground) -> None:
    signal.pidfd_send_signal(os.pidfd_open(ground.host), signal.Signals(signal.SIGURG))


def _signal_by_file(ground: Ground) -> None:
    left, right = socket.socketpair()
    with left, right:
        fcntl.fcntl(left, 8, ground.host)  # F_SETOWN: whom the kernel signals when something arrives


def _read_memory_of_host(ground: Ground) -> int:
    return system_call(of_machine(310, 270), ground.host, None, 0, None, 0, 0)


def _trace_host(ground: Ground) -> int:
    return system_call(of_machine(101, 117), 0x4206, ground.host, None, None)  # PTRACE_SEIZE


def _type_for_user(_: Ground) -> None:
    fcntl.ioctl(0, 0x5412, b"x")


REFUSED: dict[str, Attempt] = {
    # read
    "read a file outside": lambda g: g.secret.read_text(),
    "list a folder outside": lambda g: names_in(g.outside),
    "list the root": lambda g: names_in(Path("/")),
    "read outside through a link of its own": _follow_link,
    "read the users of the machine": lambda g: Path("/etc/passwd").read_text(),
    "read the host's variables": lambda g: Path(f"/proc/{g.host}/environ").read_bytes(),
    "read the host's memory": _read_memory_of_host,
    # write
    "write a file outside": lambda g: g.secret.write_text("changed"),
    "begin a file outside": lambda g: (g.outside / "new").write_text("new"),
    "begin a folder outside": lambda g: (g.outside / "new folder").mkdir(),
    "delete a file outside": lambda g: g.secret.unlink(),
    "move a file from outside": _steal,
    "move a file to the outside": lambda g: g.mine("moved").rename(g.outside / "moved"),
    "give a file outside a name inside": lambda g: os.link(g.secret, g.data_dir / "linked"),
    "shorten a file outside": lambda g: os.truncate(g.secret, 0),
    "change the mode of a file outside": lambda g: g.secret.chmod(0o777),
    "change the times of a file outside": lambda g: os.utime(g.secret, (1, 1)),
    "give away a file outside": lambda g: os.chown(g.secret, os.getuid(), os.getgid()),
    "change attributes of a file outside": lambda g: os.setxattr(g.secret, "user.x", b"x"),
    "write into the installed packages": lambda g: Path(msgspec.__file__).with_name("x.py").write_text(""),
    "write into the host's own packages": lambda g: (Path(__file__).parent / "attempts_new.py").write_text(
        ""
    ),
    # network
    "open a TCP connection": _connect,
    "send a datagram": lambda g: _connect(g, kind=socket.SOCK_DGRAM),
    "open a connection by IPv6": lambda g: _connect(g, family=socket.AF_INET6),
    "listen": lambda g: socket.create_server(("127.0.0.1", 0)).close(),
    "connect to a local socket": lambda g: _connect(g, family=socket.AF_UNIX),
    "send to a local socket by a pair": _point_a_pair_elsewhere,
    "see raw packets": lambda g: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    # programs and other processes
    "run a program": lambda g: subprocess.run(["/bin/echo", "hello"], check=True, capture_output=True),
    "turn into a program": lambda g: os.execv("/bin/true", ["true"]),  # noqa: S606
    "fork": _fork,
    "signal the host": lambda g: os.kill(g.host, signal.SIGURG),
    "signal its group": lambda g: os.killpg(0, signal.SIGURG),
    "signal everybody": lambda g: os.kill(-1, 0),
    "signal the host by a handle": _signal_by_pidfd,
    "signal the host by a file": _signal_by_file,
    "trace the host": _trace_host,
    "slow down the host": lambda g: os.setpriority(os.PRIO_PROCESS, g.host, 19),
    "limit the host": lambda g: __import__("resource").prlimit(g.host, 7, (8, 8)),
    "type for the user of a terminal": _type_for_user,
    # the machine
    "become another user": lambda g: os.setuid(os.getuid() + 1),
    "make a user namespace": lambda g: system_call(of_machine(272, 97), 0x10000000),
    "mount": lambda g: system_call(of_machine(165, 40), b"none", b"/tmp", b"tmpfs", 0, None),
    "set the clock": lambda g: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "open a ring of requests": lambda g: system_call(425, 8, ctypes.create_string_buffer(120)),
    "share memory by number": lambda g: system_call(of_machine(29, 194), 4711, 4096, 0o1600),
    "reach the kernel's keys": lambda g: system_call(of_machine(250, 219), 0, -3, 1),
    "load a program into the kernel": lambda g: system_call(of_machine(321, 280), 0, None, 0),
    "make a call that is newer than plughost": lambda g: system_call(500),
    "ask by a second numbering": lambda g: system_call(0x40000000 + 39),
}
"""What is refused to a plugin that may nothing but the implied."""


def _sqlite(ground: Ground) -> int:
    import sqlite3

    with contextlib.closing(sqlite3.connect(ground.data_dir / "own.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE IF NOT EXISTS t (a)")
        with database:
            database.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(500)])
        return int(database.execute("SELECT count(*) > 0 FROM (SELECT a FROM t ORDER BY a)").fetchone()[0])


def _threads(_: Ground) -> list[int]:
    done: list[int] = []
    threads = [threading.Thread(target=done.append, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(done)


def _asyncio(_: Ground) -> int:
    return asyncio.run(asyncio.to_thread(lambda: 5))


def _memory_map(ground: Ground) -> bytes:
    with ground.mine("mapped").open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        return bytes(memory[:4])


def _move_about(ground: Ground) -> str:
    inner = ground.data_dir / "one" / "two"
    inner.mkdir(parents=True, exist_ok=True)
    moved = ground.mine("moving").rename(inner / "moved")
    shutil.copyfile(moved, ground.data_dir / "copied")
    shutil.rmtree(ground.data_dir / "one")
    return (ground.data_dir / "copied").read_text()


def _temporary_file(ground: Ground) -> bool:
    with tempfile.NamedTemporaryFile() as file:
        return Path(file.name).is_relative_to(ground.data_dir)


POSSIBLE: dict[str, Attempt] = {
    "write and read its data": lambda g: g.mine("note").read_text(),
    "move, copy and delete within its data": _move_about,
    "write a temporary file": _temporary_file,
    "keep a database in its data": _sqlite,
    "map a file into memory": _memory_map,
    "import a module of Python late": lambda g: importlib.import_module("xml.dom.minidom").__name__,
    "import a module in C late": lambda g: importlib.import_module("_lsprof").__name__,
    "import a part of an installed package late": lambda g: (
        importlib.import_module("packaging.tags").__name__
    ),
    "import a part of its own package late": lambda g: importlib.import_module("plughost.flows").__name__,
    "read what lies beside its code": lambda g: Path(__file__).read_text()[:3],
    "start threads": _threads,
    "run an event loop with threads": _asyncio,
    "verify certificates": lambda g: bool(ssl.create_default_context().verify_mode),
    "know time zones": lambda g: str(ZoneInfo("UTC")),
    "draw random numbers": lambda g: len(os.urandom(8)),
    "write into nothing": lambda g: Path(os.devnull).write_bytes(b"x"),
    "signal itself": lambda g: os.kill(os.getpid(), 0),
    "count its open files": lambda g: len(names_in(Path("/proc/self/fd"))) > 0,
}
"""What stays possible whatever is refused."""

ALL = {**REFUSED, **POSSIBLE}


def tried(names: list[str], ground: Ground) -> dict[str, Any]:
    """Make attempts: the answer of each, or ``{"error": its number, "text": ...}``."""
    answers: dict[str, Any] = {}
    for name in names:
        try:
            answer = ALL[name](ground)
        except OSError as error:
            answers[name] = {"error": error.errno, "text": str(error)}
        else:
            is_plain = isinstance(answer, str | int | list) or answer is None
            answers[name] = answer if is_plain else type(answer).__name__
    return answers


def _begin_a_thread() -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


PREPARATIONS: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "a thread": _begin_a_thread,
    # What a kernel without them answers.
    "no landlock": lambda: refuse([Rule("landlock_create_ruleset", error=38)]),
    "landlock off": lambda: refuse([Rule("landlock_create_ruleset", error=95)]),
    "no filters": lambda: refuse([Rule("seccomp", error=22)]),
}


def answer(folder: str, port: int, table: dict[str, Any], names: list[str], before: str) -> dict[str, Any]:
    ground = Ground(Path(folder), os.getppid(), port)
    wanted = msgspec.convert(table, Confinement, dec_hook=lambda kind, value: kind(value))
    code = PluginCode("attempts:X", Path(__file__).parent)
    PREPARATIONS[before]()
    try:
        kept = confine("x", wanted, data_dir=ground.data_dir, code=code)
    except PluginProcessError as error:
        return {"refusal": str(error)}
    return {"kept": kept, "tried": tried(names, ground)}


def main() -> None:
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if child == 0:
            sys.stdin.close()
            print(json.dumps(answer(*json.loads(line))), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            print(json.dumps({"ended": "badly"}), flush=True)


if __name__ == "__main__":
    main()
