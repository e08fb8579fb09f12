"""Session libraries behind one face, for the scripts beside this one.

Each peer serves one request at a time: cookies in, steps that the handler takes, cookies out. A step reads, writes
a key, signs out, or calls something that happens meanwhile, such as another request.
"""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from hosting import hosted

from plughost import Host
from plughost.contracts import HttpContext, session_of

READ = ("read", "")
LOGOUT = ("logout", "")
Step = tuple[str, Any]
SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"


def write(key: str) -> Step:
    """Set a key."""
    return ("write", key)


def meanwhile(call: Callable[[], Awaitable[object]]) -> Step:
    """Let something happen in the middle of the handler."""
    return ("call", call)


@dataclass
class Reply:
    """What came back."""

    cookies: dict[str, str]
    set_cookie: bool
    keys: list[str] = field(default_factory=list)


@dataclass
class Peer:
    """A library, set up.

    Attributes:
        name: How tables call it.
        handle: Serve one request.
        contents: Everything its store holds, as one text.
        writes: How often its store was written to so far.
        cookie: Name of its cookie.
        shape: An id that looks like one of its own, for who brings his own.
    """

    name: str
    handle: Callable[[dict[str, str], list[Step]], Awaitable[Reply]]
    contents: Callable[[], str]
    writes: Callable[[], int]
    cookie: str
    shape: str = "a" * 43


class Counter:
    """Counts calls of methods of an object."""

    def __init__(self, target: Any, *names: str) -> None:
        self.count = 0
        for name in names:
            setattr(target, name, self._counting(getattr(target, name)))

    def _counting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.count += 1
            return original(*args, **options)

        return counted


async def take(session: Any, steps: list[Step], logout: Callable[[], Any], keys: list[str]) -> None:
    """Take the steps of a handler."""
    for kind, what in steps:
        current = session() if callable(session) else session
        if kind == "read":
            keys.extend(list(current.keys()))
        elif kind == "write":
            current[what] = "1"
        elif kind == "logout":
            done = logout()
            if done is not None:
                await done
        elif kind == "call":
            await what()


def missing(module: str) -> bool:
    """Whether a library is not installed."""
    return importlib.util.find_spec(module) is None


async def asgi(
    app: Any, cookies: dict[str, str], steps: list[Step], keys: list[str], path: str = "/"
) -> Reply:
    """Send one request to an ASGI application; ``steps`` and ``keys`` travel in its scope."""
    headers = [(b"host", b"shop.example")]
    if cookies:
        headers.append((b"cookie", "; ".join(f"{k}={v}" for k, v in cookies.items()).encode()))
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "https", "headers": headers,
        "client": ("203.0.113.9", 1), "server": ("shop.example", 443), "state": {}, "steps": steps, "keys": keys,
    }  # fmt: skip
    found: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found.extend(v.decode() for k, v in message.get("headers", []) if k.lower() == b"set-cookie")

    await app(scope, receive, send)
    return Reply(after(cookies, found), bool(found), keys)


def after(cookies: dict[str, str], lines: list[str]) -> dict[str, str]:
    """Return a browser's cookies after an answer."""
    kept = dict(cookies)
    for line in lines:
        pair, *attributes = [part.strip() for part in line.split(";")]
        name, _, value = pair.partition("=")
        gone = any(a.lower() in ("max-age=0",) or "1970" in a for a in attributes) or value in (
            "",
            "null",
            '""',
        )
        if gone:
            kept.pop(name, None)
        else:
            kept[name] = value
    return kept


