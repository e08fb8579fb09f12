"""Users: who shall be created, who is stored, and what shall change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from plughost._dataclasses import dataclass
from plughost.contracts.arguments import several
from plughost.contracts.frozen import FrozenDict, Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser(Payload):
    """A user who does not exist yet.

    Attributes:
        username: The name to sign in with.
        password: The password as it was typed, for the provider to hash; None for users who sign in some
            other way. Never shown in a ``repr``, and gone once the user is stored.
        email: Where to write to; None when unknown.
        roles: Names of the roles to give.
        fields: What the application keeps about a user beside these.
    """

    username: str
    password: str | None = field(default=None, repr=False)
    email: str | None = None
    roles: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        """Keep the roles as a tuple, and freeze the rest."""
        object.__setattr__(self, "roles", several("roles", self.roles))
        Payload.__post_init__(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Payload):
    """A user as a provider stores it. It carries nothing that could sign anybody in.

    Attributes:
        user_id: The stable id; never reused, and the same when everything else changes.
        username: The name to sign in with.
        email: Where to write to; None when unknown.
        roles: Names of the roles held.
        fields: What the application keeps about the user beside these.
        active: Whether the user may sign in.
        created_at: When it was created, in seconds since the epoch; None when the provider does not know.
    """

    user_id: str
    username: str
    email: str | None = None
    roles: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=FrozenDict)
    active: bool = True
    created_at: float | None = None

    def __post_init__(self) -> None:
        """Keep the roles as a tuple, and freeze the rest."""
        object.__setattr__(self, "roles", several("roles", self.roles))
        Payload.__post_init__(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange(Payload):
    """What shall become different about one user. None everywhere means: as it was.

    Attributes:
        user_id: Whose change it is.
        username: The new name.
        password: The new password as it was typed; never shown in a ``repr``.
        email: The new address; an empty string removes it.
        roles: All roles from now on, not those to add.
        fields: Application fields to set; the others stay.
        remove_fields: Names of application fields to remove.
        active: Whether the user may sign in from now on.
    """

    user_id: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    email: str | None = None
    roles: tuple[str, ...] | None = None
    fields: Mapping[str, Any] = field(default_factory=FrozenDict)
    remove_fields: tuple[str, ...] = ()
    active: bool | None = None

    def __post_init__(self) -> None:
        """Keep roles and names as tuples, and freeze the rest."""
        if self.roles is not None:
            object.__setattr__(self, "roles", several("roles", self.roles))
        object.__setattr__(self, "remove_fields", several("remove_fields", self.remove_fields))
        Payload.__post_init__(self)

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of what shall change, such as ``("password", "fields")``; safe to tell to anybody."""
        given = {
            "username": self.username is not None,
            "password": self.password is not None,
            "email": self.email is not None,
            "roles": self.roles is not None,
            "fields": bool(self.fields or self.remove_fields),
            "active": self.active is not None,
        }
        return tuple(name for name, present in given.items() if present)
