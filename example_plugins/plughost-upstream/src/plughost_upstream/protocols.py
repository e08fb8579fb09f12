"""What other plugins use: ``from plughost_upstream.protocols import Call, Origin, Upstreams``.

    upstream = context.use(Upstreams).register(Origin(name="tmdb", url="https://api.themoviedb.org"))
    reply = await upstream.send(Call(path="/3/configuration", secrets={"Authorization": token}))
    reply.data["images"]

Register at each use rather than once: it costs a look-up, and goes on working when this plugin was reloaded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol

from plughost.contracts import Secret

Priority = Literal["person", "warm", "sync"]
"""Who waits: a person, a cache that is kept warm, or a job. The first goes before the last."""

Reach = Literal["public", "local"]
"""Where an origin may be: on the public internet only, or in a private network too."""

Expect = Literal["json", "object", "bytes"]
"""What a body has to be: any JSON, a JSON object, or anything."""

OutcomeKind = Literal[
    "ok", "busy", "timeout", "unavailable", "garbage", "refused", "missing", "rejected", "forbidden", "left"
]
"""How a call ended: well, with the code of an ``UpstreamError`` without its prefix, or because who asked has left."""

MOST_JSON = 8 << 20
MOST_PICTURE = 16 << 20

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A service elsewhere: the only place that calls under its name go to.

    Attributes:
        name: What it is called in figures, such as ``tmdb`` or ``plex-server-1a2b``.
        url: Scheme, host and port, such as ``https://api.themoviedb.org``; http for ``local`` ones only.
        reach: Where its addresses may be.
        connections: How many at once.
        ceiling: Calls per second, whoever makes them; None for no limit.
        ca_file: Certificates that vouch for it instead of the system's.
        ca_beside: Whether the system's vouch for it as well when ``ca_file`` is there.
        headers: Sent with each call; no secrets.
    """

    name: str
    url: str
    reach: Reach = "public"
    connections: int = 10
    ceiling: float | None = None
    ca_file: Path | None = None
    ca_beside: bool = False
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class Pace:
    """Whose allowance a call counts against, in all instances that share a Redis.

    Attributes:
        key: Name of the allowance, such as ``tmdb:shared``; no secret.
        rate: Calls per second. It is halved when the service says that it is too much, and comes back slowly.
    """

    key: str
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call.

    Attributes:
        path: From the first slash on, without a query.
        method: Only ``GET`` is ever repeated.
        params: The query: name to value; a sequence repeats the name.
        headers: Further headers; no secrets.
        secrets: Headers whose values are secret. They are in no error, log or figure.
        json: Sent as the body, as JSON.
        expect: What the body must be.
        accept: Statuses above 299 that are an answer, and no error.
        most: Bytes the body may have when it is unpacked.
        pace: Whose allowance it counts against; None for none.
        priority: Who waits for it.
        user: Who asked, to be fair between users and for figures; empty for nobody in particular.
        deadline: Seconds it may take in all, the wait for its turn included.
    """

    path: str
    method: str = "GET"
    params: Mapping[str, str | Sequence[str]] = field(default_factory=lambda: _NOTHING)
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    secrets: Mapping[str, Secret] = field(default_factory=lambda: _NOTHING)
    json: Any = None
    expect: Expect = "json"
    accept: Collection[int] = ()
    most: int = MOST_JSON
    pace: Pace | None = None
    priority: Priority = "person"
    user: str = ""
    deadline: float = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back.

    Attributes:
        status: 200 to 299, or one that the call accepts.
        headers: By small letters.
        body: The bytes, unpacked.
        data: The body as JSON, when that was expected; None for an empty body, which is not an object.
        seconds: How long it took, the wait for its turn included.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    data: Any = None
    seconds: float = 0.0


class ReplyStream(Protocol):
    """A reply whose body is read piece by piece; within ``async with upstream.stream(call)``."""

    @property
    def status(self) -> int:
        """200 to 299, or one that the call accepts."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By small letters."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body; raises ``UpstreamError`` when it breaks off or is larger than ``Call.most``."""


class UpstreamError(Exception):
    """A call did not bring what it should. Never holds an address with a query, a header or a body.

    Attributes:
        code: What happened, for programs.
        http_status: What a route answers to it.
        retry_after: Seconds until it makes sense to try again; None when nobody knows.
        status: What the service answered; 0 when it did not.
    """

    code: ClassVar[str] = "upstream_error"
    http_status: ClassVar[int] = 502

    def __init__(self, message: str, *, retry_after: float | None = None, status: int = 0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status


class UpstreamTimeoutError(UpstreamError):
    """It did not answer within the call's deadline."""

    code = "upstream_timeout"
    http_status = 504


