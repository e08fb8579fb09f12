"""What a host says of itself."""

from __future__ import annotations

import pytest

from plughost import Host, Plugin, hookimpl
from plughost.blocking import BlockingHost
from plughost.contracts import AuthAttempt, Principal
from plughost.exceptions import HostNotReadyError

CONFIG = {"host": {"allow": []}}


class Ill(Plugin):
    name = "ill"

    @hookimpl
    async def health_check(self, app_name, health_status):
        return {"status": "warn", "detail": "slow disk"}

    @hookimpl
    async def after_auth(self, attempt, principal):
        return None


class Bad(Plugin):
    name = "bad"

    async def start(self, context):
        raise OSError("no")


@pytest.mark.anyio
async def test_the_worst_answer_is_the_health_of_the_host() -> None:
    async with Host(config=CONFIG, environ={}) as host:
        assert (await host.health()).status == "pass"
        await host.load_plugin(Ill)
        report = await host.health()
        assert report.status == "warn"
        assert "slow disk" in report.output


@pytest.mark.anyio
async def test_a_failed_plugin_is_a_warning() -> None:
    async with Host(config=CONFIG, environ={}) as host:
        with pytest.raises(Exception, match="no"):
            await host.load_plugin(Bad)
        report = await host.health()
        assert report.status == "warn"
        assert "bad" in report.output


@pytest.mark.anyio
async def test_the_status_counts_plugins_and_names_who_implements_what() -> None:
    async with Host("acme", config=CONFIG, environ={}) as host:
        await host.load_plugin(Ill)
        status = await host.status()
        assert (status.name, status.ready) == ("acme", True)
        assert (status.counts.ready, status.counts.failed) == (1, 0)
        assert status.hooks["after_auth"] == ("ill",)
        assert status.hooks["before_auth"] == ()


@pytest.mark.anyio
async def test_an_app_that_cannot_be_registered_is_told_and_stops_nobody() -> None:
    config = {"host": {"allow": []}, "apps": {"shop": {"url": "sqlite:///nowhere.db"}}}
    async with Host(config=config, environ={}) as host:
        assert "shop" in host.app_errors
        assert "shop" not in host.apps
        assert (await host.health()).status == "fail"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_blocking_host_is_the_same_host_without_await(backend) -> None:
    with BlockingHost("acme", config=CONFIG, backend=backend, environ={}) as host:
        assert host.load_plugin(Ill).name == "ill"
        assert host.plugin("ill").state == "ready"
        assert host.hooks.after_auth(attempt=AuthAttempt(username="a"), principal=Principal("1", "a")) is None
        report = host.hooks.after_auth.report(
            attempt=AuthAttempt(username="a"), principal=Principal("1", "a")
        )
        assert [outcome.plugin for outcome in report.outcomes] == ["ill"]
        assert host.apps.register("shop", {}).name == "shop"
        assert "shop" in host.apps
        assert list(host.apps) == ["shop"]
        host.apps.unregister("shop")
        assert len(host.apps) == 0
        assert host.health().status == "warn"
    with pytest.raises(HostNotReadyError):
        host.health()


def test_a_blocking_host_passes_on_what_its_plugins_refuse() -> None:
    with BlockingHost(config=CONFIG, environ={}) as host, pytest.raises(Exception, match="no"):
        host.load_plugin(Bad)


@pytest.mark.anyio
async def test_two_hosts_live_in_one_process() -> None:
    async with Host("one", config=CONFIG, environ={}) as one, Host("two", config=CONFIG, environ={}) as two:
        await one.load_plugin(Ill)
        assert one.plugin("ill") is not None
        assert two.plugin("ill") is None
        assert not two.pluggy.has_plugin("ill")
