"""plex.tv: PINs, accounts, and the servers an account may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from plughost.contracts import Secret
from plughost_plex.protocols import Account, PlexError, Server, Way, WayKind
from plughost_upstream.protocols import (
    Call,
    Origin,
    Reply,
    UpstreamError,
    UpstreamGarbageError,
    UpstreamRefusedError,
    Upstreams,
)

T = TypeVar("T")

_RANK: Final[dict[WayKind, int]] = {"local": 0, "remote": 1, "relay": 2}


class Pin(msgspec.Struct, frozen=True, rename="camel"):
    """A PIN as plex.tv tells of it."""

    id: int
    code: str
    expires_in: int = 900
    auth_token: str | None = None


class Person(msgspec.Struct, frozen=True):
    """An account as plex.tv tells of it."""

    id: int
    username: str


class _Nonce(msgspec.Struct, frozen=True):
    nonce: str


class _Exchanged(msgspec.Struct, frozen=True):
    auth_token: str


class _Connection(msgspec.Struct, frozen=True):
    uri: str
    address: str = ""
    port: int = 0
    local: bool = False
    relay: bool = False


class _Resource(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    client_identifier: str
    provides: str = ""
    owned: bool = False
    access_token: str | None = None
    connections: list[_Connection] = []


@dataclass(frozen=True, slots=True)
class SharedServer:
    """A server, and the token that it knows the account by."""

    server: Server
    token: Secret


class PlexTv:
    """Calls to plex.tv.

    Args:
        upstreams: Returns the way to services elsewhere.
        url: Where plex.tv is.
        auth_page: The page that asks people.
        client: Headers that say who asks: one client identifier for each installation.
    """

    def __init__(
        self, upstreams: Callable[[], Upstreams], url: str, auth_page: str, client: dict[str, str]
    ) -> None:
        self._upstreams, self._auth_page, self._client = upstreams, auth_page, client
        reach: Any = "public" if url.startswith("https://") else "local"
        headers = {"Accept": "application/json", **client}
        self._origin = Origin(name="plextv", url=url, reach=reach, headers=headers)

    async def begin(self) -> Pin:
        """Begin a sign-in."""
        call = Call(path="/api/v2/pins", method="POST", params={"strong": "true"})
        return _fits(await self._send(call), Pin)

    def page(self, pin: Pin, forward: str) -> str:
        """Return the address to send the person to."""
        given = {
            "clientID": self._client["X-Plex-Client-Identifier"],
            "code": pin.code,
            "context[device][product]": self._client["X-Plex-Product"],
        }
        return f"{self._auth_page}#?{urlencode(given | ({'forwardUrl': forward} if forward else {}))}"

    async def look(self, number: int) -> Secret | None:
        """Return the token that a PIN has brought; None while nobody has said yes.

        Raises:
            UpstreamMissingError: The PIN is over.
        """
        pin = _fits(await self._send(Call(path=f"/api/v2/pins/{number:d}")), Pin)
        return Secret(pin.auth_token) if pin.auth_token else None

    async def person(self, token: Secret) -> Person:
        """Return whose token it is.

        Raises:
            UpstreamRefusedError: With the status 401: nobody's any more. All else says nothing about the token.
        """
        return _fits(await self._send(_of("/api/v2/user", token)), Person)

    async def ping(self, token: Secret) -> None:
        """Keep a token alive."""
        await self._send(_of("/api/v2/ping", token, expect="bytes"))

    async def introduce(self, token: Secret, key: Mapping[str, str]) -> None:
        """Let plex.tv know an account by a key, too.

        Args:
            token: Of the account.
            key: Its public part as a JWK.
        """
        body = {"jwk": key}
        await self._send(_of("/api/v2/auth/jwk", token, method="POST", json=body, expect="bytes"))

    async def nonce(self) -> str:
        """Return a word that is good in one statement, for some minutes."""
        return _fits(await self._send(Call(path="/api/v2/auth/nonce")), _Nonce).nonce

    async def exchange(self, statement: Secret) -> Secret:
        """Return a token for what a known key has signed."""
        call = Call(path="/api/v2/auth/token", method="POST", json={"jwt": statement.reveal()})
        return Secret(_fits(await self._send(call), _Exchanged).auth_token)

    async def servers(self, account: Account, token: Secret) -> list[SharedServer]:
        """Return the servers that an account may use."""
        params = {"includeHttps": "1", "includeRelay": "1", "includeIPv6": "1"}
        found = _fits(await self._send(_of("/api/v2/resources", token, params=params)), list[_Resource])
        servers: dict[str, SharedServer] = {}
        for resource in found:
            if "server" in resource.provides.split(",") and resource.access_token:
                server = _server(account, resource)
                servers.setdefault(server.machine, SharedServer(server, Secret(resource.access_token)))
        return list(servers.values())

    async def _send(self, call: Call) -> Reply:
        return await self._upstreams().register(self._origin).send(call)


def _of(path: str, token: Secret, **more: Any) -> Call:
    return Call(path=path, secrets={"X-Plex-Token": token}, **more)


def _fits(reply: Reply, kind: type[T]) -> T:
    try:
        return msgspec.convert(reply.data, kind, strict=False)
    except msgspec.ValidationError:
        raise UpstreamGarbageError("plex.tv answered something else than it was asked for") from None


def _server(account: Account, resource: _Resource) -> Server:
    ways = sorted(_ways(resource), key=lambda way: _RANK[way.kind])
    return Server(
        user_id=account.user_id, machine=resource.client_identifier, name=resource.name, owned=resource.owned,
        ways=tuple(dict.fromkeys(ways)),
    )  # fmt: skip


def _ways(resource: _Resource) -> Iterator[Way]:
    for one in resource.connections:
        kind: WayKind = "relay" if one.relay else "local" if one.local else "remote"
        if kind == "local" and not resource.owned:
            continue  # somebody else's network is not this one
        yield Way(uri=one.uri.rstrip("/"), kind=kind)
        # Routers that protect against DNS rebinding hide the names of plex.direct: the bare address works then.
        if kind == "local" and one.address and urlsplit(one.uri).hostname != one.address:
            host = f"[{one.address}]" if ":" in one.address else one.address
            yield Way(uri=f"http://{host}:{one.port}", kind="local")


def is_over(error: Exception) -> bool:
    """Whether plex.tv said that a token is not good any more, which a key may help: 498 is one whose time is over."""
    return isinstance(error, UpstreamError) and error.status in (401, 498)


def is_unlinked(error: Exception) -> bool:
    """Whether plex.tv said that a token is nobody's: a time-out or a failure never says so."""
    return isinstance(error, UpstreamRefusedError) and error.status == 401


def sign_in_again() -> PlexError:
    """Return the error of an account whose token is not good any more."""
    return PlexError(409, "plex_sign_in_again", "Plex does not know this account any more: sign in again.")
