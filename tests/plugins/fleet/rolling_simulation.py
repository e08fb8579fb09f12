"""Roll-outs under misfortune, in one process and in no time, the same for the same seed.

Each member has the parts of a real one that roll-outs need: agent, follower, conductor. Only time, the way to the
store and what a host does with a plugin are made up. What must hold is looked at after each step.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import anyio
import structlog
from msgspec.structs import replace

from fleet_engines import Engine, StoreOver
from plughost.contracts import CallCounts, FleetChange, RolloutPlan
from plughost.exceptions import FleetError, PluginError
from plughost.plugins.fleet.agent import Agent
from plughost.plugins.fleet.cards import MemberCard
from plughost.plugins.fleet.conducting import Conductor
from plughost.plugins.fleet.draining import LastOrder
from plughost.plugins.fleet.following import RevisionFollower
from plughost.plugins.fleet.kit import CrewKit
from plughost.plugins.fleet.membership import Membership
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.seal import Seal
from plughost.plugins.fleet.stores.memory import MemoryFleetStore

_simulation = sys.modules["fleet_simulation"]

PLAN = RolloutPlan(settle=5.0, batch="50%", max_unavailable=2, healthy_deadline=60.0, progress_deadline=120.0)
SEAL = Seal(b"k" * 32)
TTL = 15.0


class MadeUpHost:
    """A host with one plugin, which takes a while to start, and refuses some settings."""

    running = True
    follows_fleet = True
    plugins: Mapping[str, Any] = {}

    def __init__(self, clock: Any, chance: random.Random) -> None:
        self._clock = clock
        self._chance = chance
        self._table: Mapping[str, Any] = {}
        self.is_ready = True
        self.busy = False
        self._counts = CallCounts()
        self._counted_at = clock.monotonic()

    def ready(self) -> bool:
        return self.is_ready

    def card(self) -> MemberCard:
        return MemberCard(pid=id(self))

    def counts(self) -> CallCounts:
        """Forty calls a second, of which a few fail by themselves and half with some settings."""
        calls = round((self._clock.monotonic() - self._counted_at) * 40)
        share = 0.5 if self._table.get("kind") == "failing" else 0.01
        self._counts += CallCounts(calls, round(calls * share))
        self._counted_at = self._clock.monotonic()
        return self._counts

    def drain(self, *, on: bool) -> None:
        raise AssertionError("nobody wants it")

    def lay_over(self, plugins: Mapping[str, Mapping[str, Any]], origin: str) -> Mapping[str, str]:
        self._table = plugins.get("lamp", {}).get("config", {})
        return {}

    async def bring_plugin(self, name: str, *, again: bool = False) -> Any:
        table = self._table
        self.is_ready, self.busy = False, True
        try:
            await self._clock.sleep(self._chance.uniform(0.5, 6.0))
        finally:
            self.is_ready, self.busy = table.get("kind") != "ill", False
        if table.get("kind") == "bad":
            raise PluginError("it does not start", plugin=name)
        return SimpleNamespace(version="1")


class MadeUpCopy:
    """A disk that takes no time."""

    document: bytes | None = None

    async def read(self) -> bytes:
        if self.document is None:
            raise FileNotFoundError
        return self.document

    async def keep(self, document: bytes) -> None:
        self.document = document


class Member:
    """One process of the fleet."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.clock = _simulation.MemberClock(world.truth, 0.0)
        self.way = _simulation.Way(world.store, world.truth, self.clock, world.chance, world.trouble)
        self.host = MadeUpHost(self.clock, world.chance)
        self.membership = Membership(name, TTL, self.clock)
        log = structlog.get_logger("silent", silent=True)
        kit = CrewKit(
            store=self.way, seal=SEAL, revisions=Revisions(self.way, SEAL), membership=self.membership,  # type: ignore[arg-type]
            publish=world.hear, clock=self.clock, log=log,
        )  # fmt: skip
        self.conductor = Conductor(kit)
        self.agent = Agent(kit, self.host, self, interval=5.0, renames=False)  # type: ignore[arg-type]
        self.follower = RevisionFollower(
            kit, self.host, copy=world.copies.setdefault(name, MadeUpCopy()),  # type: ignore[arg-type]
            last_order=LastOrder(MadeUpCopy(), SEAL), allow_urls=(),  # type: ignore[arg-type]
            told=self.agent.beat_at_once,
        )  # fmt: skip
        self.scope = anyio.CancelScope()

    def joined(self, welcome: Any) -> None:
        pass

    def heard(self, heard: Any) -> None:
        self.follower.want(heard.step)
        self.conductor.hear(heard.step, heard.leads)

    def woken(self, word: Any) -> None:
        self.follower.wake()
        self.conductor.wake()

    async def live(self) -> None:
        with self.scope:
            async with anyio.create_task_group() as tasks:
                for task in (self.agent.run, self.agent.listen, self.follower.run, self.conductor.run):
                    tasks.start_soon(task)