async def answer(send: Any) -> None:
    """The shortest answer there is."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def session_middleware(**settings: Any) -> AsyncIterator[tuple[Host, Callable[[Any], Any]]]:
    """A host with the sessions plugin, and what puts its middleware around an application."""
    config = {"secret": SECRET, "cookie_name": "acme", "touch_interval": 60.0, **settings}
    async with hosted(tables={"sessions": {"config": config}}) as host:
        found = host.hooks.register_middleware(context=HttpContext(host_name=host.name))
        [middleware] = [each for answer in found for each in answer]
        yield host, middleware.factory


@asynccontextmanager
async def plughost(kind: str, url: str = "") -> AsyncIterator[Peer]:
    """Our own, over one of its stores."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        steps = scope["steps"]
        if steps:
            session = await session_of(scope).load()
            await take(session, steps, session.sign_out, scope["keys"])
        await answer(send)

    where = {"redis_url": url, "redis_prefix": f"bench{os.getpid()}"} if kind == "redis" else {}
    async with session_middleware(store=kind, preload=False, **where) as (host, around):
        file = host.data_dir / "sessions" / "sessions.db"

        def contents() -> str:
            return (
                _redis_dump(url)
                if kind == "redis"
                else repr([each.read_bytes() for each in file.parent.iterdir()])
            )

        with closing(sqlite3.connect(file if kind == "sqlite" else ":memory:")) as looking:

            def writes() -> int:
                if kind == "redis":
                    return _redis_changes(url)
                return int(looking.execute("PRAGMA data_version").fetchone()[0])

            wrapped = around(app)
            yield Peer(
                f"plughost {kind}", lambda c, s: asgi(wrapped, c, s, []), contents, writes, "__Host-acme"
            )


def _redis_changes(url: str) -> int:
    import redis

    with redis.Redis.from_url(url) as client:
        return int(client.info("persistence")["rdb_changes_since_last_save"])


def _redis_dump(url: str) -> str:
    import redis

    client = redis.Redis.from_url(url)
    kept = []
    for key in client.scan_iter("*"):
        kind = client.type(key)
        read = {b"hash": client.hgetall, b"string": client.get}.get(
            kind, lambda key: client.zrange(key, 0, -1)
        )
        kept.append((key, read(key)))
    client.close()
    return repr(kept)


@contextmanager
def starlette() -> Iterator[Peer]:
    """Starlette's cookie session."""
    from starlette.middleware.sessions import SessionMiddleware

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["steps"]:
            await take(
                lambda: scope["session"], scope["steps"], lambda: scope["session"].clear(), scope["keys"]
            )
        await answer(send)

    wrapped = SessionMiddleware(app, secret_key=SECRET, https_only=True)
    yield Peer("Starlette cookie", lambda c, s: asgi(wrapped, c, s, []), str, lambda: 0, "session")


@contextmanager
def starsessions() -> Iterator[Peer]:
    """Starsessions with its store in memory."""
    from starsessions import InMemoryStore, SessionAutoloadMiddleware, SessionMiddleware

    store = InMemoryStore()
    counter = Counter(store, "write", "remove")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["steps"]:
            await take(
                lambda: scope["session"], scope["steps"], lambda: scope["session"].clear(), scope["keys"]
            )
        await answer(send)

    wrapped = SessionMiddleware(SessionAutoloadMiddleware(app), store=store, lifetime=3600, rolling=True)
    yield Peer(
        "starsessions memory", lambda c, s: asgi(wrapped, c, s, []), lambda: repr(store.data), lambda: counter.count,
        "session", "a" * 32,
    )  # fmt: skip


@contextmanager
def litestar() -> Iterator[Peer]:
    """Litestar's server-side session with its store in memory."""
    from litestar import Litestar, Request, get
    from litestar.middleware.session.server_side import ServerSideSessionConfig
    from litestar.stores.memory import MemoryStore

    writes = 0

    class Counted(MemoryStore):
        async def set(self, *args: Any, **options: Any) -> None:
            nonlocal writes
            writes += 1
            await super().set(*args, **options)

        async def delete(self, *args: Any, **options: Any) -> None:
            nonlocal writes
            writes += 1
            await super().delete(*args, **options)

    store = Counted()

    @get("/")
    async def index(request: Request) -> None:
        scope = request.scope
        if scope["steps"]:
            await take(lambda: request.session, scope["steps"], request.clear_session, scope["keys"])

    app = Litestar(
        [index], middleware=[ServerSideSessionConfig(secure=True).middleware], stores={"sessions": store}
    )

    async def handle(cookies: dict[str, str], steps: list[Step]) -> Reply:
        return await asgi(app, cookies, steps, [])

    yield Peer("Litestar memory", handle, lambda: repr(store._store), lambda: writes, "session", "a" * 64)


