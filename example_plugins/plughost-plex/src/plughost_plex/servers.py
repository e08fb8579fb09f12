"""The servers of everybody: which there are, by which way each is reached, and calls to them."""

from __future__ import annotations

import math
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from plughost.contracts import Clock, Secret
from plughost_plex.device_tokens import ACCOUNT_TOKEN, DeviceTokens
from plughost_plex.plex_tv import PlexTv, is_over, is_unlinked, sign_in_again
from plughost_plex.protocols import Account, PlexError, Server, Way
from plughost_plex.shelf import Shelf
from plughost_upstream.protocols import (
    Call,
    Origin,
    Reply,
    ReplyStream,
    Upstream,
    UpstreamBusyError,
    UpstreamError,
    UpstreamRefusedError,
    UpstreamRejectedError,
    Upstreams,
    UpstreamUnavailableError,
)
from plughost_vault.protocols import Vault, VaultError

if TYPE_CHECKING:
    from plughost_plex.plugin import PlexConfig

T = TypeVar("T")

_HEAD_START: Final = 0.25
"""Seconds that a better way has before the next one is tried too; none once it has failed."""

_LATEST_START: Final = 0.5
_FRESH: Final = 300.0

_REFUSED_FOR: Final = 60.0
"""Seconds for which a new token is not asked for again: what a server refuses may be no matter of tokens."""

SERVER_TOKEN: Final = "plex server token "  # noqa: S105 - its name


