"""dogpile.cache: its suites for backends, serializers and mutexes, on plughost's caches and locks."""

from __future__ import annotations

from dogpile.cache import register_backend
from dogpile.cache.api import NO_VALUE, BytesBackend, CacheMutex
from dogpile.testing import fixtures
from hosted import TIERS, host

from plughost.contracts import CacheManager, LockManager


class Mutex(CacheMutex):
    """A lock of the host; any thread may release it, as dogpile's may."""

    def __init__(self, tier: str, name: str) -> None:
        self._locks, self._name, self._held = host(tier).use(LockManager), name, None

    def acquire(self, wait: bool = True) -> bool:
        held = self._locks.acquire(self._name, lease=60.0, wait=None if wait else 0.0)
        self._held = held or self._held
        return held is not None

    def release(self) -> None:
        self._locks.release(self._held)

    def locked(self) -> bool:
        found = self._locks.acquire(self._name, lease=60.0)
        if found is not None:
            self._locks.release(found)
        return found is None


class Backend(BytesBackend):
    """A cache of the host, of bytes."""

    tier = ""

    def __init__(self, arguments) -> None:
        self._cache = host(self.tier).use(CacheManager).get("dogpile", ttl=3600.0)

    def get_serialized(self, key):
        return self._cache.get(key, NO_VALUE)

    def get_serialized_multi(self, keys):
        found = self._cache.get_many(keys)
        return [found.get(key, NO_VALUE) for key in keys]

    def set_serialized(self, key, value):
        self._cache.set(key, value)

    def set_serialized_multi(self, mapping):
        self._cache.set_many(mapping)

    def delete(self, key):
        self._cache.delete(key)

    def delete_multi(self, keys):
        self._cache.delete_many(keys)

    def get_mutex(self, key):
        return Mutex(self.tier, f"dogpile:{key}")


for _tier in TIERS:
    _backend = type(f"{_tier.title()}Backend", (Backend,), {"tier": _tier})
    globals()[_backend.__name__] = _backend
    register_backend(f"plughost.{_tier}", __name__, _backend.__name__)
    _own = {"backend": f"plughost.{_tier}", "config_args": {"arguments": {"some": "argument"}}}
    for _suite in (
        (fixtures._GenericBackendTestSuite,),
        (fixtures._GenericSerializerTestSuite, fixtures._GenericBackendTestSuite),
        (fixtures._GenericMutexTestSuite,),
    ):
        _name = f"Test{_tier.title()}{_suite[0].__name__.removeprefix('_Generic')}"
        globals()[_name] = type(_name, _suite, dict(_own))
