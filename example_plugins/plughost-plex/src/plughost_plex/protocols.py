"""What other plugins use: ``from plughost_plex.protocols import Plex`` and ``context.use(Plex)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from plughost.http import Guard, Identity

Monitored = Literal["activities", "sessions", "history", "recent", "libraries"]
"""What the owner of a server may know of it."""

WayKind = Literal["local", "remote", "relay"]
"""How a server is reached: in the same network, over the internet, through Plex's own machines."""


class PlexError(Exception):
    """Something that a route answers to.

    Attributes:
        status: Status of the answer.
        code: What happened, for programs.
        tried: Kinds of ways to the server that were tried, when none worked.
    """

    def __init__(self, status: int, code: str, message: str, *, tried: tuple[WayKind, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.tried = tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person with a Plex account who signed in here. Holds no token.

    Attributes:
        user_id: The user here.
        plex_id: Number of the account.
        username: Name of the account.
    """

    user_id: str
    plex_id: int
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """An address of a server, and where it is."""

    uri: str
    kind: WayKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that somebody may use. Holds no token.

    Attributes:
        user_id: Who may use it.
        machine: Its ``machineIdentifier``.
        name: How its owner calls it.
        owned: Whether the user owns it.
        ways: Its addresses, the best first.
        way: Which of them works; None when that is not known.
        latency: Seconds it took to answer when it was looked at; None when it did not.
    """

    user_id: str
    machine: str
    name: str
    owned: bool
    ways: tuple[Way, ...] = ()
    way: int | None = None
    latency: float | None = None

    @property
    def reached_by(self) -> WayKind | None:
        """How it is reached now."""
        return None if self.way is None else self.ways[self.way].kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said.

    Attributes:
        data: The ``MediaContainer``. It is shared by all readers: do not change it.
        age: Seconds since the server said it.
        ttl: Seconds it is still good; negative when it is stale.
        stale: Whether it is only shown because the server is slow or away.
        trouble: Why it is stale: the code of the error, or that of a time-out; empty when it is not.
    """

    data: Mapping[str, Any]
    age: float = 0.0
    ttl: float = 0.0
    stale: bool = False
    trouble: str = ""


class OwnsServer(Guard):
    """Lets pass whose current server is the user's own: what goes on there is no guest's business.

    Args:
        owns: Whether that is so, such as ``Plex.owns``.
    """

    def __init__(self, owns: Callable[[str], bool]) -> None:
        self._owns = owns

    def allows(self, identity: Identity, connection: Mapping[str, Any]) -> bool:
        """Whether it is a signed-in owner."""
        return identity.kind == "session" and self._owns(identity.id)

    def __repr__(self) -> str:
        return "OwnsServer()"


class Plex(Protocol):
    """The Plex accounts and servers of a host."""

    async def accounts(self) -> tuple[Account, ...]:
        """Who is linked."""

    async def servers(self, user_id: str) -> tuple[Server, ...]:
        """The servers of a user, as they were known last."""

    def owns(self, user_id: str) -> bool:
        """Whether a user's current server is the user's own. Quick enough to be asked in an event loop."""

    async def monitor(self, what: Monitored, user_id: str = "") -> Answer:
        """Ask a server what its owner may know, through the caches.

        Args:
            what: What to ask for.
            user_id: Whose current server, which the user must own; empty for the first owned one there is.

        Raises:
            PlexError: Nobody owns a server here, or it gave no answer and none is kept.
            Exception: An ``UpstreamError``, when it gave no answer and none is kept.
        """

    async def count_calls(self) -> Mapping[str, int]:
        """How many answers were given, by cache, and how many calls that took: ``reads`` and ``calls``."""
