"""Sessions: what a signed-in (or anonymous) visitor's server-side state looks like from outside.

An application uses ``SessionManager`` and ``Session``, and inside a request ``RequestSession``. How sessions
are kept is in ``session_store``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import field
from typing import Any, Protocol, Self, cast, runtime_checkable

from plughost._dataclasses import dataclass
from plughost.contracts.frozen import FrozenDict, Payload
from plughost.contracts.plugin import Seconds

SOCKET_CLOSED_BY_SESSION = 4001
"""Close code of a WebSocket whose session ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Payload):
    """One session at one moment. Changing it changes nothing: use the manager.

    Attributes:
        session_id: The secret of the browser; empty in lists, which show other people's sessions. Never in a
            ``repr``, never to be logged.
        handle: Public name of the session, for lists, logs and administration. Worthless as a credential.
        user_id: Whose it is; None for a visitor who is not signed in.
        username: The name to show; empty when not signed in.
        roles: Names of the roles held when the session was made.
        fields: What the application keeps in it.
        metadata: ``ip_address``, ``user_agent``, ``device`` and whatever else was noted when it was made.
        created_at: When it began, in seconds since the epoch.
        last_seen_at: When it was last used, at most one touch interval late.
        expires_at: When it ends if it is not used again; never later than ``absolute_expires_at``.
        absolute_expires_at: When it ends however much it is used.
    """

    session_id: str = field(repr=False)
    handle: str
    user_id: str | None
    username: str = ""
    roles: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=FrozenDict, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=FrozenDict, repr=False)
    created_at: float = 0.0
    last_seen_at: float = 0.0
    expires_at: float = 0.0
    absolute_expires_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStats:
    """Figures about all sessions, had without looking at each.

    Attributes:
        active: Sessions that would be accepted now.
        expired: Sessions that are over but still take room until the next clean-up.
        users: Users with at least one session that is not over; right to some ten seconds.
        store: Name of the store: ``memory``, ``sqlite``, ``redis`` or a plugin's own.
        unreadable: How often since the start a stored session could not be opened; it was refused and kept.
        counted: Whether the store keeps figures; where it does not, active, expired and users are 0.
    """

    active: int
    expired: int
    users: int
    store: str
    unreadable: int = 0
    counted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupReport:
    """What one clean-up did.

    Attributes:
        removed: Rows removed.
        duration: Seconds it took, pauses between batches included.
    """

    removed: int
    duration: float


