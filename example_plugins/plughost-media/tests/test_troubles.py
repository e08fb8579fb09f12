"""What goes wrong with a fake goes wrong as it does with the real one, over sockets and in the process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import httpx2
import pytest

from plughost_media.fakes import FakeTmdb, Trouble, listening, serving

TRENDING = "/3/trending/movie/day"
OF_KEY = {"Authorization": "Bearer own-tmdb-key"}


@pytest.fixture
def tmdb() -> FakeTmdb:
    return FakeTmdb()


@pytest.fixture
def served(tmdb: FakeTmdb) -> Iterator[httpx2.Client]:
    with serving(tmdb) as addresses, httpx2.Client(base_url=addresses[tmdb], headers=OF_KEY) as client:
        yield client


def test_statuses_come_in_the_words_of_the_service_and_are_logged(
    tmdb: FakeTmdb, served: httpx2.Client
) -> None:
    for kind, code in (("500", 11), ("429", 25), ("401", 7), ("404", 34)):
        tmdb.trouble = Trouble(kind=kind)  # type: ignore[arg-type]
        answer = served.get(TRENDING)
        assert (answer.status_code, answer.json()["status_code"]) == (int(kind), code)
    assert [call.status for call in tmdb.calls] == [500, 429, 401, 404]
    assert tmdb.count("/3/trending") == 4
    tmdb.begin("429", retry_after=None)
    assert "Retry-After" not in served.get(TRENDING).headers
    tmdb.end()
    assert served.get(TRENDING).status_code == 200


@pytest.mark.parametrize("garbage", ["html", "cut", "wrong", "askew", "huge"])
def test_garbage_is_no_json_object_of_a_size_anybody_wants(
    tmdb: FakeTmdb, served: httpx2.Client, garbage: str
) -> None:
    tmdb.begin("garbage", garbage=garbage)
    answer = served.get(TRENDING)
    assert answer.status_code == 200
    try:
        found = answer.json()
    except ValueError:
        assert garbage in ("html", "cut")
    else:
        nothing = isinstance(found, list) or not isinstance(found["results"], list)
        assert nothing or len(answer.content) > 8 * 1024 * 1024


def test_one_that_is_away_hangs_up_and_one_that_dies_does_so_half_way(
    tmdb: FakeTmdb, served: httpx2.Client
) -> None:
    assert served.get(TRENDING).status_code == 200
    tmdb.begin("away")
    with pytest.raises(httpx2.TransportError):
        served.get(TRENDING)
    tmdb.begin("cut")
    with pytest.raises(httpx2.TransportError):
        served.get(TRENDING)
    tmdb.end()
    assert served.get(TRENDING).status_code == 200


def test_the_other_paths_of_a_troubled_one_are_well(tmdb: FakeTmdb, served: httpx2.Client) -> None:
    tmdb.begin("500", path="/t/p")
    assert served.get("/t/p/w342/poster101v1.jpg").status_code == 500
    assert served.get(TRENDING).status_code == 200


@pytest.mark.anyio
async def test_without_sockets_it_is_the_same(tmdb: FakeTmdb) -> None:
    transport = httpx2.ASGITransport(app=tmdb)
    async with httpx2.AsyncClient(transport=transport, base_url="http://tmdb", headers=OF_KEY) as client:
        assert (await client.get(TRENDING)).json()["results"][0]["title"] == "Metropolis"
        tmdb.begin("away")
        with pytest.raises(httpx2.ConnectError):
            await client.get(TRENDING)


def test_more_calls_than_the_rate_are_refused_within_a_second() -> None:
    now = [0.0]
    tmdb = FakeTmdb(rate=40, now=lambda: now[0])
    with serving(tmdb) as addresses, httpx2.Client(base_url=addresses[tmdb], headers=OF_KEY) as client:
        assert [client.get("/3/configuration").status_code for _ in range(41)] == [200] * 40 + [429]
        now[0] = 1.01
        assert client.get("/3/configuration").status_code == 200


def test_pages_and_appended_parts_have_the_bounds_of_tmdb(tmdb: FakeTmdb, served: httpx2.Client) -> None:
    assert served.get(TRENDING, params={"page": 501}).json()["status_code"] == 22
    many = ",".join(f"part{number}" for number in range(21))
    assert served.get("/3/movie/101", params={"append_to_response": many}).json()["status_code"] == 27
    assert "videos" in served.get("/3/movie/101", params={"append_to_response": "videos"}).json()


async def _sends_at_once() -> bool:
    heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            heard.set_result(
                bool(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            )
            transport.close()

    listener = listening()
    async with await asyncio.get_running_loop().create_server(Protocol, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        writer.close()
        return await asyncio.wait_for(heard, 30)


def test_a_body_does_not_wait_until_the_client_says_that_it_has_the_head() -> None:
    assert asyncio.run(_sends_at_once())
