"""Members of a fleet under misfortune, in one process and in no time, the same for the same seed.

Every member is what a host really runs: agent, gate and scheduler. Only time and the way to the store are made up; the
store is in memory, or over a real engine (``fleet_engines``). Calls are dropped before or after they did something,
delayed and doubled; members are cut off, paused as by SIGSTOP, killed and started again; their wall clocks are wrong
by hours. What must hold is looked at after each step.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import structlog
from msgspec.structs import replace

from fleet_engines import Engine, StoreOver
from plughost.contracts import CallCounts, current_run
from plughost.contracts.fleet_store import Claimed, JobClaim, StoredJob, View
from plughost.contracts.jobs import Job
from plughost.core.jobs import JobScheduler
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.fleet.agent import Agent
from plughost.plugins.fleet.cards import MemberCard
from plughost.plugins.fleet.gate import FleetGate
from plughost.plugins.fleet.kit import CrewKit
from plughost.plugins.fleet.membership import Membership
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.seal import Seal
from plughost.plugins.fleet.stores.memory import MemoryFleetStore
from plughost.testing import FakeClock

JOBS: dict[str, dict[str, Any]] = {
    "often": {"every": 7},
    "slow": {"every": 11, "takes": 40},
    "every one": {"every": 20, "missed": "all"},
    "on time": {"every": 13, "missed": "skip"},
    "again": {"every": 17, "retries": 2, "fails": True},
}
INTERVAL = 5.0
TTL = 15.0


class Violated(Exception):
    """Something that must hold does not."""


class MemberClock:
    """Time as one member sees it: wrong by hours, and standing still for it while it is paused."""

    def __init__(self, truth: FakeClock, skew: float) -> None:
        self._truth = truth
        self._skew = skew
        self._runs = anyio.Event()
        self._runs.set()
        self.was_paused = False

    def time(self) -> float:
        return self._truth.time() + self._skew

    def monotonic(self) -> float:
        return self._truth.monotonic() + 1000.0

    async def sleep(self, seconds: float) -> None:
        await self._truth.sleep(seconds)
        await self.awake()

    async def awake(self) -> None:
        """Return at once, or when the process goes on."""
        await self._runs.wait()

    def pause(self) -> None:
        if self._runs.is_set():
            self._runs = anyio.Event()
        self.was_paused = True

    def resume(self) -> None:
        self._runs.set()

    @property
    def is_paused(self) -> bool:
        return not self._runs.is_set()


class SilentHost:
    """What a member tells of its host: that it is ready, and that nobody calls anything."""

    def ready(self) -> bool:
        return True

    def counts(self) -> CallCounts:
        return CallCounts()

    def card(self) -> MemberCard:
        return MemberCard(pid=id(self))


class Way:
    """The way from one member to the store: a ``FleetStore`` on which calls get lost, late and doubled."""

    name = "way"

    def __init__(
        self, store: StoreOver, truth: FakeClock, clock: MemberClock, chance: random.Random, trouble: float
    ) -> None:
        self._store = store
        self._truth = truth
        self._clock = clock
        self._chance = chance
        self.trouble = trouble
        self.is_cut = False
        self._is_gone = False
        self._under_way: list[anyio.CancelScope] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._store, name)

        async def travel(*args: object) -> Any:
            if self._is_gone:
                raise StoreUnavailableError("its process is gone")
            with anyio.CancelScope() as scope:
                self._under_way.append(scope)
                await self._hop()
                if self._is_lost():
                    await self._give_up()
                answer = await call(*args)
                if self._chance.random() < self.trouble / 3:
                    await call(*args)  # it came twice; the first answer is read
                await self._hop()
                if self._is_lost():
                    await self._give_up()
                await self._clock.awake()
                return answer
            raise StoreUnavailableError("its process is gone")

        return travel

    def end(self) -> None:
        """Cut off what is under way, for good: some of it nobody else can, as in a process that lives."""
        self._is_gone = True
        for scope in self._under_way:
            scope.cancel()

    async def _hop(self) -> None:
        late = self._chance.random() < self.trouble
        await self._truth.sleep(self._chance.uniform(0.5, 3.0) if late else 0.001)

    def _is_lost(self) -> bool:
        return self.is_cut or self._chance.random() < self.trouble / 3

    async def _give_up(self) -> None:
        await self._truth.sleep(2.0)
        await self._clock.awake()
        raise StoreUnavailableError("no answer")


class Member:
    """One process of the fleet."""

    def __init__(self, world: World, name: str) -> None:
        chance = world.chance
        self.world = world
        self.name = name
        self.clock = MemberClock(world.truth, chance.choice((0.0, 7200.0, -7200.0)))
        self.way = Way(world.store, world.truth, self.clock, chance, world.trouble)
        self.membership = world.make_membership(name, 3 * world.interval, self.clock)
        self.working: dict[str, int] = {}
        self.idle_since: dict[int, float] = {}
        self._removes: list[Callable[[], None]] = []
        log = structlog.get_logger("silent", silent=True)
        seal = Seal(b"of the simulation, and nobody else's")
        kit = CrewKit(
            store=self.way, seal=seal, revisions=Revisions(self.way, seal), membership=self.membership,  # type: ignore[arg-type]
            publish=world.hear, clock=self.clock, log=log,
        )  # fmt: skip
        self.agent = Agent(kit, SilentHost(), self, interval=world.interval, renames=False)  # type: ignore[arg-type]
        self.gate = FleetGate(kit, self.agent, world.zone)
        self.scheduler = JobScheduler(clock=self.clock, gate=lambda: self.gate)
        self.scope = anyio.CancelScope()

    def joined(self, welcome: Any) -> None:
        pass

    def heard(self, heard: Any) -> None:
        self.gate.overdue(heard.overdue)

    def woken(self, word: Any) -> None:
        pass

    async def live(self) -> None:
        self.reload()
        with self.scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.agent.run)
                tasks.start_soon(self.scheduler.run)

    def reload(self) -> None:
        """Take all jobs away, and add them again, as a plugin does that is loaded anew."""
        while self._removes:
            self._removes.pop()()
        for name, given in JOBS.items():
            more = {key: value for key, value in given.items() if key not in ("takes", "fails")}
            work = self._work(f"world:{name}", given.get("takes", 1), given.get("fails", False))
            job = Job(name=name, function=work, limit=300, scope="fleet", **more)
            self._removes.append(self.scheduler.add(job, owner="world"))

    def _work(self, key: str, takes: int, fails: bool) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            run = current_run()
            assert run is not None
            self.clock.was_paused = self.clock.is_paused
            self.world.started(self, key, run.slot, run.token, run.attempt)
            self.working[key] = run.token
            try:
                for _ in range(takes):
                    await self.clock.sleep(1)
                if fails and self.world.chance.random() < 0.5:
                    raise ValueError("as it happens")
            finally:
                del self.working[key]

        return work


class Misfortunes(ABC):
    """Members in made-up time, and what befalls them; whoever derives from it says what must hold."""

    choices: tuple[str, ...] = ("none", "cut", "mend", "pause", "resume", "kill")
    begins = 1_800_000_000.0
    step = 0.5

    def __init__(self, seed: int, *, store: type[StoreOver], engine: Engine, trouble: float) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a seed makes it repeatable
        random.seed(seed)  # what members leave to chance themselves
        self.truth = FakeClock(start=self.begins)
        self.store: Any = store(engine(self.truth.time), self.truth.time)
        self.trouble = trouble
        self.members: list[Any] = []

    @abstractmethod
    def make_member(self, name: str) -> Any:
        """Return a member that does not live yet: with ``name``, ``clock``, ``way``, ``scope`` and ``live``."""

    @abstractmethod
    async def check(self) -> None:
        """Look at what must hold at every moment."""

    def begin(self, members: int, tasks: Any) -> None:
        """Bring the members to life."""
        self.members = [self.make_member(f"m{number}") for number in range(members)]
        for member in self.members:
            tasks.start_soon(member.live)

    async def strike(self, tasks: Any) -> None:
        """Let one misfortune happen to one member."""
        number = self.chance.randrange(len(self.members))
        member = self.members[number]
        match self.chance.choice(self.choices):
            case "cut":
                member.way.is_cut = True
            case "mend":
                member.way.is_cut = False
            case "pause":
                member.clock.pause()
            case "resume":
                member.clock.resume()
            case "reload":
                member.reload()
            case "kill":
                self.start_anew(number, tasks)

    def start_anew(self, number: int, tasks: Any) -> None:
        """Kill a member, and have another process take its place."""
        member = self.members[number]
        member.scope.cancel()
        member.way.end()
        self.members[number] = self.make_member(member.name)
        tasks.start_soon(self.members[number].live)

    async def calm_down(self, seconds: float) -> None:
        """End all misfortunes, and let everything come to rest."""
        for member in self.members:
            member.clock.resume()
            member.way.trouble, member.way.is_cut = 0.0, False
        await self.pass_time(seconds)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in steps, and look after each."""
        end = self.truth.monotonic() + seconds
        while (left := end - self.truth.monotonic()) > 0:
            await self.truth.advance(min(self.step, left))
            await self.check()


