"""Services of a plugin in its own process, in both directions: those it provides, and those of others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plughost.contracts.plugin import Service
from plughost.contracts.value_text import class_name, value_text
from plughost.core.services import check_service, nobody_provides
from plughost.core.wire.calls import WireCalls
from plughost.core.wire.protocol import Member, crossing_of
from plughost.core.wire.services import ServiceCall, ServiceFace
from plughost.exceptions import ServiceError


class GuestServices:
    """What is provided from here, and what there is elsewhere.

    Args:
        plugin: Name of the plugin.
        calls: The way to the host.
    """

    def __init__(self, plugin: str, calls: WireCalls) -> None:
        self._plugin = plugin
        self._calls = calls
        self._there: frozenset[str] = frozenset()
        self._provided: dict[str, tuple[ServiceFace, object]] = {}

    def learn(self, names: Iterable[str]) -> None:
        """The host says what is provided now."""
        self._there = frozenset(names)

    def provide(self, service: Service[Any], value: object) -> str:
        """Have calls of a service answered by ``value``; return its qualified name.

        Raises:
            TypeError: It is not what it is provided as.
            NotCrossableError: It has a member that cannot be called from another process.
        """
        check_service(service, value)
        face = ServiceFace(self._plugin, service)
        self._provided[face.name] = face, value
        return face.name

    def use(self, service: Service[Any]) -> object:
        """Return an object that stands for a service of another process.

        Raises:
            ServiceError: Nobody provides it.
            NotCrossableError: It has a member that cannot be called from another process.
        """
        name = class_name(service) if isinstance(service, type) else value_text(service)
        if name not in self._there:  # said first: a plugin that can do without catches this
            raise ServiceError(nobody_provides(name.rpartition(".")[2]))

        async def ask(call: ServiceCall) -> bytes:
            answer: bytes = await self._calls.call(Member.USE, (call,), crossing_of(Member.USE))
            return answer

        return ServiceFace(self._plugin, service).stand_in(ask)

    async def serve(self, call: ServiceCall) -> bytes:
        """Answer a call of what is provided from here.

        Raises:
            Exception: What its member raised, or ``LookupError``.
        """
        face, value = self._provided[call.service]
        return await face.serve(value, call)