class Servers:
    """Finds and calls servers.

    Args:
        shelf: Where they are kept.
        plex_tv: Where they are learned from.
        upstreams: Returns the way to services elsewhere.
        vault: Returns what seals tokens.
        client: Headers that say who asks.
        hooks: The hooks of the host.
        config: How long calls may take, and who vouches for servers.
        clock: Time.
    """

    def __init__(
        self,
        shelf: Shelf,
        plex_tv: PlexTv,
        upstreams: Callable[[], Upstreams],
        vault: Callable[[], Vault],
        client: dict[str, str],
        hooks: Any,
        config: PlexConfig,
        clock: Clock,
    ) -> None:
        self._shelf, self._plex_tv, self._upstreams, self._vault = shelf, plex_tv, upstreams, vault
        self._client, self._hooks, self._config, self._clock = client, hooks, config, clock
        self._looked_at: dict[str, float] = {}
        self._refused_at: dict[tuple[str, str], float] = {}
        self._devices = DeviceTokens(shelf, plex_tv, vault, client["X-Plex-Client-Identifier"], clock)

    async def link(self, account: Account, token: Secret) -> None:
        """Keep an account and its servers; a failure of plex.tv leaves the servers for the next look."""
        sealed = self._vault().seal(token, owner=account.user_id, purpose=ACCOUNT_TOKEN)
        await self._shelf.link(account, sealed)
        device = await self._shelf.device(account.user_id)
        if device is not None:  # the token from the PIN is none of its
            await self._shelf.keep_device(account.user_id, device.key, 0.0)
        try:
            await self.refresh(account)
        except UpstreamError:
            self._looked_at.pop(account.user_id, None)

    async def account(self, user_id: str) -> Account:
        """Return a user's account.

        Raises:
            PlexError: There is none.
        """
        found = await self._shelf.account(user_id)
        if found is None:
            raise PlexError(409, "plex_not_linked", "Sign in with Plex first.")
        return found

    async def refresh(self, account: Account) -> None:
        """Learn anew which servers an account may use.

        Raises:
            PlexError: plex.tv does not know the account any more; it is forgotten here, too.
            UpstreamError: plex.tv gave no answer.
        """
        token = await self._account_token(account)
        try:
            found = await self._plex_tv.servers(account, token)
        except (UpstreamRefusedError, UpstreamRejectedError):
            good = await self._check(account, token)
            if good is token:
                raise
            found = await self._plex_tv.servers(account, good)
        vault = self._vault()
        sealed = [
            (
                one.server,
                vault.seal(one.token, owner=account.user_id, purpose=SERVER_TOKEN + one.server.machine),
            )
            for one in found
        ]
        await self._shelf.replace(account.user_id, sealed)
        self._looked_at[account.user_id] = self._clock.monotonic()

    async def known(self, account: Account) -> tuple[Server, ...]:
        """Return an account's servers, learned anew when that is long ago and plex.tv answers."""
        looked_at = self._looked_at.get(account.user_id)
        if looked_at is None or self._clock.monotonic() - looked_at > _FRESH:
            try:
                await self.refresh(account)
            except UpstreamError:
                self._looked_at[account.user_id] = self._clock.monotonic() - _FRESH + 10
        return await self._shelf.servers(account.user_id)

    async def current(self, user_id: str) -> Server:
        """Return the server that a user's calls go to.

        Raises:
            PlexError: There is none.
        """
        found = await self._shelf.current(user_id)
        if found is None:
            await self.known(await self.account(user_id))
            found = await self._shelf.current(user_id)
        if found is None:
            raise PlexError(404, "plex_no_server", "This Plex account has no server.")
        return found

    async def keep_alive(self, account: Account) -> None:
        """Renew a token that ends, and tell plex.tv of one that does not that it is still used."""
        token, devices = await self._account_token(account), self._devices
        if self._config.device_tokens and await devices.are_good(account):
            return
        try:
            if self._config.device_tokens and await devices.renewed(account, token) is not None:
                return
        except UpstreamError:
            pass  # there are days left, and the one before is still good
        try:
            await self._plex_tv.ping(token)
        except (UpstreamRefusedError, UpstreamRejectedError):
            await self._check(account, token)

    async def _check(self, account: Account, token: Secret) -> Secret:
        """Return a token that is good if there is one; the account is forgotten if plex.tv says that it is nobody's."""
        try:
            await self._plex_tv.person(token)
        except (UpstreamRefusedError, UpstreamRejectedError) as error:
            if not is_over(error):
                raise
            renewed = await self._devices.renewed(account, None)
            if renewed is not None:
                return renewed
            if is_unlinked(error):
                await self._shelf.unlink(account.user_id)
                raise sign_in_again() from None
            raise
        return token

    async def probe(self, server: Server) -> Server:
        """Try all ways to a server side by side, better ones a little earlier; returns it with the one that works.

        Raises:
            PlexError: None works.
            UpstreamBusyError: None works now, and one of them only because the server wants to be asked later.
        """
        candidates = list(server.ways)
        chosen = await self._hooks.choose_connection(server=server, candidates=tuple(candidates))
        if chosen in candidates:
            candidates.sort(key=lambda way: way != chosen)
        worked: list[tuple[Way, float]] = []
        busy: list[UpstreamBusyError] = []

        failed = [anyio.Event() for _ in candidates]

        async def attempt(place: int, way: Way) -> None:
            if place:
                with anyio.move_on_after(min(place * _HEAD_START, _LATEST_START)):
                    await failed[place - 1].wait()
            try:
                await ask(way)
            finally:
                failed[place].set()

        async def ask(way: Way) -> None:
            began = self._clock.monotonic()
            try:
                good = await self._is_at(server, way)
            except UpstreamBusyError as error:
                busy.append(error)
                return
            if good:
                worked.append((way, self._clock.monotonic() - began))
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for place, way in enumerate(candidates):
                group.start_soon(attempt, place, way)
        if busy and not worked:
            raise busy[0]
        return await self._found(server, candidates, worked)

    async def _is_at(self, server: Server, way: Way) -> bool:
        """Whether a server is at the end of a way; raises ``UpstreamBusyError`` when it wants to be asked later."""
        try:
            reply = await self._at(server, way).send(Call(path="/identity", deadline=self._config.patience))
        except UpstreamBusyError:
            raise
        except (UpstreamError, ValueError):  # a way that may not be used at all is none
            return False
        container = reply.data.get("MediaContainer") if isinstance(reply.data, dict) else None
        return isinstance(container, dict) and container.get("machineIdentifier") == server.machine

    async def _found(
        self, server: Server, tried: Sequence[Way], worked: Sequence[tuple[Way, float]]
    ) -> Server:
        if not worked:
            await self._shelf.reached(replace(server, way=None, latency=None))
            if server.way is not None:
                await self._hooks.server_state_changed(server=server, reachable=False)
            kinds = tuple(dict.fromkeys(way.kind for way in tried))
            message = (
                f"{server.name} does not answer; tried: {', '.join(kinds) or 'nothing, no way is known'}."
            )
            raise PlexError(502, "plex_server_unreachable", message, tried=kinds)
        way, latency = worked[0]
        reached = replace(server, way=server.ways.index(way), latency=latency)
        await self._shelf.reached(reached)
        if server.way is None:
            await self._hooks.server_state_changed(server=reached, reachable=True)
        return reached

    async def call(self, server: Server, call: Call) -> Reply:
        """Make a call; when the way is dead it goes by the next one, when the token is old a new one is fetched.

        Raises:
            PlexError: No way works, or plex.tv does not know the account any more.
            UpstreamError: The server gave no answer, or refused.
        """

        async def send(upstream: Upstream, call: Call) -> Reply:
            return await upstream.send(call)

        return await self._by_some_way(server, call, send)

    @asynccontextmanager
    async def stream(self, server: Server, call: Call) -> AsyncIterator[ReplyStream]:
        """Make a call in the same way, whose answer is read piece by piece within the block."""
        async with AsyncExitStack() as held:

            async def begin(upstream: Upstream, call: Call) -> ReplyStream:
                return await held.enter_async_context(upstream.stream(call))

            yield await self._by_some_way(server, call, begin)

    async def _by_some_way(
        self, server: Server, call: Call, ask: Callable[[Upstream, Call], Awaitable[T]]
    ) -> T:
        current = await self._shelf.current(server.user_id)
        if current is not None and current.machine == server.machine:
            server = current  # somebody may have found a better way meanwhile
        if server.way is None:
            server = await self.probe(server)
        try:
            return await ask(*await self._addressed(server, call))
        except UpstreamRefusedError:
            now, place = self._clock.monotonic(), (server.user_id, server.machine)
            if now - self._refused_at.get(place, -math.inf) < _REFUSED_FOR:
                raise
            await self.refresh(await self.account(server.user_id))
            self._refused_at[place] = now
            return await ask(*await self._addressed(server, call))
        except UpstreamUnavailableError as error:
            if error.status or call.method != "GET":
                raise
            return await ask(*await self._addressed(await self.probe(server), call))

    def at(self, server: Server) -> Upstream:
        """Return the origin of a server, by the way that works."""
        if server.way is None:
            raise PlexError(502, "plex_server_unreachable", f"{server.name} does not answer.")
        return self._at(server, server.ways[server.way])

    async def secret(self, server: Server) -> dict[str, Secret]:
        """Return the header that a server knows its user by."""
        sealed = await self._shelf.server_token(server)
        if sealed is None:
            raise PlexError(404, "plex_no_server", "This Plex account may not use that server any more.")
        return {"X-Plex-Token": self._open(sealed, server.user_id, SERVER_TOKEN + server.machine)}

    async def _addressed(self, server: Server, call: Call) -> tuple[Upstream, Call]:
        call = replace(call, secrets=await self.secret(server), deadline=self._config.deadline)
        return self.at(server), call

    def _at(self, server: Server, way: Way) -> Upstream:
        address = zlib.crc32(way.uri.encode())  # two users may know two addresses of one server
        return self._upstreams().register(
            Origin(
                name=f"plex-{server.machine[:16]}-{way.kind}-{address:08x}",
                url=way.uri,
                reach="local" if way.kind == "local" else "public",
                ca_file=self._config.ca_file,
                ca_beside=True,  # names of plex.direct are vouched for by everybody's authorities
                headers={"Accept": "application/json", **self._client},
            )
        )

    async def _account_token(self, account: Account) -> Secret:
        sealed = await self._shelf.account_token(account.user_id)
        if sealed is None:
            raise sign_in_again()
        return self._open(sealed, account.user_id, ACCOUNT_TOKEN)

    def _open(self, sealed: str, owner: str, purpose: str) -> Secret:
        try:
            return self._vault().open(sealed, owner=owner, purpose=purpose)
        except VaultError:
            raise sign_in_again() from None
