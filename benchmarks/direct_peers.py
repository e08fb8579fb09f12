"""What a bad plugin does to its host: plughost beside its peers, each in a process of its own.

    pip install -r benchmarks/requirements-peers.txt    # in an environment of its own, plughost beside them
    python benchmarks/direct_peers.py

Every contender hosts two plugins: `good`, which answers, and `bad`, which does one bad thing. The table says whether
good's answer still comes. "pluggy by hand" is what people write first: `except Exception` and `asyncio.timeout` around
every start and every call. A peer that is not installed is left out; what a peer cannot do at all is a dash.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import inspect
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from textwrap import indent

sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]
from importlib.metadata import version as version_of  # noqa: E402  this folder has a module that would be found first

PATIENCE, RELOADS, CALLERS = 20.0, 5, 4
LOAD_LIMIT, CALL_LIMIT = 1, 0.3

SWALLOW = """
while True:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        pass
"""
SCENARIOS = {
    "a hook that raises": {"ask": "raise OSError('no')"},
    "`sys.exit` in a constructor": {"init": "sys.exit(3)"},
    "a start that never returns": {"start": "await asyncio.sleep(3600)", "plain_start": "time.sleep(3600)"},
    "a hook that swallows its cancellation": {"ask": SWALLOW},
    "a reload whose new start fails": {},
    f"calls without an answer during {RELOADS} reloads": {},
}
ANSWER = "return {name!r}"


class Peer:
    """How one contender is started, asked and told to reload; `source` is a plugin as its author writes it."""

    distribution = ""
    source = ""
    reloads = True
    limits_calls = True

    def __init__(self, folder: Path, names: tuple[str, ...] = ("good", "bad")) -> None:
        self.folder = folder
        self.names = names

    def write(self, name: str, **parts: str) -> None:
        """Write the file of a plugin, whose parts are statements."""
        parts = {
            "init": "pass",
            "start": "pass",
            "plain_start": "pass",
            "ask": ANSWER.format(name=name),
        } | parts
        text = "import asyncio, sys, time\n" + self.source
        for part, code in parts.items():
            text = text.replace(f"        {part.upper()}\n", indent(code.strip(), " " * 8) + "\n")
        (self.folder / f"{name}_plugin.py").write_text(text.replace("NAME", name), "utf-8")

    async def run(self, use: Callable[[], Awaitable[str]]) -> str:
        """Start with the plugins, do what the scenario wants, and end."""
        raise NotImplementedError

    async def ask(self) -> list[str]:
        """Call the hook; return what was answered."""
        raise NotImplementedError

    async def reload(self) -> None:
        """Reload the plugin `bad`; whatever that raises is the peer's way to say that it failed."""
        raise NotImplementedError


class Plughost(Peer):
    """Limits by the deployer; the plugins are named in the configuration."""

    distribution = "plughost"
    source = """
from plughost import Plugin, hookimpl

class Made(Plugin):
    name = "NAME"
    def __init__(self):
        INIT
    async def start(self, context):
        START
    @hookimpl
    async def ask(self):
        ASK
"""

    async def run(self, use: Callable[[], Awaitable[str]]) -> str:
        from plughost import Host, hookspec

        class Questions:
            @hookspec(mode="collect", timeout=CALL_LIMIT)
            async def ask(self) -> str:
                """Called to be answered."""

        config = {
            "host": {
                "load_timeout": LOAD_LIMIT,
                "data_dir": str(self.folder / "data"),
                "allow": list(self.names),
            },
            "plugins": {name: {"module": f"{name}_plugin:Made"} for name in self.names},
        }
        self.host = Host("peers", config=config, environ={})
        self.host.add_hookspecs(Questions)
        async with self.host:
            return await use()

    async def ask(self) -> list[str]:
        return list(await self.host.hooks.ask())

    async def reload(self) -> None:
        await self.host.reload_plugin("bad")


