"""What a hook call costs with five implementations, against the peers and against doing it by hand.

    pip install -r benchmarks/requirements.txt
    python benchmarks/hook_calls.py

plughost isolates every implementation, keeps a limit for each async one and counts calls, errors and timeouts per
plugin; the measured calls that it makes for its p50 and p95 are in its figures. None of the peers does any of
this; what they do is said in the table.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from typing import Any

import anyio
import apluggy
import blinker
import pluggy
from harness import Contender, compare_here, surroundings, table
from stevedore import ExtensionManager
from stevedore.extension import Extension

from plughost import Host
from plughost.contracts import Abstain, Verdict
from plughost.hookspecs import hookimpl, hookspec

COUNT = 5
ABSTAIN = Abstain()
LIMIT = 5.0


class Specs:
    """The same hooks for everybody."""

    @hookspec(mode="collect", timeout=LIMIT)
    def plain(self, what: int) -> int: ...

    @hookspec(mode="collect", timeout=LIMIT)
    def awaited(self, what: int) -> int: ...

    @hookspec(mode="collect", timeout=LIMIT)
    def waiting(self, what: int) -> int: ...

    @hookspec(mode="collect", timeout=None, sync=True)
    def setup(self, what: int) -> int: ...

    @hookspec(mode="collect", timeout=LIMIT)
    def wrapped(self, what: int) -> int: ...

    @hookspec(mode="decide", timeout=LIMIT)
    def decided(self, what: int) -> Verdict: ...

    @hookspec(mode="collect", timeout=LIMIT)
    def nobody(self, what: int) -> int: ...


class Wrapper:
    """Around all others."""

    @hookimpl(wrapper=True)
    def wrapped(self, what: int) -> Any:
        return (yield)


class Guest:
    """One implementation of each."""

    @hookimpl
    def wrapped(self, what: int) -> int:
        return what

    @hookimpl
    def plain(self, what: int) -> int:
        return what

    @hookimpl
    def decided(self, what: int) -> Verdict:
        return ABSTAIN

    @hookimpl
    def setup(self, what: int) -> int:
        return what

    @hookimpl
    async def awaited(self, what: int) -> int:
        return what

    @hookimpl
    async def waiting(self, what: int) -> int:
        await asyncio.sleep(0)
        return what


guests = [Guest() for _ in range(COUNT)]


def plughost_host(folder: str) -> Host:
    """A host whose configuration names this module for each guest, as an application's would."""
    sys.modules["hook_calls"] = sys.modules["__main__"]
    modules = {f"guest{number}": "hook_calls:Guest" for number in range(COUNT)} | {
        "around": "hook_calls:Wrapper"
    }
    host = Host(
        "bench",
        config={
            "host": {"allow": [*modules], "required": [*modules], "data_dir": folder},
            "plugins": {name: {"module": module} for name, module in modules.items()},
        },
        environ={},
    )
    host.add_hookspecs(Specs)
    return host


def pluggy_hooks() -> Any:
    manager = pluggy.PluginManager("plughost")
    manager.add_hookspecs(Specs)
    for guest in guests:
        manager.register(guest)
    manager.register(Wrapper())
    return manager.hook


def apluggy_hooks() -> Any:
    spec, impl = apluggy.HookspecMarker("peer"), apluggy.HookimplMarker("peer")

    class PeerSpecs:
        @spec
        async def awaited(self, what: int) -> int: ...

    class PeerGuest:
        @impl
        async def awaited(self, what: int) -> int:
            return what

    manager = apluggy.PluginManager("peer")
    manager.add_hookspecs(PeerSpecs)
    for _ in range(COUNT):
        manager.register(PeerGuest())
    return manager.ahook


def signal_of(name: str) -> blinker.Signal:
    signal = blinker.Signal(name)
    for guest in guests:
        method = getattr(guest, name)
        if name == "plain":
            receiver = lambda sender, what, method=method: method(what)  # noqa: E731
        else:

            async def receiver(sender: object, what: int, method: Any = method) -> int:
                return await method(what)  # type: ignore[no-any-return]

        signal.connect(receiver, weak=False)
    return signal


def stevedore_manager() -> ExtensionManager:
    extensions = [Extension(f"guest{number}", None, None, guest) for number, guest in enumerate(guests)]
    return ExtensionManager.make_test_instance(extensions)


def by_hand(what: int) -> list[int]:
    found = []
    for call in plain_calls:
        value = call(what)
        if value is not None:
            found.append(value)
    return found


async def by_hand_awaited(calls: list[Any], what: int) -> list[int]:
    found = []
    for call in calls:
        value = await call(what)
        if value is not None:
            found.append(value)
    return found


async def by_hand_limited(calls: list[Any], what: int) -> list[int]:
    found = []
    for call in calls:
        try:
            with anyio.fail_after(LIMIT):
                value = await call(what)
        except Exception:
            continue
        if value is not None:
            found.append(value)
    return found


