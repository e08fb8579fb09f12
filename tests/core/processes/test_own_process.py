"""A plugin in a process of its own: loaded, called and stopped as any, and whatever it does harms nobody else."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from faulty_plugin import SOURCE
from housed import (
    Neighbour,
    became,
    children,
    configuration,
    housed,
    is_alive,
    process_of,
    until,
    write_plugin,
)
from plughost import Host
from plughost.contracts import Allow, AuthAttempt, Deny, Principal
from plughost.core.loading.housed import _refuse_system
from plughost.exceptions import NotCrossableError, PluginConfigError, PluginCrashedError, PluginProcessError

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def own_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What a test loads inside is not found by the next one."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    monkeypatch.setattr(sys, "modules", sys.modules)


GREETER = """
import os
import threading
import msgspec
from plughost import Plugin, hookimpl
from plughost import Host
from plughost.contracts import Allow, Deny, Device, Principal, HealthCheck


class Config(msgspec.Struct):
    greeting: str = "hello"
    times: int = 1


class Greeter(Plugin):
    version = "3.2"
    Config = Config

    async def check_config(self, config):
        if config.times < 1:
            raise ValueError("times must be above zero: write times = 1")

    async def start(self, context):
        self.context = context
        context.log.info("started", greeting=context.config.greeting)
        print("a line of its own")
        context.on_stop(lambda: (context.data_dir / "stopped").write_text("on_stop"))

    def status(self):
        return {"pid": os.getpid(), "greeting": self.context.config.greeting}

    @hookimpl(timeout=3.0, priority=5)
    async def authenticate(self, attempt):
        if attempt.credentials.get("password") != "right":
            return Deny("wrong password")
        return Allow(Principal("7", attempt.username, ("reader",)))

    @hookimpl
    def open_connection(self, app_name, config):
        return {"pid": os.getpid(), "config": config, "app": app_name, "set": {1, 2}, "by": Principal("1", "a")}

    @hookimpl(blocking=True)
    def describe_device(self, user_agent):
        assert threading.current_thread() is not threading.main_thread()
        return Device(name=user_agent)

    @hookimpl
    async def health_check(self, app_name):
        return {"status": "pass", "app": app_name}

    @hookimpl
    async def before_auth(self, attempt):
        return None
