"""Events: facts that are told to whoever subscribed, typed ones by class and named ones by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from operator import attrgetter
from typing import Any, TypeVar, overload

import msgspec

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.events import EventCallback, Unsubscribe
from plughost.contracts.logs import get_logger
from plughost.contracts.plugin import check_function
from plughost.core.containment import Point, failure_fields
from plughost.core.stepping import LimitPassedError
from plughost.core.time_limit import contained_call

E = TypeVar("E")

_by_number = attrgetter("number")


class _Subscription(msgspec.Struct, eq=False):
    """One callback; ``active`` turns False when it was ended, also during a publication."""

    number: int
    callback: EventCallback
    owner: str
    active: bool = True


class EventBus:
    """Tells events to subscribers, one after the other in the order they subscribed.

    A subscriber of a class hears events of its subclasses too; a subscriber of ``object`` hears every typed
    event. A subscriber of a name hears only that name. A subscriber that raises or passes the limit is logged
    with its owner, and neither the publisher nor the other subscribers notice. ``KeyboardInterrupt`` and the
    cancellation of the publisher go through. Use it from the thread of the event loop only.

    Args:
        limit: Seconds an async callback may take. A synchronous one cannot be stopped: it must not wait.
        clock: Measures the limit.
    """

    def __init__(self, *, limit: float = 5.0, clock: Clock = SYSTEM_CLOCK) -> None:
        self._limit = limit
        self._clock = clock
        self._log = get_logger("plughost.events")
        self._numbers = count()
        self._subscriptions: dict[type[Any] | str, list[_Subscription]] = {}

    @overload
    def subscribe(self, event: type[E], callback: Callable[[E], Any], *, owner: str = ...) -> Unsubscribe: ...
    @overload
    def subscribe(self, event: str, callback: EventCallback, *, owner: str = ...) -> Unsubscribe: ...
    def subscribe(self, event: type[Any] | str, callback: EventCallback, *, owner: str = "") -> Unsubscribe:
        """Call ``callback`` for each event of that class, or with the data of each event of that name.

        Subscribing the same callback twice calls it twice. A subscription made while an event is being
        published hears the next one.

        Args:
            event: A class, or a name.
            callback: Sync or async; called with the event, or with the data of a named one.
            owner: Name of the plugin it belongs to; empty for the embedding application.

        Returns:
            The way to end the subscription.

        Raises:
            TypeError: ``event`` is neither a class nor a name, or ``callback`` cannot be called.
        """
        if not isinstance(event, (type, str)):
            raise TypeError(f"subscribe to a class or to a name, not to {type(event).__name__}")
        check_function(callback, "subscribe")
        subscription = _Subscription(next(self._numbers), callback, owner)
        self._subscriptions.setdefault(event, []).append(subscription)

        def end() -> None:
            if not subscription.active:
                return
            subscription.active = False
            remaining = self._subscriptions[event]
            remaining.remove(subscription)
            if not remaining:
                del self._subscriptions[event]

        return end

    async def publish(self, event: object, data: object = None) -> None:
        """Tell everyone who subscribed, and return when all have been told.

        Args:
            event: An instance of an event class, or a name.
            data: What goes with a name; a typed event carries its own.

        Raises:
            TypeError: ``data`` was given with a typed event.
        """
        if not self._subscriptions and data is None:
            return
        told: Iterable[_Subscription]
        if isinstance(event, str):
            told, payload = self._subscriptions.get(event, ()), data
        elif data is None:
            lists = [found for cls in type(event).__mro__ if (found := self._subscriptions.get(cls))]
            in_order = sorted((one for found in lists for one in found), key=_by_number)
            told, payload = in_order if len(lists) > 1 else lists[0] if lists else (), event
        else:
            raise TypeError(f"data goes with a named event only; {type(event).__name__} carries its own")
        for subscription in tuple(told):
            if subscription.active:
                try:
                    await contained_call(
                        Point.EVENT, subscription.callback, payload, limit=self._limit, clock=self._clock
                    )
                except Exception as error:
                    name = event if isinstance(event, str) else type(event).__qualname__
                    owner = subscription.owner or "application"
                    if isinstance(error, LimitPassedError):
                        self._log.warning(
                            "event subscriber timed out", event_name=name, owner=owner, limit=self._limit
                        )
                    else:
                        self._log.warning(
                            "event subscriber failed", event_name=name, owner=owner, **failure_fields(error)
                        )

    @property
    def is_heard(self) -> bool:
        """Whether anybody subscribed to anything."""
        return bool(self._subscriptions)

    def subscribed_by(self, owner: str) -> tuple[str, ...]:
        """Return the events that a plugin is subscribed to: their names, or the full names of their classes."""
        return tuple(
            event if isinstance(event, str) else f"{event.__module__}.{event.__qualname__}"
            for event, found in self._subscriptions.items()
            for one in found
            if one.owner == owner
        )