class Nitro(Peer):
    """Its hooks hand one value on, so that the list of answers is the value."""

    distribution = "nitro-dispatch"
    source = f"""
from nitro_dispatch import PluginBase, hook

class Made(PluginBase):
    name = "NAME"
    def __init__(self):
        super().__init__()
        INIT
    def on_load(self):
        PLAIN_START
    async def answer(self):
        ASK
    @hook("ask", timeout={CALL_LIMIT})
    async def ask(self, data):
        return [*data, await self.answer()]
"""

    async def run(self, use: Callable[[], Awaitable[str]]) -> str:
        from nitro_dispatch import PluginManager

        self.manager = PluginManager()
        self.manager.discover_plugins(self.folder)
        self.manager.load_all()
        return await use()

    async def ask(self) -> list[str]:
        return list(await self.manager.trigger_async("ask", []))

    async def reload(self) -> None:
        await asyncio.to_thread(self.manager.reload, "bad")


class Cpex(Peer):
    """`on_error: ignore` for both; what was answered is collected in its shared state."""

    distribution = "cpex"
    reloads = False
    source = """
from cpex.framework import Plugin, PluginPayload, PluginResult, hook

class Made(Plugin):
    def __init__(self, config):
        super().__init__(config)
        INIT
    async def initialize(self):
        START
    async def answer(self):
        ASK
    @hook("ask", PluginPayload, PluginResult)
    async def ask(self, payload, context):
        context.global_context.metadata["heard"].append(await self.answer())
        return PluginResult(continue_processing=True)
"""

    async def run(self, use: Callable[[], Awaitable[str]]) -> str:
        from cpex.framework import PluginManager, PluginPayload, PluginResult
        from cpex.framework.hooks.registry import get_hook_registry

        get_hook_registry().register_hook("ask", PluginPayload, PluginResult)
        rows = [
            {
                "name": name,
                "kind": f"{name}_plugin.Made",
                "hooks": ["ask"],
                "mode": "sequential",
                "on_error": "ignore",
            }
            for name in self.names[::-1]
        ]
        settings = {"plugins": rows, "plugin_dirs": [], "plugin_settings": {"fail_on_plugin_error": False}}
        (self.folder / "plugins.yaml").write_text(json.dumps(settings), "utf-8")  # JSON is YAML
        self.manager = PluginManager(str(self.folder / "plugins.yaml"), timeout=LOAD_LIMIT)
        await self.manager.initialize()
        return await use()

    async def ask(self) -> list[str]:
        from cpex.framework import GlobalContext, PluginPayload

        heard: list[str] = []
        context = GlobalContext(request_id="1", metadata={"heard": heard})
        await self.manager.invoke_hook("ask", PluginPayload(), context)
        return heard


class ByHand(Peer):
    """pluggy, with `except Exception` and a limit around everything."""

    distribution = "pluggy"
    source = """
import pluggy

class Made:
    def __init__(self):
        INIT
    async def start(self):
        START
    @pluggy.HookimplMarker("peers")
    async def ask(self):
        ASK
"""

    async def run(self, use: Callable[[], Awaitable[str]]) -> str:
        import pluggy

        class Questions:
            @pluggy.HookspecMarker("peers")
            def ask(self) -> str:
                """Called to be answered."""

        self.manager = pluggy.PluginManager("peers")
        self.manager.add_hookspecs(Questions)
        for name in self.names:
            await self.load(name)
        return await use()

    async def load(self, name: str) -> None:
        try:
            plugin = importlib.import_module(f"{name}_plugin").Made()
            async with asyncio.timeout(LOAD_LIMIT):
                await plugin.start()
            self.manager.register(plugin, name)
        except Exception as error:
            print(f"{name}: {error!r}", file=sys.stderr)

    async def ask(self) -> list[str]:
        answers = []
        for answer in self.manager.hook.ask():
            try:
                async with asyncio.timeout(CALL_LIMIT):
                    answers.append(await answer)
            except Exception as error:
                print(repr(error), file=sys.stderr)
        return answers

    async def reload(self) -> None:
        self.manager.unregister(name="bad")
        importlib.reload(sys.modules["bad_plugin"])
        await self.load("bad")


