"""The pytest plugin: fixtures for tests of plugins and of applications that embed a host.

pytest loads this file in every run of whoever has plughost installed, before coverage is measured. So nothing
of plughost is imported here until a fixture is used; otherwise a plugin's suite could not see the lines that run
at import, and a suite that has nothing to do with plughost would wait for it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from plughost.host import Host
    from plughost.testing.clock import FakeClock
    from plughost.testing.hosts import HostMaker
    from plughost.testing.making import PluginMaker
    from plughost.testing.recording import HookRecorder


def pytest_configure(config: pytest.Config) -> None:
    """Let the assertions of the contract suites explain themselves."""
    pytest.register_assert_rewrite("plughost.testing.suites")


@pytest.fixture
def make_plugin(tmp_path: Path) -> Iterator[PluginMaker]:
    """Install plugins from source text, with real metadata: ``make_plugin("greeter", source)``."""
    from plughost.testing.making import making_plugins

    with making_plugins(tmp_path / "site") as make:
        yield make


@pytest.fixture
def frozen_clock() -> FakeClock:
    """Time that stands still until the test moves it; ``make_host`` and ``host`` run on it when it is asked for."""
    from plughost.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def host_config() -> Mapping[str, Any]:
    """Configuration of the fixture ``host``; override it to give it one."""
    return {}


@pytest.fixture
def pluggy_application() -> tuple[str, object] | None:
    """Name and hookspecs of the application on bare pluggy that all hosts are made for; override it to name yours.

    ``return "datasette", datasette.hookspecs`` makes the hosts of every fixture as ``Host.for_pluggy`` does.
    """
    return None


@pytest.fixture
def make_host(
    tmp_path: Path, request: pytest.FixtureRequest, pluggy_application: tuple[str, object] | None
) -> HostMaker:
    """Make hosts that find the plugins that are named and no others: ``make_host("greeter", config={...})``."""
    from plughost.testing.hosts import HostMaker

    clock = request.getfixturevalue("frozen_clock") if "frozen_clock" in request.fixturenames else None
    return HostMaker(tmp_path / "data", clock, pluggy_application)


@pytest.fixture
async def host(
    anyio_backend: object, make_host: HostMaker, host_config: Mapping[str, Any]
) -> AsyncIterator[Host]:
    """A running host that found nothing: load what you want to test, ``await host.load_plugin(...)``."""
    async with make_host(config=host_config) as running:
        yield running


@pytest.fixture
async def hook_recorder(host: Host) -> HookRecorder:
    """Records all hook calls of the fixture ``host`` in order."""
    from plughost.testing.recording import HookRecorder

    return await HookRecorder.attach(host)


@pytest.fixture
async def host_client(host: Host) -> AsyncIterator[Any]:
    """An HTTP client that speaks to the application of the fixture ``host`` within the process.

    An ``httpx2.AsyncClient``, or one of ``httpx`` where that is installed instead.
    """
    from plughost.testing.hosts import client_of

    async with client_of(host) as client:
        yield client


@pytest.fixture
def faults() -> Iterator[Any]:
    """The module ``plughost.testing.faults``; what its faults leave running is ended after the test."""
    from plughost.testing import faults as module

    yield module
    module.end_leaks()


@pytest.fixture(scope="session")
def redis_server_url() -> Iterator[str]:
    """Url of one Redis server for the whole run; ``$PLUGHOST_TEST_REDIS`` names one, else one is started."""
    from plughost.testing import servers

    given = os.environ.get(servers.URL, "")
    if "://" in given:
        yield given
        return
    try:
        with servers.redis_server() as url:
            yield url
    except servers.NoRedisServerError as error:
        (pytest.fail if servers.is_required() else pytest.skip)(str(error))


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """Url of a Redis server that holds nothing."""
    from plughost.testing.servers import empty

    empty(redis_server_url)
    return redis_server_url
