"""What a plugin is, and the narrow object it is given."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")

HOST_API = "1.0"
"""Version of what plugins may rely on: the catalogue, the context, the life of a plugin."""

Service = Callable[..., T]
"""The class or Protocol of a service. Not ``type[T]``, because type checkers refuse a Protocol there."""

Seconds = float | timedelta
"""A length of time: seconds, or a ``timedelta``."""


def seconds_of(length: Seconds, what: str = "a length of time") -> float:
    """Return a length of time as seconds. Whether it may be infinite, negative or not a number, the caller says.

    Args:
        length: Seconds, or a ``timedelta``.
        what: What it is, for messages, such as ``ttl``.

    Raises:
        TypeError: It is neither of them; a bool is not a number here.
    """
    if isinstance(length, timedelta):
        return length.total_seconds()
    if isinstance(length, bool) or not isinstance(length, int | float):
        raise TypeError(f"{what} is seconds or a timedelta, not {length!r}")
    try:
        return float(length)
    except OverflowError:  # an integer that is too long for a float
        return math.inf if length > 0 else -math.inf


def check_function(function: object, taker: str) -> None:
    """Refuse what cannot be called later, while whoever hands it over is there to be told.

    Args:
        function: What is to be called later.
        taker: What takes it, for messages, such as ``spawn``.

    Raises:
        TypeError: It cannot be called, such as the coroutine that calling an ``async def`` has made.
    """
    if callable(function):
        return
    if inspect.iscoroutine(function):
        function.close()  # else Python warns besides that nobody awaited it
        name = function.__name__
        raise TypeError(f"{taker} calls the function itself: hand over {name}, not {name}()")
    raise TypeError(f"{taker} takes a function, not {function!r}")


JobScope = Literal["process", "host", "fleet"]
"""Where a job runs: in each process that serves a host, in the first of them, or once in all hosts of a fleet."""

MissedSlots = Literal["latest", "skip", "all"]
"""Which slots of a fleet's job are run that passed with nobody there to start them."""

JobOutage = Literal["closed", "local"]
"""What a fleet's job does on a host that cannot reach the fleet: nothing, or run there as if it were alone."""


class Events(Protocol):
    """Facts that are told to whoever subscribed; see ``core.events`` for the rules."""

    def subscribe(self, event: type[Any] | str, callback: Callable[[Any], Any]) -> Callable[[], None]:
        """Call ``callback(event)`` for each event of that class or name; returns the way to stop it."""

    async def publish(self, event: object, data: object = None) -> None:
        """Tell everyone who subscribed; a failing subscriber is reported and never fails the publisher."""


class PluginContext(Protocol):
    """What a plugin can do in its host. Whatever goes through it is undone when the plugin stops."""

    @property
    def name(self) -> str:
        """The plugin's own name."""

    @property
    def host_name(self) -> str:
        """Name of the host."""

    @property
    def config(self) -> Any:
        """The plugin's configuration."""

    @property
    def log(self) -> Any:
        """A structlog logger bound to the plugin."""

    @property
    def data_dir(self) -> Path:
        """A folder of the plugin's own, made when first asked for; ``OSError`` where a link is in its place."""

    @property
    def hooks(self) -> Any:
        """The hooks of the host."""

    @property
    def events(self) -> Events:
        """Facts to publish and to subscribe to."""

    def provide(self, service: Service[Any], value: object) -> None:
        """Offer ``value`` to everyone who asks for ``service``; seen by others once the plugin is ready."""

    def use(self, service: Service[T]) -> T:
        """Return what another plugin provided.

        Raises:
            ServiceError: Nobody provides it; name the provider in ``requires`` to be started after it.
        """

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a coroutine function in the background; a crash restarts it with growing pauses."""

    def every(
        self,
        interval: Seconds,
        function: Callable[[], Any],
        *,
        name: str | None = None,
        scope: JobScope = "host",
        missed: MissedSlots = "latest",
        window: Seconds | None = None,
        retries: int = 0,
        outage: JobOutage = "closed",
    ) -> None:
        """Call ``function`` each ``interval``, first after one interval; never twice at once.

        Where several processes serve one host, it is called in one of them; with ``scope="process"`` in each; with
        ``scope="fleet"`` once for each slot in the whole fleet, and then ``missed``, ``window``, ``retries`` and
        ``outage`` hold, as ``Job`` describes them.
        """

    def cron(
        self,
        expression: str,
        function: Callable[[], Any],
        *,
        name: str | None = None,
        scope: JobScope = "host",
        missed: MissedSlots = "latest",
        window: Seconds | None = None,
        retries: int = 0,
        outage: JobOutage = "closed",
    ) -> None:
        """Call ``function`` when the five-field cron expression says so, in local time; the rest as above.

        With ``scope="fleet"`` the expression is meant in the fleet's own zone, so that it says the same on all hosts:
        UTC, unless the fleet's setting ``zone`` says otherwise.
        """

    def register_hookspecs(self, module: ModuleType | type) -> None:
        """Declare hooks of the plugin's own, on equal terms with the catalogue's."""

    def on_stop(self, function: Callable[[], Any]) -> None:
        """Call ``function`` when the plugin stops, last one first, after ``stop()``."""


class Plugin:
    """Base class of plugins. Every part of it is optional; a module with the same names will do.

    Attributes:
        name: How configuration, commands and reports call it; the entry point's name wins.
        version: Shown in reports; the distribution's version wins.
        requires: Names of plugins that must be ready before this one starts.
        after: Names of plugins to start after, if they are there.
        host_api: Range of host API versions it works with, such as ``">=1,<2"``.
        Config: A ``msgspec.Struct`` (or dataclass) that its configuration must fit.
    """

    name: str = ""
    version: str = ""
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    host_api: str = ""
    Config: ClassVar[type[Any] | None] = None

    async def check_config(self, config: Any) -> None:
        """Called before ``start`` for what a type cannot say; raise ``ValueError`` with what to do."""

    async def start(self, context: PluginContext) -> None:
        """Called once, when everything in ``requires`` is ready; hooks are called only after it returns."""

    async def stop(self) -> None:
        """Called once, after no hook of it is called any more and before its dependencies stop."""

    def status(self) -> Mapping[str, object]:
        """Called by reports: a few figures to show; must be quick and must not wait.

        ``waiting_for`` has a meaning of its own: what the plugin needs before it can do its work. While it is there
        and not empty, the host tells its load balancer that it is not ready.
        """
        return {}


@runtime_checkable
class PluginLike(Protocol):
    """The least a plugin must be: something with a ``start`` that takes the context."""

    def start(self, context: PluginContext) -> Awaitable[None] | None:
        """Called once, before any hook of the plugin is called."""
