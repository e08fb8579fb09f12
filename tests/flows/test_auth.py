"""Sign-in and sign-out pass the hooks in order, and everything that goes wrong is a No."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from plughost.contracts.auth import Abstain, Allow, AuthAttempt, Deny, Principal
from plughost.contracts.clock import SteadyTime
from plughost.contracts.limits import LimitResult
from plughost.contracts.session import SessionManager
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.calls.policy import CallPolicy
from plughost.core.services import ServiceRegistry
from plughost.exceptions import AuthRefused, HostNotReadyError, StoreUnavailableError
from plughost.flows.attempts import SignInLimits
from plughost.flows.auth import TOO_MANY, UNDECIDED, AuthFlow
from plughost.hookspecs import CATALOGUE, hookimpl
from plughost.plugins.sessions.clocks import Lifetimes
from plughost.plugins.sessions.crypto import PlainEnvelope
from plughost.plugins.sessions.manager import Sessions
from plughost.plugins.sessions.records import SessionRecords, SessionRules
from plughost.plugins.sessions.rows import RowCodec
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio

ADA = Principal("7", "ada", ("admin",))
ATTEMPT = AuthAttempt(username="ada", credentials={"password": "canary"}, address="203.0.113.9")


class Provider:
    """Knows ada."""

    def __init__(self, verdict: Any = None) -> None:
        self.verdict = Allow(ADA) if verdict is None else verdict
        self.told: list[tuple[Any, ...]] = []

    @hookimpl
    async def before_auth(self, attempt: AuthAttempt) -> None:
        self.told.append(("before_auth", attempt.username))

    @hookimpl
    async def authenticate(self, attempt: AuthAttempt) -> Any:
        self.told.append(("authenticate", attempt.username))
        if isinstance(self.verdict, BaseException):
            raise self.verdict
        return self.verdict

    @hookimpl
    def after_auth(self, principal: Principal) -> None:
        self.told.append(("after_auth", principal.user_id))

    @hookimpl
    def auth_failed(self, reason: str) -> None:
        self.told.append(("auth_failed", reason))

    @hookimpl
    def before_logout(self, principal: Principal, session_handle: str) -> None:
        self.told.append(("before_logout", principal.user_id, session_handle))

    @hookimpl
    def after_logout(self, principal: Principal, session_handle: str) -> None:
        self.told.append(("after_logout", principal.user_id, session_handle))


def flow(*plugins: object, **options: Any) -> AuthFlow:
    dispatcher = HookDispatcher(policy=CallPolicy())
    for family in CATALOGUE:
        dispatcher.add_hookspecs(family)
    for number, plugin in enumerate(plugins):
        dispatcher.register(f"plugin{number}", plugin)
    services = ServiceRegistry()
    return AuthFlow(dispatcher.hooks, **{"sessions": lambda: services.use(SessionManager)} | options)


def test_an_attempt_is_made_in_the_order_that_is_promised() -> None:
    made = AuthAttempt("ada", {"password": "x"}, "192.0.2.1", "browser")
    assert made == AuthAttempt(
        username="ada", credentials={"password": "x"}, address="192.0.2.1", user_agent="browser"
    )


async def test_a_sign_in_passes_the_hooks_in_order() -> None:
    provider = Provider()
    result = await flow(provider).authenticate(ATTEMPT)
    assert (result.allowed, result.principal, result.reason) == (True, ADA, "")
    assert provider.told == [("before_auth", "ada"), ("authenticate", "ada"), ("after_auth", "7")]


async def test_a_denied_sign_in_tells_the_person_the_reason() -> None:
    provider = Provider(Deny("Wrong name or password."))
    result = await flow(provider).authenticate(ATTEMPT)
    assert (result.allowed, result.principal, result.reason) == (False, None, "Wrong name or password.")
    assert provider.told[-1] == ("auth_failed", "Wrong name or password.")


async def test_without_a_provider_nobody_is_signed_in() -> None:
    assert not (await flow().authenticate(ATTEMPT)).allowed


@pytest.mark.parametrize(
    "verdict",
    [Abstain(), Allow(None), Allow(Principal("", "ada")), True, "yes", ADA, RuntimeError("secret path /etc"),
     {"allowed": True}, Allow("ada")],
)  # fmt: skip
async def test_whatever_is_no_clear_yes_is_a_no_that_tells_nothing(verdict: Any) -> None:
    provider = Provider(verdict)
    result = await flow(provider).authenticate(ATTEMPT)
    assert not result.allowed
    assert result.principal is None
    assert "secret" not in result.reason
    assert provider.told[-1] == ("auth_failed", result.reason)


async def test_any_deny_beats_any_allow() -> None:
    result = await flow(Provider(), Provider(Deny("Locked.")), Provider()).authenticate(ATTEMPT)
    assert (result.allowed, result.reason) == (False, "Locked.")


class Gate:
    """Does as it is told in ``before_auth``."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl(priority=10)
    async def before_auth(self, attempt: AuthAttempt) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


