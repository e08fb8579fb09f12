"""Events across hosts: what is told here goes to the store, and what the store has is told here, in its order."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

import anyio
import msgspec

from plughost.contracts import (
    Clock,
    FleetEventsMissed,
    FleetStore,
    Telling,
    Welcome,
    fleet_event_class,
)
from plughost.exceptions import FleetError, StoreUnavailableError
from plughost.plugins.fleet.membership import Membership
from plughost.plugins.fleet.seal import Seal
from plughost.plugins.fleet.wishes import secrets_in

MOST_WAITING = 1_000
"""How many events wait for a store that is away."""

MOST_BYTES = 8_192
_PAGE = 100
_PAUSE = 1.0


class SentEvent(msgspec.Struct, frozen=True):
    """An event on its way."""

    name: str
    version: int
    payload: bytes


class EventRelay:
    """Tells events to the fleet, and hears those of all.

    Args:
        store: Where events are.
        seal: How they are signed.
        membership: This host's place.
        publish: Tells an event on this host.
        clock: Time.
        log: Where it is told what could not be heard.
    """

    def __init__(
        self,
        store: FleetStore,
        seal: Seal,
        membership: Membership,
        *,
        publish: Callable[[object], Awaitable[None]],
        clock: Clock,
        log: Any,
    ) -> None:
        self._store = store
        self._seal = seal
        self._membership = membership
        self._publish = publish
        self._clock = clock
        self._log = log
        self._waiting: deque[bytes] = deque()
        self._first = 1  # the number of the first of them
        self._heard = 0
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
        document = self._seal.close(_packed(event))
        if len(self._waiting) >= MOST_WAITING:
            raise StoreUnavailableError(
                f"{MOST_WAITING} events wait for the fleet's store: this one is not told"
            )
        self._waiting.append(document)
        self.wake()

    def joined(self, welcome: Welcome) -> None:
        """Note where the events are: who joins first hears what comes, who is back what came meanwhile."""
        if not self._epoch:
            self._heard = welcome.event
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
                events = tuple(islice(self._waiting, _PAGE))
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
            self._log.warning("events of the fleet were not heard", count=count)
            await self._publish(FleetEventsMissed(count))
        self._heard = page.first - 1
        for document in page.events:
            self._heard += 1
            await self._tell_here(document)
        return self._heard < page.last and bool(page.events)

    async def _tell_here(self, document: bytes) -> None:
        try:
            sent = self._seal.open(document, SentEvent)
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


def _packed(event: object) -> SentEvent:
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
    return SentEvent(name, version, payload)