async def by_hand_limited_asyncio(calls: list[Any], what: int) -> list[int]:
    found = []
    for call in calls:
        try:
            async with asyncio.timeout(LIMIT):
                value = await call(what)
        except Exception:
            continue
        if value is not None:
            found.append(value)
    return found


plain_calls = [guest.plain for guest in guests]
awaited_calls = [guest.awaited for guest in guests]
waiting_calls = [guest.waiting for guest in guests]

NAMES: dict[str, Any] = {
    "peer": pluggy_hooks(),
    "apeer": apluggy_hooks(),
    "signal": signal_of("plain"),
    "asignal": signal_of("awaited"),
    "manager": stevedore_manager(),
    "ask": lambda extension, what: extension.obj.plain(what),
    "gather": asyncio.gather,
    "by_hand": by_hand,
    "by_hand_awaited": by_hand_awaited,
    "by_hand_limited": by_hand_limited,
    "by_hand_limited_asyncio": by_hand_limited_asyncio,
    "awaited_calls": awaited_calls,
    "waiting_calls": waiting_calls,
}

PLAIN = [
    Contender("pluggy", "peer.plain(what=1)", "one failure loses all results"),
    Contender("a loop by hand", "by_hand(1)", "the least there is: no isolation, nothing counted"),
    Contender("plughost, `await hooks.plain()`", "await hooks.plain(what=1)", "isolated, counted"),
    Contender("plughost, `sync_hooks.plain()`", "sync_hooks.plain(what=1)", "isolated, counted"),
    Contender("plughost, set-up hook `hooks.setup()`", "hooks.setup(what=1)", "isolated, counted"),
    Contender("plughost, nobody listens", "await hooks.nobody(what=1)"),
    Contender("blinker", "signal.send(None, what=1)", "one failure loses all results"),
    Contender("stevedore", "manager.map(ask, 1)", "logs and goes on"),
]

AWAITED = [
    Contender("an await loop by hand", "await by_hand_awaited(awaited_calls, 1)", "no isolation, no limit"),
    Contender("plughost", "await hooks.awaited(what=1)", "isolated, a limit for each, counted"),
    Contender("blinker `send_async`", "await asignal.send_async(None, what=1)", "no isolation, no limit"),
    Contender("apluggy", "await apeer.awaited(what=1)", "no isolation, no limit"),
    Contender(
        "datasette's way: pluggy and gather", "await gather(*peer.awaited(what=1))", "no isolation, no limit"
    ),
    Contender(
        "a loop with `asyncio.timeout`",
        "await by_hand_limited_asyncio(awaited_calls, 1)",
        "isolated, a limit for each",
    ),
    Contender(
        "a loop with `anyio.fail_after`",
        "await by_hand_limited(awaited_calls, 1)",
        "isolated, a limit for each",
    ),
    Contender("plughost, `.report()`", "await hooks.awaited.report(what=1)", "every implementation timed"),
]

WAITING = [
    Contender("an await loop by hand", "await by_hand_awaited(waiting_calls, 1)", "no isolation, no limit"),
    Contender("plughost", "await hooks.waiting(what=1)", "isolated, a limit for each, counted"),
    Contender(
        "a loop with `asyncio.timeout`",
        "await by_hand_limited_asyncio(waiting_calls, 1)",
        "isolated, a limit for each",
    ),
    Contender("datasette's way: pluggy and gather", "await gather(*peer.waiting(what=1))", "side by side"),
]

DECIDED = [
    Contender("pluggy", "peer.decided(what=1)", "a list of votes that somebody has to count"),
    Contender("plughost", "await hooks.decided(what=1)", "isolated, a limit for each, counted, a verdict"),
]

WRAPPED = [
    Contender("pluggy", "peer.wrapped(what=1)", "one failure loses all results"),
    Contender("plughost", "await hooks.wrapped(what=1)", "isolated, a limit for each, counted"),
]


async def main() -> None:
    print(surroundings("plughost", "pluggy", "apluggy", "blinker", "stevedore", "anyio"), "\n")
    waiting = f"{COUNT} async implementations, each waiting for one turn of the loop"
    with tempfile.TemporaryDirectory(prefix="plughost-bench-") as folder:
        async with plughost_host(folder) as host:
            names = {**NAMES, "hooks": host.hooks, "sync_hooks": host.sync_hooks}
            print(table(f"{COUNT} plain implementations", await compare_here(PLAIN, names)))
            print(
                table(
                    f"{COUNT} async implementations that return at once", await compare_here(AWAITED, names)
                )
            )
            print(table(waiting, await compare_here(WAITING, names)))
            print(table(f"{COUNT} plain implementations in a wrapper", await compare_here(WRAPPED, names)))
            print(table(f"{COUNT} plain implementations that decide", await compare_here(DECIDED, names)))


if __name__ == "__main__":
    asyncio.run(main())
