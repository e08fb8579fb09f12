"""Apps: named parts of a program that share a host, and what is done when they come and go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from plughost._dataclasses import dataclass
from plughost.contracts.frozen import FrozenDict, Payload


class AppState(StrEnum):
    """Where in its life an app is. ``FAILED`` is left by registering or unregistering it once more."""

    REGISTERING = "registering"
    REGISTERED = "registered"
    UNREGISTERING = "unregistering"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationResult(Payload):
    """What became of one automatic operation of an app: its migrations, seeds, models or rollback.

    Attributes:
        operation: ``migrations``, ``seeds``, ``models`` or ``rollback``.
        ok: Whether everything was done.
        detail: One sentence for a person, such as ``3 migrations applied``.
        figures: The same for programs: ``{"applied": ("0001", "0002")}``. No secrets.
        duration: Seconds it took; None when the provider did not measure it.
    """

    operation: str
    ok: bool = True
    detail: str = ""
    figures: Mapping[str, Any] = field(default_factory=FrozenDict)
    duration: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRecord(Payload):
    """All there is to say about one app at one moment.

    Attributes:
        name: The app's name.
        config: Its configuration, with secrets in it: never shown in a ``repr``.
        connection: What ``open_connection`` returned; None for an app without one.
        shared_with: Names of the other apps on the same connection.
        state: Where in its life it is.
        results: What its operations did, by the operation's name, in the order they ran.
        registered_at: When it became ``REGISTERED``, in seconds since the epoch; None before.
        reason: One sentence for a person when it is ``FAILED``.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=FrozenDict, repr=False)
    connection: Any = field(default=None, repr=False)
    shared_with: tuple[str, ...] = ()
    state: AppState = AppState.REGISTERING
    results: Mapping[str, OperationResult] = field(default_factory=FrozenDict)
    registered_at: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnregisterOptions(Payload):
    """How an app leaves.

    Attributes:
        rollback: Undo what its operations did, where its provider can.
        shared: Other apps stay on the same connection, so it must not be closed.
        limit: Seconds that closing the connection may take.
        reason: Why it leaves: ``requested``, ``shutdown`` or ``failure`` (its registration is being undone).
        config: The app's configuration, for providers that must roll back what an earlier process began.
            Never shown in a ``repr``.
    """

    rollback: bool = False
    shared: bool = False
    limit: float = 15.0
    reason: str = "requested"
    config: Mapping[str, Any] = field(default_factory=FrozenDict, repr=False)


@dataclass(frozen=True, slots=True)
class AppRegistered:
    """Event: an app was registered."""

    app: AppRecord


@dataclass(frozen=True, slots=True)
class AppUnregistered:
    """Event: an app is gone."""

    app_name: str
    options: UnregisterOptions