async def test_a_refusal_before_asks_no_provider_and_keeps_the_log_reason_for_the_log() -> None:
    provider = Provider()
    refusal = AuthRefused("Not from here.", log_reason="address in range 203.0.113.0/24")
    result = await flow(Gate(refusal), provider).authenticate(ATTEMPT)
    assert (result.allowed, result.reason) == (False, "Not from here.")
    assert provider.told == [("auth_failed", "Not from here.")]


async def test_a_refusal_of_a_class_that_does_without_what_it_is_derived_from_refuses() -> None:
    class Curt(AuthRefused):
        def __init__(self) -> None:
            Exception.__init__(self)

    result = await flow(Gate(Curt()), Provider()).authenticate(ATTEMPT)
    assert (result.allowed, result.reason) == (False, "This was refused.")


@pytest.mark.parametrize("answer", [ValueError("inside"), "not an attempt", 3])
async def test_a_gate_that_fails_or_answers_nonsense_refuses(answer: Any) -> None:
    provider = Provider()
    result = await flow(Gate(answer), provider).authenticate(ATTEMPT)
    assert (result.allowed, result.reason) == (False, UNDECIDED)
    assert ("authenticate", "ada") not in provider.told


async def test_a_gate_may_change_the_attempt() -> None:
    provider = Provider()
    await flow(Gate(AuthAttempt(username="lovelace")), provider).authenticate(ATTEMPT)
    assert ("authenticate", "lovelace") in provider.told


class Slow:
    """Answers never."""

    @hookimpl(timeout=0.05)
    async def authenticate(self, attempt: AuthAttempt) -> Any:
        await anyio.sleep_forever()


async def test_a_provider_that_does_not_answer_in_time_is_a_no() -> None:
    result = await flow(Slow(), Provider()).authenticate(ATTEMPT)
    assert not result.allowed


class Grumpy:
    """Fails at everything it is only told."""

    @hookimpl
    def after_auth(self) -> None:
        raise AuthRefused("too late")

    @hookimpl
    def auth_failed(self) -> None:
        raise RuntimeError("sulking")

    @hookimpl
    def before_logout(self) -> None:
        raise AuthRefused("stay!")


async def test_who_is_only_told_can_change_nothing() -> None:
    assert (await flow(Grumpy(), Provider()).authenticate(ATTEMPT)).allowed
    assert not (await flow(Grumpy(), Provider(Deny("No."))).authenticate(ATTEMPT)).allowed


async def test_a_cancelled_sign_in_is_cancelled() -> None:
    class Waits:
        @hookimpl
        async def authenticate(self, attempt: AuthAttempt) -> Any:
            await anyio.sleep_forever()

    with anyio.move_on_after(0.05) as scope:
        await flow(Waits()).authenticate(ATTEMPT)
    assert scope.cancelled_caught


# how often


async def test_after_too_many_attempts_even_the_right_password_waits() -> None:
    clock = FakeClock()
    provider = Provider(Deny("No."))
    auth = flow(provider, limits=SignInLimits(per_name=3, window=60), clock=clock)
    for _ in range(3):
        assert (await auth.authenticate(ATTEMPT)).reason == "No."
    provider.verdict = Allow(ADA)
    asked = len([one for one in provider.told if one[0] == "authenticate"])
    result = await auth.authenticate(ATTEMPT)
    assert (result.allowed, result.reason) == (False, TOO_MANY.format(wait="60 seconds"))
    assert len([one for one in provider.told if one[0] == "authenticate"]) == asked
    await clock.advance(61)
    assert (await auth.authenticate(ATTEMPT)).allowed


async def test_a_success_forgets_the_failures_before_it() -> None:
    provider = Provider()
    auth = flow(provider, limits=SignInLimits(per_name=3))
    for _ in range(5):
        for verdict in (Deny("No."), Deny("No."), Allow(ADA)):
            provider.verdict = verdict
            result = await auth.authenticate(ATTEMPT)
        assert result.allowed


