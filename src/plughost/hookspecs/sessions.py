"""The life of sessions, and the devices behind them.

Only public handles are told: nobody who implements these hooks can take over a session.
"""

from __future__ import annotations

from plughost.contracts.devices import Device
from plughost.hookspecs._markers import hookspec


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def session_created(handle: str, subject: str | None, reason: str) -> None:
    """A session was created.

    Called when it is durable.

    Args:
        handle: The session's public handle.
        subject: Id of the user it belongs to; None for a visitor who is not signed in.
        reason: Why, such as ``sign-in``.

    Refusing:
        Nobody can stop it; refuse in ``before_auth``.

    Failure:
        Reported; the others are still told, and the session stays.

    Example:
        owners: dict[str, str | None] = {}

        @hookimpl
        def session_created(handle: str, subject: str | None) -> None:
            owners[handle] = subject
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def session_rotated(handle: str, subject: str | None, reason: str) -> None:
    """A session got a new secret id; the old one is dead.

    Called when the change is durable: at sign-in, when privileges change, and when somebody asked for it.

    Args:
        handle: The session's public handle, by which it was known before too.
        subject: Id of the user it belongs to; None for a visitor who is not signed in.
        reason: Why, such as ``sign-in`` or ``privileges``.

    Refusing:
        Nobody can stop it.

    Failure:
        Reported; the others are still told.

    Example:
        rotations: list[tuple[str, str]] = []

        @hookimpl
        def session_rotated(handle: str, reason: str) -> None:
            rotations.append((handle, reason))
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def session_ended(handle: str, subject: str | None, reason: str) -> None:
    """A session ended and will not come back.

    Called when it is durably gone. For sessions that ended by time it is called when they are cleaned up.

    Args:
        handle: The public handle it had.
        subject: Id of the user it belonged to; None for a visitor who was not signed in.
        reason: Why, such as ``logout``, ``expired`` or ``destroyed``.

    Refusing:
        Nobody can stop it.

    Failure:
        Reported; the others are still told, and the session stays ended.

    Example:
        owners = {"h-1": "7"}

        @hookimpl
        def session_ended(handle: str) -> None:
            owners.pop(handle, None)
    """


@hookspec(mode="first", timeout=1.0)
def describe_device(user_agent: str) -> Device | None:
    """Say what device is behind this user agent.

    Called when a session is created, for people to recognise their sessions in a list. The first
    implementation that returns a device settles it.

    Args:
        user_agent: What the client says it is; at most 512 characters of it.

    Returns:
        The device; None when it cannot be told.

    Refusing:
        There is nothing to stop.

    Failure:
        Reported; the next implementation is asked.

    Example:
        @hookimpl
        def describe_device(user_agent: str) -> Device | None:
            if user_agent.startswith("curl/"):
                return Device(kind="program", name="curl", browser="curl")
            return None
    """
