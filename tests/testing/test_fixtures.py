"""The fixtures that pytest has where plughost is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import AuthAttempt, PluginState, Principal
from plughost.exceptions import AuthRefused, HookCallError
from plughost.testing import FakeClock, HookRecorder, HostMaker, PluginMaker

pytestmark = pytest.mark.anyio

GREETER = """
from plughost import Plugin, hookimpl

class Helper:
    pass

class Greeter(Plugin):
    def status(self):
        return {"greeting": "Hello"}

    @hookimpl
    async def after_auth(self, principal):
        pass
"""

ATTEMPT = AuthAttempt(username="ada")
ADA = Principal("1", "ada")


async def test_a_host_finds_nothing_by_itself(host: Host) -> None:
    assert host.ready
    assert not [record for record in host.plugins.values() if record.state is PluginState.READY]


async def test_a_made_plugin_has_real_metadata(make_plugin: PluginMaker, make_host: HostMaker) -> None:
    from importlib.metadata import version

    made = make_plugin("greeter", GREETER, version="3.2.1", card='description = "greets"')
    async with make_host("greeter") as host:
        record = host.plugins["greeter"]
        assert (record.state, record.version, record.distribution) == (
            PluginState.READY,
            "3.2.1",
            "acme-greeter",
        )
        assert record.status == {"greeting": "Hello"}
    assert version("acme-greeter") == "3.2.1"
    assert made.reference == "greeter_plugin:Greeter"


async def test_a_made_module_is_a_plugin_too(make_plugin: PluginMaker, make_host: HostMaker) -> None:
    made = make_plugin("plain", "async def start(context): pass")
    async with make_host("plain") as host:
        assert host.plugins["plain"].state is PluginState.READY
    assert made.reference == "plain_plugin"


@pytest.fixture
def nothing_stays() -> Iterator[None]:
    """Set up before ``make_plugin``, so that it looks after that has cleaned up."""
    path = sys.path[:]
    yield
    assert "greeter_plugin" not in sys.modules
    assert sys.path == path


async def test_a_made_plugin_is_forgotten_afterwards(
    nothing_stays: None, make_plugin: PluginMaker, make_host: HostMaker
) -> None:
    make_plugin("greeter", GREETER)
    async with make_host("greeter"):
        assert "greeter_plugin" in sys.modules


async def test_a_made_plugin_can_be_changed_and_reloaded(
    make_plugin: PluginMaker, make_host: HostMaker
) -> None:
    import os

    made = make_plugin("greeter", GREETER)
    async with make_host("greeter") as host:
        made.file.write_text(GREETER.replace("Hello", "Welcome"))
        os.utime(made.file, (2_000_000_000, 2_000_000_000))
        await host.reload_plugin("greeter")
        assert host.plugins["greeter"].status == {"greeting": "Welcome"}


class Refuser(Plugin):
    name = "refuser"

    @hookimpl
    async def before_auth(self, attempt: AuthAttempt) -> AuthAttempt:
        raise AuthRefused("no")


async def test_a_recorder_sees_calls_in_order_with_arguments_and_results(
    host: Host, hook_recorder: HookRecorder
) -> None:
    await host.hooks.before_auth(attempt=ATTEMPT)
    await host.hooks.after_auth(attempt=ATTEMPT, principal=ADA)
    assert hook_recorder.names == ["before_auth", "after_auth"]
    first, second = hook_recorder.calls
    assert (first.arguments, first.result) == ({"attempt": ATTEMPT}, ATTEMPT)
    assert second.arguments == {"attempt": ATTEMPT, "principal": ADA}
    assert hook_recorder.of("after_auth") == [second]


async def test_a_recorder_sees_what_a_call_raised(host: Host, hook_recorder: HookRecorder) -> None:
    await host.load_plugin(Refuser)
    hook_recorder.clear()
    with pytest.raises(AuthRefused):
        await host.hooks.before_auth(attempt=ATTEMPT)
    (call,) = hook_recorder.of("before_auth")
    assert isinstance(call.error, AuthRefused)


async def test_a_recorder_sees_set_up_time_hooks(host: Host, hook_recorder: HookRecorder) -> None:
    host.hooks.register_commands()
    assert "register_commands" in hook_recorder.names


class Specs:
    """Hooks of an application."""

    from plughost import hookspec

    @staticmethod
    @hookspec(mode="collect")
    def ask_price(article: str, count: int = 1) -> float | None:
        """Ask what something costs."""


async def test_a_recorder_watches_later_hooks_when_told_to(host: Host, hook_recorder: HookRecorder) -> None:
    host.add_hookspecs(Specs)
    await hook_recorder.watch(host)
    await host.hooks.ask_price(article="tea")
    (call,) = hook_recorder.of("ask_price")
    assert call.arguments == {"article": "tea", "count": 1}


class Counter(Plugin):
    name = "counter"

    async def start(self, context) -> None:
        self.count = 0
        context.every(60, self.tick)

    def status(self):
        return {"count": self.count}

    async def tick(self) -> None:
        self.count += 1


async def test_a_frozen_clock_is_the_host_s(frozen_clock: FakeClock, host: Host) -> None:
    await host.load_plugin(Counter)
    await frozen_clock.advance(180)
    assert host.plugins["counter"].status == {"count": 3}


async def test_a_client_speaks_to_the_host(host_client) -> None:
    answer = await host_client.get("/livez")
    assert answer.status_code == 200


def test_a_redis_server_is_there_and_empty(redis_url: str) -> None:
    import redis

    client = redis.Redis.from_url(redis_url)
    try:
        assert client.dbsize() == 0
        client.set("key", "value")
    finally:
        client.close()


def test_it_is_empty_again_for_the_next_test(redis_url: str) -> None:
    test_a_redis_server_is_there_and_empty(redis_url)


async def test_a_fault_takes_the_place_of_a_method(host: Host, faults) -> None:
    await host.load_plugin(
        faults.inject(Refuser, before_auth=faults.fail(OSError("disk full"))), name="broken"
    )
    with pytest.raises(HookCallError, match="disk full"):
        await host.hooks.before_auth(attempt=ATTEMPT)


async def test_a_fault_that_hangs_meets_the_limit(make_host: HostMaker, faults) -> None:
    async with make_host(config={"hooks": {"timeouts": {"after_auth": 0.05}}}) as host:

        class Quick(Plugin):
            @hookimpl
            async def after_auth(self) -> None:
                pass

        await host.load_plugin(faults.inject(Quick, after_auth=faults.hang), name="slow")
        report = await host.hooks.after_auth.report(attempt=ATTEMPT, principal=ADA)
        assert [outcome.kind for outcome in report.outcomes] == ["timed_out"]


async def test_a_fault_that_ignores_being_cancelled_is_let_go(make_host: HostMaker, faults) -> None:
    class Spawner(Plugin):
        async def start(self, context) -> None:
            context.spawn(faults.swallow_cancellation)

    async with make_host(config={"host": {"shutdown_timeout": 0.1}}) as host:
        await host.load_plugin(Spawner)
        assert await host.unload_plugin("spawner")


async def test_a_fault_in_a_plain_function_is_raised_at_once(host: Host, faults) -> None:
    class Commander(Plugin):
        @hookimpl
        def register_commands(self):
            return []

    await host.load_plugin(faults.inject(Commander, register_commands=faults.fail()), name="bad")
    report = host.hooks.register_commands.report()
    assert [outcome.kind for outcome in report.outcomes] == ["error"]


async def test_a_fault_that_fails_a_few_times_stops_failing(faults) -> None:
    fault = faults.fail_times(2)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="injected"):
            await fault()
    assert await fault() is None
