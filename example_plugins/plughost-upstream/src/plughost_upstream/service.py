"""The service: origins by name, and the way of a call through breaker, queue, connection and ledger."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, get_args

import anyio
import httpx2
import msgspec

from plughost.contracts import Clock, KnownSecrets, Limit, RateLimiter, get_logger
from plughost_upstream.addresses import Network, Resolve, system_resolve
from plughost_upstream.bodies import pieces_of
from plughost_upstream.breaker import Breaker
from plughost_upstream.connections import Connections
from plughost_upstream.ledger import Ledger, Totals
from plughost_upstream.pacer import Pacer, limit_of
from plughost_upstream.protocols import (
    Call,
    CallRecord,
    Origin,
    OriginFigures,
    OutcomeKind,
    PaceFigures,
    Reply,
    UpstreamBusyError,
    UpstreamError,
    UpstreamGarbageError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from plughost_upstream.queue import Waiter

RETRIES: Final = 2
_AGAIN: Final = frozenset({0, 502, 503, 504})
_PAUSE: Final = 0.1
_log = get_logger("plughost.upstream")


@dataclass(slots=True)
class _Trail:
    """What happened to one call."""

    started_at: float
    began: float
    waited: float = 0.0
    attempts: int = 0
    received: int = 0
    status: int = 0


@dataclass(slots=True)
class _Stream:
    """Implements ``ReplyStream``."""

    status: int
    headers: Mapping[str, str]
    _pieces: AsyncIterator[bytes]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces


class Service:
    """One origin; implements ``Upstream``."""

    def __init__(
        self, origin: Origin, connections: Connections, pacer: Pacer, ledger: Ledger, clock: Clock
    ) -> None:
        self.origin = origin
        self.connections = connections
        self.breaker = Breaker(clock)
        self._pacer, self._ledger, self._clock = pacer, ledger, clock
        self._ceiling: Sequence[tuple[str, Limit]] = (
            [] if origin.ceiling is None else [(f"upstream:{origin.name}", limit_of(origin.ceiling))]
        )

    async def send(self, call: Call) -> Reply:
        """Make a call and read all of its answer."""
        with self._noted(call) as trail:
            try:
                with anyio.fail_after(call.deadline):
                    return await self._repeated(call, trail)
            except TimeoutError:
                if trail.attempts:
                    self.breaker.failed()
                raise UpstreamTimeoutError("the service does not answer in time") from None

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[_Stream]:
        """Make a call and read its answer piece by piece."""
        with self._noted(call) as trail:
            async with self._head(call, trail) as response:

                async def counted() -> AsyncGenerator[bytes]:
                    async with aclosing(pieces_of(response, call.most)) as pieces:
                        async for piece in pieces:
                            trail.received += len(piece)
                            yield piece

                async with aclosing(counted()) as pieces:
                    yield _Stream(response.status_code, _headers_of(response), pieces)

    @asynccontextmanager
    async def _head(self, call: Call, trail: _Trail) -> AsyncIterator[httpx2.Response]:
        """Wait for a turn and the head of an answer."""
        self.breaker.enter()
        await self._turn(call, trail)
        trail.attempts += 1
        try:
            async with self.connections.open(call) as response:
                self.breaker.answered()
                trail.status = response.status_code
                yield response
        except (UpstreamUnavailableError, UpstreamTimeoutError):
            self.breaker.failed()
            raise
        except UpstreamBusyError as error:
            if error.status == 429 and error.retry_after is not None:
                if call.pace is None:
                    self.breaker.rest(error.retry_after)
                else:
                    self._pacer.pause(call.pace, error.retry_after)
            raise

    async def _repeated(self, call: Call, trail: _Trail) -> Reply:
        """Send a call, and if it is one that changes nothing, again when the service is away."""
        tries = 1 + (RETRIES if call.method == "GET" else 0)
        while True:
            try:
                async with self._head(call, trail) as response:
                    return await self._read(call, response, trail)
            except UpstreamUnavailableError as error:
                again = trail.attempts < tries and error.status in _AGAIN and error.retry_after is None
                if not again:
                    raise
            await self._clock.sleep(_PAUSE * 2**trail.attempts * random.uniform(0.5, 1.0))  # noqa: S311 # no secret

    async def _read(self, call: Call, response: httpx2.Response, trail: _Trail) -> Reply:
        body = bytearray()
        trail.received = 0
        async with aclosing(pieces_of(response, call.most)) as pieces:
            async for piece in pieces:
                body += piece
                trail.received = len(body)
        data = None
        if call.expect != "bytes" and body:
            try:
                data = msgspec.json.decode(body)
            except (msgspec.DecodeError, RecursionError):
                raise UpstreamGarbageError("the answer is not JSON", status=response.status_code) from None
        if call.expect == "object" and not isinstance(data, dict):
            raise UpstreamGarbageError("the answer is not a JSON object", status=response.status_code)
        seconds = self._clock.monotonic() - trail.began
        return Reply(
            status=response.status_code,
            headers=_headers_of(response),
            body=bytes(body),
            data=data,
            seconds=seconds,
        )

    async def _turn(self, call: Call, trail: _Trail) -> None:
        if call.pace is None:
            return
        now = self._clock.monotonic()
        waiter = Waiter(call.priority, call.user, now + call.deadline, self._ceiling)
        try:
            await self._pacer.turn(call.pace, self._ceiling, waiter)
        finally:
            trail.waited += self._clock.monotonic() - now

    @contextmanager
    def _noted(self, call: Call) -> Iterator[_Trail]:
        """Note how a call ends. While it lasts no log of this process shows its secrets."""
        trail = _Trail(self._clock.time(), self._clock.monotonic())
        hidden = KnownSecrets()
        for secret in call.secrets.values():
            hidden.add([secret.reveal(), *secret.reveal().split()])
        outcome: OutcomeKind = "unavailable"
        try:
            yield trail
            outcome = "ok"
        except UpstreamError as error:
            outcome = _outcome_of(error)
            trail.status = error.status or trail.status
            raise
        except BaseException as error:
            outcome = "unavailable" if isinstance(error, Exception) else "left"
            raise
        finally:
            self._ledger.note(
                CallRecord(
                    origin=self.origin.name,
                    method=call.method,
                    path=call.path,
                    outcome=outcome,
                    status=trail.status,
                    started_at=trail.started_at,
                    seconds=self._clock.monotonic() - trail.began,
                    waited=trail.waited,
                    received=trail.received,
                    attempts=trail.attempts,
                    pace="" if call.pace is None else call.pace.key,
                    priority=call.priority,
                    user=call.user,
                )
            )


class Services:
    """Implements ``Upstreams``; ``run`` must run while it is used.

    Args:
        clock: Time.
        limiter: Returns what counts calls for all instances; None counts here.
        allowed: Networks where an origin may be in any case.
        resolve: Returns the addresses of a name.
    """

    def __init__(
        self,
        clock: Clock,
        limiter: Callable[[], RateLimiter | None] = lambda: None,
        allowed: Sequence[Network] = (),
        resolve: Resolve = system_resolve,
    ) -> None:
        self.ledger = Ledger()
        self.pacer = Pacer(clock, limiter)
        self._clock, self._allowed, self._resolve = clock, allowed, resolve
        self._services: dict[str, Service] = {}
        self._leaving: list[Connections] = []

    def register(self, origin: Origin) -> Service:
        """Return the origin of that name."""
        known = self._services.get(origin.name)
        if known is not None and known.origin == origin:
            return known
        url = checked_url(origin, self._allowed)
        self.remove(origin.name)
        connections = Connections(origin, url, self._allowed, self._resolve, self._clock)
        made = self._services[origin.name] = Service(
            origin, connections, self.pacer, self.ledger, self._clock
        )
        return made

    def remove(self, name: str) -> bool:
        """Forget an origin."""
        gone = self._services.pop(name, None)
        if gone is not None:
            self._leaving.append(gone.connections)
            self.ledger.forget(name)
        return gone is not None

    def names(self) -> tuple[str, ...]:
        """Names of the origins."""
        return tuple(self._services)

    def figures(self) -> Mapping[str, OriginFigures]:
        """Figures by origin."""
        return {
            name: _figures(self.ledger.totals.get(name, Totals()), service.breaker.open_for)
            for name, service in self._services.items()
        }

    def paces(self) -> Mapping[str, PaceFigures]:
        """Allowances that were used lately."""
        return self.pacer.figures()

    def recent(self, limit: int = 100) -> tuple[CallRecord, ...]:
        """The latest calls, the newest first."""
        return self.ledger.latest(limit)

    async def close_leaving(self) -> None:
        """Close the connections of origins that were removed."""
        while self._leaving:
            await self._leaving.pop().aclose()

    async def aclose(self) -> None:
        """Close everything."""
        for name in self.names():
            self.remove(name)
        await self.close_leaving()


def checked_url(origin: Origin, allowed: Sequence[Network]) -> httpx2.URL:
    """Return the url of an origin.

    Raises:
        ValueError: It is not a scheme, host and port, or is http where that is not allowed.
    """
    try:
        url = httpx2.URL(origin.url)
    except httpx2.InvalidURL:
        raise ValueError(f"origin {origin.name!r}: its url cannot be read") from None
    if (
        url.scheme not in ("http", "https")
        or not url.host
        or url.userinfo
        or url.path not in ("", "/")
        or url.query
    ):
        raise ValueError(
            f"origin {origin.name!r}: its url is scheme, host and port, as in https://api.example.org"
        )
    if url.scheme == "http" and origin.reach != "local" and not _is_in(url.host, allowed):
        raise ValueError(
            f"origin {origin.name!r}: http is for local services only: use https, or name its network in"
            f" [plugins.upstream.config] allowed_networks"
        )
    return url


def _is_in(host: str, allowed: Sequence[Network]) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in allowed)


def _figures(totals: Totals, open_for: float) -> OriginFigures:
    return OriginFigures(
        calls=dict(totals.outcomes),
        attempts=totals.attempts,
        received=totals.received,
        seconds=totals.seconds,
        open_until=open_for,
    )


def _headers_of(response: httpx2.Response) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _outcome_of(error: UpstreamError) -> OutcomeKind:
    kind: Any = error.code.removeprefix("upstream_")
    return kind if kind in get_args(OutcomeKind) else "unavailable"
