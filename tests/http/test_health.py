"""Health over HTTP: the status for machines, words for insiders."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from plughost import Plugin, PluginContext, hookimpl
from plughost.http import Route
from plughost.http.recent import GOOD_FOR
from plughost.testing import FakeClock

pytestmark = pytest.mark.anyio

INSIDE = {"base": "http://localhost", "address": ("127.0.0.1", 5000)}


class Redis(Plugin):
    name = "queue"
    status_word = "pass"

    @hookimpl
    def health_check(self, app_name: str | None) -> dict[str, Any]:
        return {
            "status": self.status_word,
            "detail": "redis://10.0.0.5 is slow",
            "backend": "redis",
            "waiting": 3,
        }


class Failing(Plugin):
    name = "failing"

    async def start(self, context: PluginContext) -> None:
        raise RuntimeError("no licence")


async def test_liveness_looks_at_nothing(serve):
    class Sick(Plugin):
        name = "sick"

        @hookimpl
        def health_check(self) -> dict[str, Any]:
            raise AssertionError("liveness must not ask")

    async with serve(Sick) as served, served.client() as client:
        answer = await client.get("/livez")
        assert (answer.status_code, answer.json()) == (200, {"status": "pass"})
        assert answer.headers["content-type"] == "application/health+json"
        assert answer.headers["cache-control"] == "no-store"


async def test_readiness_warns_of_a_failed_plugin_and_goes_on(serve):
    async with serve() as served, served.client() as client:
        with pytest.raises(Exception, match="no licence"):
            await served.host.load_plugin(Failing)
        answer = await client.get("/readyz?verbose")
        assert (answer.status_code, answer.json()["status"]) == (200, "warn")
        assert answer.json()["checks"]["plugin:failing"][0]["observedValue"] == "failed"
        assert (await client.get("/readyz?exclude=failing")).json()["status"] == "pass"


async def test_readiness_fails_without_a_required_plugin(serve):
    config = {"plugins": {"gone": {"module": "no_such_module:P", "required": True}}}
    async with serve(config=config, allow=("gone",)) as served, served.client() as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "fail")


@pytest.mark.parametrize(
    ("plugin", "status"), [({}, "warn"), ({"required": True}, "fail"), ({"enabled": False}, "pass")]
)
async def test_the_check_of_all_plugins_is_as_good_as_the_worst_of_them(serve, plugin, status):
    config = {"plugins": {"gone": {"module": "no_such_module:P", **plugin}}}
    async with serve(config=config, allow=("gone",)) as served, served.client(**INSIDE) as client:
        (check,) = (await client.get("/health/detailed")).json()["checks"]["plugins"]
    assert check["status"] == status


async def test_readiness_fails_once_the_server_is_about_to_stop(serve):
    async with serve() as served, served.client() as client:
        served.app.drain()
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200


async def test_strangers_learn_the_status_and_insiders_the_reason(serve):
    async with serve(Redis) as served:
        async with served.client() as stranger:
            told = await stranger.get("/health/detailed")
            assert told.json()["checks"]["queue"] == [{"status": "pass"}]
            assert "10.0.0.5" not in told.text
        async with served.client(**INSIDE) as insider:
            assert "10.0.0.5" in (await insider.get("/health/detailed")).text
        async with served.client(token=served.token("health:read")) as monitoring:
            assert "10.0.0.5" in (await monitoring.get("/health/detailed")).text


async def test_a_wrong_token_is_told_what_strangers_are_told(serve):
    async with serve(Redis) as served, served.client(token="phk_wrong") as client:
        assert "10.0.0.5" not in (await client.get("/health/detailed")).text


@pytest.mark.parametrize(("word", "code"), [("pass", 200), ("warn", 200), ("fail", 503)])
async def test_the_code_is_for_machines(serve, word, code):
    class Checked(Redis):
        status_word = word

    async with serve(Checked) as served, served.client() as client:
        assert (await client.get("/health/detailed")).status_code == code
        assert (await client.get("/health/redis")).status_code == code


async def test_what_has_to_do_with_redis_is_found_by_its_figures(serve):
    class Disk(Plugin):
        name = "disk"

        @hookimpl
        def health_check(self) -> dict[str, Any]:
            return {"status": "fail", "free": 0}

    async with serve(Redis, Disk) as served, served.client() as client:
        told = (await client.get("/health/redis")).json()
        assert (told["status"], told["configured"], list(told["checks"])) == ("pass", True, ["queue"])


async def test_without_redis_it_says_that_none_is_configured(serve):
    async with serve() as served, served.client() as client:
        assert (await client.get("/health/redis")).json() == {
            "status": "pass",
            "configured": False,
            "checks": {},
        }


async def test_a_plugin_that_left_out_its_guard_shows_in_readiness(serve):
    class Careless(Plugin):
        name = "careless"

        @hookimpl
        def register_routes(self) -> list[Route]:
            return ["/no-route"]  # type: ignore[list-item]

    async with serve() as served, served.client() as client:
        await served.host.load_plugin(Careless)
        assert (await client.get("/readyz")).json()["status"] == "warn"


async def test_strangers_cause_one_run_of_the_checks_however_many_ask(serve):
    class Counted(Plugin):
        name = "counted"
        runs = 0

        @hookimpl
        async def health_check(self, app_name: str | None) -> dict[str, Any]:
            self.runs += 1
            await anyio.sleep(0.01)
            return {"status": "pass"}

    clock, plugin = FakeClock(), Counted()
    async with (
        serve(plugin, clock=clock) as served,
        served.client() as stranger,
        served.client(**INSIDE) as insider,
    ):
        async with anyio.create_task_group() as tasks:
            for path in ["/health/detailed", "/health/redis"] * 20:
                tasks.start_soon(stranger.get, path)
        assert plugin.runs == 1
        await clock.advance(GOOD_FOR + 1)
        await stranger.get("/health/detailed")
        assert plugin.runs == 2
        await insider.get("/health/detailed")
        assert plugin.runs == 3, "who is told figures is told those of now"
