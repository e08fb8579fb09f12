"""redis-py: the tests of its lock, on plughost's locks in Redis.

What the tests read and change behind the lock's back, they do with a client of redis-py under the key that holds it.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import redis
from hosted import host, server_url
from redis.exceptions import LockError, LockNotOwnedError
from tests import test_lock

from plughost.contracts import LockManager

_FOREVER = 86_400.0  # seconds; a lock of plughost always has a lease


class PeerLock:
    """A lock of the host with the methods of ``redis.lock.Lock``."""

    def __init__(
        self, client, name, timeout=None, sleep=0.1, blocking=True, blocking_timeout=None, thread_local=True,
        raise_on_release_error=True,
    ) -> None:  # fmt: skip
        self._client, self.name, self.timeout = client, name, timeout
        self._blocking, self._blocking_timeout = blocking, blocking_timeout
        self._raise = raise_on_release_error
        self._locks = host("redis").use(LockManager)
        self._held = None
        self.local = threading.local() if thread_local else SimpleNamespace()
        self.local.token = None

    def __enter__(self):
        if not self.acquire():
            raise LockError("Unable to acquire lock within the time specified", lock_name=self.name)
        return self

    def __exit__(self, *_):
        try:
            self.release()
        except LockError:
            if self._raise:
                raise

    def acquire(self, sleep=None, blocking=None, blocking_timeout=None, token=None):
        wait = self._blocking_timeout if blocking_timeout is None else blocking_timeout
        if not (self._blocking if blocking is None else blocking):
            wait = 0.0
        held = self._locks.acquire(self.name, lease=self.timeout or _FOREVER, wait=wait)
        if held is None:
            return False
        self._held, self.local.token = held, self._client.get(self.name)
        return True

    def locked(self):
        return self._client.get(self.name) is not None

    def owned(self):
        return self.local.token is not None and self._client.get(self.name) == self.local.token

    def release(self):
        self._check_held("release an unlocked lock")
        self.local.token = None
        if not self._locks.release(self._held):
            raise LockNotOwnedError("Cannot release a lock that's no longer owned", lock_name=self.name)

    def extend(self, additional_time, replace_ttl=False):
        self._check_held("extend an unlocked lock")
        left = 0.0 if replace_ttl else self._client.pttl(self.name) / 1000
        return self._begin_again(additional_time + max(left, 0.0))

    def reacquire(self):
        self._check_held("reacquire an unlocked lock")
        return self._begin_again(self.timeout)

    def _check_held(self, what):
        if self.local.token is None:
            raise LockError(f"Cannot {what}", lock_name=self.name)

    def _begin_again(self, lease):
        if self.timeout is None:
            raise LockError("Cannot begin the lease of a lock without one again", lock_name=self.name)
        if not self._held.extend(lease):
            raise LockNotOwnedError("Cannot extend a lock that's no longer owned", lock_name=self.name)
        return True


class Client:
    """A client of redis-py that knows where the host keeps its locks."""

    def __init__(self, decode=False) -> None:
        self._client = redis.Redis.from_url(server_url(), decode_responses=decode)

    def lock(self, name, *, lock_class=PeerLock, **settings):
        return lock_class(self, name, **settings)

    def __getattr__(self, command):
        run = getattr(self._client, command)
        return lambda name, *arguments, **more: run(_key(name), *arguments, **more)


def _key(name: str) -> str:
    return f"conformance:k:{{{name}}}"


@pytest.fixture
def r():
    host("redis").use(LockManager)
    redis.Redis.from_url(server_url()).delete(_key("foo"))
    return Client()


class TestLock(test_lock.TestLock):
    @pytest.fixture
    def r_decoded(self, r):
        return Client(decode=True)

    def get_lock(self, redis, *arguments, **settings):
        return redis.lock(*arguments, **settings)
