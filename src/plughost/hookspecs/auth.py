"""Sign-in and sign-out.

In the order of a sign-in: ``before_auth``, ``authenticate``, then either ``after_auth`` or ``auth_failed``. A
sign-out is ``before_logout``, ``after_logout``. Everything here fails closed: no answer is a No.
"""

from __future__ import annotations

from plughost.contracts.auth import AuthAttempt, Principal, Verdict
from plughost.hookspecs._markers import hookspec


@hookspec(mode="waterfall", timeout=5.0, on_error="abort")
def before_auth(attempt: AuthAttempt) -> AuthAttempt | None:
    """Somebody is about to be signed in; look at the attempt, change it or refuse it.

    Called first in each sign-in, before any provider sees the attempt; not called when there were too many
    attempts before. Each implementation is given what the one before it returned.

    Args:
        attempt: What was given to sign in with.

    Returns:
        The attempt to go on with; None leaves it as it is.

    Refusing:
        Raise ``AuthRefused``. No provider is asked, and ``auth_failed`` is called with the reason.

    Failure:
        Any other error, a time-out or a result that is no ``AuthAttempt`` refuses the sign-in too.

    Example:
        from dataclasses import replace

        @hookimpl(priority=10)
        async def before_auth(attempt: AuthAttempt) -> AuthAttempt | None:
            if attempt.address is None:
                raise AuthRefused("Sign in over the network.", log_reason="no client address")
            return replace(attempt, username=attempt.username.strip().lower())
    """


@hookspec(mode="decide", timeout=10.0)
def authenticate(attempt: AuthAttempt) -> Verdict:  # type: ignore[empty-body]  # a spec has no body
    """Say whether this attempt is genuine, and whose it is.

    Called after ``before_auth``. All implementations are asked; any ``Deny`` beats any ``Allow``, and the
    first ``Allow`` in call order says who it is. When all abstain, or nobody implements the hook, nobody is
    signed in.

    Args:
        attempt: The attempt as ``before_auth`` left it.

    Returns:
        ``Allow(principal)`` when the credentials are right, ``Deny(reason)`` when they are wrong,
        ``Abstain()`` when this user or this kind of credentials is not known here. Never None: what is no
        verdict counts as ``Deny``.

    Refusing:
        Return ``Deny``. Keep its reason the same for an unknown name and a wrong password.

    Failure:
        An error or a time-out counts as ``Deny``, whatever the others said.

    Example:
        TOKENS = {"s3cret": Principal("7", "backup-robot", ("robot",))}

        @hookimpl
        async def authenticate(attempt: AuthAttempt) -> Verdict:
            token = attempt.credentials.get("token")
            if token is None:
                return Abstain()
            principal = TOKENS.get(token)
            return Allow(principal) if principal else Deny("This token is not valid.")
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def after_auth(attempt: AuthAttempt, principal: Principal) -> None:
    """Somebody was signed in.

    Called after ``authenticate`` allowed it; the decision is made and cannot be changed any more.

    Args:
        attempt: The attempt as it was decided on. Its credentials are still in it: do not keep them.
        principal: Who was signed in.

    Refusing:
        Nobody can stop it any more; refuse in ``before_auth``.

    Failure:
        Reported; the others are still told, and the person stays signed in.

    Example:
        last_seen: dict[str, str | None] = {}

        @hookimpl
        def after_auth(attempt: AuthAttempt, principal: Principal) -> None:
            last_seen[principal.user_id] = attempt.address
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def auth_failed(attempt: AuthAttempt, reason: str) -> None:
    """Somebody was not signed in.

    Called instead of ``after_auth`` when there were too many attempts, ``before_auth`` refused, a provider
    denied, all abstained, or anything on the way failed.

    Args:
        attempt: The attempt that failed. Its credentials are still in it: do not keep them.
        reason: Why, as it may be told to the person.

    Refusing:
        There is nothing to stop: it is over.

    Failure:
        Reported; the others are still told, and the sign-in stays refused.

    Example:
        from collections import Counter

        failures: Counter[str] = Counter()

        @hookimpl
        def auth_failed(attempt: AuthAttempt) -> None:
            failures[attempt.address or "unknown"] += 1
    """


@hookspec(mode="broadcast", timeout=5.0)
def before_logout(principal: Principal, session_handle: str) -> None:
    """Somebody is about to be signed out; the session is still there.

    Called before the session is destroyed; the place to save what belongs to it.

    Args:
        principal: Who is leaving.
        session_handle: The session's public handle; never its secret id.

    Refusing:
        Nobody can stop a sign-out.

    Failure:
        Reported; the others are still told, and the sign-out goes on.

    Example:
        drafts: dict[str, str] = {}

        @hookimpl
        async def before_logout(session_handle: str) -> None:
            drafts.pop(session_handle, None)
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def after_logout(principal: Principal, session_handle: str) -> None:
    """Somebody was signed out.

    Called when the session is destroyed and its id is dead everywhere.

    Args:
        principal: Who has left.
        session_handle: The public handle of the session that is gone.

    Refusing:
        There is nothing to stop: it is over.

    Failure:
        Reported; the others are still told.

    Example:
        online = {"7"}

        @hookimpl
        def after_logout(principal: Principal) -> None:
            online.discard(principal.user_id)
    """