class Stevedore(Peer):
    """Plugins by entry point; no start but the constructor, no limits, no reload."""

    distribution = "stevedore"
    reloads = limits_calls = False
    source = """
class Made:
    def __init__(self):
        INIT
        PLAIN_START
    def ask(self):
        ASK
"""

    async def run(self, use: Callable[[], Awaitable[str]]) -> str:
        from stevedore import ExtensionManager

        info = self.folder / "peers-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: peers\nVersion: 1\n", "utf-8")
        points = "".join(f"{name} = {name}_plugin:Made\n" for name in self.names)
        (info / "entry_points.txt").write_text(f"[peers]\n{points}", "utf-8")
        self.manager = ExtensionManager("peers", invoke_on_load=True)
        return await use()

    async def ask(self) -> list[str]:
        return list(self.manager.map(lambda each: each.obj.ask()))


class Plexus(Peer):
    """A class and a YAML file for each plugin; it has no hook for many, so that each is asked by its name."""

    distribution = "plexus-core"
    source = """
from plexus import Plugin

class Made(Plugin):
    def on_load(self, *args, **kwargs):
        INIT
    async def on_enable(self):
        START
    async def on_disable(self):
        pass
    async def ask(self):
        ASK
"""

    def write(self, name: str, **parts: str) -> None:
        super().write(name, **parts)
        home = self.folder / name
        home.mkdir(exist_ok=True)
        (self.folder / f"{name}_plugin.py").replace(home / "plugin.py")
        ask = {"internal_name": "ask", "accessible_by_other_plugins": True, "remote": False, "arguments": []}
        card = {
            "description": name,
            "version": "1.0.0",
            "remote": False,
            "arguments": None,
            "endpoints": {"ask": ask | {"description": "It answers."}},
        }
        (home / "plugin_config.yml").write_text(json.dumps(card), "utf-8")  # JSON is YAML

    async def run(self, use: Callable[[], Awaitable[str]]) -> str:
        from plexus import Plexus as Manager

        rows = [{"name": name, "enabled": True, "path": str(self.folder / name)} for name in self.names[::-1]]
        general = {"console_log_level": "CRITICAL", "plugin_enable_timeout": LOAD_LIMIT}
        settings = {"plugins": rows, "general": general, "networking": {"enabled": False}}
        (self.folder / "config.yml").write_text(json.dumps(settings), "utf-8")
        self.manager = Manager(str(self.folder / "config.yml"))
        await self.manager.wait_until_ready()
        said = await use()
        await self.manager.close()
        return said

    async def ask(self) -> list[str]:
        answers = []
        for name in self.names[::-1]:
            try:
                answers.append(await self.manager.execute(name, "ask", timeout=CALL_LIMIT))
            except Exception as error:
                print(repr(error), file=sys.stderr)
        return [answer for answer in answers if answer is not None]

    async def reload(self) -> None:
        await self.manager._reload_plugin("bad")  # what its own pages call; there is no public door


class Pluginkit(Peer):
    """Typed hooks and no life: a start is what its host calls by hand."""

    distribution = "pluginkit"
    reloads = limits_calls = False
    source = """
from pluginkit import Extension

class Made:
    def __init__(self):
        INIT
    async def start(self):
        START
    @Extension("peers")
    async def ask(self):
        ASK
"""

    async def run(self, use: Callable[[], Awaitable[str]]) -> str:
        from pluginkit import AsyncPluginManager, ExtensionPoint

        class Questions:
            @staticmethod
            @ExtensionPoint("peers")
            def ask() -> str:
                """Called to be answered."""

        self.manager = AsyncPluginManager("peers")
        self.manager.add_extension_points(Questions)
        for name in self.names:
            plugin = importlib.import_module(f"{name}_plugin").Made()
            await plugin.start()
            self.manager.register(plugin, name)
        return await use()

    async def ask(self) -> list[str]:
        try:
            return list(await self.manager.hook.ask())
        except Exception as error:  # of whichever plugin: the other answers are gone with it
            return [repr(error)]


