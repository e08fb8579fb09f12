"""Services: objects that one plugin provides and others use, found by their class or Protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar, overload

from plughost.contracts.plugin import Service
from plughost.contracts.value_text import class_name, value_text
from plughost.exceptions import ServiceError, did_you_mean

T = TypeVar("T")
D = TypeVar("D")


@dataclass(slots=True, eq=False)
class _Provision:
    """One value provided by one owner."""

    service: Service[Any]  # kept, so that its identity is nobody else's
    name: str
    value: Any
    owner: str


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
        self._provisions: dict[int, list[_Provision]] = {}  # by identity: a metaclass may compare as it likes
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
        _check(service, value)
        provision = _Provision(service, class_name(service), value, owner or "application")
        self._provisions.setdefault(id(service), []).append(provision)
        self._last_owner[provision.name] = provision.owner
        return lambda: self._withdraw(service, provision)

    def use(self, service: Service[T]) -> T:
        """Return what was provided last.

        Raises:
            ServiceError: Nobody provides it; the message says who did, or what to do.
        """
        found = self._provisions.get(id(service))
        if not found:
            raise ServiceError(self._explain(service))
        value: T = found[-1].value
        return value

    @overload
    def get(self, service: Service[T]) -> T | None: ...
    @overload
    def get(self, service: Service[T], default: D) -> T | D: ...
    def get(self, service: Service[Any], default: Any = None) -> Any:
        """Return what was provided last, or ``default`` when nobody provides it."""
        found = self._provisions.get(id(service))
        return found[-1].value if found else default

    def provided(self) -> Mapping[str, str]:
        """Return the full name of each class that is provided now, with the owner that answers for it."""
        return MappingProxyType({found[-1].name: found[-1].owner for found in self._provisions.values()})

    def _withdraw(self, service: Service[Any], provision: _Provision) -> None:
        found = self._provisions.get(id(service), [])
        if provision not in found:
            return
        found.remove(provision)
        if not found:
            del self._provisions[id(service)]

    def _explain(self, service: Service[Any]) -> str:
        full = class_name(service) if issubclass(type(service), type) else value_text(service)
        name = _last_part(full)
        provided = {found[-1].name for found in self._provisions.values()}
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
        return (
            f"no running plugin provides {name}.{near} Install and enable a plugin that provides it, and name"
            " that plugin in `requires`."
        )


def _last_part(full_name: str) -> str:
    return full_name.rpartition(".")[2]


def _check(service: Service[Any], value: object) -> None:
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
