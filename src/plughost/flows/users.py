"""Changes of users: ``before_user_...``, the provider's bare verb, ``after_user_...``.

One plugin keeps the users. Any other may look at a change, alter it or refuse it; a failure on the way stops
the change, and no second provider is tried.
"""

from __future__ import annotations

from typing import TypeVar

from plughost.contracts.logs import get_logger
from plughost.contracts.users import NewUser, User, UserChange
from plughost.exceptions import HostNotReadyError, UserRefused
from plughost.flows.telling import tell_fact
from plughost.hookspecs import Hooks

T = TypeVar("T")

_log = get_logger("plughost.users")


class UserFlow:
    """``host.users``: creates, changes, deletes and finds users through the plugin that keeps them.

    Every method raises ``UserRefused`` when a plugin says No, with a reason for the person, and ``HookError``
    when a plugin failed, in which case nothing was changed as far as the provider kept its word.

    Args:
        hooks: The hooks of the host.
    """

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    async def create(self, user: NewUser) -> User:
        """Create a user and return it as it is stored.

        Raises:
            UserRefused: A plugin refused it.
            HostNotReadyError: No plugin keeps users.
            HookError: A plugin failed.
        """
        looked_at = await self._hooks.before_user_create(user=user)
        stored = await self._hooks.create_user(user=looked_at)
        if stored is None:
            raise HostNotReadyError("no running plugin keeps users: enable one that implements create_user")
        await tell_fact(_log, self._hooks.after_user_create, user=stored)
        return stored

    async def update(self, change: UserChange) -> User | None:
        """Change a user and return it as it is stored now; None when nobody keeps it.

        Raises:
            UserRefused: A plugin refused it.
            HookError: A plugin failed.
        """
        looked_at = await self._hooks.before_user_update(change=change)
        if looked_at.user_id != change.user_id:
            raise UserRefused(_UNDECIDED, log_reason="before_user_update returned a change of another user")
        stored = await self._hooks.update_user(change=looked_at)
        if stored is None:
            return None
        await tell_fact(_log, self._hooks.after_user_update, user=stored, changed=looked_at.changed)
        return stored

    async def delete(self, user_id: str) -> bool:
        """Delete a user; False when there is none of that id.

        Raises:
            UserRefused: A plugin refused it.
            HookError: A plugin failed.
        """
        user = await self.find(user_id=user_id)
        if user is None:
            return False
        looked_at = await self._hooks.before_user_delete(user=user)
        if looked_at.user_id != user_id:
            raise UserRefused(_UNDECIDED, log_reason="before_user_delete returned another user")
        if not await self._hooks.delete_user(user=looked_at):
            return False
        await tell_fact(_log, self._hooks.after_user_delete, user=looked_at)
        return True

    async def find(self, *, user_id: str | None = None, username: str | None = None) -> User | None:
        """Find a user by id or by name; None when nobody keeps it.

        Raises:
            TypeError: Not exactly one of the two was given.
            HookError: A provider failed: that is not the same as there being no such user.
        """
        if (user_id is None) == (username is None):
            raise TypeError("find a user by its user_id or by its username: give exactly one of them")
        return await self._hooks.find_user(user_id=user_id, username=username)


_UNDECIDED = "This could not be decided. Try again later."
