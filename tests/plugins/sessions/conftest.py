"""Parts that several tests of the sessions plugin are made of."""

from __future__ import annotations

import time

import pytest

from plughost.plugins.sessions.announcements import Announcement
from plughost.plugins.sessions.clocks import Lifetimes, SteadyTime
from plughost.plugins.sessions.crypto import KeyRing, SealedEnvelope
from plughost.plugins.sessions.manager import Policy, Sessions
from plughost.plugins.sessions.rows import RowCodec
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.testing.clock import FakeClock

SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"
OLDER_SECRET = "b7Nw2Kz9Vx4Lq8Rj5Tm1Hs6Gd3Fp0Cy-AeUiOqW"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=time.time())


@pytest.fixture
def sessions(clock: FakeClock) -> Sessions:
    now = SteadyTime(clock)
    policy = Policy(lifetimes=Lifetimes(idle=1800, absolute=28800, touch=60))
    return Sessions(MemoryStore(now), RowCodec(SealedEnvelope(KeyRing([SECRET]))), policy, now)


@pytest.fixture
def told(sessions: Sessions) -> list[Announcement]:
    """Everything that is announced, in order."""
    heard: list[Announcement] = []
    sessions.announcer.listen(heard.append)
    return heard
