"""What the fleet wants lies over a host's file and under its environment, and a host can be left out of it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from zipfile import ZipFile

import anyio
import pytest

from plughost import Host
from plughost.contracts import Fleet, FleetChange, Rollout
from plughost.exceptions import FleetError

pytestmark = pytest.mark.anyio

LAMP = """
import msgspec
from plughost import Plugin

class Config(msgspec.Struct):
    colour: str = "white"
    watts: int = 5
    password: str = ""

class Lamp(Plugin):
    version = "{version}"
    Config = Config

    async def start(self, context):
        self.config = context.config

    def status(self):
        return {{"colour": self.config.colour, "watts": self.config.watts, "letters": len(self.config.password)}}
"""

FILE = """
[host]
name = "shop"
data_dir = "data"
allow = ["fleet", "lamp"]

[plugins.lamp]
module = "tests_fleet_layer_lamp:Lamp"
enabled = {enabled}

[plugins.lamp.config]
colour = "red"

[plugins.fleet.config]
allow_urls = ["{place}/"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tests_fleet_layer_lamp.py").write_text(LAMP.format(version="1.0"))
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path)
    return tmp_path


def write(folder: Path, enabled: str = "true", place: str = "https://plugins.example/ours") -> None:
    (folder / "plughost.toml").write_text(FILE.format(enabled=enabled, place=place))


