"""Sign-in: who tries, who it is, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from plughost._dataclasses import dataclass
from plughost.contracts.arguments import several
from plughost.contracts.frozen import FrozenDict, Payload


@dataclass(frozen=True, slots=True)
class AuthAttempt(Payload):
    """Somebody tries to sign in.

    Attributes:
        username: The name that was given.
        credentials: What was given to prove it; never shown in a ``repr``.
        address: Network address of the client, if known.
        user_agent: What the client says it is, if known.
    """

    username: str
    credentials: Mapping[str, Any] = field(default_factory=FrozenDict, repr=False)
    address: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who is signed in.

    Attributes:
        user_id: The stable id of the user.
        username: The name to show.
        roles: Names of the roles held.
    """

    user_id: str
    username: str
    roles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Keep the roles as a tuple. Each request of a session makes one of these, so no more is looked at."""
        if type(self.roles) is not tuple:
            object.__setattr__(self, "roles", several("roles", self.roles))


@dataclass(frozen=True, slots=True)
class Allow:
    """Verdict: yes, and this is who it is."""

    principal: Principal | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """Verdict: no. Any Deny beats any Allow.

    Attributes:
        reason: What the person may be told.
    """

    reason: str = "denied"


@dataclass(frozen=True, slots=True)
class Abstain:
    """Verdict: not mine to say."""


Verdict = Allow | Deny | Abstain
"""What a provider says about an attempt."""


@dataclass(frozen=True, slots=True)
class AuthResult:
    """What became of a sign-in.

    Attributes:
        allowed: Whether it succeeded.
        principal: Who it is, when it did.
        reason: What the person may be told, when it did not.
        retry_after: Seconds until another attempt is looked at, when there were too many; else 0.
    """

    allowed: bool
    principal: Principal | None = None
    reason: str = ""
    retry_after: float = 0.0
