"""The one task that speaks for this host: it joins, beats, tells what ended, and hears what happened."""

from __future__ import annotations

import random
import uuid
from typing import Protocol

import anyio
import msgspec

from plughost.contracts import (
    Beat,
    FleetMember,
    Greeting,
    Heard,
    MemberJoined,
    MemberLeft,
    MemberLost,
    RunEnd,
    Welcome,
    Word,
)
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.fleet.cards import OwnHost, decode_card, member_of
from plughost.plugins.fleet.failing import RecentCalls
from plughost.plugins.fleet.kit import CrewKit

_SHORTEST = 0.05  # seconds between two steps
_HAZARDS_EVERY = 60.0


class AgentListener(Protocol):
    """Whoever acts on what the agent hears."""

    def joined(self, welcome: Welcome) -> None:
        """Note that this host is a member, under another incarnation perhaps."""

    def heard(self, heard: Heard) -> None:
        """Note the answer to a beat."""

    def woken(self, word: Word) -> None:
        """Note why everybody was woken, long before the next beat would tell it."""


class Agent:
    """Keeps a host in its fleet.

    Args:
        kit: What it works with.
        host: What it tells of itself.
        listener: Is told what was heard.
        interval: Seconds between two beats.
        renames: Whether it takes another name when a living process has its own.
    """

    def __init__(
        self,
        kit: CrewKit,
        host: OwnHost,
        listener: AgentListener,
        *,
        interval: float,
        renames: bool,
    ) -> None:
        self._store = kit.store
        self.membership = kit.membership
        self._host = host
        self._recent = RecentCalls(host.counts, kit.clock)
        self._interval = interval
        self._base_name = kit.membership.name if renames else ""
        self._seal = kit.seal
        self._publish = kit.publish
        self._listener = listener
        self._clock = kit.clock
        self._log = kit.log
        self.hazards: tuple[str, ...] = ()
        self.retired = self._is_open = self._changed = False
        self._warned: set[str] = set()
        self._poke = anyio.Event()
        self._next_beat = self._next_look = 0.0
        self._ends: list[RunEnd] = []
        self._events: list[object] = []
        self._described = b""
        self._process = uuid.uuid4().hex
        self._roster: dict[str, FleetMember] | None = None
        self._roster_seen = 0

    def poke(self) -> None:
        """Have the next step made at once."""
        self._poke.set()

    def beat_at_once(self) -> None:
        """Have the next beat come at once: there is something to tell, or to hear."""
        self._next_beat = 0.0
        self.poke()

    async def listen(self) -> None:
        """Have looked at what holds for all whenever somebody proposed something, until cancelled."""
        while True:
            if self.membership.incarnation:
                try:
                    self._listener.woken(await self._store.wait_for_word())
                    continue
                except StoreUnavailableError:
                    pass  # beats tell it too, and what is wrong
            await self._clock.sleep(1.0)

    def describe_again(self) -> None:
        """Note that what this host tells of itself changed."""
        self._changed = True
        self.poke()

    def tell_end(self, end: RunEnd) -> None:
        """Have the end of a run told to the fleet."""
        self._ends.append(end)
        self.poke()

    def tell_event(self, event: object) -> None:
        """Have an event told on this host."""
        self._events.append(event)
        self.poke()

    async def run(self) -> None:
        """Keep the host in the fleet until cancelled."""
        while not self.retired:
            await self.step()
            nap = max(_SHORTEST, self._next_beat - self._clock.monotonic())
            await self._wait(nap)

    async def step(self) -> None:
        """Do what is to be done now; a store that cannot be reached is tried again later."""
        try:
            if not self._is_open:
                self._seal.have_key()
                await self._store.open()
                self._is_open = True
            if not self.membership.incarnation:
                await self._join()
            await self._send_ends()
            if self._clock.monotonic() >= self._next_beat:
                await self._beat()
            if self._changed:
                await self._describe()
        except StoreUnavailableError as error:
            if not self.membership.error:
                self._log.warning("the fleet's store cannot be reached", error=str(error))
            self.membership.error = str(error)
            self._next_beat = self._clock.monotonic() + self._jittered(min(1.0, self._interval / 3))
        while self._events:
            await self._publish(self._events.pop(0))

    async def leave(self) -> None:
        """Tell what is left to tell, and leave in order."""
        try:
            await self._send_ends()
            if self.membership.incarnation and not self.retired:
                await self._store.leave(self.membership.name, self.membership.incarnation)
        except StoreUnavailableError as error:
            self._log.warning("the fleet could not be told of the end", error=str(error))
        self.membership.cast_out()
        if self._is_open:
            self._is_open = False
            await self._store.close()

    async def _join(self) -> None:
        if self._base_name:  # nobody said which name it must be: one that no other living process has
            view = await self._store.view()
            taken = {one.member for one in view.members if one.lives(view.now) and not self._is_own(one.card)}
            name, number = self._base_name, 1
            while name in taken:
                number += 1
                name = f"{self._base_name}.{number}"
            self.membership.name = name
        sent = self._clock.monotonic()
        self._described = msgspec.msgpack.encode(self._host.card())
        greeting = Greeting(
            member=self.membership.name, ttl=round(self.membership.ttl * 1000), card=self._described,
            process=self._process,
        )  # fmt: skip
        welcome = await self._store.join(greeting)
        self.membership.entered(welcome.incarnation, welcome.epoch)
        self._listener.joined(welcome)
        self.membership.heard(sent, welcome.now)
        self._next_beat = self._next_look = 0.0
        self._log.info("joined the fleet", member=self.membership.name, incarnation=welcome.incarnation)

    def _is_own(self, card: bytes) -> bool:
        """Whether that member is this process, or one that it takes the place of."""
        theirs, mine = decode_card(card), self._host.card()
        same_place = (theirs.machine, theirs.worker) == (mine.machine, mine.worker)
        return same_place and (theirs.pid == mine.pid or mine.worker is not None)

    async def _send_ends(self) -> None:
        while self._ends:
            end = self._ends[0]
            if not await self._store.finish(end):
                self._log.warning("a run had been given up before it ended", job=end.job, token=end.token)
            self._ends.pop(0)

    async def _beat(self) -> None:
        mine = self.membership
        recent, before = self._recent.look(mine.applied)
        sent = self._clock.monotonic()
        heard = await self._store.beat(
            Beat(
                member=mine.name, incarnation=mine.incarnation, ready=self._host.ready(), draining=mine.draining,
                may_lead=self._seal.steers and mine.understands, applied=mine.applied, refused=mine.refused,
                runs=mine.held, lease=mine.lease, calls=recent.calls, failures=recent.failures,
                calls_before=before.calls, failures_before=before.failures,
            )
        )  # fmt: skip
        if not heard.known or heard.epoch != mine.epoch:
            await self._be_a_stranger()
            return
        mine.heard(sent, heard.now)
        mine.members = heard.members
        self._say_what_is_wrong()
        for token in heard.lost_runs:
            mine.lose(token)
        pause = self._jittered(max(self._interval, min(3 * self._interval, heard.members / 1000)))
        left = (heard.expires - heard.now) / 1000
        # sooner, when that will tell whether a member was lost
        self._next_beat = sent + min(pause, max(left, 0.0) + random.uniform(0.05, 0.3))  # noqa: S311  not a secret
        self._listener.heard(heard)
        if sent >= self._next_look:
            self.hazards = tuple(await self._store.hazards())
            self._next_look = sent + _HAZARDS_EVERY
        if heard.roster != self._roster_seen:
            await self._look_at_the_roster(heard.roster)

    def _say_what_is_wrong(self) -> None:
        """Log what is wrong though nothing of the fleet has failed by it yet, each time it begins."""
        mine = self.membership
        for what, why in (
            ("the clock of this host is wrong", mine.wrong_clock),
            ("the fleet's store is slow", mine.slow_store),
        ):
            if not why:
                self._warned.discard(what)
            elif what not in self._warned:
                self._warned.add(what)
                self._log.warning(what, member=mine.name, reason=why)

    async def _be_a_stranger(self) -> None:
        """Join anew; or end, when this very process has joined under the same name since: a reload."""
        mine = self.membership
        view = await self._store.view()
        for one in view.members:
            if one.member == mine.name and one.incarnation > mine.incarnation and one.lives(view.now):
                self.retired = decode_card(one.card).pid == self._host.card().pid
                if not self.retired and not self._base_name:
                    self._log.error(
                        "another process joined the fleet under this host's name: give one of them another"
                        " member_name",
                        member=mine.name,
                    )
                    self._next_beat = self._clock.monotonic() + mine.ttl
        mine.cast_out()
        if not self.retired:
            self._log.warning("the fleet had given this host up: it joins again", member=mine.name)
            await self._join()

    def _jittered(self, seconds: float) -> float:
        return seconds * random.uniform(0.9, 1.0)  # noqa: S311  not a secret

    async def _describe(self) -> None:
        self._changed = False
        card = msgspec.msgpack.encode(self._host.card())
        mine = self.membership
        if card == self._described or not mine.incarnation:
            return
        if await self._store.describe(mine.name, mine.incarnation, card):
            self._described = card

    async def _look_at_the_roster(self, roster: int) -> None:
        """See who came and went, and tell it here."""
        view = await self._store.view()
        now = {one.member: member_of(one, view.now) for one in view.members}
        before, self._roster, self._roster_seen = self._roster, now, roster
        if before is None:
            return
        for name, member in now.items():
            was = before.get(name)
            if was is not None and was.incarnation == member.incarnation and was.state == member.state:
                continue
            if was is not None and was.connected and was.incarnation != member.incarnation:
                self._events.append(MemberLost(was))
            if member.connected and (was is None or was.incarnation != member.incarnation):
                self._events.append(MemberJoined(member))
            elif member.state == "lost":
                self._log.warning("a member of the fleet was lost", member=name, seen_age=member.seen_age)
                self._events.append(MemberLost(member))
            elif member.state == "left":
                self._events.append(MemberLeft(member))

    async def _wait(self, seconds: float) -> None:
        """Return after so long, or when there is something to do before."""
        async with anyio.create_task_group() as either:

            async def listen() -> None:
                await self._poke.wait()
                either.cancel_scope.cancel()

            either.start_soon(listen)
            await self._clock.sleep(seconds)
            either.cancel_scope.cancel()
        if self._poke.is_set():
            self._poke = anyio.Event()
