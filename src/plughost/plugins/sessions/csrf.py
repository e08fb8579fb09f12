"""What a session adds to the check of where a request comes from: a token that is bound to it may speak for it.

Where it comes from is told by ``plughost.http.csrf``. Where ``Origin`` alone tells it, or nobody does (an old browser,
a browser over plain HTTP, a program), the token decides.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from plughost.contracts import Scope
from plughost.http.csrf import (
    CSRF_CHECKED,
    NO_OTHERS,
    ORIGINS,
    SAFE_METHODS,
    OriginPolicy,
    bears_only_a_token,
)

__all__ = ["SAFE_METHODS", "CsrfCheck", "CsrfPolicy"]

_TOKEN_HEADER = b"x-csrf-token"


class CsrfPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the deployer decided.

    Attributes:
        strict: Whether a request with a session cookie but neither ``Sec-Fetch-Site`` nor ``Origin`` needs a
            token; programs that keep cookies send neither.
        trusted_origins: Other origins that may send requests, such as ``https://app.example.org``.
        exempt_paths: Exact paths that are not checked; no patterns.
    """

    strict: bool = False
    trusted_origins: frozenset[str] = frozenset()
    exempt_paths: frozenset[str] = frozenset()


class CsrfCheck:
    """Says No to requests from elsewhere.

    Args:
        policy: What the deployer decided.
        token_matches: Given the scope and a token, whether it belongs to the session of that request.
        has_cookie: Given the scope, whether it carries a session cookie.
    """

    def __init__(
        self,
        policy: CsrfPolicy,
        token_matches: Callable[[Scope, str], bool],
        has_cookie: Callable[[Scope], bool],
    ) -> None:
        self._policy = policy
        self._origins = OriginPolicy.of(policy.trusted_origins)
        self._token_matches = token_matches
        self._has_cookie = has_cookie

    def refuses(self, scope: Scope) -> bool:
        """Whether a request that may change something (or a WebSocket handshake) comes from elsewhere.

        One that does not is noted in the scope, so that no guard asks again with less knowledge.
        """
        refused = False
        if scope["path"] not in self._policy.exempt_paths and not bears_only_a_token(scope):
            origins: OriginPolicy = scope.get(ORIGINS, NO_OTHERS)
            descent = (origins | self._origins).descent_of(scope)
            refused = descent == "elsewhere"
            if descent == "foreign" or (
                descent == "unsaid" and self._policy.strict and self._has_cookie(scope)
            ):
                tokens = [value for name, value in scope["headers"] if name == _TOKEN_HEADER]
                refused = len(tokens) != 1 or not self._token_matches(scope, str(tokens[0], "latin-1"))
        if not refused:
            scope[CSRF_CHECKED] = True
        return refused
