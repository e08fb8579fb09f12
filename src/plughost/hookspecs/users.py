"""Creating, changing, deleting and finding users.

Each change goes ``before_user_...``, the provider's bare verb (``create_user``, ``update_user``,
``delete_user``), then ``after_user_...``. One plugin keeps the users; any plugin may look at a change, alter
it or refuse it before.
"""

from __future__ import annotations

from plughost.contracts.users import NewUser, User, UserChange
from plughost.hookspecs._markers import hookspec


@hookspec(mode="waterfall", timeout=5.0, on_error="abort")
def before_user_create(user: NewUser) -> NewUser | None:
    """A user is about to be created; look at it, change it or refuse it.

    Called first, before ``create_user``. Each implementation is given what the one before it returned.

    Args:
        user: The user to be, with the password as it was typed.

    Returns:
        The user to go on with; None leaves it as it is.

    Refusing:
        Raise ``UserRefused``; nothing is created.

    Failure:
        Any other error or a time-out stops the creation too, and is raised to whoever asked for it.

    Example:
        @hookimpl
        def before_user_create(user: NewUser) -> NewUser | None:
            if user.password is not None and len(user.password) < 12:
                raise UserRefused("A password needs at least 12 characters.")
            return None
    """


@hookspec(mode="first", timeout=10.0, on_error="abort")
def create_user(user: NewUser) -> User | None:
    """Store this user.

    Called after ``before_user_create``. The first implementation that returns a user is the provider; later
    ones are not asked.

    Args:
        user: The user to be, as ``before_user_create`` left it.

    Returns:
        The user as it is stored, with its id, once it is durable; None when this plugin keeps no such users.

    Refusing:
        Raise ``UserRefused``, for instance when the name is taken.

    Failure:
        An error or a time-out is raised to whoever asked; no other provider is tried, and
        ``after_user_create`` is not called.

    Example:
        from uuid import uuid4

        stored: dict[str, User] = {}

        @hookimpl
        async def create_user(user: NewUser) -> User | None:
            if any(known.username == user.username for known in stored.values()):
                raise UserRefused("That name is taken.")
            new = User(user_id=uuid4().hex, username=user.username, email=user.email, roles=user.roles)
            stored[new.user_id] = new
            return new
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def after_user_create(user: User) -> None:
    """A user was created.

    Called when the provider has stored it.

    Args:
        user: The user as it is stored.

    Refusing:
        Nobody can stop it any more; refuse in ``before_user_create``.

    Failure:
        Reported; the others are still told, and the user stays.

    Example:
        welcome: list[str] = []

        @hookimpl
        def after_user_create(user: User) -> None:
            if user.email is not None:
                welcome.append(user.email)
    """


@hookspec(mode="waterfall", timeout=5.0, on_error="abort")
def before_user_update(change: UserChange) -> UserChange | None:
    """A user is about to be changed; look at the change, alter it or refuse it.

    Called first, before ``update_user``. Each implementation is given what the one before it returned.

    Args:
        change: Whose change it is, and what shall become different.

    Returns:
        The change to go on with; None leaves it as it is. It must be of the same user: a result with another
        ``user_id`` is refused.

    Refusing:
        Raise ``UserRefused``; nothing is changed.

    Failure:
        Any other error or a time-out stops the change too, and is raised to whoever asked for it.

    Example:
        @hookimpl
        def before_user_update(change: UserChange) -> UserChange | None:
            if "admin" in (change.roles or ()):
                raise UserRefused("Administrators are appointed on the console.")
            return None
    """


@hookspec(mode="first", timeout=10.0, on_error="abort")
def update_user(change: UserChange) -> User | None:
    """Store this change.

    Called after ``before_user_update``. The first implementation that returns a user is the provider; later
    ones are not asked.

    Args:
        change: The change, as ``before_user_update`` left it.

    Returns:
        The user as it is stored now, once it is durable; None when this plugin does not keep that user.

    Refusing:
        Raise ``UserRefused``, for instance when the new name is taken.

    Failure:
        An error or a time-out is raised to whoever asked; no other provider is tried, and
        ``after_user_update`` is not called.

    Example:
        from dataclasses import replace

        stored = {"7": User(user_id="7", username="ada")}

        @hookimpl
        async def update_user(change: UserChange) -> User | None:
            user = stored.get(change.user_id)
            if user is None:
                return None
            stored[user.user_id] = replace(user, username=change.username or user.username)
            return stored[user.user_id]
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def after_user_update(user: User, changed: tuple[str, ...]) -> None:
    """A user was changed.

    Called when the provider has stored the change.

    Args:
        user: The user as it is stored now.
        changed: Names of what was given in the change, such as ``("password", "roles")``; never the values.

    Refusing:
        Nobody can stop it any more; refuse in ``before_user_update``.

    Failure:
        Reported; the others are still told, and the change stays.

    Example:
        sign_out_soon: list[str] = []

        @hookimpl
        def after_user_update(user: User, changed: tuple[str, ...]) -> None:
            if "password" in changed:
                sign_out_soon.append(user.user_id)
    """