def revisions_in(store: Any) -> Revisions:
    """Return what an administrator has of a store."""
    return Revisions(store, SEAL)


class Watched(StoreOver):
    """A store that remembers what was ever active, and whose turn it ever was."""

    def __init__(self, engine: Any, now: Callable[[], float]) -> None:
        super().__init__(engine, now)
        self.active: list[int] = [0]
        self.turns: dict[int, set[str]] = {}
        self.states: list[str] = []
        self.reasons = ""

    async def propose(self, proposal: Any) -> Any:
        answer = await super().propose(proposal)
        await self._note()
        return answer

    async def go_on(self, step: Any) -> bool:
        went = await super().go_on(step)
        await self._note()
        return went

    async def _note(self) -> None:
        steering = await self.steering()
        self.active.append(steering.active)
        roll = revisions_in(self).roll_of(steering)
        if roll is not None:
            self.turns.setdefault(roll.revision, set()).update(roll.turn)
            self.states.append(roll.state)
            self.reasons += roll.reason


class World(_simulation.Misfortunes):  # type: ignore[misc, name-defined]
    """A fleet, changes that are rolled out in it, and what must hold."""

    choices = ("none", "cut", "mend", "mend", "pause", "resume", "resume", "kill")

    def __init__(
        self,
        seed: int,
        *,
        members: int = 4,
        trouble: float = 0.1,
        store: type[Watched] = Watched,
        engine: Engine = MemoryFleetStore,
        kinds: tuple[str, ...] = ("good", "good", "bad", "ill"),
    ) -> None:
        super().__init__(seed, store=store, engine=engine, trouble=trouble)
        self.copies: dict[str, MadeUpCopy] = {}
        self._size = members
        self._kinds = kinds
        self.kinds: dict[int, str] = {}
        self.urgent: set[int] = set()
        self.tried: dict[int, set[str]] = {}
        self.ends: list[str] = []

    async def hear(self, event: Any) -> None:
        self.ends.append(getattr(event, "state", ""))

    async def run(self, steps: int) -> None:
        """Let so many misfortunes and changes happen, and then none until everything has come to rest."""
        await self.store.open()
        try:
            async with anyio.create_task_group() as tasks:
                self.begin(self._size, tasks)
                await self.pass_time(10.0)
                for _ in range(steps):
                    await self._change()
                    await self.strike(tasks)
                    await self.pass_time(self.chance.uniform(1.0, 30.0))
                await self.calm_down(400.0)
                await self._check_that_all_follow()
                tasks.cancel_scope.cancel()
        finally:
            await self.store.close()

    async def _change(self) -> None:
        """Propose something, or hold a roll-out up, as an administrator would whose store answers."""
        revisions = revisions_in(self.store)
        what = self.chance.choice(("change", "change", "change", "urgent", "pause", "resume", "abort"))
        newest = (await self.store.steering()).newest
        try:
            if what == "change":
                kind = self.chance.choice(self._kinds)
                config = {"kind": kind, "number": self.chance.random()}
                made = await revisions.propose(
                    FleetChange("configure", "lamp", config=config), PLAN, expect=None, author="x"
                )
                self.kinds[made.revision] = kind
            elif what == "urgent":
                made = await revisions.propose(
                    FleetChange("quarantine", "other"), None, expect=None, author="x"
                )
                self.urgent.add(made.revision)
            else:
                await revisions.steer_rollout(newest, what)  # type: ignore[arg-type]
        except FleetError:
            pass  # something is on its way already, or nothing is

    def make_member(self, name: str) -> Member:
        return Member(self, name)

    async def check(self) -> None:
        violated = _simulation.Violated
        if self.store.active != sorted(self.store.active):
            raise violated(f"what is active went back: {self.store.active}")
        for member in self.members:
            number = member.follower._followed.number
            self.tried.setdefault(number, set()).add(member.name)
            if number not in self.store.active and member.name not in self.store.turns.get(number, ()):
                raise violated(f"{member.name} follows {number}, and it was not its turn")
        for number, kind in self.kinds.items():
            if kind in ("bad", "failing") and len(self.tried.get(number, ())) > PLAN.canary:
                raise violated(f"{number} is {kind}, and reached {self.tried[number]}")
        await self._check_that_enough_are_there()

    async def _check_that_enough_are_there(self) -> None:
        roll = revisions_in(self.store).roll_of(await self.store.steering())
        if roll is None or roll.state not in ("rolling", "settling", "reverting"):
            return
        target = roll.back if roll.state == "reverting" else roll.revision
        at_it = [
            one.name
            for one in self.members
            if one.host.busy and one.follower._followed.number == target and one.name in roll.turn
        ]
        if len(at_it) > PLAN.max_unavailable:
            raise _simulation.Violated(f"{at_it} are away at once")

    async def _check_that_all_follow(self) -> None:
        steering = await self.store.steering()
        roll = revisions_in(self.store).roll_of(steering)
        if roll is not None and roll.state in ("proposed", "rolling", "settling", "reverting"):
            raise _simulation.Violated(f"revision {roll.revision} stands still: {roll.state}")
        wanted = {
            one.name: roll.wanted_of(one.name, steering.active, one.membership.applied)
            if roll
            else steering.active
            for one in self.members
        }
        follows = {one.name: one.membership.applied for one in self.members}
        if follows != wanted:
            raise _simulation.Violated(f"not all follow in the end: {follows} instead of {wanted}")


