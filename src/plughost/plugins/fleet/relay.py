"""Events across hosts: what is told here goes to the store, and what the store has is told here, in its order."""

from __future__ import annotations

import uuid
from collections import deque
from itertools import islice

import anyio
import msgspec
from msgspec.structs import replace

from plughost.contracts import (
    FleetEventsMissed,
    Telling,
    Welcome,
    fleet_event_class,
)
from plughost.exceptions import FleetError, StoreUnavailableError
from plughost.plugins.fleet.kit import CrewKit
from plughost.plugins.fleet.wishes import secrets_in

MOST_WAITING = 1_000
"""How many events wait for a store that is away."""

MOST_BYTES = 8_192
_PAGE = 100
_MOST_PROCESSES = 10_000
_PAUSE = 1.0


class SentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way; it says so much of itself that nobody can tell it a second time.

    Attributes:
        name: Name of its class in the fleet.
        version: Version of that.
        payload: Its fields.
        member: Who told it.
        process: Which process that was.
        number: That process's own number of it, which only grows.
        at: The store's time when it was sent.
    """

    name: str
    version: int
    payload: bytes
    member: str = ""
    process: str = ""
    number: int = 0
    at: float = 0.0


class EventRelay:
    """Tells events to the fleet, and hears those of all.

    Args:
        kit: What it works with.
    """

    def __init__(self, kit: CrewKit) -> None:
        self._store = kit.store
        self._seal = kit.seal
        self._membership = kit.membership
        self._publish = kit.publish
        self._clock = kit.clock
        self._log = kit.log
        self._waiting: deque[SentEvent] = deque()
        self._first = 1  # the number of the first of them
        self._process = uuid.uuid4().hex
        self._heard = 0
        self._heard_of: dict[str, int] = {}  # process -> the largest number that was heard of it
        self._since = 0.0
        self._epoch = ""
        self._lost_everything = False
        self._changed = anyio.Event()
        self._sending = anyio.Lock()

    def tell(self, event: object) -> None:
        """Have an event told to the fleet.

        Raises:
            FleetError: It cannot cross.
            StoreUnavailableError: Too many wait already.
        """
        self._seal.require_key()
        name, version = getattr(type(event), "__fleet_event__", ("", 0))
        if not name:
            raise FleetError(f"{type(event).__name__} stays on this host: mark the class with @fleet_event")
        try:
            payload = msgspec.msgpack.encode(event)
        except (TypeError, ValueError) as error:
            raise FleetError(f"{name} cannot cross to other hosts: {error}") from error
        if secrets := list(secrets_in(msgspec.to_builtins(event))):
            raise FleetError(
                f"{name}: {', '.join(secrets)} may be secret, and secrets do not travel through the fleet"
            )
        if len(payload) > MOST_BYTES:
            raise FleetError(
                f"{name} has {len(payload)} bytes, and may have {MOST_BYTES}: tell where to look instead"
            )
        packed = SentEvent(name=name, version=version, payload=payload)
        if len(self._waiting) >= MOST_WAITING:
            raise StoreUnavailableError(
                f"{MOST_WAITING} events wait for the fleet's store: this one is not told"
            )
        self._waiting.append(packed)
        self.wake()

    def joined(self, welcome: Welcome) -> None:
        """Note where the events are: who joins first hears what comes, who is back what came meanwhile."""
        if not self._epoch:
            self._heard, self._since = welcome.event, welcome.now / 1000
        elif self._epoch != welcome.epoch:
            self._heard, self._lost_everything = 0, True
        self._epoch = welcome.epoch
        self.wake()

    def hear(self, last: int) -> None:
        """Note the number of the last event."""
        if last > self._heard:
            self.wake()

    def wake(self) -> None:
        """Have looked at whether there is something to tell or to hear."""
        self._changed.set()

    async def run(self) -> None:
        """Tell and hear, until cancelled."""
        while self._seal.steers:  # without a secret nobody could know who told an event
            self._changed = anyio.Event()
            try:
                await self.send()
                if self._epoch and await self._read():
                    continue
            except StoreUnavailableError:
                await self._clock.sleep(_PAUSE)
                continue
            await self._changed.wait()

    async def send(self) -> None:
        """Tell the store what waits, as far as this host is a member."""
        mine = self._membership
        async with self._sending:
            while self._waiting and mine.incarnation:
                events = tuple(
                    self._seal.close(
                        replace(event, member=mine.name, process=self._process, number=number, at=mine.now())
                    )
                    for number, event in enumerate(islice(self._waiting, _PAGE), self._first)
                )
                telling = Telling(
                    member=mine.name, incarnation=mine.incarnation, first=self._first, events=events
                )
                if not (await self._store.tell(telling)).known:
                    return  # it joins again, and is woken then
                for _ in events:
                    self._waiting.popleft()
                self._first += len(events)

    async def _read(self) -> bool:
        """Hear the next events; returns whether there are more."""
        epoch = self._epoch
        page = await self._store.events_after(self._heard, _PAGE)
        if epoch != self._epoch:
            return True  # it is another store meanwhile
        missed = page.first - self._heard - 1
        if missed > 0 or self._lost_everything:
            count, self._lost_everything = 0 if self._lost_everything else missed, False
            self._log.warning("events of the fleet were not heard", count=count or "unknown")
            await self._publish(FleetEventsMissed(count))
        self._heard = page.first - 1
        for document in page.events:
            self._heard += 1
            await self._tell_here(document)
        return self._heard < page.last and bool(page.events)

    async def _tell_here(self, document: bytes) -> None:
        try:
            sent = self._seal.open(document, SentEvent)
            self._refuse_what_was_told_before(sent)
            kind = fleet_event_class(sent.name)
            if kind is None:
                return  # nobody here knows it
            if kind.__fleet_event__[1] != sent.version:
                raise FleetError(
                    f"it is of version {sent.version}, and this host has {kind.__fleet_event__[1]}"
                )
            event = msgspec.msgpack.decode(sent.payload, type=kind)
        except (FleetError, msgspec.MsgspecError) as error:
            self._log.error("an event of the fleet is not heard", number=self._heard, error=str(error))
            return
        await self._publish(event)

    def _refuse_what_was_told_before(self, sent: SentEvent) -> None:
        """Refuse what somebody who cannot sign wrote into the store again.

        A process's numbers only grow. What was told before this host joined is nothing that it should hear; of what
        was on its way at that moment nobody can tell, and so it is heard, once.
        """
        if sent.number <= self._heard_of.get(sent.process, 0) or sent.at < self._since - self._membership.ttl:
            raise FleetError(
                f"{sent.name} of {sent.member} was told before, and was written into the store again: look who can"
                " write to it"
            )
        self._heard_of.pop(sent.process, None)  # to the end: whoever told last is the last to be forgotten
        self._heard_of[sent.process] = sent.number
        if len(self._heard_of) > _MOST_PROCESSES:
            del self._heard_of[next(iter(self._heard_of))]
