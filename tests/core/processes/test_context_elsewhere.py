"""What a plugin asks of its context from a process of its own is done in the host."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest

from housed import configuration, housed, process_of, until, write_plugin
from plughost import Plugin, hookimpl
from plughost.contracts import AuthAttempt, Deny, HookReport, JobRun, PluginStarted

pytestmark = pytest.mark.anyio

BUSY = """
import logging
import os

import anyio

from plughost import Plugin, hookimpl
from plughost.contracts import AuthAttempt, Job, PluginStarted


class Busy(Plugin):
    def __init__(self):
        self.did = {"ticks": 0, "jobs": 0, "spawned": 0, "heard": [], "started": []}

    async def start(self, context):
        self.context = context
        context.every(0.02, self.tick)
        context.cron("0 0 1 1 *", self.tick, name="yearly")
        context.spawn(self.work, 3)
        context.events.subscribe("news", self.did["heard"].append)
        context.events.subscribe(PluginStarted, lambda event: self.did["started"].append(event.plugin.name))
        context.log.warning("beginning", depth=3)
        logging.getLogger("busy.library").error("library says %s", "hello")
        logging.getLogger("busy.library").error("%d drops", "three")

    async def tick(self):
        self.did["ticks"] += 1

    async def work(self, number):
        self.did["spawned"] += number
        if self.did["spawned"] < 9:
            raise OSError("once more")
        await anyio.sleep(3600)

    @hookimpl
    def register_jobs(self):
        return [Job(name="own", function=self.own_job, every=0.02)]

    def own_job(self):
        self.did["jobs"] += 1

    @hookimpl
    async def misbehave(self, how):
        if how == "publish":
            await self.context.events.publish("told", {"by": os.getpid()})
        if how == "ask":
            return await self.context.hooks.before_auth(attempt=AuthAttempt(username="zoe"))
        if how == "report":
            return await self.context.hooks.authenticate.report(attempt=AuthAttempt(username="zoe"))
        if how == "unknown":
            await self.context.hooks.nobody_declares_this(x=1)
        if how == "use":
            self.context.use(Plugin)
        return self.did
"""


class Renames(Plugin):
    """A plugin inside the host, which is called from the other process."""

    @hookimpl
    async def before_auth(self, attempt: AuthAttempt) -> AuthAttempt:
        return AuthAttempt(username=f"{attempt.username}!")

    @hookimpl
    async def authenticate(self, attempt: AuthAttempt) -> Deny:
        return Deny(f"not {attempt.username}")


async def test_jobs_tasks_and_events_happen_in_the_process(tmp_path: Path) -> None:
    write_plugin(tmp_path, BUSY, "busy")
    table = configuration(tmp_path, "busy")
    table["host"]["restart_pause"] = 0.0
    async with housed(table) as host:
        jobs = {record.name for record in host.jobs.snapshot() if record.owner == "busy"}
        assert jobs == {"tick", "yearly", "own"}
        await host.events.publish("news", {"n": 1})
        told: list[object] = []
        host.events.subscribe("told", told.append)
        await host.hooks.misbehave(how="publish")
        assert told == [{"by": process_of(host, "busy").pid}]
        done = await host.hooks.misbehave(how="")
        while not (done["ticks"] > 1 and done["jobs"] > 1 and done["spawned"] == 9):
            done = await host.hooks.misbehave(how="")
        assert done["heard"] == [{"n": 1}]
        # Of the background task, which the host restarts and counts.
        assert host.plugins["busy"].restarts == 2


SQUAD = """
from plughost import Plugin, hookimpl
from plughost.contracts import Job, current_run


class Squad(Plugin):
    def __init__(self):
        self.runs = {}

    async def start(self, context):
        context.every(0.02, self.waits, scope="fleet")
        context.every(0.02, self.alone)

    async def waits(self):
        self.runs["waits"] = current_run()

    def alone(self):
        self.runs["alone"] = current_run()

    def plain(self):
        self.runs["plain"] = current_run()

    @hookimpl
    def register_jobs(self):
        return [Job(name="plain", function=self.plain, every=0.02, scope="fleet")]

    @hookimpl
    async def misbehave(self, how):
        return self.runs
"""


async def test_a_job_of_the_fleet_knows_its_run_there(tmp_path: Path) -> None:
    write_plugin(tmp_path, SQUAD, "squad")
    async with housed(configuration(tmp_path, "squad")) as host:
        runs: dict[str, JobRun | None] = {}
        while len(runs) < 3:
            runs = await host.hooks.misbehave(how="")
        assert runs["alone"] is None
        for name in ("waits", "plain"):
            run = runs[name]
            assert type(run) is JobRun
            assert (run.job, run.attempt) == (f"squad:{name}", 1)
            assert run.slot > 0


ENDS = """
import os
from plughost import Plugin, hookimpl
from plughost.contracts import Job

class Ends(Plugin):
    async def start(self, context):
        context.events.subscribe("end", self.end)

    async def end(self, _=None):
        os._exit(3)

    @hookimpl
    def register_jobs(self):
        return [Job(name="end", function=self.end, cron="0 0 1 1 *")]