"""


async def test_a_plugin_in_its_own_process_answers_hooks_as_any_other(tmp_path: Path) -> None:
    write_plugin(tmp_path, GREETER, "greeter")
    async with housed(configuration(tmp_path, "greeter", {"greeting": "hi"})) as host:
        record = host.plugins["greeter"]
        assert (record.state, record.version, record.reason) == ("ready", "3.2", "")
        assert record.process is not None
        assert record.process.pid in {record.status["pid"]} - {os.getpid()}
        right = AuthAttempt(username="ann", credentials={"password": "right"})
        assert await host.hooks.authenticate(attempt=right) == Allow(Principal("7", "ann", ("reader",)))
        wrong = AuthAttempt(username="ann", credentials={"password": "wrong"})
        assert await host.hooks.authenticate(attempt=wrong) == Deny("wrong password")
        device = await host.hooks.describe_device(user_agent="walkie")
        assert device is not None
        assert device.name == "walkie"
        answer = await host.hooks.open_connection(app_name="shop", config={"url": "x"})
        assert answer == {
            "pid": record.process.pid,
            "config": {"url": "x"},
            "app": "shop",
            "set": {1, 2},
            "by": Principal("1", "a"),
        }
        assert await host.hooks.before_auth(attempt=right) == right


async def test_its_limits_and_places_are_those_its_marks_say(tmp_path: Path) -> None:
    write_plugin(tmp_path, GREETER, "greeter")
    async with housed(configuration(tmp_path, "greeter")) as host:
        (impl,) = host.pluggy.hook.authenticate.get_hookimpls()
        assert impl.argnames == ("attempt",)
        assert set(host.plugins["greeter"].hooks) == {
            *("authenticate", "before_auth", "describe_device", "health_check", "open_connection")
        }


async def test_what_was_asked_for_at_its_end_is_done_there(tmp_path: Path) -> None:
    write_plugin(tmp_path, GREETER, "greeter")
    async with housed(configuration(tmp_path, "greeter")) as host:
        pid = host.plugins["greeter"].status["pid"]
        assert await host.unload_plugin("greeter")
        assert not is_alive(int(str(pid)))
        assert (tmp_path / "data" / "greeter" / "stopped").read_text() == "on_stop"


CONFIGS = {
    "typed": ({"times": "two"}, "plugins.typed.config.times"),
    "spelled": ({"timse": 2}, "Did you mean 'times'?"),
    "checked": ({"times": 0}, "times must be above zero: write times = 1"),
}


async def test_a_configuration_is_refused_in_the_same_words_as_inside(tmp_path: Path) -> None:
    for name, (config, said) in CONFIGS.items():
        write_plugin(tmp_path, GREETER, name)
        elsewhere, inside = await failures(tmp_path, {name: config})
        assert said in elsewhere[name][2]
        assert elsewhere == inside


PLUGIN = "from plughost import Plugin, hookimpl\nclass P(Plugin):\n"
WRONG = {
    "imports": f"import not_there_at_all\n{PLUGIN}    pass\n",
    "makes": f"{PLUGIN}    def __init__(self, needed): pass\n",
    "hooks": f"{PLUGIN}    @hookimpl\n    def befor_auth(self): pass\n",
    "takes": f"{PLUGIN}    @hookimpl\n    def before_auth(self, atempt): pass\n",
    "old": f"{PLUGIN}    host_api = '>=9'\n",
    "starts": f"{PLUGIN}    async def start(self, context): raise OSError('no disk')\n",
    "shapes": f"{PLUGIN}    start = 3\n",
    "spawns": f"{PLUGIN}    async def work(self): pass\n"
    "    async def start(self, context): context.spawn(self.work())\n",
    "schedules": f"{PLUGIN}    async def start(self, context): context.every(60, None)\n",
    "hears": f"{PLUGIN}    async def start(self, context): context.events.subscribe('sold', None)\n",
    "ends": f"{PLUGIN}    async def start(self, context): context.on_stop(None)\n",
    "annotates": f"{PLUGIN}    @hookimpl\n    def before_auth(self, attempt: int): pass\n",
}


async def test_what_is_wrong_with_a_plugin_is_said_in_the_same_words_as_inside(tmp_path: Path) -> None:
    for name, source in WRONG.items():
        write_plugin(tmp_path, source, name)
    elsewhere, inside = await failures(tmp_path, {name: {} for name in WRONG})
    assert elsewhere == inside


async def failures(folder: Path, configs: Mapping[str, object]) -> list[dict[str, tuple[str, str, str]]]:
    """Why the plugins of a folder fail, each in its own process, and all inside."""
    told = []
    for isolation in ("process", "none"):
        host = {"plugin_dir": str(folder / "plugins"), "data_dir": str(folder / "data"), "allow": [*configs]}
        plugins = {name: {"isolation": isolation, "config": config} for name, config in configs.items()}
        async with housed({"host": host, "plugins": plugins}) as running:
            errors = {name: running.plugins[name].error for name in configs}
            assert None not in errors.values()
            told.append({name: (e.phase, e.kind, e.message) for name, e in errors.items() if e is not None})
    return told


CROSSING = {
    "provides": ("def provide_backup_artifacts(self, plan): pass", "the answer cannot", "Artifact.stream"),
    "restores": (
        "def restore_artifact(self, artifact, plan): pass",
        "argument 'artifact'",
        "Artifact.stream",
    ),
    "warms": ("def warm_cache(self, cache): pass", "the answer cannot", "WarmEntry.loader"),
    "connects": ("def connection_created(self, connection): pass", "argument 'connection'", "a live object"),
    "guards": ("def register_middleware(self, context): pass", "what it returns", "called in the host"),
}


async def test_a_hook_that_cannot_cross_is_refused_at_load_with_what_to_do(tmp_path: Path) -> None:
    for name, (source, _, _) in CROSSING.items():
        text = f"from plughost import Plugin, hookimpl\nclass P(Plugin):\n    @hookimpl\n    {source}\n"
        write_plugin(tmp_path, text, name)
    wraps = (
        "from plughost import Plugin, hookimpl\nclass P(Plugin):\n    @hookimpl(wrapper=True)\n"
        "    def before_auth(self, attempt):\n        return (yield)\n"
    )
    write_plugin(tmp_path, wraps, "wraps")
    table = configuration(tmp_path, "wraps")
    table["host"]["allow"] = [*CROSSING, "wraps"]
    table["plugins"] |= {name: {"isolation": "process"} for name in CROSSING}
    async with housed(table) as host:
        for name, (_, part, said) in CROSSING.items():
            error = host.plugins[name].error
            assert error is not None
            assert error.kind == NotCrossableError.__name__
            assert part in error.message
            assert said in error.message
            assert f'Take isolation = "process" out of [plugins.{name}]' in error.message
        assert "a wrapper stands around the implementations of others" in host.plugins["wraps"].reason


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_where_no_such_process_can_be_had_it_says_so(system: str) -> None:
    with pytest.raises(
        PluginProcessError, match=r"on Linux only, not on (Windows|macOS). Run the host on Linux"
    ):
        _refuse_system("thumbnails", system)


CRASHES = [
    ("segfault", "SIGSEGV ended it", "SIGSEGV", "misbehave"),
    ("abort", "SIGABRT ended it", "SIGABRT", "misbehave"),
    ("exit", "it exited by itself, with status 0", "", "misbehave"),
    ("close everything", "", None, ""),
    ("break the frames", "", None, ""),
]


def often(table: dict[str, Any]) -> dict[str, Any]:
    """The same host, which forgives crashes at once and often."""
    table["host"] |= {"max_restarts": 100, "restart_pause": 0.0}
    return table


async def test_a_crash_is_the_failure_of_that_call_and_the_next_one_is_answered(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    async with housed(often(configuration(tmp_path))) as host:
        await host.load_plugin(Neighbour, name="neighbour")
        for restarts, (fault, reason, signal, call) in enumerate(CRASHES, 1):
            report = await host.hooks.misbehave.report(how=fault)
            (outcome,) = report.outcomes
            assert outcome.kind == "error"
            assert type(outcome.error) is PluginCrashedError
            assert await host.hooks.describe_device(user_agent="x") is None
            await until(lambda restarts=restarts: process_of(host).restarts == restarts)
            await until(lambda: process_of(host).pid is not None)
            process = process_of(host)
            answer = await host.hooks.misbehave(how="")
            assert answer["pid"] == process.pid
            assert process.last_exit is not None
            assert reason in process.last_exit.reason
            assert signal in (process.last_exit.signal, None)
            assert call in process.last_exit.call
            assert (outcome.error.signal, outcome.error.exit) == (
                process.last_exit.signal,
                process.last_exit.exit,
            )
            await became(host, "faulty", "ready")


async def test_calls_that_a_crash_ends_are_told_in_a_line_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path)) as host:
        async with anyio.create_task_group() as calls:
            for _ in range(20):
                calls.start_soon(lambda: host.hooks.misbehave(how="sleep"))
            await until(lambda: process_of(host).in_flight == 20)
            os.kill(process_of(host).pid or 0, signal.SIGKILL)
        told = [one for one in caplog.records if one.message == "hook implementation failed"]
        assert len(told) == 20
        for record in told:
            assert record.exc_info is None
            assert "SIGKILL ended it" in record.__dict__["reason"]


async def test_a_call_that_comes_while_the_first_new_process_begins_waits_for_it(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path)) as host:
        before = host.plugins["faulty"].status["pid"]
        await host.hooks.misbehave.report(how="segfault")
        with anyio.fail_after(20):
            answer = await host.hooks.misbehave(how="")
        assert answer["pid"] != before


async def test_what_only_fails_is_the_failure_of_that_call_and_the_process_lives(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path)) as host:
        pid = host.plugins["faulty"].status["pid"]
        for fault in ("sys.exit", "raise", "odd answer", "big answer"):
            report = await host.hooks.misbehave.report(how=fault)
            assert [outcome.kind for outcome in report.outcomes] == ["error"], fault
            assert (await host.hooks.misbehave(how=""))["pid"] == pid


HANGS = {"spin": "in spin", "hold the lock": "faulty.py", "backtrack": "re", "stop": ""}


async def test_what_holds_its_event_loop_is_killed_and_where_it_stood_is_told(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    async with housed(often(configuration(tmp_path)), timeouts={"misbehave": 1.0}) as host:
        told = 0
        for restarts, (fault, where) in enumerate(HANGS.items(), 1):
            report = await host.hooks.misbehave.report(how=fault)
            assert [outcome.kind for outcome in report.outcomes] == ["timed_out"]
            await until(lambda restarts=restarts: process_of(host).restarts == restarts)
            process = process_of(host)
            assert process.last_exit is not None
            assert "misbehave held its event loop beyond its limit" in process.last_exit.reason
            assert process.last_exit.signal == "SIGKILL"
            # On a busy machine it may be killed before it has written down where it stood, which is told too.
            assert where in process.last_exit.stack or "did not even write" in process.last_exit.reason
            told += bool(process.last_exit.stack)
            await became(host, "faulty", "ready")
        assert told > 0


async def test_a_call_that_ends_when_it_is_cancelled_costs_the_process_nothing(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path, strikes=1), timeouts={"misbehave": 0.2}) as host:
        pid = host.plugins["faulty"].status["pid"]
        await host.hooks.misbehave.report(how="sleep")
        await anyio.sleep(0.4)
        assert await answers(host) == pid


async def answers(host: Host) -> int:
    """Wait for an answer; return whose it is."""
    answer = None
    with anyio.fail_after(30):
        while answer is None:  # on a busy machine it may take longer than its limit
            answer = await host.hooks.misbehave(how="")
    return answer["pid"]


async def test_calls_that_swallow_their_cancellation_are_strikes(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path, strikes=2), timeouts={"misbehave": 0.1}) as host:
        pid = host.plugins["faulty"].status["pid"]
        await host.hooks.misbehave.report(how="swallow")
        assert await answers(host) == pid
        await host.hooks.misbehave.report(how="swallow")
        await until(lambda: process_of(host).last_exit is not None)
        assert process_of(host).last_exit.reason == "2 of its calls did not end when they were cancelled"


async def test_a_short_limit_does_not_kill_what_another_call_within_its_own_limit_holds(
    tmp_path: Path,
) -> None:
    source = SOURCE.replace(
        "    @hookimpl\n    async def misbehave",
        "    @hookimpl\n    async def find_user(self, user_id):\n        time.sleep(1.0)\n\n"
        "    @hookimpl\n    async def misbehave",
    )
    write_plugin(tmp_path, source)
    async with housed(configuration(tmp_path), timeouts={"misbehave": 0.05, "find_user": 30.0}) as host:
        async with anyio.create_task_group() as calls:
            calls.start_soon(lambda: host.hooks.find_user(user_id="1", username=None))
            await anyio.sleep(0.1)
            report = await host.hooks.misbehave.report(how="")
            assert [outcome.kind for outcome in report.outcomes] == ["timed_out"]
        process = host.plugins["faulty"].process
        assert process is not None
        assert process.last_exit is None


async def test_one_that_crashes_too_often_is_put_in_quarantine(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    table = configuration(tmp_path)
    table["host"] |= {"max_restarts": 2, "restart_pause": 0.0}
    async with housed(table) as host:
        for crashes in range(1, 4):
            await host.hooks.misbehave.report(how="exit")
            if crashes < 3:
                await until(lambda crashes=crashes: process_of(host).restarts == crashes)
                await until(lambda: process_of(host).pid is not None)
        await became(host, "faulty", "quarantined")
        assert "ended more than 2 times" in host.plugins["faulty"].reason
        await host.reload_plugin("faulty")
        assert (await host.hooks.misbehave(how=""))["done"] is None


@pytest.mark.parametrize("fault", ["fork", "fork twice"])
async def test_what_it_forked_is_gone_with_it(tmp_path: Path, fault: str) -> None:
    write_plugin(tmp_path, SOURCE)
    before = children()  # of other tests, such as what multiprocessing leaves behind
    async with housed(configuration(tmp_path)) as host:
        await host.hooks.misbehave(how=fault)
        pid = int(str(host.plugins["faulty"].status["pid"]))
        (template,) = children() - before
        await anyio.sleep(0.1)
        left = children(pid)
        assert left
        await host.unload_plugin("faulty")
        await until(lambda: not any(map(is_alive, left)))
        assert children(template) == set()


@pytest.mark.parametrize(
    ("when", "fault"), [("at_start", "segfault"), ("at_start", "exit"), ("at_stop", "segfault")]
)
async def test_a_crash_at_start_or_stop_is_told_and_leaves_nothing(
    tmp_path: Path, when: str, fault: str
) -> None:
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path, config={when: fault})) as host:
        if when == "at_stop":
            await host.unload_plugin("faulty")
        record = host.plugins["faulty"]
        assert record.state == ("failed" if when == "at_start" else "stopped")
        assert "the process of plugin 'faulty' is gone" in record.reason


async def test_one_that_is_not_imported_in_time_is_ended_and_where_it_stood_is_told(tmp_path: Path) -> None:
    write_plugin(tmp_path, "import time\ntime.sleep(600)\n" + SOURCE)
    table = configuration(tmp_path)
    table["host"]["load_timeout"] = 3.0
    async with housed(table) as host:
        error = host.plugins["faulty"].error
        assert error is not None
        assert host.plugins["faulty"].state == "failed"
        assert (error.kind, error.phase) == ("PluginTimeoutError", "import")
        assert "had not imported it within its limit of 3 s and was ended. It stood at: " in error.message
        assert 'faulty.py", line 2 in <module>' in error.message
        (template,) = children()
        assert children(template) == set()


async def test_a_crash_while_the_configuration_is_checked_is_no_fault_of_the_configuration(
    tmp_path: Path,
) -> None:
    source = (
        "import os\nfrom plughost import Plugin\nclass P(Plugin):\n"
        "    async def check_config(self, config): os._exit(4)\n"
    )
    write_plugin(tmp_path, source, "greeter")
    async with housed(configuration(tmp_path, "greeter")) as host:
        error = host.plugins["greeter"].error
        assert error is not None
        assert (error.kind, error.phase) == (PluginCrashedError.__name__, "validation")
        assert "it exited by itself, with status 4" in error.message


async def test_a_reload_under_load_loses_no_call(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path)) as host:
        answers: list[object] = []
        over = False

        async def call() -> None:
            while not over:
                answers.append((await host.hooks.misbehave(how=""))["pid"])

        async with anyio.create_task_group() as calls:
            for _ in range(5):
                calls.start_soon(call)
            for _ in range(3):
                await host.reload_plugin("faulty")
            over = True
        assert len(set(answers)) >= 3
        assert None not in answers


async def test_an_exception_of_plughost_is_itself_though_it_is_a_value_error_too(tmp_path: Path) -> None:
    source = (
        "from plughost import Plugin, hookimpl\nfrom plughost.exceptions import *\nclass P(Plugin):\n    @hookimpl\n"
        "    async def misbehave(self, how):\n        if how == 'config':\n"
        "            raise PluginConfigError('no such lamp', plugin='other')\n"
        "        raise NotCrossableError('not this', plugin='other', hook='lamp')\n"
    )
    write_plugin(tmp_path, source)
    async with housed(configuration(tmp_path)) as host:
        for how, kind, said in (
            ("config", PluginConfigError, "no such lamp"),
            ("", NotCrossableError, "not this"),
        ):
            (outcome,) = (await host.hooks.misbehave.report(how=how)).outcomes
            assert type(outcome.error) is kind
            assert str(outcome.error) == said


async def test_an_object_cannot_be_put_into_another_process(tmp_path: Path) -> None:
    write_plugin(tmp_path, GREETER, "greeter")
    async with housed(configuration(tmp_path, "greeter")) as host:
        await host.unload_plugin("greeter")
        with pytest.raises(PluginProcessError, match=r"in which there is no such object\. Name it"):
            await host.load_plugin(Neighbour, name="greeter")


async def test_one_can_be_taken_inside_to_hunt_a_fault(tmp_path: Path) -> None:
    write_plugin(tmp_path, GREETER, "greeter")
    table = configuration(tmp_path, "greeter")
    async with Host("acme", config=table, environ={"PLUGHOST_IN_PROCESS": "other, Greeter"}) as host:
        record = host.plugins["greeter"]
        assert (record.status["pid"], record.process) == (os.getpid(), None)
