"""What a session costs a request, and what the store can take.

``python benchmarks/session_costs.py`` prints tables: microseconds per request over an application without sessions,
in interleaved rounds (medians of processor and wall time); durable writes per second on SQLite; what ending 10,000
sessions takes.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from harness import surroundings
from hosting import hosted
from session_peers import SECRET, asgi, missing, session_middleware
from session_scenarios import redis_url

from plughost import Plugin, hookimpl
from plughost.contracts import Allow, AuthAttempt, Principal, SessionManager

ROUNDS = 11
REQUESTS = 300
AT_ONCE = 50

App = Callable[[Any, Any, Any], Awaitable[None]]
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
BODY = {"type": "http.response.body", "body": b"ok"}


async def untouched(scope: Any, receive: Any, send: Any) -> None:
    await send({**START, "headers": list(START["headers"])})  # type: ignore[call-overload]
    await send(BODY)


async def reading(scope: Any, receive: Any, send: Any) -> None:
    scope["session"].get("user")
    await untouched(scope, receive, send)


async def reading_loaded(scope: Any, receive: Any, send: Any) -> None:
    (await scope["session"].load()).get("user")
    await untouched(scope, receive, send)


async def writing(scope: Any, receive: Any, send: Any) -> None:
    session = scope["session"]
    session["views"] = session.get("views", 0) + 1
    await untouched(scope, receive, send)


async def writing_loaded(scope: Any, receive: Any, send: Any) -> None:
    await scope["session"].load()
    await writing(scope, receive, send)


async def nothing(message: Any) -> None:
    pass


class Contender:
    """A middleware around three handlers, and fifty signed-in browsers."""

    def __init__(self, name: str, wrap: Callable[[App], App] | None, *, load_first: bool = False) -> None:
        self.name = name
        wrap = wrap or (lambda app: app)
        self.apps = {
            "untouched": wrap(untouched),
            "read": wrap(reading_loaded if load_first else reading),
            "write": wrap(writing_loaded if load_first else writing),
        }
        self.headers: list[list[tuple[bytes, bytes]]] = []

    async def sign_in(self) -> None:
        """Begin fifty sessions."""

        async def fill(scope: Any, receive: Any, send: Any) -> None:
            if hasattr(scope["session"], "load"):
                await scope["session"].load()
            scope["session"]["user"] = "ada"
            scope["session"]["cart"] = ["x" * 40] * 8
            await untouched(scope, receive, send)

        app = self.wrap_fill(fill)
        for _ in range(AT_ONCE):
            reply = await asgi(app, {}, [], [])
            line = "; ".join(f"{k}={v}" for k, v in reply.cookies.items()).encode()
            self.headers.append([(b"host", b"shop.example"), (b"user-agent", b"bench"), (b"cookie", line)])

    wrap_fill: Callable[[App], App]

    async def one(self, kind: str, which: int) -> None:
        """Serve one request of one browser."""
        scope = {"type": "http", "method": "GET", "path": "/", "scheme": "https", "client": ("203.0.113.9", 1),
                 "headers": self.headers[which], "root_path": "", "query_string": b"", "state": {}}  # fmt: skip
        await self.apps[kind](scope, None, nothing)

    async def measure(self, kind: str, at_once: int) -> tuple[float, float]:
        """Return microseconds per request: of the processor, in all threads, and on the wall."""
        gc.collect()
        each = REQUESTS // at_once

        async def browser(which: int) -> None:
            for _ in range(each):
                await self.one(kind, which)

        began, worked = time.perf_counter(), time.process_time()
        if at_once == 1:
            await browser(0)
        else:
            await asyncio.gather(*(browser(which) for which in range(at_once)))
        per_request = 1e6 / (each * at_once)
        return (time.process_time() - worked) * per_request, (time.perf_counter() - began) * per_request


async def ours(stack: AsyncExitStack, kind: str, url: str, *, seal: bool = True) -> Contender:
    where = {"redis_url": url, "redis_prefix": "costs"} if kind == "redis" else {}
    _, wrap = await stack.enter_async_context(
        session_middleware(store=kind, encrypt=seal, preload=False, **where)
    )
    found = Contender(f"plughost {kind}{'' if seal else ', not sealed'}", wrap, load_first=kind == "redis")
    found.wrap_fill = wrap
    return found


def peers() -> list[Contender]:
    found = []
    if not missing("itsdangerous"):
        from starlette.middleware.sessions import SessionMiddleware

        def starlette(app: App) -> App:
            return SessionMiddleware(app, secret_key=SECRET, https_only=True)

        found.append(Contender("Starlette cookie", starlette))
        found[-1].wrap_fill = starlette
    if not missing("starsessions"):
        from starsessions import InMemoryStore, SessionAutoloadMiddleware
        from starsessions import SessionMiddleware as Stars

        store = InMemoryStore()

        def stars(app: App) -> App:
            return Stars(SessionAutoloadMiddleware(app), store=store, lifetime=3600, rolling=True)

        found.append(Contender("starsessions memory", stars))
        found[-1].wrap_fill = stars
    if not missing("litestar"):
        from litestar import Litestar, get
        from litestar.middleware.session.base import SessionMiddleware as Lite
        from litestar.middleware.session.server_side import ServerSideSessionBackend, ServerSideSessionConfig
        from litestar.stores.memory import MemoryStore

        @get("/")
        async def index() -> None: ...

        shell = Litestar([index], stores={"sessions": MemoryStore()})
        handler = shell.routes[0].route_handlers[0]  # type: ignore[union-attr]

        def lite(app: App) -> App:
            inner = Lite(app, ServerSideSessionBackend(ServerSideSessionConfig(secure=True)))

            async def with_app(scope: Any, receive: Any, send: Any) -> None:
                scope["litestar_app"] = scope["app"] = shell
                scope["route_handler"] = handler
                await inner(scope, receive, send)

            return with_app

        found.append(Contender("Litestar memory", lite))
        found[-1].wrap_fill = lite
    return found


async def table(kind: str, at_once: int, contenders: list[Contender]) -> None:
    bare = contenders[0]
    took: dict[str, list[tuple[float, float]]] = {each.name: [] for each in contenders}
    for turn in range(ROUNDS):
        for step in range(len(contenders)):
            each = contenders[(turn + step) % len(contenders)]
            took[each.name].append(await each.measure("untouched" if each is bare else kind, at_once))
    print(f"\n### {kind}, {at_once} at once\n")
    print("| | processor time over no middleware | wall time over no middleware |\n|---|---:|---:|")
    for name, rounds in took.items():
        over = [
            statistics.median(
                mine[clock] - theirs[clock] for mine, theirs in zip(rounds, took[bare.name], strict=True)
            )
            for clock in (0, 1)
        ]
        print(f"| {name} | {over[0]:.1f} us | {over[1]:.1f} us |")


async def durable_writes(sessions: SessionManager) -> None:
    """Fields of 600 bytes, written through the manager, as a handler without a request would."""
    ids: list[str] = []
    for _ in range(0, 20_000, 500):
        made = await asyncio.gather(
            *(sessions.create("u", fields={"cart": "y" * 500, "n": 0}) for _ in range(500))
        )
        ids += [one.session_id for one in made]
    print("\n### durable writes on SQLite: 600-byte rows, 20,000 sessions, synchronous=FULL\n")
    print("| tasks | processor time of one | wall time of one | per second |\n|---:|---:|---:|---:|")
    for tasks in (1, 50, 200):
        each = max(40, 8000 // tasks) if tasks > 1 else 500

        async def writer(task: int, each: int = each) -> None:
            for step in range(each):
                await sessions.update(ids[(task * 997 + step * 31) % len(ids)], {"n": step})

        took, worked = [], []
        for _ in range(5):
            began, before = time.perf_counter(), time.process_time()
            await asyncio.gather(*(writer(task) for task in range(tasks)))
            took.append((time.perf_counter() - began) / (each * tasks))
            worked.append((time.process_time() - before) / (each * tasks))
        wall, processor = statistics.median(took), statistics.median(worked)
        print(f"| {tasks} | {processor * 1e6:.1f} us | {wall * 1e6:.1f} us | {1 / wall:,.0f} |")
    print("\n### ending all sessions of a user, best of five\n\n| sessions | time |\n|---:|---:|")
    for count in (1, 100, 10_000):
        took = []
        for turn in range(5):
            user = f"{count}-{turn}"
            for begin in range(0, count, 500):
                await asyncio.gather(*(sessions.create(user) for _ in range(begin, min(begin + 500, count))))
            # Takes the checkpoint that the creations left, if it is due.
            await sessions.destroy_user("nobody")
            began = time.perf_counter()
            ended = await sessions.destroy_user(user)
            took.append(time.perf_counter() - began)
            if ended != count:
                raise AssertionError(f"{ended} of {count} were ended")
        print(f"| {count:,} | {min(took) * 1e6:.0f} us |")


class Everybody(Plugin):
    """Lets everybody in."""

    @hookimpl
    async def authenticate(self, attempt: AuthAttempt) -> Allow:
        return Allow(Principal(attempt.username, attempt.username))


async def sign_ins() -> None:
    sys.modules["session_costs"] = sys.modules["__main__"]  # so that the configuration finds this very module
    tables = {"sessions": {}, "everybody": {"module": "session_costs:Everybody"}}
    async with hosted(tables=tables) as host:
        sessions = host.use(SessionManager)

        async def person(number: int) -> None:
            for turn in range(20):
                result = await host.auth.authenticate(AuthAttempt(username=f"u{number}-{turn}"))
                await sessions.sign_in(None, result.principal.user_id)  # type: ignore[union-attr]

        began = time.perf_counter()
        await asyncio.gather(*(person(number) for number in range(50)))
        rate = 1000 / (time.perf_counter() - began)
    print("\n### sign-ins: hooks, and a durable session on SQLite, 50 at once\n")
    print(f"| without a password hash | {rate:,.0f} per second |\n|---|---:|")
    if not missing("argon2"):
        from argon2 import PasswordHasher

        hasher = PasswordHasher()
        stored = hasher.hash("password")
        began = time.perf_counter()
        await asyncio.gather(*(asyncio.to_thread(hasher.verify, stored, "password") for _ in range(20)))
        print(
            f"| with argon2id (the hash alone bounds it) | {20 / (time.perf_counter() - began):,.0f} per second |"
        )


async def main() -> int:
    print(surroundings("plughost", "starlette", "msgspec", "cryptography", "redis"))
    async with AsyncExitStack() as stack:
        servers = stack.enter_context(ExitStack())
        url = redis_url(servers)
        bare = Contender("no middleware", None)
        bare.headers = [
            [(b"host", b"shop.example"), (b"user-agent", b"bench"), (b"cookie", b"a=b")]
        ] * AT_ONCE
        contenders = [bare, await ours(stack, "memory", url), await ours(stack, "sqlite", url),
                      await ours(stack, "sqlite", url, seal=False)]  # fmt: skip
        if url:
            contenders.append(await ours(stack, "redis", url))
        contenders += peers()
        for each in contenders[1:]:
            await each.sign_in()
        for kind, at_once in (("untouched", 1), ("read", 1), ("read", 50), ("write", 1), ("write", 50)):
            await table(kind, at_once, contenders)
        async with hosted("sessions") as host:
            await durable_writes(host.use(SessionManager))
        await sign_ins()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
