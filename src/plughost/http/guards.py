"""Who may use a route: every route says it, and there is no default."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Literal

from plughost._dataclasses import dataclass
from plughost.core.wire.routes import GuardManifest
from plughost.http.loopback import from_loopback

IdentityKind = Literal["anonymous", "token", "browser", "session"]
"""How somebody showed who they are: not at all, by a bearer token, by a sign-in link, by a session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who makes a request, as far as it is known.

    Attributes:
        kind: How they showed it.
        name: How they are shown. Two may have the same, and people choose their own: decide nothing by it.
        id: What tells them apart from all others of their kind: a user's ``user_id``, a token's public id. No
            secret; empty for nobody in particular.
        scopes: What they may do; ``*`` is everything, ``cache:*`` everything with the cache.
    """

    kind: IdentityKind = "anonymous"
    name: str = ""
    id: str = ""
    scopes: frozenset[str] = frozenset()

    @property
    def known(self) -> bool:
        """Whether it is known who it is."""
        return self.kind != "anonymous"

    @property
    def key(self) -> str:
        """Who it is and nobody else, for keys and counts: ``session:42`` is never ``token:42``."""
        return f"{self.kind}:{self.id}"

    @property
    def actor(self) -> str:
        """Who it is, for the audit trail: the id first, then the name, so that no name looks like a token."""
        if self.kind == "token" or not self.known:
            return self.name
        # Return an id as it is, or in quotes when it could be taken for more than an id
        quoted = self.id if _SAFE_ID.fullmatch(self.id) else ascii(self.id)
        return f"{_ACTORS[self.kind]} {quoted} ({self.name})"

    def holds(self, scope: str) -> bool:
        """Whether ``scope``, or something that includes it, is among the scopes."""
        area = scope.partition(":")[0]
        return bool(self.scopes & {scope, f"{area}:*", "*"})


_ACTORS = {"browser": "browser", "session": "user"}
_SAFE_ID = re.compile(r"[\w.@+:-]+")


ANONYMOUS = Identity()
"""Nobody in particular."""


class Guard(ABC):
    """Decides who may use a route. Derive from it for a rule of your own; raise nothing, answer or refuse."""

    @property
    def looks_at_identity(self) -> bool:
        """Whether it needs to know who asks; without that, no credential of the request is looked at."""
        return True

    @abstractmethod
    def allows(self, identity: Identity, connection: Mapping[str, Any]) -> bool:
        """Whether ``identity`` may use the route; ``connection`` is the ASGI scope."""

    @property
    def wants(self) -> str:
        """Name of the scope that would help, for the refusal; empty when no scope would."""
        return ""


class _Public(Guard):
    looks_at_identity = False  # no property: every request asks

    def allows(self, identity: Identity, connection: Mapping[str, Any]) -> bool:
        return True

    def __repr__(self) -> str:
        return "PUBLIC"


class _SignedIn(Guard):
    def allows(self, identity: Identity, connection: Mapping[str, Any]) -> bool:
        return identity.known

    def __repr__(self) -> str:
        return "SIGNED_IN"


class _Loopback(Guard):
    looks_at_identity = False

    def allows(self, identity: Identity, connection: Mapping[str, Any]) -> bool:
        return from_loopback(connection)

    def __repr__(self) -> str:
        return "LOOPBACK"


@dataclass(frozen=True, slots=True, repr=False)
class _Scope(Guard):
    name: str

    def allows(self, identity: Identity, connection: Mapping[str, Any]) -> bool:
        return identity.holds(self.name)

    @property
    def wants(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"scope({self.name!r})"


@dataclass(frozen=True, slots=True, repr=False)
class _AnyOf(Guard):
    guards: tuple[Guard, ...]

    @property
    def looks_at_identity(self) -> bool:
        return any(guard.looks_at_identity for guard in self.guards)

    def allows(self, identity: Identity, connection: Mapping[str, Any]) -> bool:
        return any(guard.allows(identity, connection) for guard in self.guards)

    @property
    def wants(self) -> str:
        return next((guard.wants for guard in self.guards if guard.wants), "")

    def __repr__(self) -> str:
        return f"any_of({', '.join(map(repr, self.guards))})"


PUBLIC: Guard = _Public()
"""Everybody."""

SIGNED_IN: Guard = _SignedIn()
"""Whoever is known: by a session of the application, a sign-in link or a bearer token."""

LOOPBACK: Guard = _Loopback()
"""Programs on the same machine that ask directly, not through a proxy; see ``from_loopback``."""


def scope(name: str) -> Guard:
    """Return the guard that lets pass who holds the scope ``name``, such as ``cache:read``.

    Raises:
        ValueError: The name is empty or a wildcard.
    """
    if not name or "*" in name or name.strip() != name:
        raise ValueError(f"a scope is named like 'cache:read', not {name!r}")
    return _Scope(name)


def any_of(*guards: Guard) -> Guard:
    """Return the guard that lets pass whom one of ``guards`` lets pass."""
    if not guards:
        raise ValueError("any_of() needs at least one guard")
    return _AnyOf(guards)


def guard_manifest(guard: object) -> GuardManifest | None:
    """Return one of plughost's own guards as data; None for any other."""
    for kind, known in _KINDS.items():
        if guard is known:
            return GuardManifest(kind=kind)
    if type(guard) is _Scope:
        return GuardManifest(kind="scope", scope=guard.name)
    if type(guard) is not _AnyOf:
        return None
    inner = [guard_manifest(one) for one in guard.guards]
    told = tuple(one for one in inner if one is not None)
    return GuardManifest(kind="any_of", guards=told) if len(told) == len(inner) else None


def guard_from(manifest: GuardManifest) -> Guard:
    """Return the guard of which ``guard_manifest`` made data.

    Raises:
        ValueError: Nothing it makes looks like this.
    """
    if manifest.kind == "scope":
        return scope(manifest.scope)
    if manifest.kind == "any_of":
        return any_of(*map(guard_from, manifest.guards))
    return _KINDS[manifest.kind]


_KINDS: Final[Mapping[Literal["public", "signed_in", "loopback"], Guard]] = {
    "public": PUBLIC,
    "signed_in": SIGNED_IN,
    "loopback": LOOPBACK,
}
