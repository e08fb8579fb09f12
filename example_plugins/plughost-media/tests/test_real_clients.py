"""The fakes are taken for the real thing by the clients that people use."""

from __future__ import annotations

from collections.abc import Iterator

import plexapi.myplex
import pytest
import themoviedb
from plex_api_client import PlexAPI
from plexapi.myplex import MyPlexAccount, MyPlexPinLogin
from plexapi.server import PlexServer
from themoviedb.exceptions import TMDbError

from plughost_media.fakes import FakePlexServer, FakePlexTv, FakeTmdb, Served, serving
from plughost_media.fakes.plex_tv import Connection


@pytest.fixture(scope="module")
def fakes() -> Iterator[tuple[FakeTmdb, FakePlexTv, FakePlexServer, Served]]:
    tmdb, plex_tv, home = FakeTmdb(), FakePlexTv(), FakePlexServer("home", title="Home")
    with serving(tmdb, plex_tv, home) as served:
        plex_tv.share(plex_tv.accounts[0], home, [Connection(served[home])])
        home.watch(1001, "101", at=1_760_000_000)
        home.play(1001, "102")
        yield tmdb, plex_tv, home, served


class TestTheMovieDb:
    @pytest.fixture
    def client(self, fakes: tuple[FakeTmdb, FakePlexTv, FakePlexServer, Served]) -> themoviedb.TMDb:
        client = themoviedb.TMDb(api_key="own-tmdb-key")
        client._config.host = fakes[3][fakes[0]]
        return client

    def test_lists_are_read(self, client: themoviedb.TMDb) -> None:
        found = client.trending().movie_daily()
        assert found.results is not None
        assert (found.results[0].title, found.total_results) == ("Metropolis", 18)
        assert found.results[16].release_date is None
        assert found.results[17].poster_path is None

    def test_details_and_searches_are_read(self, client: themoviedb.TMDb) -> None:
        assert client.movie(102).details().genres[0].name == "Action"
        assert client.tv(201).details().number_of_episodes == 3
        assert [found.title for found in client.search().movies("moon")] == ["A Trip to the Moon"]
        assert client.person(301).details().name == "Buster Keaton"

    def test_errors_are_told(self, client: themoviedb.TMDb) -> None:
        with pytest.raises(TMDbError, match="HTTP 404"):
            client.movie(999).details()
        client.api_key = "wrong"
        with pytest.raises(TMDbError, match="HTTP 401"):
            client.movie(102).details()


class TestPlexApi:
    """python-plexapi reads XML."""

    @pytest.fixture(autouse=True)
    def at_the_fake(
        self, fakes: tuple[FakeTmdb, FakePlexTv, FakePlexServer, Served], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plex_tv = fakes[3][fakes[1]]
        monkeypatch.setattr(MyPlexPinLogin, "PINS", f"{plex_tv}/api/v2/pins")
        monkeypatch.setattr(MyPlexAccount, "key", f"{plex_tv}/api/v2/user")
        resources = f"{plex_tv}/api/v2/resources?includeHttps=1&includeRelay=1&includeIPv6=1"
        monkeypatch.setattr(plexapi.myplex.MyPlexResource, "key", resources)

    def test_one_signs_in_by_pin_and_finds_the_server(
        self, fakes: tuple[FakeTmdb, FakePlexTv, FakePlexServer, Served]
    ) -> None:
        plex_tv = fakes[1]
        login = MyPlexPinLogin(oauth=True)
        assert not login.checkLogin()
        assert plex_tv.allow(login.oauthUrl().partition("code=")[2], plex_tv.accounts[0])
        assert login.checkLogin()
        account = MyPlexAccount(token=login.token)
        assert account.username == "ada"
        assert account.resource("Home").connect(ssl=False, timeout=5).friendlyName == "Home"

    @pytest.fixture
    def server(self, fakes: tuple[FakeTmdb, FakePlexTv, FakePlexServer, Served]) -> PlexServer:
        home = fakes[2]
        return PlexServer(fakes[3][home], next(iter(home.accounts)))

    def test_the_shelves_are_read(self, server: PlexServer) -> None:
        films = server.library.section("Films")
        assert films.totalSize == 18
        assert films.get("Wings").guids[0].id == "tmdb://114"
        episodes = server.library.section("Series").get("Judex").episodes()
        assert [episode.title for episode in episodes][:2] == ["The Severed Head", "The Ring That Kills"]

    def test_what_goes_on_is_read(self, server: PlexServer) -> None:
        assert [film.title for film in server.library.onDeck()] == ["The General"]
        assert [film.title for film in server.sessions()] == ["The General"]
        assert [film.title for film in server.history()][-1] == "Metropolis"
        assert [activity.title for activity in server.activities] == ["Scanning Films"]

    def test_seen_and_rated_are_kept(self, server: PlexServer) -> None:
        film = server.library.section("Films").get("Wings")
        film.markPlayed()
        film.rate(8)
        film.reload()
        assert (film.isPlayed, film.userRating) == (True, 8.0)


class TestPlexApiClient:
    """plex-api-client reads JSON, and is strict about its types."""

    @pytest.fixture
    def client(self, fakes: tuple[FakeTmdb, FakePlexTv, FakePlexServer, Served]) -> PlexAPI:
        home = fakes[2]
        return PlexAPI(token=next(iter(home.accounts)), server_url=fakes[3][home], accepts="application/json")

    def test_the_server_is_read(self, client: PlexAPI) -> None:
        sections = client.library.get_sections().object
        assert [section.title for section in sections.media_container.directory] == ["Films", "Series"]
        activities = client.activities.list_activities().object.media_container.activity
        assert activities[0].progress == 37
        history = client.status.list_playback_history(request={}).object.media_container
        assert history.metadata[-1].title == "Metropolis"

    def test_the_resources_are_read(self, fakes: tuple[FakeTmdb, FakePlexTv, FakePlexServer, Served]) -> None:
        _, plex_tv, home, served = fakes
        client = PlexAPI(token=plex_tv.accounts[0].token)
        found = client.plex.get_server_resources(
            request={}, server_url=f"{served[plex_tv]}/api/v2"
        ).plex_devices
        assert [device.name for device in found if "server" in device.provides] == ["Home"]
        assert found[0].connections[0].uri == served[home]
