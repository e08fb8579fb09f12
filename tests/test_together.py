"""First-party plugins in one host: what they need from one another they find as services."""

from __future__ import annotations

from pathlib import Path

import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import Allow, AuthAttempt, Deny, Principal, RateLimiter, SessionManager

pytestmark = pytest.mark.anyio


class Door(Plugin):
    name = "door"

    @hookimpl
    async def authenticate(self, attempt):
        if attempt.credentials.get("word") != "sesame":
            return Deny("wrong word")
        return Allow(Principal(attempt.username, attempt.username))


async def test_a_sign_in_with_the_cache_s_limiter_and_the_sessions_plugin(tmp_path: Path) -> None:
    config = {
        "host": {"allow": ["cache", "sessions"], "data_dir": str(tmp_path)},
        "plugins": {"sessions": {"config": {"store": "memory"}}},
    }
    async with Host(config=config, environ={}) as host:
        assert set(host.report.loaded) == {"cache", "sessions"}, host.report.failed
        assert host.use(RateLimiter) is not None
        await host.load_plugin(Door)
        right = AuthAttempt(username="ada", credentials={"word": "sesame"}, address="192.0.2.1")
        wrong = AuthAttempt(username="ada", credentials={"word": "?"}, address="192.0.2.1")
        for _ in range(20):  # each success forgets what was counted against the name
            assert (await host.auth.authenticate(right)).allowed
        answers = [await host.auth.authenticate(wrong) for _ in range(12)]
        assert not any(answer.allowed for answer in answers)
        assert not (await host.auth.authenticate(right)).allowed  # too many tries: the limiter's word counts
        session = await host.use(SessionManager).create("ada")
        assert (await host.use(SessionManager).get(session.session_id)).user_id == "ada"