async def test_many_at_once_are_no_way_around_the_limit() -> None:
    provider = Provider(Deny("No."))
    auth = flow(provider, limits=SignInLimits(per_name=5))
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(auth.authenticate, ATTEMPT)
    assert len([one for one in provider.told if one[0] == "authenticate"]) == 5


async def test_one_address_cannot_try_many_names() -> None:
    provider = Provider(Deny("No."))
    auth = flow(provider, limits=SignInLimits(per_address=4))
    for number in range(10):
        address = f"2001:db8:1:2::{number}"
        await auth.authenticate(AuthAttempt(username=f"user{number}", address=address))
    assert len([one for one in provider.told if one[0] == "authenticate"]) == 4
    elsewhere = AuthAttempt(username="ada", address="2001:db8:1:3::1")
    assert (await auth.authenticate(elsewhere)).reason == "No."


async def test_an_attacker_elsewhere_does_not_lock_the_owner_out() -> None:
    provider = Provider(Deny("No."))
    auth = flow(provider, limits=SignInLimits(per_name=2))
    for _ in range(5):
        await auth.authenticate(AuthAttempt(username="ada", address="198.51.100.1"))
    provider.verdict = Allow(ADA)
    assert (await auth.authenticate(ATTEMPT)).allowed


class Shared:
    """A shared limiter that allows ``limit`` in all."""

    def __init__(self, *, away: bool = False) -> None:
        self.counts: dict[str, int] = {}
        self.away = away
        self.wait = 9.0

    async def check(self, key: str, window: Any, limit: int) -> LimitResult:
        if self.away:
            raise StoreUnavailableError("away")
        self.counts[key] = self.counts.get(key, 0) + 1
        allowed = self.counts[key] <= limit
        return LimitResult(
            allowed=allowed, limit=limit, remaining=0, reset_after=self.wait, retry_after=self.wait
        )

    async def reset(self, key: str, window: float, limit: int) -> None:
        self.counts.pop(key, None)


@pytest.mark.parametrize(("wait", "said"), [(9.0, "9 seconds"), (0.4, "1 second")])
async def test_the_shared_limiter_is_asked_when_it_is_there_and_sees_no_names(wait: float, said: str) -> None:
    shared, provider = Shared(), Provider(Deny("No."))
    shared.wait = wait
    auth = flow(provider, limiter=lambda: shared, limits=SignInLimits(per_name=1))
    await auth.authenticate(ATTEMPT)
    assert (await auth.authenticate(ATTEMPT)).reason == TOO_MANY.format(wait=said)
    assert not any("ada" in key for key in shared.counts)


async def test_memory_counts_while_the_shared_limiter_fails() -> None:
    provider = Provider(Deny("No."))
    auth = flow(provider, limiter=lambda: Shared(away=True), limits=SignInLimits(per_name=2))
    reasons = [(await auth.authenticate(ATTEMPT)).reason for _ in range(3)]
    assert reasons[:2] == ["No.", "No."]
    assert reasons[2].startswith("Too many")


# signing out


@pytest.fixture
def sessions() -> Sessions:
    now = SteadyTime(FakeClock())
    policy = SessionRules(lifetimes=Lifetimes(idle=1800, absolute=28800, touch=60))
    return Sessions(SessionRecords(MemoryStore(now), RowCodec(PlainEnvelope()), policy, now))


async def test_a_sign_out_passes_the_hooks_around_the_end_of_the_session(sessions: Any) -> None:
    provider = Provider()
    made = await sessions.create("7", username="ada", roles=["admin"])
    alive: list[bool] = []

    class Looks:
        @hookimpl
        async def before_logout(self) -> None:
            alive.append(await sessions.get(made.session_id) is not None)

        @hookimpl
        async def after_logout(self) -> None:
            alive.append(await sessions.get(made.session_id) is not None)

    auth = flow(provider, Looks(), sessions=lambda: sessions)
    assert await auth.logout(made.session_id) is True
    assert alive == [True, False]
    assert provider.told == [("before_logout", "7", made.handle), ("after_logout", "7", made.handle)]
    assert await auth.logout(made.session_id) is False


async def test_nobody_can_stop_a_sign_out(sessions: Any) -> None:
    made = await sessions.create("7")
    assert await flow(Grumpy(), sessions=lambda: sessions).logout(made.session_id) is True
    assert await sessions.get(made.session_id) is None


async def test_a_sign_out_without_sessions_says_so() -> None:
    with pytest.raises(HostNotReadyError, match="sessions plugin"):
        await flow().logout("x")