@runtime_checkable
class SessionManager(Protocol):
    """The sessions of a host. Ask for it with ``host.use(SessionManager)``.

    A method that changes one session returns the session as it is afterwards, or None when it is gone: ended,
    expired, or never there. Nothing brings an ended session back. Each raises ``StoreUnavailableError`` when
    the store cannot be reached, which never means "not signed in".
    """

    async def create(
        self,
        user_id: str | None,
        *,
        username: str = "",
        roles: Sequence[str] = (),
        ttl: Seconds | None = None,
        absolute: Seconds | None = None,
        metadata: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Session:
        """Begin a session under an id of our own making and return it once it is durable.

        Args:
            user_id: Whose it is; None for a visitor who is not signed in.
            username: The name to show.
            roles: Names of the roles held.
            ttl: Seconds it lives without being used; the configured idle time when None.
            absolute: Seconds it lives however much it is used; the configured limit when None.
            metadata: ``ip_address``, ``user_agent``, ``device``; shown in lists.
            fields: What the application keeps in it.
        """

    async def get(self, session_id: str) -> Session | None:
        """Return the session, or None. Looking does not keep it alive."""

    async def extend(self, session_id: str, ttl: Seconds) -> Session | None:
        """Let it live at least ``ttl`` seconds from now, but never past its absolute limit."""

    async def update(
        self, session_id: str, values: Mapping[str, Any] | None = None, remove: Sequence[str] = ()
    ) -> Session | None:
        """Set and remove fields. Changes of other keys made at the same time are kept."""

    async def transform(self, session_id: str, change: Callable[[dict[str, Any]], None]) -> Session | None:
        """Let ``change`` edit the fields; called again when somebody else was faster. For counters, lists."""

    async def rotate(self, session_id: str) -> Session | None:
        """Give the session a new id. The old one is good for reading a few more seconds, then an alarm."""

    async def sign_in(
        self,
        session_id: str | None,
        user_id: str,
        *,
        username: str = "",
        roles: Sequence[str] = (),
        ttl: Seconds | None = None,
        absolute: Seconds | None = None,
        metadata: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Session:
        """Begin a session for a user in place of the one under ``session_id``, whose id is dead at once.

        What an anonymous visitor or the same user had in ``fields`` is carried over; another user's is not.
        """

    async def destroy(self, session_id: str, *, reason: str = "destroyed") -> bool:
        """End the session for good; True when it was alive. Durable before the reply.

        Args:
            session_id: Which one.
            reason: What ``session_ended`` is told, such as ``logout``.
        """

    async def destroy_user(self, user_id: str, keep: str | None = None) -> int:
        """End all sessions of a user in one step, however many; return how many were stored.

        Args:
            user_id: Whose sessions end.
            keep: Session id of the one to spare, such as the one that asks for it.
        """

    async def list_user(self, user_id: str, limit: int | None = None) -> list[Session]:
        """Return the user's sessions, newest first, without their ids; ``limit`` of them at most."""

    async def end_handle(self, user_id: str, handle: str) -> bool:
        """End the one session of that user with that public handle; True when it was alive."""

    async def cleanup_expired(self) -> CleanupReport:
        """Remove what is over, in small batches. Expired sessions are refused with or without it."""

    async def stats(self) -> SessionStats:
        """Return the figures."""


@runtime_checkable
class SessionMaintenance(Protocol):
    """What whoever operates a host asks of its sessions besides: the ``SessionManager`` is one where it can."""

    async def reseal(self) -> int:
        """Encrypt with the newest secret whatever is stored otherwise; return how many sessions that were.

        Raises:
            SessionUnreadableError: A session cannot be opened with any of the secrets; it is left as it is.
        """


class RequestSession(MutableMapping[str, Any]):
    """The session of one request, as ``scope["session"]``: a mapping of fields that is loaded when asked for.

    Nothing is read before the first look and nothing is written unless something changed, nested values
    included. Changes are saved before the first byte of the response. With a store over the network, load it
    before the first look: ``await session.load()``, unless the deployer had it loaded beforehand.
    """

    __slots__ = ()

    def __ior__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Self:
        self.update(values)
        return self

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the field that was set last, as a ``dict`` does.

        Raises:
            KeyError: There is none.
        """
        for name in reversed(list(self)):
            return name, self.pop(name)
        raise KeyError("the session has no fields")

    @abstractmethod
    async def load(self) -> RequestSession:
        """Load it if that did not happen yet; returns itself."""

    async def is_alive(self) -> bool:
        """Whether the session that was loaded goes on; for what stays open after the request was let in.

        Looks anew each time. What is not told better takes it for alive while somebody is signed in.

        Raises:
            StoreUnavailableError: That cannot be told now.
        """
        return self.user_id is not None

    @property
    @abstractmethod
    def user_id(self) -> str | None:
        """Whose it is; None when nobody is signed in."""

    @property
    @abstractmethod
    def username(self) -> str:
        """The name to show; empty when nobody is signed in."""

    @property
    @abstractmethod
    def roles(self) -> tuple[str, ...]:
        """Names of the roles held."""

    @property
    @abstractmethod
    def metadata(self) -> Mapping[str, Any]:
        """What was noted when the session was made."""

    @property
    @abstractmethod
    def handle(self) -> str:
        """Public name of the session; empty when there is none yet."""

    @property
    @abstractmethod
    def expires_at(self) -> float | None:
        """When it ends if it is not used again; None when there is none yet."""

    @property
    @abstractmethod
    def csrf_token(self) -> str:
        """Token bound to this session, for clients whose requests do not say where they come from."""

    @abstractmethod
    async def sign_in(
        self,
        user_id: str,
        *,
        username: str = "",
        roles: Sequence[str] = (),
        ttl: Seconds | None = None,
        absolute: Seconds | None = None,
    ) -> None:
        """Make it the user's: a new id at once, whatever this visitor had in it carried over."""

    @abstractmethod
    async def sign_out(self) -> None:
        """End it for good, durably, now. The cookie is cleared with the response."""

    @abstractmethod
    async def rotate(self) -> None:
        """Give it a new id without changing who it is."""

    @abstractmethod
    async def save(self) -> None:
        """Save what changed so far, now; for WebSockets and long responses. Needs a session that exists."""


def session_of(connection: Any) -> RequestSession:
    """Return the session of a request, a WebSocket or a bare ASGI scope.

    Raises:
        LookupError: No session middleware stands around this application; enable the sessions plugin.
    """
    scope = connection if isinstance(connection, Mapping) else connection.scope
    try:
        return cast("RequestSession", scope["session"])
    except KeyError:
        message = "this request has no session: enable the sessions plugin, whose middleware puts it there"
        raise LookupError(message) from None
