"""A fleet in PostgreSQL behind a pooler that hands a connection to another client after each transaction."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from fleet_machines import share_and_steer
from postgres import OWNER, PASSWORD, PostgresServer, postgres
from servers import end

__all__ = ["postgres"]

pytestmark = [pytest.mark.anyio, pytest.mark.soak]  # CI has no pgbouncer

SETTINGS = """
[databases]
fleets = host={server} port={port} dbname=fleets user={user} password='{password}'
[pgbouncer]
unix_socket_dir = {folder}
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = extra_float_digits
"""


@pytest.fixture(scope="module")
def pooled(postgres: PostgresServer) -> Iterator[str]:
    """The url of a pooler with two connections to the server, however many clients it has."""
    command = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert command is not None, "install pgbouncer: this test is made with it"
    postgres.create("fleets")
    folder = Path(tempfile.mkdtemp(prefix="plughost-pool-", dir="/tmp"))
    user = "postgres" if os.geteuid() == 0 and "postgres" in {one.pw_name for one in pwd.getpwall()} else None
    user = user or ("nobody" if os.geteuid() == 0 else None)  # it refuses to run as root
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        SETTINGS.format(
            server=postgres.socket, port=postgres.port, user=OWNER, password=PASSWORD, folder=folder
        )
    )
    if user is not None:
        for path in (folder, settings):
            shutil.chown(path, user)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([command, str(settings)], stdout=log, stderr=log, user=user, cwd=folder)
    url = f"postgresql://{OWNER}@/fleets?host={folder}&port=6432"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(url, prepare_threshold=None).close()
                break
            except psycopg.OperationalError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
        yield url
    finally:
        end(process)
        shutil.rmtree(folder, ignore_errors=True)


async def test_hosts_behind_a_pooler_share_the_slots_of_a_job_and_are_steered_together(
    tmp_path: Path, pooled: str
) -> None:
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("DROP TABLE IF EXISTS plughost_fleet")  # the other event loop's fleet
    await share_and_steer(tmp_path, pooled)
