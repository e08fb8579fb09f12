"""Events that every host of a fleet hears: classes that were made for it, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from plughost._dataclasses import dataclass

C = TypeVar("C", bound=type[Any])

_classes: WeakValueDictionary[str, type[Any]] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class FleetEventsMissed:
    """Event: this host did not hear some events of the fleet, and never will: look at everything again.

    Attributes:
        count: How many; 0 when nobody knows, since the fleet's store lost everything.
    """

    count: int


def fleet_event(name: str, *, version: int = 1) -> Callable[[C], C]:
    """Let a class of events cross from host to host: ``await context.use(Fleet).publish(OrdersChanged(7))``.

    Every host, the publisher too, tells an instance to whoever subscribed to the class there. Decorate a frozen
    dataclass or a ``msgspec.Struct``: what ``msgspec`` can write and read crosses, and no secrets do.

    Args:
        name: What the event is called in the whole fleet, such as ``orders.changed``.
        version: Change it with the fields: hosts with another one leave the event out, and log that.

    Raises:
        ValueError: Another class has that name.
    """

    def mark(cls: C) -> C:
        known = _classes.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(
                f"{name!r} is the name of {known.__module__}.{known.__qualname__}: choose another"
            )
        cls.__fleet_event__ = (name, version)
        _classes[name] = cls
        return cls

    return mark


def fleet_event_class(name: str) -> type[Any] | None:
    """Return the class of that name here, as it was defined last; None when there is none."""
    return _classes.get(name)
