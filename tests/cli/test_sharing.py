"""Workers that listen on one socket have about as many connections each, and none waits long for one that is stuck."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest

from plughost.cli.serving.connections import TurnedAway
from plughost.cli.serving.sharing import SharedListener, WorkerShare, make_shares

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


class Worker:
    """What takes connections in one process, of which a test has several in one."""

    def __init__(
        self, listener: socket.socket, share: WorkerShare, tls: ssl.SSLContext | None = None
    ) -> None:
        self.connections: set[asyncio.Protocol] = set()
        self.took = asyncio.Event()
        self.socket = listener.dup()  # an event loop watches a descriptor for one only
        self.listener = SharedListener(
            self.socket, self.take, tls, share, self.connections, TurnedAway(1000), patience=60
        )

    def take(self) -> asyncio.Protocol:
        protocol = asyncio.Protocol()
        self.connections.add(protocol)
        self.took.set()
        return protocol


@contextmanager
def listening(folder: Path, workers: int) -> Iterator[tuple[socket.socket, list[WorkerShare]]]:
    make_shares(folder / "shares", workers)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield listener, [WorkerShare(folder / "shares", number) for number in range(workers)]


@contextmanager
def clients(listener: socket.socket, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection(listener.getsockname(), timeout=30))
        yield


async def all_taken(workers: list[Worker], count: int) -> list[int]:
    while sum(len(each.connections) for each in workers) < count:
        waits = [asyncio.ensure_future(each.took.wait()) for each in workers]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each, wait in zip(workers, waits, strict=True):
            wait.cancel()
            each.took.clear()
    for each in workers:
        each.listener.close()
        each.socket.close()
    return sorted(len(each.connections) for each in workers)


@pytest.mark.parametrize("count", [2, 12, 32])
async def test_connections_that_come_at_once_come_to_all_workers(count: int, tmp_path: Path) -> None:
    with listening(tmp_path, 2) as (listener, shares), clients(listener, count):
        fewest, most = await all_taken([Worker(listener, each) for each in shares], count)
    assert most - fewest <= max(1, count // 8)


async def test_the_one_that_has_fewer_takes_what_comes(tmp_path: Path) -> None:
    with listening(tmp_path, 2) as (listener, shares):
        busy, fresh = (Worker(listener, each) for each in shares)
        busy.connections |= {asyncio.Protocol() for _ in range(5)}
        with clients(listener, 5):
            assert await all_taken([busy, fresh], 10) == [5, 5]


async def test_one_that_takes_nothing_is_not_waited_for_long(tmp_path: Path) -> None:
    with listening(tmp_path, 2) as (listener, [share, stuck]), clients(listener, 30):
        stuck.tell(0)
        assert await all_taken([Worker(listener, share)], 30) == [30]


async def test_one_that_has_gone_is_not_waited_for(tmp_path: Path) -> None:
    with listening(tmp_path, 2) as (_, [share, gone]):
        share.tell(3)
        gone.tell(0)
        assert share.is_taken()
        gone.leave()
        assert not share.is_taken()


class Counted(socket.socket):
    """A listening socket that counts the connections it gave out."""

    given = 0

    def accept(self):
        taken = super().accept()
        self.given += 1
        return taken


async def test_a_crowd_is_handed_over_before_more_of_it_is_taken(tmp_path: Path) -> None:
    with listening(tmp_path, 1) as (listener, [share]), clients(listener, 90):
        counted = Counted(fileno=listener.dup().detach())
        worker = Worker(counted, share)
        most = 0
        while len(worker.connections) < 90:
            most = max(most, worker.socket.given - len(worker.connections))
            await asyncio.sleep(0)
        worker.listener.close()
        worker.socket.close()
        counted.close()
    assert 0 < most <= 16


async def test_clients_that_do_not_get_on_with_tls_hold_up_nobody(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with listening(tmp_path, 1) as (listener, [share]), clients(listener, 40), anyio.fail_after(60):
        assert await all_taken([Worker(listener, share, tls)], 40) == [40]