class _Meanwhile:
    """Runs an async call from within synchronous code that itself runs in the event loop's thread."""

    def __call__(self, call: Callable[[], Awaitable[object]]) -> None:
        try:
            call().send(None)  # type: ignore[attr-defined] - peers that use this never wait
        except StopIteration:
            return


def _take_now(session: Any, steps: list[Step], logout: Callable[[], Any], keys: list[str]) -> None:
    for kind, what in steps:
        if kind == "read":
            keys.extend(session.keys())
        elif kind == "write":
            session[what] = "1"
        elif kind == "logout":
            logout()
        elif kind == "call":
            _Meanwhile()(what)


@contextmanager
def flask_session() -> Iterator[Peer]:
    """Flask-Session with cachelib in memory."""
    import warnings

    warnings.simplefilter("ignore")
    from cachelib import SimpleCache
    from flask import Flask, session
    from flask_session import Session

    cache = SimpleCache()
    counter = Counter(cache, "set", "delete")
    app = Flask("bench")
    app.config.update(SECRET_KEY=SECRET, SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
    Session(app)
    current: list[Any] = []

    @app.route("/")
    def index() -> str:
        steps, keys = current[-1]
        if steps:
            _take_now(session, steps, session.clear, keys)
        return ""

    async def handle(cookies: dict[str, str], steps: list[Step]) -> Reply:
        keys: list[str] = []
        current.append((steps, keys))
        client = app.test_client(use_cookies=False)
        line = "; ".join(f"{k}={v}" for k, v in cookies.items())
        response = client.get("/", headers={"Cookie": line} if line else {})
        current.pop()
        lines = response.headers.getlist("Set-Cookie")
        return Reply(after(cookies, lines), bool(lines), keys)

    yield Peer("Flask-Session memory", handle, lambda: repr(cache._cache), lambda: counter.count, "session")


@contextmanager
def django(engine: str) -> Iterator[Peer]:
    """Django's sessions in a SQLite database, or in signed cookies."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    import django
    from django.conf import settings
    from django.http import HttpResponse

    folder = tempfile.TemporaryDirectory()
    if not settings.configured:
        settings.configure(
            SECRET_KEY=SECRET, INSTALLED_APPS=["django.contrib.sessions"], ALLOWED_HOSTS=["*"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder.name}/db.sqlite"}},
        )  # fmt: skip
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    from django.contrib.sessions.exceptions import SessionInterrupted
    from django.contrib.sessions.middleware import SessionMiddleware
    from django.db import connection
    from django.test import RequestFactory

    written = 0

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal written
        written += sql.startswith(("INSERT", "UPDATE", "DELETE"))
        return execute(sql, params, many, context)

    async def handle(cookies: dict[str, str], steps: list[Step]) -> Reply:
        keys: list[str] = []

        def view(request: Any) -> HttpResponse:
            if steps:
                _take_now(request.session, steps, request.session.flush, keys)
            return HttpResponse("")

        request = RequestFactory().get("/")
        request.COOKIES.update(cookies)
        try:
            with connection.execute_wrapper(watch):
                response = SessionMiddleware(view)(request)
        except SessionInterrupted:
            return Reply(cookies, False, keys)
        lines = [morsel.OutputString() for morsel in response.cookies.values()]
        return Reply(after(cookies, lines), bool(lines), keys)

    def contents() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM django_session")
            return repr(cursor.fetchall())

    name = "Django database" if engine == "db" else "Django signed cookie"
    yield Peer(name, handle, contents if engine == "db" else str, lambda: written, "sessionid", "a" * 32)


def peers(redis_url: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every peer there is here: its name, and what sets it up, or None when it is not installed."""
    yield "plughost sqlite", lambda: plughost("sqlite")
    yield "plughost redis", (lambda: plughost("redis", redis_url)) if redis_url else None
    for name, module, make in (
        ("starsessions memory", "starsessions", starsessions),
        ("Litestar memory", "litestar", litestar),
        ("Flask-Session memory", "flask_session", flask_session),
        ("Starlette cookie", "itsdangerous", starlette),
        ("Django database", "django", lambda: django("db")),
        ("Django signed cookie", "django", lambda: django("signed_cookies")),
    ):
        yield name, None if missing(module) else make


if __name__ == "__main__":
    sys.exit(0)  # nothing to measure here
