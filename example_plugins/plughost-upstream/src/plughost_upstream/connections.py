"""The connections to one origin: to the addresses that were looked at, by the name that was asked for."""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import httpx2
import msgspec

from plughost.contracts import Clock
from plughost_upstream.addresses import Network, Resolve, resolved
from plughost_upstream.answers import error_of
from plughost_upstream.bodies import ENCODINGS
from plughost_upstream.protocols import (
    Call,
    Origin,
    UpstreamBusyError,
    UpstreamForbiddenError,
    UpstreamGarbageError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)

CONNECT: Final = 3.0
"""Seconds to wait for a connection."""

_RESOLVED_FOR: Final = 60.0
_WAYS_UP: Final = frozenset({".", "..", "%2e", "%2e%2e", ".%2e", "%2e."})


class Connections:
    """A pool for one origin.

    Args:
        origin: Where to.
        url: Its url, checked.
        allowed: Networks where it may be in any case.
        resolve: Returns the addresses of a name.
        clock: Time.
    """

    def __init__(
        self, origin: Origin, url: httpx2.URL, allowed: Sequence[Network], resolve: Resolve, clock: Clock
    ) -> None:
        self._origin, self._url, self._allowed, self._resolve, self._clock = (
            origin,
            url,
            allowed,
            resolve,
            clock,
        )
        self._addresses: tuple[float, tuple[str, ...]] = (0.0, ())
        self._client: httpx2.AsyncClient | None = None
        self._users = 0
        self._closing = False

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[httpx2.Response]:
        """Send a call and give its answer, of which nothing but the head was read.

        Raises:
            UpstreamError: It could not be sent, or the answer is an error.
        """
        check_path(call.path)
        self._users += 1
        try:
            if self._client is None:
                trusted = await self._trusted()
                self._client = self._client or self._new_client(trusted)
            response = await self._answered(self._client, call)
            try:
                yield response
            finally:
                await response.aclose()
        finally:
            self._users -= 1
            await self._close_when_idle()

    async def aclose(self) -> None:
        """Close the connections, those in use when their calls are over."""
        self._closing = True
        await self._close_when_idle()

    async def _close_when_idle(self) -> None:
        if self._closing and not self._users and self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _answered(self, client: httpx2.AsyncClient, call: Call) -> httpx2.Response:
        for address in await self._looked_up():
            try:
                response = await client.send(self._request(client, address, call), stream=True)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                self._addresses = (0.0, ())  # what was looked up may be old
                continue
            except httpx2.PoolTimeout:
                raise UpstreamBusyError(
                    "all connections to the service are in use", retry_after=1.0
                ) from None
            except httpx2.TimeoutException:
                raise UpstreamTimeoutError("the service does not answer in time") from None
            except httpx2.RemoteProtocolError as error:
                if _was_misunderstood(error):
                    raise UpstreamGarbageError("the service does not speak HTTP") from None
                raise UpstreamUnavailableError("the service hung up before it answered") from None
            except httpx2.HTTPError:
                raise UpstreamUnavailableError("the connection to the service broke") from None
            if response.status_code < 300 or response.status_code in call.accept:
                return response
            await response.aclose()
            raise error_of(response.status_code, response.headers.get("retry-after", ""), self._clock.time())
        raise UpstreamUnavailableError("the service cannot be connected to")

    async def _looked_up(self) -> tuple[str, ...]:
        until, addresses = self._addresses
        if until <= self._clock.monotonic():
            host, port = self._url.host, self._url.port or (443 if self._url.scheme == "https" else 80)
            addresses = await resolved(host, port, self._origin.reach, self._allowed, self._resolve)
            self._addresses = (self._clock.monotonic() + _RESOLVED_FOR, addresses)
        return addresses

    def _request(self, client: httpx2.AsyncClient, address: str, call: Call) -> httpx2.Request:
        headers: dict[str, str] = {
            "Accept": "*/*" if call.expect == "bytes" else "application/json",
            "Accept-Encoding": ENCODINGS,
            **self._origin.headers,
            **call.headers,
            **{name: secret.reveal() for name, secret in call.secrets.items()},
            "Host": self._url.netloc.decode(),
        }
        content = None
        if call.json is not None:
            content = msgspec.json.encode(call.json)
            headers["Content-Type"] = "application/json"
        return client.build_request(
            call.method,
            self._url.copy_with(host=address, path=call.path),
            params=_pairs(call.params) or None,
            headers=headers,
            content=content,
            timeout=httpx2.Timeout(call.deadline, connect=min(CONNECT, call.deadline)),
            extensions={"sni_hostname": self._url.host} if self._url.scheme == "https" else None,
        )

    async def _trusted(self) -> ssl.SSLContext:
        if self._url.scheme != "https":
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nobody: nothing is asked for a certificate here
        if self._origin.ca_file is not None:
            return await anyio.to_thread.run_sync(_named_in, self._origin.ca_file, self._origin.ca_beside)
        return await anyio.to_thread.run_sync(_authorities)

    def _new_client(self, trusted: ssl.SSLContext) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            verify=trusted,
            trust_env=False,
            follow_redirects=False,
            limits=httpx2.Limits(
                max_connections=self._origin.connections, max_keepalive_connections=self._origin.connections
            ),
        )


@functools.cache
def _authorities() -> ssl.SSLContext:
    """Read the authorities of the system, once for all origins: that is work for tens of milliseconds."""
    return httpx2.create_ssl_context(trust_env=False)


def _named_in(file: Path, beside: bool) -> ssl.SSLContext:
    if not beside:
        return ssl.create_default_context(cafile=file)
    trusted = httpx2.create_ssl_context(trust_env=False)
    trusted.load_verify_locations(file)
    return trusted


def check_path(path: str) -> None:
    """Refuse what is not a plain path.

    Raises:
        UpstreamForbiddenError: It could lead to another host, above where it seems to be, or break the request.
    """
    plain = path.isascii() and path.isprintable() and not set(path) & set(" \\?#")
    if not plain or not path.startswith("/") or path.startswith("//"):
        raise UpstreamForbiddenError(
            "the path of a call begins with one slash and has no query, space or backslash"
        )
    if any(part.lower() in _WAYS_UP for part in path.split("/")):
        raise UpstreamForbiddenError("the path of a call has no dots as a part of it")


def _was_misunderstood(error: httpx2.RemoteProtocolError) -> bool:
    """Whether something came that is not HTTP, and not nothing at all: then there was an error of the parser before."""
    return error.__cause__ is not None and error.__cause__.__context__ is not None


def _pairs(params: Mapping[str, Any]) -> list[tuple[str, str | int | float | bool | None]]:
    return [
        (name, each)
        for name, value in params.items()
        for each in ([value] if isinstance(value, str) else value)
    ]
