"""themoviedb, a client of TMDB that others wrote, takes the routes for TMDB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from aiohttp import ClientResponseError
from serving_tmdb import bench
from themoviedb import aioTMDb
from themoviedb.exceptions import TMDbHTTPError

from plughost.testing import HostMaker

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # as the client


_LEFT_OUT = {"api_key", "region", "watch_region", "include_image_language"}


class Session:
    """What the client asks through: TMDB's address becomes ours, and who is signed in needs no key.

    It sends regions with everything, which TMDB ignores where it documents none.
    """

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, params: Mapping[str, Any], timeout: object = None
    ) -> AsyncIterator[Any]:
        given = {name: str(value) for name, value in params.items() if name not in _LEFT_OUT}
        path = url.partition("api.themoviedb.org/3/")[2]
        yield Seen(await self._client.request(method, f"/api/tmdb/{path}", params=given))


class Seen:
    """An answer as aiohttp has it."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer
        self.status, self.headers = answer.status_code, dict(answer.headers)

    def raise_for_status(self) -> None:
        if self.status >= 400:
            raise ClientResponseError(None, (), status=self.status)  # type: ignore[arg-type]

    async def json(self) -> Any:
        return self._answer.json()


async def test_a_real_client_of_tmdb_takes_the_routes_for_tmdb(make_host: HostMaker) -> None:
    async with bench(make_host) as served, served.client() as client:
        tmdb: Any = aioTMDb(api_key="not needed", session=Session(client), language="de-DE")
        trending = await tmdb.trending().movie_daily()
        first = trending.results[0]
        details = await tmdb.movie(first.id).details()
        assert (details.id, details.title) == (first.id, first.title)
        found = await tmdb.search().movies(details.title[:5])
        assert first.id in {movie.id for movie in found.results}
        assert (await tmdb.discover().movie()).total_results
        with pytest.raises(TMDbHTTPError):
            await tmdb.movie(999_999).details()
        assert {call.query.get("language") for call in served.tmdb.calls} == {"de-DE"}
