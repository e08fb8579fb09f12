"""The plugin: provider of users and of sign-in by password."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    Abstain,
    Allow,
    AuthAttempt,
    Deny,
    GuardedRoute,
    NewUser,
    Principal,
    SessionManager,
    User,
    UserChange,
    Verdict,
    session_of,
)
from plughost.exceptions import ServiceError, UserRefused
from plughost_accounts.directory import Directory
from plughost_accounts.passwords import Passwords

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


WRONG = Deny("Wrong name or password.")


class AccountsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings.

    Attributes:
        path: The file; ``accounts.db`` in the plugin's data folder when empty.
        parallel_hashes: How many passwords are hashed at the same time; each takes 64 MiB.
        shortest_password: Fewest characters of a new password.
    """

    path: str = ""
    parallel_hashes: int = 2
    shortest_password: int = 12


class AccountsPlugin(Plugin):
    """Keeps users; a changed password, role or a blocked account ends the user's sessions."""

    name = "accounts"
    after = ("sessions",)
    Config: ClassVar[type[Any] | None] = AccountsConfig

    async def start(self, context: PluginContext) -> None:
        """Open the file."""
        self._context = context
        self._config: AccountsConfig = context.config
        self._passwords = Passwords(self._config.parallel_hashes)
        self._users = Directory(Path(self._config.path or context.data_dir / "accounts.db"))
        context.on_stop(self._users.close)

    @hookimpl
    async def authenticate(self, attempt: AuthAttempt) -> Verdict:
        """Allow who gives the right password; an unknown name takes as long and gets the same answer."""
        password = attempt.credentials.get("password")
        if not isinstance(password, str):
            return Abstain()
        found = await self._users.find(username=attempt.username)
        user, stored = found if found is not None else (None, None)
        if not await self._passwords.matches(password, stored) or user is None or not user.active:
            return WRONG
        if stored is not None and self._passwords.is_outdated(stored):
            await self._users.set_password(user.user_id, await self._passwords.hash(password))
        return Allow(Principal(user.user_id, user.username, user.roles))

    @hookimpl
    async def create_user(self, user: NewUser) -> User:
        """Store a user."""
        return await self._users.add(user, await self._hashed(user.password))

    @hookimpl
    async def update_user(self, change: UserChange) -> User | None:
        """Store a change; one of who may do what signs the user out everywhere."""
        found = await self._users.find(user_id=change.user_id)
        if found is None:
            return None
        stored = await self._users.change(found[0], change, await self._hashed(change.password))
        if {"password", "roles", "active"} & set(change.changed):
            await self._sign_out_everywhere(change.user_id)
        return stored

    @hookimpl
    async def delete_user(self, user: User) -> bool | None:
        """Delete a user and end the sessions."""
        removed = await self._users.remove(user.user_id)
        await self._sign_out_everywhere(user.user_id)
        return removed or None

    @hookimpl
    async def find_user(self, user_id: str | None, username: str | None) -> User | None:
        """Find a user."""
        found = await self._users.find(user_id=user_id, username=username)
        return found[0] if found is not None else None

    @hookimpl
    def register_routes(self) -> Sequence[GuardedRoute]:
        """Let the signed-in person change the password."""
        from plughost.http import SIGNED_IN, Route

        return [
            Route(
                "/api/account/password", self.change_password, methods=["POST"], guard=SIGNED_IN, rate="write"
            )
        ]

    async def change_password(self, request: Request) -> Response:
        """Change the password; every other session ends, and this browser gets a new id."""
        from starlette.responses import Response

        from plughost.http import Problem, host_from, json_body

        given = await json_body(request, dict[str, str])
        session = await session_of(request).load()
        found = await self._users.find(user_id=session.user_id)
        user, stored = found if found is not None else (None, None)
        if not await self._passwords.matches(given.get("old", ""), stored) or user is None:
            raise Problem(403, "The old password is wrong.", code="wrong_password")
        try:
            await host_from(request).users.update(
                UserChange(user_id=user.user_id, password=given.get("new", ""))
            )
        except UserRefused as refusal:
            raise Problem(422, refusal.reason, code="refused") from refusal
        await session.sign_in(user.user_id, username=user.username, roles=user.roles)
        return Response(status_code=204)

    async def _hashed(self, password: str | None) -> str | None:
        if password is None:
            return None
        if len(password) < self._config.shortest_password:
            raise UserRefused(f"Take a password of at least {self._config.shortest_password} characters.")
        return await self._passwords.hash(password)

    async def _sign_out_everywhere(self, user_id: str) -> None:
        try:
            sessions = self._context.use(SessionManager)
        except ServiceError:
            return  # no plugin keeps sessions here
        await sessions.destroy_user(user_id)