@hookspec(mode="waterfall", timeout=5.0, on_error="abort")
def before_user_delete(user: User) -> User | None:
    """A user is about to be deleted; take leave of it or refuse it.

    Called first, before ``delete_user``, with the user as it is still stored.

    Args:
        user: The user to delete.

    Returns:
        The user for the next implementation and the provider; None leaves it as it is. It must be the same
        user: a result with another ``user_id`` is refused.

    Refusing:
        Raise ``UserRefused``; nothing is deleted.

    Failure:
        Any other error or a time-out stops the deletion too, and is raised to whoever asked for it.

    Example:
        @hookimpl
        def before_user_delete(user: User) -> None:
            if "owner" in user.roles:
                raise UserRefused("Hand over the ownership first.")
    """


@hookspec(mode="first", timeout=10.0, on_error="abort")
def delete_user(user: User) -> bool | None:
    """Delete this user.

    Called after ``before_user_delete``. The first implementation that returns something is the provider;
    later ones are not asked.

    Args:
        user: The user to delete.

    Returns:
        True once it is durably gone, False when it was gone before; None when this plugin does not keep that
        user.

    Refusing:
        Raise ``UserRefused``.

    Failure:
        An error or a time-out is raised to whoever asked; no other provider is tried, and
        ``after_user_delete`` is not called.

    Example:
        stored = {"7": User(user_id="7", username="ada")}

        @hookimpl
        async def delete_user(user: User) -> bool | None:
            return stored.pop(user.user_id, None) is not None
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def after_user_delete(user: User) -> None:
    """A user was deleted.

    Called when the provider has durably deleted it; the place to remove what belonged to the user.

    Args:
        user: The user as it was.

    Refusing:
        Nobody can stop it any more; refuse in ``before_user_delete``.

    Failure:
        Reported; the others are still told, and the user stays deleted.

    Example:
        avatars = {"7": b"..."}

        @hookimpl
        def after_user_delete(user: User) -> None:
            avatars.pop(user.user_id, None)
    """


@hookspec(mode="first", timeout=10.0, on_error="abort")
def find_user(user_id: str | None, username: str | None) -> User | None:
    """Find a user by id or by name.

    Called when somebody looks for a user, and before each deletion. Exactly one of the two is given.
    The first implementation that returns a user settles it.

    Args:
        user_id: The id to look for; None when it is looked for by name.
        username: The name to look for, as it was typed; None when it is looked for by id.

    Returns:
        The user; None when this plugin does not keep it.

    Refusing:
        Return None; a user that shall not be found is not there.

    Failure:
        An error or a time-out is raised to whoever asked: a provider that is away must not look like a user
        who does not exist.

    Example:
        stored = {"7": User(user_id="7", username="ada")}

        @hookimpl
        async def find_user(user_id: str | None, username: str | None) -> User | None:
            if user_id is not None:
                return stored.get(user_id)
            return next((user for user in stored.values() if user.username == username), None)
    """
