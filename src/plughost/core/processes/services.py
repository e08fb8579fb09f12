"""Services between a host and its plugins' processes, as the host has them."""

from __future__ import annotations

from typing import Any

from plughost.contracts.plugin import Service
from plughost.core.services import ServiceRegistry
from plughost.core.wire.services import Ask, ServiceCall, ServiceFace


class ServiceElsewhere:
    """A service that a plugin provides from its own process; see ``Elsewhere``.

    Attributes:
        serve: Makes a call there.

    Args:
        plugin: Name of the plugin.
        serve: Makes a call there.
    """

    def __init__(self, plugin: str, serve: Ask) -> None:
        self.serve = serve
        self._plugin = plugin

    def stand_in(self, service: Service[Any]) -> object:
        """Return an object of that Protocol whose members are called there.

        Raises:
            NotCrossableError: They cannot be.
        """
        return ServiceFace(self._plugin, service).stand_in(self.serve)


async def serve_service(services: ServiceRegistry, plugin: str, call: ServiceCall) -> bytes:
    """Make a call of a service for a plugin in its own process; return what was written of its answer.

    Args:
        services: What there is.
        plugin: Name of the plugin that calls.
        call: The call, which goes on as it is when the service lives in another process.

    Raises:
        ServiceError: Nobody provides it.
        Exception: What its member raised.
    """
    provision = services.named(call.service)
    if provision.service is None:
        answer: bytes = await provision.value.serve(call)
        return answer
    if provision.face is None:
        provision.face = ServiceFace(plugin, provision.service)
    face: ServiceFace = provision.face
    return await face.serve(provision.value, call)