PEERS = {
    "plughost": Plughost, "pluggy by hand": ByHand, "stevedore": Stevedore, "cpex": Cpex, "nitro-dispatch": Nitro,
    "plexus": Plexus, "pluginkit": Pluginkit,
}  # fmt: skip


async def answered(peer: Peer) -> str:
    """Ask once; say whether good was heard, and after how long."""
    began = time.perf_counter()
    answers = await peer.ask()
    took = time.perf_counter() - began
    if "good" not in answers:
        return f"**good is not heard**, but {answers}"
    return "good answers" if took < 0.1 else f"good answers, after {took:.1f} s"


async def failed_reload(peer: Peer) -> str:
    peer.write("bad", start="raise OSError('no')", plain_start="raise OSError('no')")
    try:
        await peer.reload()
    except Exception as error:
        print(repr(error), file=sys.stderr)
    answers = await peer.ask()
    return "the old one goes on" if "bad" in answers else "neither the old nor the new one answers"


async def lost_calls(peer: Peer) -> str:
    """Call from several tasks while the plugin reloads, its start taking a moment, and count what is missing."""
    asked = lost = 0
    over = False

    async def caller() -> None:
        nonlocal asked, lost
        while not over:
            answers = await peer.ask()
            asked, lost = asked + 1, lost + ("bad" not in answers)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(caller())
        for _ in range(RELOADS):
            await asyncio.sleep(0.1)
            await peer.reload()
        over = True
    return f"{lost:,} of {asked:,}"


async def scene(peer: Peer, scenario: str) -> str:
    """Play one scenario with one peer."""
    number = list(SCENARIOS).index(scenario)
    if (number == 3 and not peer.limits_calls) or (number > 3 and not peer.reloads):
        return "-"
    slow = {"start": "await asyncio.sleep(0.1)", "plain_start": "time.sleep(0.1)"} if number == 5 else {}
    peer.write("good")
    peer.write("bad", **SCENARIOS[scenario], **slow)
    use = (answered, answered, answered, answered, failed_reload, lost_calls)[number]
    return await peer.run(lambda: use(peer))


def one(name: str, scenario: str) -> None:
    """What the process of its own does."""
    sys.dont_write_bytecode = True  # a file written twice in a second is not to be mistaken for the first
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        print(asyncio.run(scene(PEERS[name](Path(folder)), scenario)))


def outcome(name: str, scenario: str) -> str:
    """Run one scenario with one peer in a process, and say in a few words what came of it."""
    command = [sys.executable, __file__, "--peer", name, "--scenario", scenario]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"**hangs** (given up after {PATIENCE:.0f} s)"
    if ran.returncode == 0:
        return ran.stdout.strip().splitlines()[-1]
    error = ran.stderr.strip().splitlines()[-1] if ran.returncode == 1 else ""
    return f"**the process ends**, code {ran.returncode} {error}".strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__ or ""))
    parser.add_argument("--peer")
    parser.add_argument("--scenario")
    wanted = parser.parse_args()
    if wanted.peer and wanted.scenario:
        return one(wanted.peer, wanted.scenario)
    here = [
        name
        for name in PEERS
        if importlib.util.find_spec(
            PEERS[name].distribution.replace("nitro-", "nitro_").removesuffix("-core")
        )
    ]
    print(", ".join(f"{PEERS[name].distribution} {version_of(PEERS[name].distribution)}" for name in here))
    print(f"\n| | {' | '.join(here)} |\n|---|{'---|' * len(here)}")
    for scenario in SCENARIOS:
        print(f"| {scenario} | {' | '.join(outcome(name, scenario) for name in here)} |", flush=True)
    return None


if __name__ == "__main__":
    main()
