"""Django: what its tests ask of every session backend, on plughost's session stores.

Django's session is a dictionary that is loaded whole and saved whole under a key that the backend chooses; here each
key of it is a field, and saving sends what changed.
"""

from __future__ import annotations

import atexit
import json
import tempfile
import time
from contextlib import ExitStack
from functools import cache
from hashlib import sha256
from pathlib import Path

import django
from anyio.from_thread import start_blocking_portal
from django.conf import settings
from hosted import server_url

settings.configure(
    SECRET_KEY="conformance",
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.contenttypes", "sessions_tests"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    USE_TZ=False,
)
django.setup()

from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError  # noqa: E402
from django.test import SimpleTestCase  # noqa: E402
from sessions_tests.tests import SessionTestsMixin  # noqa: E402

from plughost.contracts import NewSession, SessionPatch, SessionStore, StoredSession  # noqa: E402
from plughost.plugins.sessions.stores.memory import MemoryStore  # noqa: E402
from plughost.plugins.sessions.stores.redis import RedisStore  # noqa: E402
from plughost.plugins.sessions.stores.sqlite import SQLiteStore  # noqa: E402

_open = ExitStack()
atexit.register(_open.close)
_LIMIT = 1_000_000


@cache
def _portal():
    return _open.enter_context(start_blocking_portal())


def _opened(store: SessionStore) -> SessionStore:
    _portal().call(store.open)
    _open.callback(_portal().call, store.close)
    return store


@cache
def memory_store() -> SessionStore:
    return _opened(MemoryStore(time.time))


@cache
def sqlite_store() -> SessionStore:
    return _opened(SQLiteStore(Path(tempfile.mkdtemp()) / "sessions.db", time.time))


@cache
def redis_store() -> SessionStore:
    return _opened(RedisStore(server_url(), prefix="django", timeout=5.0))


class PlughostSession(SessionBase):
    """Django's session over a ``SessionStore``."""

    make_store = None

    @property
    def _store(self):
        return type(self).make_store()

    def _call(self, method, *arguments):
        return _portal().call(method, *arguments)

    def load(self):
        found = self._call(self._store.read, _digest(self.session_key)) if self.session_key else None
        if not isinstance(found, StoredSession):
            self._session_key = None
            return {}
        return {name: json.loads(value) for name, value in found.fields.items()}

    def exists(self, session_key):
        return session_key is not None and isinstance(
            self._call(self._store.read, _digest(session_key)), StoredSession
        )

    def create(self):
        while True:
            self._session_key = self._get_new_session_key()
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create=False):
        if self.session_key is None:
            return self.create()
        fields = {
            name: json.dumps(value).encode() for name, value in self._get_session(no_load=must_create).items()
        }
        digest, age = _digest(self.session_key), float(self.get_expiry_age())
        if must_create:
            new = NewSession(
                digest=digest, handle=self.session_key, subject=None, idle=age, absolute=age, about=b"", fields=fields
            )  # fmt: skip
            if self._call(self._store.create, new) is None:
                raise CreateError
            return None
        stored = self._call(self._store.read, digest)
        gone = tuple(set(getattr(stored, "fields", {})) - set(fields))
        patch = SessionPatch(set=fields, remove=gone, idle=max(age, 0.0), max_bytes=_LIMIT)
        if self._call(self._store.patch, digest, patch) is None:
            raise UpdateError
        return None

    def delete(self, session_key=None):
        key = session_key or self.session_key
        if key is not None:
            self._call(self._store.delete, _digest(key))

    @classmethod
    def clear_expired(cls):
        while _portal().call(cls.make_store().purge, 100):
            pass


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()


for _make in (memory_store, sqlite_store, redis_store):
    _kind = _make.__name__.partition("_")[0].title()
    _backend = type(f"{_kind}Session", (PlughostSession,), {"make_store": staticmethod(_make)})
    globals()[f"Test{_kind}"] = type(
        f"Test{_kind}", (SessionTestsMixin, SimpleTestCase), {"backend": _backend, "__module__": __name__}
    )
    del _backend