# planted faults


class HastyStore(Watched):
    """Planted: a revision is active as soon as it is proposed."""

    async def propose(self, proposal: Any) -> Any:
        return await super().propose(type(proposal)(**{**_fields(proposal), "at_once": True}))


class BackwardStore(Watched):
    """Planted: what is active goes back to what it was before."""

    async def steering(self) -> Any:
        found = await super().steering()
        if found.active > 2 and found.step % 5 == 0:
            return type(found)(**{**_fields(found), "active": found.active - 1})
        return found


class SilentStore(Watched):
    """Planted: steps of a roll-out are confirmed and forgotten."""

    async def go_on(self, step: Any) -> bool:
        return await super().go_on(step) if len(self.active) < 4 else True


class DeafStore(Watched):
    """Planted: nobody hears of changes that are made on all hosts at once."""

    def __init__(self, engine: Any, now: Callable[[], float]) -> None:
        super().__init__(engine, now)
        self._unheard = 0
        self._hushes = False

    async def propose(self, proposal: Any) -> Any:
        self._hushes = proposal.at_once
        answer = await super().propose(proposal)
        if answer.accepted and proposal.at_once:
            self._unheard = (await self.steering()).step
        return answer

    async def _wake(self, word: Any) -> None:
        hushes, self._hushes = self._hushes, False
        if not hushes:
            await super()._wake(word)

    async def beat(self, beat: Any) -> Any:
        heard = await super().beat(beat)
        return replace(heard, step=heard.step - 1) if heard.step and heard.step == self._unheard else heard


class ForwardStore(Watched):
    """Planted: whoever asks is told that what is proposed is active."""

    _notes = False

    async def steering(self) -> Any:
        found = await super().steering()
        return found if self._notes else replace(found, active=found.newest, roll=b"")

    async def _note(self) -> None:
        self._notes = True
        await super()._note()
        self._notes = False


def everybody_at_once(after: Callable[..., Any]) -> Callable[..., Any]:
    """Planted: all hosts get their turn with the second wave."""

    def advanced(roll: Any, members: Any, now: int) -> Any:
        found = after(roll, members, now)
        if found.state == "rolling" and found.turn and roll.turn and found is not roll:
            names = sorted(one.member for one in members)
            return type(found)(
                **{**_fields(found), "turn": (*found.turn, *(n for n in names if n not in found.turn))}
            )
        return found

    return advanced


def nobody_asks(after: Callable[..., Any]) -> Callable[..., Any]:
    """Planted: the next hosts get their turn though nobody told that it is good."""

    def advanced(roll: Any, members: Any, now: int) -> Any:
        if roll.state in ("rolling", "settling"):
            rest = [one.member for one in members if one.member not in roll.turn]
            return type(roll)(**{**_fields(roll), "turn": (*roll.turn, *rest[:1])}) if rest else roll
        return after(roll, members, now)

    return advanced


def nobody_counts(after: Callable[..., Any]) -> Callable[..., Any]:
    """Planted: how often calls fail is not looked at."""

    def advanced(roll: Any, members: Any, now: int) -> Any:
        return after(roll, [replace(one, failures=0) for one in members], now)

    return advanced


def all_go_back(after: Callable[..., Any]) -> Callable[..., Any]:
    """Planted: all hosts go back as soon as one may."""

    def advanced(roll: Any, members: Any, now: int) -> Any:
        found = after(roll, members, now)
        return type(found)(**{**_fields(found), "returning": found.turn}) if found.returning else found

    return advanced


def _fields(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


Planted = tuple[str, type[Watched], Callable[..., Any] | None, str, int]
"""What is wrong, the store and the part that has it, what must be noticed, and from which seed on it is looked for."""

PLANTED: tuple[Planted, ...] = (
    ("a revision is active before anybody said that it is good", HastyStore, None, "is bad, and reached", 0),
    ("what is active goes back", BackwardStore, None, "went back", 0),
    ("steps are forgotten", SilentStore, None, "stands still", 0),
    ("more hosts are away than may be", Watched, everybody_at_once, "away at once", 12),
    ("changes at once are not heard", DeafStore, None, "not all follow", 2),
    ("hosts do not wait for their turn", ForwardStore, None, "not its turn", 0),
    ("nobody asks whether it is good", Watched, nobody_asks, "is bad, and reached", 1),
)

PLANTED_DEEP: tuple[Planted, ...] = (("hosts go back all at once", Watched, all_go_back, "away at once", 0),)
"""What takes many seeds to be found."""