"""


@pytest.mark.parametrize("how", ["event", "job"])
async def test_what_its_crash_ends_is_told_in_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    write_plugin(tmp_path, ENDS, "ends")
    async with housed(configuration(tmp_path, "ends")) as host:
        await (host.events.publish("end", None) if how == "event" else host.jobs.run_now("end"))
    said = {"event": "event subscriber failed", "job": "job failed"}[how]
    (record,) = [one for one in caplog.records if one.getMessage() == said]
    assert record.exc_info is None
    assert "it exited by itself, with status 3" in record.__dict__["reason"]


async def test_its_subscriptions_hear_events_of_contracts(tmp_path: Path) -> None:
    write_plugin(tmp_path, BUSY, "busy")
    async with housed(configuration(tmp_path, "busy")) as host:
        await host.load_plugin(Renames, name="neighbour")
        assert "neighbour" in (await host.hooks.misbehave(how=""))["started"]
        assert PluginStarted.__name__ in str(host.events.subscribed_by("busy"))


async def test_hooks_of_the_host_are_called_from_within_a_call(tmp_path: Path) -> None:
    write_plugin(tmp_path, BUSY, "busy")
    async with housed(configuration(tmp_path, "busy")) as host:
        await host.load_plugin(Renames, name="neighbour")
        assert await host.hooks.misbehave(how="ask") == AuthAttempt(username="zoe!")
        report = await host.hooks.misbehave(how="report")
        assert type(report) is HookReport
        assert report.result == Deny("not zoe")
        assert [(one.plugin, one.kind) for one in report.outcomes] == [("neighbour", "value")]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("unknown", "nobody declared a hook 'nobody_declares_this'"),
        ("use", "no running plugin provides Plugin. Install and enable"),
    ],
)
async def test_what_cannot_be_had_is_said_in_the_process(tmp_path: Path, how: str, said: str) -> None:
    write_plugin(tmp_path, BUSY, "busy")
    async with housed(configuration(tmp_path, "busy")) as host:
        report = await host.hooks.misbehave.report(how=how)
        assert said in str(report.outcomes[0].error)


async def test_its_logs_are_told_by_the_host(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_plugin(tmp_path, BUSY + "\n\nprint('\\x1b[31mred')\n", "busy")
    with caplog.at_level(logging.INFO):
        async with housed(configuration(tmp_path, "busy")):
            await until(lambda: len({record.name for record in caplog.records} & NAMES) == len(NAMES))
    told = {record.getMessage(): record for record in caplog.records}
    assert told["beginning"].levelname == "WARNING"
    assert told["beginning"].__dict__["depth"] == 3
    assert told["library says hello"].name == "busy.library"
    assert told["library says hello"].__dict__["plugin"] == "busy"
    assert any(said.startswith("a message that cannot be made: TypeError") for said in told)
    assert "\\x1b[31mred" in [record.__dict__.get("line") for record in caplog.records]


NAMES = {"plughost.plugin.busy", "busy.library"}


async def test_a_confined_plugin_starts_and_its_record_says_what_holds(tmp_path: Path) -> None:
    source = """
import os
import socket

from plughost import Plugin, hookimpl


class Curious(Plugin):
    async def start(self, context):
        (context.data_dir / "own").write_text("x")

    @hookimpl
    async def misbehave(self, how):
        found = []
        for name, attempt in {
            "read": lambda: open("/etc/passwd"),
            "write": lambda: open("/tmp/plughost-was-here", "w"),
            "network": lambda: socket.create_connection(("127.0.0.1", 9)),
            "exec": lambda: os.execv("/bin/true", ["true"]),
            "fork": os.fork,
            "signal": lambda: os.kill(os.getppid(), 0),
        }.items():
            try:
                attempt()
            except OSError as error:
                found.append((name, error.errno))
        return found
"""
    write_plugin(tmp_path, source, "curious")
    async with housed(configuration(tmp_path, "curious", confine={})) as host:
        assert host.plugins["curious"].reason == ""
        refused = await host.hooks.misbehave(how="")
        assert [name for name, _ in refused] == ["read", "write", "network", "exec", "fork", "signal"]
        assert {number for _, number in refused} <= {1, 13}
        held = process_of(host, "curious").confinement
        assert {"no privileges", "no network", "no programs"} <= set(held)
        assert (tmp_path / "data" / "curious" / "own").read_text() == "x"


@pytest.mark.parametrize("start", ["template", "fresh"])
async def test_it_begins_as_a_fork_or_as_an_interpreter_of_its_own(
    tmp_path: Path, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_SECRET", "x")
    write_plugin(tmp_path, BUSY, "busy")
    async with housed(configuration(tmp_path, "busy", start=start)) as host:
        process = process_of(host, "busy")
        command = await anyio.Path(f"/proc/{process.pid}/cmdline").read_text()
        assert ("\0guest\0" in command) is (start == "fresh")
        assert process.start == start
        assert "SECRET" not in await anyio.Path(f"/proc/{process.pid}/environ").read_text()
        assert (await host.hooks.misbehave(how=""))["heard"] == []
