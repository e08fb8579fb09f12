"""A sign-in passes the hooks: ``before_auth``, ``authenticate``, then ``after_auth`` or ``auth_failed``.

Everything here fails closed: an error, a time-out, a wrong type, no provider at all are a No, and what went
wrong inside is for the log alone.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from plughost.contracts.auth import Allow, AuthAttempt, AuthResult, Deny, Principal
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.counting import counted
from plughost.contracts.limits import RateLimiter
from plughost.contracts.logs import get_logger
from plughost.contracts.session import SessionManager
from plughost.exceptions import HookError, HostNotReadyError, Refused, ServiceError
from plughost.flows.attempts import AttemptCounter, SignInLimits
from plughost.flows.telling import tell_fact
from plughost.hookspecs import Hooks

UNDECIDED = "This could not be decided. Try again later."
TOO_MANY = "Too many attempts. Try again in {wait}."

T = TypeVar("T")

_log = get_logger("plughost.auth")


class AuthFlow:
    """``host.auth``: decides who is signed in, by asking the plugins.

    Args:
        hooks: The hooks of the host.
        sessions: Returns the sessions service; raises ``ServiceError``, which says why, when there is none now.
        limiter: Returns the shared rate limiter, or None when no plugin provides one now.
        limits: How often somebody may try.
        clock: Time for counting attempts.

    Attributes:
        held_back: How many attempts were refused unseen, because there had been too many.
    """

    def __init__(
        self,
        hooks: Hooks,
        *,
        sessions: Callable[[], SessionManager],
        limiter: Callable[[], RateLimiter | None] = lambda: None,
        limits: SignInLimits | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._hooks = hooks
        self._sessions = sessions
        self.held_back = 0
        self._attempts = AttemptCounter(limits or SignInLimits(), limiter, clock)

    async def authenticate(self, attempt: AuthAttempt) -> AuthResult:
        """Decide about an attempt; never raises for a plugin's failure.

        Args:
            attempt: What was given to sign in with.

        Returns:
            Whether it succeeded and who it is, or the reason that the person may be told.
        """
        waiting = await self._attempts.retry_after(attempt)
        if waiting > 0:
            # Refuse an attempt unseen; it is counted, and no plugin is told: each could write a line for each
            self.held_back += 1
            if self.held_back.bit_count() == 1:  # 1, 2, 4, 8 ...: a flood leaves few lines
                _log.warning("sign-in attempts are held back", so_far=self.held_back)
            wait = counted(math.ceil(waiting), "second")
            return AuthResult(False, None, TOO_MANY.format(wait=wait), retry_after=waiting)
        try:
            looked_at: object = await self._hooks.before_auth(attempt=attempt)
            if not isinstance(looked_at, AuthAttempt):
                _log.error("before_auth returned no attempt", kind=type(looked_at).__name__)
                return await self._refused(attempt, UNDECIDED)
            verdict = await self._hooks.authenticate(attempt=looked_at)
        except Refused as refusal:
            _log.info("sign-in refused", reason=refusal.log_reason)
            return await self._refused(attempt, refusal.reason)
        except HookError:
            # The dispatcher has logged what failed and where.
            return await self._refused(attempt, UNDECIDED)
        if isinstance(verdict, Deny):
            return await self._refused(looked_at, str(verdict.reason))
        principal = verdict.principal if isinstance(verdict, Allow) else None
        if not isinstance(principal, Principal) or not principal.user_id:
            _log.error("a sign-in was allowed without saying whose it is, and refused")
            return await self._refused(looked_at, UNDECIDED)
        await self._attempts.forget(looked_at)
        await tell_fact(_log, self._hooks.after_auth, attempt=looked_at, principal=principal)
        return AuthResult(True, principal)

    async def logout(self, session_id: str) -> bool:
        """Sign out: ``before_logout``, the session ends, ``after_logout``. Nobody can stop it.

        Args:
            session_id: The secret id of the session to end.

        Returns:
            Whether there was such a session.

        Raises:
            HostNotReadyError: No plugin provides sessions.
            StoreUnavailableError: The session store is away, and the session was not ended.
        """
        try:
            sessions = self._sessions()
        except ServiceError as error:
            raise HostNotReadyError(f"signing out takes the sessions plugin: {error}") from error
        session = await sessions.get(session_id)
        if session is None:
            return False
        if session.user_id is None:
            return await sessions.destroy(session_id, reason="logout")
        principal = Principal(session.user_id, session.username, session.roles)
        return await self.sign_out(
            principal, session.handle, lambda: sessions.destroy(session_id, reason="logout")
        )

    async def sign_out(self, principal: Principal, handle: str, end: Callable[[], Awaitable[T]]) -> T:
        """Call ``before_logout``, then ``end``, which ends the session, then ``after_logout``.

        Args:
            principal: Who leaves.
            handle: Public handle of the session.
            end: Ends it; what it raises goes through, and ``after_logout`` is not called.

        Returns:
            What ``end`` returned.
        """
        await tell_fact(_log, self._hooks.before_logout, principal=principal, session_handle=handle)
        ended = await end()
        await tell_fact(_log, self._hooks.after_logout, principal=principal, session_handle=handle)
        return ended

    async def _refused(self, attempt: AuthAttempt, reason: str) -> AuthResult:
        await tell_fact(_log, self._hooks.auth_failed, attempt=attempt, reason=reason)
        return AuthResult(False, None, reason)