class World(Misfortunes):
    """A fleet with jobs, and what must hold of their runs."""

    zone: tzinfo = UTC
    interval = INTERVAL

    def __init__(
        self,
        seed: int,
        *,
        members: int = 3,
        trouble: float = 0.1,
        store: type[StoreOver],
        engine: Engine = MemoryFleetStore,
        make_membership: Callable[..., Membership] = Membership,
    ) -> None:
        super().__init__(seed, store=store, engine=engine, trouble=trouble)
        self.make_membership = make_membership
        self.steps = 0
        self._size = members
        self.events: list[object] = []
        self.starts: dict[str, dict[tuple[float, int], int]] = defaultdict(dict)
        self.newest: dict[str, int] = defaultdict(int)
        self.violations: list[str] = []  # a job that raises only fails
        self.jobs: Sequence[StoredJob] = ()  # in the end

    async def hear(self, event: object) -> None:
        self.events.append(event)

    async def run(self, steps: int) -> None:
        """Let so many misfortunes happen, and then none until everything has come to rest."""
        await self.store.open()
        async with anyio.create_task_group() as tasks:
            self.begin(self._size, tasks)
            try:
                for _ in range(steps):
                    await self.strike(tasks)
                    await self.pass_time(self.chance.uniform(0.5, 12.0))
                await self.calm_down(90.0)
                await self._check_that_every_slot_is_accounted_for()
            finally:
                for member in self.members:
                    member.way.end()
                await self.store.close()
            tasks.cancel_scope.cancel()

    def started(self, member: Member, job: str, slot: float, token: int, attempt: int) -> None:
        """A run began: note it, and look at what must hold of it."""
        if (slot, attempt) in self.starts[job] or (attempt > 1 and "again" not in job):
            self.violations.append(f"{job} {slot} was started twice")
        if token in {other for tokens in self.starts.values() for other in tokens.values()}:
            self.violations.append("a token was given twice")
        if slot > self.truth.time():
            self.violations.append(f"{job} {slot} was started before its time")
        if token <= self.newest[job]:
            self.violations.append(f"the token of {job} did not grow")
        self.starts[job][slot, attempt] = self.newest[job] = token

    def make_member(self, name: str) -> Member:
        return Member(self, name)

    async def check(self) -> None:
        self.steps += 1
        if self.violations:
            raise Violated(self.violations[0])
        for member in self.members:
            if member.clock.is_paused or member.clock.was_paused:
                member.clock.was_paused = member.clock.is_paused
                continue  # it cannot stop what it does not see; on waking it has one moment
            if member.working and not member.membership.connected:
                raise Violated(f"{member.name} works on {[*member.working]} though it is cut off")
            self._check_that_somebody_is_at_what_is_held(member)
        for job in {key for member in self.members for key in member.working}:
            at_it = [one for one in self.members if job in one.working and not one.clock.is_paused]
            if len(at_it) > 1:
                raise Violated(f"{job} runs on {[one.name for one in at_it]} at once")

    def _check_that_somebody_is_at_what_is_held(self, member: Member) -> None:
        idle = {run.token: run.job for run in member.membership.held if run.job not in member.working}
        member.idle_since = {token: member.idle_since.get(token, self.truth.time()) for token in idle}
        for token, since in member.idle_since.items():
            if self.truth.time() - since > 2 * TTL:
                raise Violated(f"{member.name} holds {idle[token]}, and nobody is at it")

    async def _check_that_every_slot_is_accounted_for(self) -> None:
        view: View = await self.store.view()
        self.jobs = view.jobs
        for job in view.jobs:
            every = JOBS[job.job.partition(":")[2]]["every"]
            first = next(iter(sorted(slot for slot, _ in self.starts[job.job])), None)
            if first is None:
                raise Violated(f"{job.job} never ran")
            passed = round((job.slot / 1000 - self.begin_of(job.job, every)) / every)
            told = self.first_tries(job.job, view) + job.missed + job.skipped
            if told != passed:
                raise Violated(f"{job.job}: {passed} slots passed and {told} are accounted for")
            if view.now / 1000 - job.slot / 1000 > every + TTL + 3 * INTERVAL:
                raise Violated(f"{job.job} stands still")

    def begin_of(self, job: str, every: float) -> float:
        """Return the last slot before the job became known."""
        return float(self.known_since[job] // every * every)

    @property
    def known_since(self) -> dict[str, float]:
        return self.store.known_since  # type: ignore[attr-defined,no-any-return]

    def first_tries(self, job: str, view: View) -> int:
        """Return how many slots were given out, those to a process that died before it could start among them."""
        return self.store.given[job]  # type: ignore[attr-defined,no-any-return]


class WatchedStore(StoreOver):
    """A store that counts the slots it gives out, and remembers since when it knows a job."""

    def __init__(self, engine: Any, now: Callable[[], float]) -> None:
        super().__init__(engine, now)
        self.given: dict[str, int] = defaultdict(int)
        self.known_since: dict[str, float] = {}

    async def enlist(self, enlistment: Any) -> Any:
        now = self._time()
        answer = await super().enlist(enlistment)
        if answer.known:
            self.known_since.setdefault(enlistment.job, now)
        return answer

    async def claim(self, claim: JobClaim) -> Claimed:
        answer = await super().claim(claim)
        if answer.verdict == "run" and answer.attempt == 1:
            self.given[claim.job] += 1
        return answer


class ReloadingWorld(World):
    """A fleet whose plugin is loaded anew all the time."""

    choices = (*World.choices, *("reload",) * 12)


class NightWorld(World):
    """A fleet in a night in which the clocks of Berlin are changed, whose hosts are started anew in the midst."""

    zone = ZoneInfo("Europe/Berlin")
    interval, step = 60.0, 20.0

    async def sleep_through(self, seconds: float) -> None:
        """Let so many seconds pass."""
        await self.store.open()
        async with anyio.create_task_group() as tasks:
            self.begin(self._size, tasks)
            await self.pass_time(seconds / 2)
            for number in range(self._size):
                self.start_anew(number, tasks)
            await self.pass_time(seconds / 2)
            for member in self.members:
                member.way.end()
            await self.store.close()
            tasks.cancel_scope.cancel()


class ForgetfulStore(WatchedStore):
    """Planted: it gives out a slot again, as a lock that is deleted at the end would."""

    async def claim(self, claim: JobClaim) -> Claimed:
        answer = await super().claim(claim)
        if answer.verdict == "taken" and claim.job.endswith("often"):
            return replace(answer, verdict="run", slot=claim.slot, token=answer.token + 1, attempt=1)
        return answer


class SameTokenStore(WatchedStore):
    """Planted: tokens do not grow."""

    async def claim(self, claim: JobClaim) -> Claimed:
        answer = await super().claim(claim)
        return replace(answer, token=5) if answer.verdict == "run" else answer


class FallingTokenStore(WatchedStore):
    """Planted: tokens are never given twice, and fall."""

    async def claim(self, claim: JobClaim) -> Claimed:
        answer = await super().claim(claim)
        return replace(answer, token=2**60 - answer.token) if answer.verdict == "run" else answer


class RefusingStore(WatchedStore):
    """Planted: nobody is given the slots of one job."""

    async def claim(self, claim: JobClaim) -> Claimed:
        if claim.job.endswith("often"):
            return Claimed(verdict="taken", now=claim.slot)
        return await super().claim(claim)


class TiredStore(WatchedStore):
    """Planted: after a while nobody is given the slots of one job any more."""

    async def claim(self, claim: JobClaim) -> Claimed:
        if claim.job.endswith("often") and self.given[claim.job] >= 3:
            return Claimed(verdict="taken", now=claim.slot)
        return await super().claim(claim)


class UncountedStore(WatchedStore):
    """Planted: slots that passed with nobody there are not accounted for."""

    async def claim(self, claim: JobClaim) -> Claimed:
        return await super().claim(replace(claim, missed=0))


class ImpatientStore(WatchedStore):
    """Planted: a run is given up while its host is still at it."""

    async def claim(self, claim: JobClaim) -> Claimed:
        return await super().claim(replace(claim, lease=1_000))

    async def beat(self, beat: Any) -> Any:
        return await super().beat(replace(beat, lease=1_000))


class BoldMembership(Membership):
    """Planted: a host that is cut off goes on with what it was at."""

    async def until_lost(self, token: int) -> None:
        await anyio.sleep_forever()


class WallClockMembership(Membership):
    """Planted: a host takes its own clock for the fleet's."""

    def now(self) -> float:
        return self._clock.time()


class CredulousStore(WatchedStore):
    """Planted: a slot has come when whoever asks for it says so."""

    async def claim(self, claim: JobClaim) -> Claimed:
        answer = await super().claim(claim)
        if answer.verdict == "early":
            return replace(answer, verdict="run", slot=claim.slot, token=answer.token + 1, attempt=1)
        return answer


# What is wrong, the part that has it, what must be noticed, and the seed from which on it is looked for.
PLANTED: Sequence[tuple[str, dict[str, Any], str, int]] = (
    ("a slot is given out twice", {"store": ForgetfulStore}, "started twice", 0),
    ("tokens are given twice", {"store": SameTokenStore}, "given twice", 0),
    ("tokens do not grow", {"store": FallingTokenStore}, "did not grow", 0),
    ("a job is forgotten", {"store": RefusingStore}, "never ran", 0),
    ("a job ends for ever", {"store": TiredStore}, "stands still", 0),
    ("missed slots are not told", {"store": UncountedStore}, "accounted for", 3),
    ("a run is given up too early", {"store": ImpatientStore}, "at once", 9),
    (
        "a host that is cut off goes on",
        {"store": WatchedStore, "make_membership": BoldMembership},
        "cut off",
        4,
    ),
    (
        "hosts go by clocks of their own",
        {"store": WatchedStore, "make_membership": WallClockMembership},
        "stands still",
        0,
    ),
    (
        "the store believes a host's clock",
        {"store": CredulousStore, "make_membership": WallClockMembership},
        "before its time",
        0,
    ),
)
