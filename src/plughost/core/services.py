"""Services: objects that one plugin provides and others use, found by their class or Protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, overload

import msgspec

from plughost.contracts.plugin import Service
from plughost.contracts.value_text import class_name, value_text
from plughost.exceptions import NotCrossableError, ServiceError, did_you_mean

T = TypeVar("T")
D = TypeVar("D")


class Elsewhere(Protocol):
    """A service that lives in another process."""

    def stand_in(self, service: Service[Any]) -> object:
        """Return an object of that class or Protocol whose members are called there.

        Raises:
            NotCrossableError: The members of that class cannot be called from another process.
        """


class Provision(msgspec.Struct, eq=False):
    """One value provided by one owner.

    Attributes:
        service: The class or Protocol, kept so that its identity is nobody else's; None for a value elsewhere.
        name: Its qualified name.
        value: The service; ``Elsewhere`` when it lives in another process.
        owner: Who provides it.
        number: Later ones have higher ones.
        face: What is kept here by whoever calls it for other processes.
    """

    service: Service[Any] | None
    name: str
    value: Any
    owner: str
    number: int
    face: Any = None


class ServiceRegistry:
    """What is provided now. Several owners may provide one class: the newest wins until it is withdrawn.

    Then the one before shows again, which is what a reload needs: the new plugin provides before the old one
    withdraws. Use it from the thread of the event loop only.

    Args:
        promised: Given the qualified name of a service, says in a sentence who would provide it and why it does not
            run; an empty text when nobody would.
    """

    def __init__(self, promised: Callable[[str], str] = lambda _: "") -> None:
        self._promised = promised
        self._provisions: dict[int, list[Provision]] = {}  # by identity: a metaclass may compare as it likes
        self._elsewhere: dict[str, list[Provision]] = {}  # by name: the class is one of another process
        self._numbers = count()
        self._watchers: list[Callable[[], None]] = []
        # By qualified name, not by class: a class kept here would keep the module of a removed plugin alive.
        self._last_owner: dict[str, str] = {}

    def provide(self, service: Service[Any], value: object, owner: str) -> Callable[[], None]:
        """Offer ``value`` to everyone who asks for ``service``.

        The value must be an instance of the class. Of a Protocol that is ``runtime_checkable`` it must have
        the members; for any other Protocol nothing can be checked here, and nothing is.

        Args:
            service: The class or Protocol it is asked for by.
            value: The service itself.
            owner: Name of the plugin; empty for the embedding application.

        Returns:
            The way to withdraw it; calling that again does nothing.

        Raises:
            TypeError: ``service`` is not a class, or ``value`` not an instance of it.
        """
        check_service(service, value)
        provision = Provision(
            service, class_name(service), value, owner or "application", next(self._numbers)
        )
        return self._add(self._provisions, id(service), provision)

    def provide_elsewhere(self, name: str, value: Elsewhere, owner: str) -> Callable[[], None]:
        """Offer a service of another process to everyone who asks for the class or Protocol of that qualified name.

        Returns:
            The way to withdraw it; calling that again does nothing.
        """
        return self._add(self._elsewhere, name, Provision(None, name, value, owner, next(self._numbers)))

    def use(self, service: Service[T]) -> T:
        """Return what was provided last.

        Raises:
            ServiceError: Nobody provides it; the message says who did, or what to do.
        """
        here = self._provisions.get(id(service))
        if not self._elsewhere:
            if not here:
                raise ServiceError(self._explain(service))
            value: T = here[-1].value
            return value
        refusal: NotCrossableError | None = None
        there = self._elsewhere.get(class_name(service), []) if isinstance(service, type) else []
        for provision in sorted([*(here or []), *there], key=_number, reverse=True):
            try:
                offered: Any = provision.value
                found: T = offered if provision.service is not None else offered.stand_in(service)
                return found
            except NotCrossableError as error:
                refusal = error
        if refusal is not None:
            raise ServiceError(str(refusal)) from refusal
        raise ServiceError(self._explain(service))

    @overload
    def get(self, service: Service[T]) -> T | None: ...
    @overload
    def get(self, service: Service[T], default: D) -> T | D: ...
    def get(self, service: Service[Any], default: Any = None) -> Any:
        """Return what was provided last, or ``default`` when nobody provides it."""
        if not self._elsewhere:
            here = self._provisions.get(id(service))
            return here[-1].value if here else default
        try:
            return self.use(service)
        except ServiceError:
            return default

    def named(self, name: str) -> Provision:
        """Return what was provided last under the qualified name of a class or Protocol.

        Raises:
            ServiceError: Nothing is; the message says who provided it, or what to do.
        """
        found = [*self._elsewhere.get(name, ())]
        found += [held[-1] for held in self._provisions.values() if held[-1].name == name]
        if not found:
            raise ServiceError(self._explain_name(name))
        newest: Provision = max(found, key=_number)
        return newest

    def provided(self) -> Mapping[str, str]:
        """Return the full name of each class that is provided now, with the owner that answers for it."""
        newest = [held[-1] for held in (*self._provisions.values(), *self._elsewhere.values())]
        return MappingProxyType({one.name: one.owner for one in sorted(newest, key=_number)})

    def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever something is provided or withdrawn, for as long as the registry lives."""
        self._watchers.append(changed)

    def _add(self, held: dict[Any, list[Provision]], key: Any, provision: Provision) -> Callable[[], None]:
        held.setdefault(key, []).append(provision)
        self._last_owner[provision.name] = provision.owner
        self._tell()

        def withdraw() -> None:
            found = held.get(key, [])
            if provision not in found:
                return
            found.remove(provision)
            if not found:
                del held[key]
            self._tell()

        return withdraw

    def _tell(self) -> None:
        for changed in self._watchers:
            changed()

    def _explain(self, service: Service[Any]) -> str:
        return self._explain_name(
            class_name(service) if issubclass(type(service), type) else value_text(service)
        )

    def _explain_name(self, full: str) -> str:
        name = _last_part(full)
        provided = set(self.provided())
        if promised := self._promised(full):
            return promised
        if owner := self._last_owner.get(full):
            if full in provided:
                return (
                    f"{name} is provided by {owner!r} for another copy of the class; import its module once"
                )
            return (
                f"{name} is not there: {owner!r} provided it and no longer runs. See why with"
                f" `plughost info {owner}`; name it in `requires` so as to start after it and stop before it."
            )
        for other in provided:
            if _last_part(other) == name:
                return f"nobody provides {full}: ask for {other}, which is provided"
        near = did_you_mean(name, map(_last_part, provided))
        return nobody_provides(name, near)


def nobody_provides(name: str, near: str = "") -> str:
    """Return the sentence for a service of which nothing is known but that it is not there."""
    return (
        f"no running plugin provides {name}.{near} Install and enable a plugin that provides it, and name that "
        "plugin in `requires`."
    )


def _number(provision: Provision) -> int:
    return provision.number


def _last_part(full_name: str) -> str:
    return full_name.rpartition(".")[2]


def check_service(service: Service[Any], value: object) -> None:
    """Refuse a value that is not what it is provided as.

    Raises:
        TypeError: ``service`` is not a class, or ``value`` not an instance of it.
    """
    if not isinstance(service, type):
        raise TypeError(f"a service is provided by its class or Protocol, not by {value_text(service)}")
    is_protocol = getattr(service, "_is_protocol", False)
    if is_protocol and not getattr(service, "_is_runtime_protocol", False):
        return
    if not isinstance(value, service):
        raise TypeError(
            f"{class_name(type(value))} is not a {_last_part(class_name(service))}: provide an instance of what is "
            "asked for"
        )