class UpstreamUnavailableError(UpstreamError):
    """It cannot be reached, answers 500 and above, or did so so often that it is left alone for a while."""

    code = "upstream_unavailable"


class UpstreamBusyError(UpstreamError):
    """It says that it is too much, or the queue before it is too long."""

    code = "upstream_busy"
    http_status = 503


class UpstreamGarbageError(UpstreamError):
    """What it answered is not what it should be: no JSON, cut off, too large, or a redirection."""

    code = "upstream_garbage"


class UpstreamRefusedError(UpstreamError):
    """It answered 401 or 403: the key or token is not good, or not good for this."""

    code = "upstream_refused"
    http_status = 403


class UpstreamMissingError(UpstreamError):
    """It answered 404 or 410: there is no such thing."""

    code = "upstream_missing"
    http_status = 404


class UpstreamRejectedError(UpstreamError):
    """It answered another status from 400 to 499: the call is wrong."""

    code = "upstream_rejected"
    http_status = 422


class UpstreamForbiddenError(UpstreamError):
    """It is at an address where it may not be, or the path is none: nothing was sent."""

    code = "upstream_forbidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call that was made or given up, as ``upstream_calls`` and reports show it.

    Attributes:
        origin: Name of the origin.
        method: Its method.
        path: Its path, without the query.
        outcome: How it ended.
        status: What the service answered; 0 when it did not.
        started_at: When, in seconds since the epoch.
        seconds: How long it took in all.
        waited: How much of that was the wait for its turn.
        received: Bytes of the body.
        attempts: How often it was sent; 0 when it never was.
        pace: Key of the allowance; empty for none.
        priority: Who waited for it.
        user: Who asked.
    """

    origin: str
    method: str
    path: str
    outcome: OutcomeKind
    status: int = 0
    started_at: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0
    received: int = 0
    attempts: int = 0
    pace: str = ""
    priority: Priority = "person"
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginFigures:
    """Figures of one origin since it was registered.

    Attributes:
        calls: Outcome to how many calls ended so.
        attempts: How often something was sent.
        received: Bytes of all bodies.
        seconds: How long the calls took together.
        open_until: Seconds until it is tried again after too many failures; 0.0 when it is not left alone.
    """

    calls: Mapping[str, int]
    attempts: int
    received: int
    seconds: float
    open_until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceFigures:
    """What one allowance is like now.

    Attributes:
        rate: Calls per second at most, now.
        waiting: Calls that wait for their turn.
        paused: Seconds until the service wants to be asked again; 0.0 when it does.
    """

    rate: float
    waiting: int
    paused: float


class Upstream(Protocol):
    """One origin."""

    @property
    def origin(self) -> Origin:
        """What it was registered with."""

    async def send(self, call: Call) -> Reply:
        """Make a call and read all of its answer.

        Raises:
            UpstreamError: One of its kinds.
        """

    def stream(self, call: Call) -> AbstractAsyncContextManager[ReplyStream]:
        """Make a call and read its answer piece by piece, within ``async with``; it is never repeated.

        ``deadline`` counts until the answer begins. What to expect of the body is not looked at.
        """


class Upstreams(Protocol):
    """All origins of a host."""

    def register(self, origin: Origin) -> Upstream:
        """Return the origin of that name; made, or made anew when it was registered with something else.

        Raises:
            ValueError: Its url is not a scheme, host and port, or is http and not local.
        """

    def remove(self, name: str) -> bool:
        """Forget an origin; calls under way end as they would. Whether it was there."""

    def names(self) -> tuple[str, ...]:
        """Names of the origins."""

    def figures(self) -> Mapping[str, OriginFigures]:
        """Figures by origin."""

    def paces(self) -> Mapping[str, PaceFigures]:
        """Allowances that were used lately, by key."""

    def recent(self, limit: int = 100) -> tuple[CallRecord, ...]:
        """The latest calls, the newest first."""