@pytest.fixture
def served(folder: Path) -> Iterator[str]:
    """The folder as a server on this machine shows it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@asynccontextmanager
async def hosts(folder: Path, *environs: Mapping[str, str]) -> AsyncIterator[list[Host]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Host(config=folder / "plughost.toml", environ=environ, worker=worker)
            )
            for worker, environ in enumerate(environs)
        ]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - a condition of the test
            await anyio.sleep(0.02)


async def change(host: Host, act: Any, **more: Any) -> Rollout:
    fleet = host.use(Fleet)
    rollout = await fleet.propose(FleetChange(act, "lamp", **more), author="ada")
    with anyio.fail_after(60):
        while rollout.state == "rolling":
            await anyio.sleep(0.02)
            found = await fleet.rollout(rollout.id)
            assert found is not None
            rollout = found
    return rollout


def lamp(host: Host) -> Any:
    record = host.plugins["lamp"]
    return dict(record.status) if record.status else str(record.state)


@pytest.mark.parametrize(
    ("act", "file", "environment"), [("disable", "true", "true"), ("enable", "false", "false")]
)
async def test_what_the_environment_says_of_a_plugin_the_fleet_does_not_change(
    folder: Path, act: str, file: str, environment: str
) -> None:
    write(folder, file)
    async with hosts(folder, {"PLUGHOST_PLUGINS__LAMP__ENABLED": environment}, {}) as (fixed, free):
        before = lamp(fixed)
        rollout = await change(free, act)
        assert rollout.state == "failed"
        assert rollout.results[free.use(Fleet).member.id] == "applied"
        said = rollout.results[fixed.use(Fleet).member.id]
        assert "plugins.lamp.enabled is left as environment PLUGHOST_PLUGINS__LAMP__ENABLED says" in said
        assert lamp(fixed) == before
        assert lamp(free) != before


async def test_a_host_that_is_left_out_stays_as_its_file_says_and_nobody_waits_for_it(folder: Path) -> None:
    async with hosts(folder, {"PLUGHOST_FLEET": "off"}, {}) as (apart, free):
        rollout = await change(free, "disable")
        assert (rollout.state, [*rollout.results]) == ("done", [free.use(Fleet).member.id])
        assert lamp(free) == "disabled"
        assert lamp(apart)["colour"] == "red"
        member = next(one for one in await free.use(Fleet).members() if one.worker == 0)
        assert member.connected
        assert "host.fleet is off" in member.error


async def test_what_the_fleet_switched_stays_when_the_file_is_read_again(folder: Path) -> None:
    write(folder, "false")
    async with hosts(folder, {}) as (host,):
        assert lamp(host) == "disabled"
        await change(host, "enable")
        await host.reload()
        assert lamp(host)["colour"] == "red"
        assert host.loaded_config.origins["plugins.lamp.enabled"] == "fleet r1 by ada"
        write(folder, "true")
        await host.reload()
        await change(host, "disable")
        assert lamp(host) == "disabled"


async def test_of_a_switch_by_hand_and_the_fleets_the_later_one_holds(folder: Path) -> None:
    async with hosts(folder, {}) as (host,):
        await change(host, "disable")
        await host.enable_plugin("lamp")
        assert lamp(host)["colour"] == "red"
        await host.disable_plugin("lamp")
        await change(host, "enable")
        assert lamp(host)["colour"] == "red"


async def test_settings_from_the_fleet_lie_between_file_and_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"PLUGHOST_PLUGINS__LAMP__CONFIG__WATTS": "60", "LAMP_WORD": "open sesame"}
    async with hosts(folder, environ, {"LAMP_WORD": "other"}) as (fixed, free):
        rollout = await change(
            free, "configure", config={"colour": "blue", "watts": 40, "password": {"$env": "LAMP_WORD"}}
        )
        assert lamp(free) == {"colour": "blue", "watts": 40, "letters": len("other")}
        await until(lambda: lamp(fixed)["colour"] == "blue")
        assert lamp(fixed) == {"colour": "blue", "watts": 60, "letters": len("open sesame")}
        assert "watts is left as environment" in rollout.results[fixed.use(Fleet).member.id]
        await change(free, "configure", config={"colour": None})
        assert lamp(free)["colour"] == "red"
        settings = {line.path: line.origin for line in free.plugin_settings("lamp").entries}
        assert settings["plugins.lamp.config.watts"] == "fleet r2 by ada"


async def test_wrong_settings_are_refused_by_the_host_and_its_plugin_goes_on(folder: Path) -> None:
    async with hosts(folder, {}) as (host,):
        rollout = await change(host, "configure", config={"watts": "many"})
        assert rollout.state == "failed"
        assert "watts" in "".join(rollout.results.values())
        assert lamp(host) == {"colour": "red", "watts": 5, "letters": 0}


@pytest.mark.parametrize(
    "config",
    [
        {"password": "x"},
        {"deep": {"api_key": "x"}},
        {"tokens": ["x"]},
        {"pin": 1234},
        {"store": "postgresql://ada:geheim@db/shop"},
        {"deep": [{"url": "https://ada:geheim@example.org/"}]},
    ],
)
async def test_no_secret_travels_through_the_fleet(folder: Path, config: dict[str, Any]) -> None:
    async with hosts(folder, {}) as (host,):
        with pytest.raises(FleetError, match="write a reference"):
            await host.use(Fleet).propose(FleetChange("configure", "lamp", config=config))


async def test_an_upgrade_is_a_package_with_its_digest_and_goes_back_the_same_way(
    folder: Path, served: str
) -> None:
    write(folder, place=served)
    file = folder / "plughost.toml"
    text = file.read_text().replace('tests_fleet_layer_lamp:Lamp"', 'packed_lamp:Lamp"\npath = "old.zip"')
    file.write_text(text)
    for name, version in (("old.zip", "1.0"), ("new.zip", "2.0")):
        with ZipFile(folder / name, "w") as archive:
            archive.writestr("packed_lamp.py", LAMP.format(version=version))
    digest = hashlib.sha256((folder / "new.zip").read_bytes()).hexdigest()
    given = {"url": f"{served}/new.zip", "sha256": digest}
    async with hosts(folder, {}) as (host,):
        rollout = await change(host, "upgrade", **given, version="2.0")
        assert rollout.state == "done", rollout.results
        assert host.plugins["lamp"].version == "2.0"
        assert lamp(host)["colour"] == "red"
        rollout = await change(host, "upgrade", url=given["url"], sha256="0" * 64)
        assert rollout.state == "failed"
        assert host.plugins["lamp"].version == "2.0"
        await change(host, "upgrade")
        assert host.plugins["lamp"].version == "1.0"


@pytest.mark.parametrize(
    "place", ["https://elsewhere.example/x.zip", "{folder}/../x.zip", "{folder}-not/x.zip"]
)
async def test_a_host_fetches_only_from_where_its_own_deployer_allows(folder: Path, place: str) -> None:
    async with hosts(folder, {}) as (host,):
        rollout = await change(host, "upgrade", url=place, sha256="0" * 64)
        assert rollout.state == "failed"
        assert "allow_urls" in "".join(rollout.results.values())
        assert host.plugins["lamp"].version == "1.0"


@pytest.mark.parametrize(
    "given",
    [
        {"url": "https://x/y.zip"},
        {"sha256": "0" * 64},
        {"url": "https://x/", "sha256": "z"},
    ],
)
async def test_an_upgrade_without_its_digest_is_refused(folder: Path, given: dict[str, str]) -> None:
    async with hosts(folder, {}) as (host,):
        with pytest.raises(FleetError, match="sha256"):
            await host.use(Fleet).propose(FleetChange("upgrade", "lamp", **given))
