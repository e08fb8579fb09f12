"""plex.tv: sign-in by PIN with a page that asks, the account, and the servers it may use."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from plughost_media.fakes.answers import answered
from plughost_media.fakes.plex_devices import Devices, RefusedError
from plughost_media.fakes.plex_server import FakePlexServer
from plughost_media.fakes.upstream import FakeUpstream

_PIN_LIFE = 1799
_SEEN = "2026-01-01T00:00:00Z"


@dataclass(slots=True)
class Account:
    """A person with a Plex account.

    Attributes:
        id: Number of the account.
        username: Name of the account.
        token: The account's token; never the token of a server.
    """

    id: int
    username: str
    token: str


@dataclass(slots=True)
class Connection:
    """A way to a server: ``local``, ``remote`` or by ``relay``."""

    uri: str
    kind: str = "local"


@dataclass(slots=True)
class _Pin:
    id: int
    code: str
    client: str
    product: str
    expires_at: float
    token: str | None = None


@dataclass(slots=True)
class _Share:
    server: FakePlexServer
    token: str
    owned: bool
    connections: list[Connection] = field(default_factory=list)


class FakePlexTv(FakeUpstream):
    """``plex.tv`` and ``clients.plex.tv`` in one, and the page of ``app.plex.tv`` that asks.

    Args:
        accounts: Who has an account; Ada and a guest when nothing is said.
        now: Seconds since the epoch.

    Attributes:
        accounts: Who has an account.
        revoked: Tokens that are good no more.
        speaks_jwt: Whether it gives tokens of a week for the signature of a key.
        devices: Those keys and tokens.
    """

    def __init__(self, accounts: Sequence[Account] = (), *, now: Callable[[], float] = time.time) -> None:
        super().__init__("plextv")
        self.accounts = list(accounts) or [
            Account(1001, "ada", "account-token-of-ada"),
            Account(1002, "guest", "account-token-of-guest"),
        ]
        self.revoked: set[str] = set()
        self.product = ""
        self._pins: dict[int, _Pin] = {}
        self._shares: dict[int, list[_Share]] = {}
        self._now = now
        self.speaks_jwt = True
        self.devices = Devices(now)

    def share(
        self,
        account: Account,
        server: FakePlexServer,
        connections: Sequence[Connection],
        *,
        owned: bool = True,
    ) -> str:
        """Let an account use a server; returns the token that the server knows the account by."""
        token = f"server-token-{server.machine}-{account.id}"
        server.accounts[token] = (account.id, account.username, owned)
        self._shares.setdefault(account.id, []).append(_Share(server, token, owned, list(connections)))
        return token

    def allow(self, code: str, account: Account) -> bool:
        """Do what the person does on the page that asks; False when the PIN is over or unknown."""
        pin = next((pin for pin in self._pins.values() if pin.code == code), None)
        if pin is None or pin.expires_at <= self._now():
            return False
        if account.token in self.revoked:
            account.token += "-anew"
        pin.token = account.token
        return True

    def routes(self) -> list[Route]:
        """Return what it answers."""
        return [
            Route("/auth", self._page, methods=["GET"]),
            Route("/auth/allow", self._allowed, methods=["GET"]),
            Route("/api/v2/pins", self._begin, methods=["POST"]),
            Route("/api/v2/pins/{id:int}", self._look, methods=["GET"]),
            Route("/api/v2/user", self._user, methods=["GET"]),
            Route("/api/v2/ping", self._ping, methods=["GET"]),
            Route("/api/v2/auth/jwk", self._introduce, methods=["POST"]),
            Route("/api/v2/auth/nonce", self._nonce, methods=["GET"]),
            Route("/api/v2/auth/token", self._exchange, methods=["POST"]),
            Route("/api/v2/users/signout", self._sign_out, methods=["DELETE"]),
            Route("/api/v2/resources", self._resources, methods=["GET"]),
        ]

    def refusal(self, status: int) -> Response:
        """Return an error as plex.tv writes it."""
        code = {401: 1001, 404: 1020, 429: 1003}.get(status, 1000)
        return JSONResponse({"errors": [{"code": code, "message": "No.", "status": status}]}, status)

    async def _page(self, request: Request) -> Response:
        buttons = "".join(
            f'<button name="account" value="{account.id}">Allow as {account.username}</button>'
            for account in self.accounts
        )
        return HTMLResponse(_ASKS.replace("BUTTONS", buttons))

    async def _allowed(self, request: Request) -> Response:
        given = request.query_params
        account = next(account for account in self.accounts if account.id == int(given["account"]))
        if not self.allow(given.get("code", ""), account):
            return HTMLResponse("<!doctype html><title>Plex</title><p>That request is over.</p>", 404)
        forward = given.get("forwardUrl", "")
        if forward.startswith(("http://", "https://")):
            return RedirectResponse(forward, 303)
        return HTMLResponse("<!doctype html><title>Plex</title><p>Allowed. You may close this window.</p>")

    async def _begin(self, request: Request) -> Response:
        client = request.headers.get("x-plex-client-identifier", "")
        if not client:
            return self.refusal(400)
        strong = request.query_params.get("strong", "").lower() in ("true", "1")
        pin = _Pin(
            id=secrets.randbelow(10**9), client=client, expires_at=self._now() + _PIN_LIFE,
            code=secrets.token_hex(13)[:25] if strong else secrets.token_hex(2).upper(),
            product=request.headers.get("x-plex-product", ""),
        )  # fmt: skip
        self._pins[pin.id] = pin
        return answered(request, "pin", self._shown(pin), status=201, bare=True)

    async def _look(self, request: Request) -> Response:
        pin = self._pins.get(request.path_params["id"])
        known = pin is not None and pin.client == request.headers.get("x-plex-client-identifier")
        if pin is None or not known or pin.expires_at <= self._now():
            return self.refusal(404)
        return answered(request, "pin", self._shown(pin), bare=True)

    def _shown(self, pin: _Pin) -> dict[str, Any]:
        return {
            "id": pin.id, "code": pin.code, "product": pin.product, "trusted": False, "clientIdentifier": pin.client,
            "location": {"code": "AT", "country": "Austria"}, "expiresIn": int(pin.expires_at - self._now()),
            "createdAt": _day(pin.expires_at - _PIN_LIFE), "expiresAt": _day(pin.expires_at), "authToken": pin.token,
            "newRegistration": None,
        }  # fmt: skip

    def _asking(self, request: Request) -> Account | None:
        token = request.headers.get("x-plex-token") or request.query_params.get("X-Plex-Token", "")
        if token in self.revoked:
            return None
        number = self.devices.account_of(token)
        return next((one for one in self.accounts if one.token == token or one.id == number), None)

    async def _user(self, request: Request) -> Response:
        account = self._asking(request)
        if account is None:
            return self.refusal(401)
        return answered(request, "user", _person(account), bare=True)

    async def _ping(self, request: Request) -> Response:
        return Response(status_code=200 if self._asking(request) else 401)

    async def _introduce(self, request: Request) -> Response:
        account = self._asking(request)
        if not self.speaks_jwt or account is None:
            return self.refusal(401 if self.speaks_jwt else 404)
        client, given = request.headers.get("x-plex-client-identifier", ""), await request.json()
        try:
            self.devices.introduce(account.id, client, given["jwk"])
        except RefusedError as error:
            return self.refusal(error.status)
        return Response(status_code=204)

    async def _nonce(self, request: Request) -> Response:
        return JSONResponse({"nonce": self.devices.nonce()}) if self.speaks_jwt else self.refusal(404)

    async def _exchange(self, request: Request) -> Response:
        if not self.speaks_jwt:
            return self.refusal(404)
        client, given = request.headers.get("x-plex-client-identifier", ""), await request.json()
        try:
            number, token = self.devices.exchange(given["jwt"], client)
        except RefusedError as error:
            return self.refusal(error.status)
        # The first token of this kind ends the one that never ended.
        self.revoked |= {account.token for account in self.accounts if account.id == number}
        return JSONResponse({"auth_token": token})

    async def _sign_out(self, request: Request) -> Response:
        account = self._asking(request)
        if account is None:
            return self.refusal(401)
        self.revoked.add(account.token)
        return Response(status_code=204)

    async def _resources(self, request: Request) -> Response:
        account = self._asking(request)
        if account is None:
            return self.refusal(401)
        with_relay = request.query_params.get("includeRelay") == "1"
        found = [_resource(share, with_relay) for share in self._shares.get(account.id, ())]
        player = _device("A television", "Plex for TV", "television", "client,player")
        return answered(request, "resources", [*found, player], bare=True)


def _person(account: Account) -> dict[str, Any]:
    return {
        "id": account.id, "uuid": f"uuid-of-{account.id}", "username": account.username, "title": account.username,
        "email": f"{account.username}@example.com", "friendlyName": "", "confirmed": True, "hasPassword": True,
        "authToken": account.token, "homeSize": 1, "maxHomeSize": 15, "scrobbleTypes": "", "thumb": "", "guest": False,
        "subscription": {"active": False, "subscribedAt": None, "status": "Inactive", "plan": None, "features": []},
        "profile": {"autoSelectAudio": True, "autoSelectSubtitle": 0, "defaultSubtitleAccessibility": 0,
                    "defaultSubtitleForced": 0},
    }  # fmt: skip


def _resource(share: _Share, with_relay: bool) -> dict[str, Any]:
    ways = [_connection(way) for way in share.connections if with_relay or way.kind != "relay"]
    return _device(share.server.title, "Plex Media Server", share.server.machine, "server") | {
        "owned": share.owned, "ownerId": None if share.owned else 1001, "sourceTitle": None if share.owned else "ada",
        "accessToken": share.token, "relay": True, "presence": True, "connections": ways,
    }  # fmt: skip


def _device(name: str, product: str, identifier: str, provides: str) -> dict[str, Any]:
    return {
        "name": name, "product": product, "productVersion": "1.43.0.10000",
        "platform": "Linux", "platformVersion": "12", "device": "PC",
        "clientIdentifier": identifier, "createdAt": _SEEN, "lastSeenAt": _SEEN, "provides": provides,
        "owned": True, "ownerId": None, "sourceTitle": None, "publicAddress": "203.0.113.5", "accessToken": "",
        "httpsRequired": False, "synced": False, "relay": False, "dnsRebindingProtection": False,
        "natLoopbackSupported": False, "publicAddressMatches": True, "presence": False, "home": True, "connections": [],
    }  # fmt: skip


def _connection(way: Connection) -> dict[str, Any]:
    scheme, _, rest = way.uri.partition("://")
    address, _, port = rest.partition(":")
    return {
        "protocol": scheme, "address": address, "port": int(port or 443), "uri": way.uri,
        "local": way.kind == "local", "relay": way.kind == "relay", "IPv6": False,
    }  # fmt: skip


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_ASKS = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Plex (a fake)</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark } body { font: 1.1rem system-ui; display: grid; place-items: center; min-height: 90vh }
button { font: inherit; padding: .6em 1.4em; margin: .3em } main { text-align: center }
</style>
<main><h1>A fake of plex.tv asks</h1><p><b id="product">An application</b> wants to use your account.</p>
<form action="/auth/allow"><input type="hidden" name="code"><input type="hidden" name="forwardUrl">BUTTONS</form></main>
<script>
const given = new URLSearchParams(location.hash.replace(/^#!?\\??/, ""));
for (const name of ["code", "forwardUrl"]) document.forms[0][name].value = given.get(name) || "";
document.getElementById("product").textContent = given.get("context[device][product]") || "An application";
</script></html>"""
