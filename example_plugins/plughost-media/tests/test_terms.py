"""TMDB's terms: nothing that it said is kept for more than six months."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from plughost import Host, Plugin, PluginContext
from plughost.testing import FakeClock
from plughost_media.people import Listed, People
from plughost_media.plugin import MediaPlugin
from plughost_tmdb.protocols import Answer, Tmdb

pytestmark = pytest.mark.anyio

JOB, DAY = "renew names of TMDB", 86_400.0
OLD, NEW = (
    Listed("movie", 101, "Metropolis", "/old.jpg"),
    Listed("movie", 101, "Metropolis (1927)", "/new.jpg"),
)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Saying(Plugin):
    """Stands for the plugin ``tmdb``."""

    name = "saying"

    def __init__(self, body: bytes | None) -> None:
        self.body, self.asked, self.once = body, [], anyio.Event()  # type: ignore[var-annotated]

    async def start(self, context: PluginContext) -> None:
        context.provide(Tmdb, self)

    async def answer(
        self, path: str, params: Mapping[str, str] | None = None, *, user: str = ""
    ) -> Answer | None:
        self.asked.append((path, user))
        self.once.set()
        return (
            None
            if self.body is None
            else Answer(body=self.body, etag="", age=0, ttl=1, stale=False, loaded=True)
        )


@asynccontextmanager
async def listing(folder: Path, clock: FakeClock) -> AsyncIterator[tuple[Host, People]]:
    """Run a host where Ada's list has a film since now."""
    config = {"host": {"allow": [], "data_dir": str(folder)}}
    async with Host("media", config=config, environ={}, clock=clock) as host:
        await host.load_plugin(MediaPlugin(clock))
        people = host.use(People)
        people.add("session:ada", [OLD], clock.time())
        yield host, people


BODY = b'{"title": "Metropolis (1927)", "poster_path": "/new.jpg"}'


async def test_each_day_names_that_are_four_months_old_are_asked_for_anew_and_no_others(
    tmp_path: Path,
) -> None:
    clock, tmdb = FakeClock(), Saying(BODY)
    async with listing(tmp_path, clock) as (host, people):
        await host.load_plugin(tmdb)
        clock.jump(119 * DAY)
        people.add("session:bob", [Listed("tv", 201, "A series")], clock.time())
        assert (await host.jobs.run_now(JOB)).failures == 0
        assert (tmdb.asked, people.listed("session:ada")) == ([], [OLD])
        clock.jump(1.5 * DAY)
        await clock.advance(60)  # a clock that was set is looked at each minute
        with anyio.fail_after(60):
            await tmdb.once.wait()
        await host.jobs.run_now(JOB)  # waits for the end of that run, or has nothing more to ask
        assert (tmdb.asked, people.listed("session:ada")) == ([("movie/101", "session:ada")], [NEW])
        clock.jump(119 * DAY)
        await host.jobs.run_now(JOB)
        assert [path for path, _ in tmdb.asked] == ["movie/101", "tv/201"]


async def test_a_name_that_cannot_be_renewed_goes_in_time_and_comes_back(tmp_path: Path) -> None:
    clock = FakeClock()
    async with listing(tmp_path, clock) as (host, people):
        for days, title in ((139, OLD), (2, Listed("movie", 101, "movie 101"))):
            clock.jump(days * DAY)
            assert (await host.jobs.run_now(JOB)).failures == 0
            assert people.listed("session:ada") == [title]
        await host.load_plugin(Saying(BODY))
        await host.jobs.run_now(JOB)
        assert people.listed("session:ada") == [NEW]


@pytest.mark.parametrize("body", [None, b'{"title": "", "poster_path": "https://evil.example/x.jpg"}'])
async def test_what_tmdb_has_no_more_or_names_strangely_is_without_a_name(
    tmp_path: Path, body: bytes | None
) -> None:
    clock, tmdb = FakeClock(), Saying(body)
    async with listing(tmp_path, clock) as (host, people):
        await host.load_plugin(tmdb)
        clock.jump(121 * DAY)
        for _ in range(2):
            await host.jobs.run_now(JOB)
        assert people.listed("session:ada") == [Listed("movie", 101, "movie 101")]
        assert len(tmdb.asked) == 1
