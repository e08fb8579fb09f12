"""What a plugin in a process of its own does to its host: plughost beside cpex's `isolated_venv` and cjm-plugin-system.

    pip install -r benchmarks/requirements-processes.txt    # in an environment of its own, plughost beside them
    python benchmarks/process_peers.py

Every contender runs in a folder of its own, from its installed wheel, with one plugin that answers, dies of SIGSEGV or
loops for ever, as it is asked. cpex's worker makes an environment with pip at its first start, which is not counted; it
looks for its own code below the working folder, so it is tried a second time with a link to that there. A peer that is
not installed is left out; a dash means that a contender has not got that far.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version as version_of
from pathlib import Path
from statistics import median

sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]

LIMIT, PATIENCE, CALLS = 2.0, 45.0, 200

BEHAVE = """
import os, signal

def behave(what):
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    while what == "hang":
        pass
    return os.getpid()
"""
ROWS = {
    "answers": "from its wheel, in any folder, a call is answered",
    "call": f"a call, median of {CALLS}",
    "crash_told": "SIGSEGV: the caller is told after",
    "crash_next": "the next call is answered",
    "hang_told": f"endless loop, limit {LIMIT:g} s: the caller is told after",
    "hang_next": "the next call is answered",
    "left": "processes left when the host has stopped",
    "orphans": "processes left 5 s after SIGKILL of the host",
}


class Contender:
    """How one of them is started, asked and stopped."""

    distribution = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def start(self) -> None:
        raise NotImplementedError

    async def ask(self, what: str) -> int:
        """Have the plugin do it within ``LIMIT``; returns the number of its process, or raises."""
        raise NotImplementedError

    async def stop(self) -> None:
        raise NotImplementedError


class Plughost(Contender):
    """`isolation = "process"`."""

    distribution = "plughost"

    async def start(self) -> None:
        from plughost import Host

        (self.folder / "plugins").mkdir()
        (self.folder / "plugins" / "bad.py").write_text(
            BEHAVE
            + "from plughost import Plugin, hookimpl\n\n"
            + "class Bad(Plugin):\n    @hookimpl\n    async def open_connection(self, app_name, config):\n"
            + "        return behave(app_name)\n"
        )
        config = {
            "host": {
                "plugin_dir": str(self.folder / "plugins"),
                "data_dir": str(self.folder / "data"),
                "allow": ["bad"],
            },
            "plugins": {"bad": {"isolation": "process"}},
            "hooks": {"timeouts": {"open_connection": LIMIT}},
        }
        self.host = Host("peers", config=config)
        await self.host.__aenter__()

    async def ask(self, what: str) -> int:
        answer = await self.host.hooks.open_connection(app_name=what, config={})
        return int(answer)

    async def stop(self) -> None:
        await self.host.__aexit__(None, None, None)


class Cpex(Contender):
    """`kind: isolated_venv`, whose environment gets cpex itself, which its worker needs."""

    distribution = "cpex"
    source = """
from cpex.framework import Plugin, PluginPayload, PluginResult
from cpex.framework.hooks.registry import get_hook_registry

get_hook_registry().register_hook("ask", PluginPayload, PluginResult)

class Made(Plugin):
    async def ask(self, payload, context):
        number = behave(context.global_context.request_id)
        return PluginResult(continue_processing=True, metadata={"pid": number})
"""

    async def start(self) -> None:
        from cpex.framework import PluginManager, PluginPayload, PluginResult
        from cpex.framework.hooks.registry import get_hook_registry

        get_hook_registry().register_hook("ask", PluginPayload, PluginResult)
        home = self.folder / "plugins" / "bad"
        home.mkdir(parents=True)
        (home / "__init__.py").write_text("")
        (home / "plugin.py").write_text(BEHAVE + self.source)
        (home / "requirements.txt").write_text(f"cpex=={version_of('cpex')}\n")
        row = {
            "name": "bad",
            "kind": "isolated_venv",
            "hooks": ["ask"],
            "mode": "sequential",
            "on_error": "fail",
            "config": {"class_name": "bad.plugin.Made", "requirements_file": "requirements.txt"},
        }
        settings = {
            "plugins": [row],
            "plugin_dirs": ["plugins"],
            "plugin_settings": {"fail_on_plugin_error": True},
        }
        file = self.folder / "plugins" / "config.yaml"
        file.write_text(json.dumps(settings), "utf-8")  # JSON is YAML
        os.environ["PLUGINS_CONFIG_FILE"] = str(file)
        self.manager = PluginManager(str(file), timeout=LIMIT)
        await self.manager.initialize()

    async def ask(self, what: str) -> int:
        from cpex.framework import GlobalContext, PluginPayload

        result, _ = await self.manager.invoke_hook("ask", PluginPayload(), GlobalContext(request_id=what))
        return int(result.metadata["pid"])

    async def stop(self) -> None:
        await self.manager.shutdown()


class CpexBesideItsSource(Cpex):
    """The same where its worker finds its own code."""

    async def start(self) -> None:
        spec = importlib.util.find_spec("cpex")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        (self.folder / "cpex").symlink_to(spec.submodule_search_locations[0])
        await super().start()


class Cjm(Contender):
    """A worker behind HTTP; it has no limit of its own, so the caller sets one."""

    distribution = "cjm-plugin-system"
    source = """
from cjm_plugin_system.core.capability import ToolCapability

class Made(ToolCapability):
    name = "bad"
    version = "1.0"

    def initialize(self, config=None):
        pass

    def execute(self, what="answer"):
        return {"pid": behave(what)}

    def get_config_schema(self):
        return {"type": "object", "properties": {}}

    def get_current_config(self):
        return {}
"""

    async def start(self) -> None:
        from cjm_plugin_system.core.manager import PluginManager

        (self.folder / "bad_plugin.py").write_text(BEHAVE + self.source)
        manifests = self.folder / "manifests"
        manifests.mkdir()
        manifest = {
            "name": "bad",
            "version": "1.0",
            "description": "answers, or does not",
            "python_path": sys.executable,
            "module": "bad_plugin",
            "class": "Made",
            "interface": "cjm_plugin_system.core.capability.ToolCapability",
            "env_vars": {"PYTHONPATH": str(self.folder)},
        }
        (manifests / "bad.json").write_text(json.dumps(manifest))
        self.manager = PluginManager(search_paths=[manifests])
        self.manager.discover_manifests()
        (found,) = self.manager.discovered
        for _ in range(5):  # its own limit of 5 s for a worker's first answer is short on a busy machine
            if await asyncio.to_thread(self.manager.load_plugin, found):
                return
        raise RuntimeError("not loaded")

    async def ask(self, what: str) -> int:
        answer = await asyncio.wait_for(self.manager.execute_plugin_async("bad", what=what), LIMIT)
        return int(answer["pid"])

    async def stop(self) -> None:
        await asyncio.to_thread(self.manager.unload_all)


CONTENDERS: dict[str, type[Contender]] = {
    "plughost": Plughost,
    "cpex": Cpex,
    "cpex beside its source": CpexBesideItsSource,
    "cjm": Cjm,
}


async def told(contender: Contender, what: str) -> str:
    """Ask for something that goes wrong; how long the caller waits for the news."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE):
            await contender.ask(what)
    except TimeoutError:
        pass
    except Exception:  # the news
        return f"{time.perf_counter() - began:.2f} s"
    took = time.perf_counter() - began
    return f"{took:.2f} s" if took < PATIENCE else f"not within {PATIENCE:g} s"


async def answered(contender: Contender) -> str:
    """Ask again until there is an answer."""
    began, tries = time.perf_counter(), 0
    while time.perf_counter() - began < 4 * LIMIT:
        tries += 1
        with suppress(Exception):
            async with asyncio.timeout(LIMIT):
                await contender.ask("answer")
                waited = time.perf_counter() - began
                return "yes" if tries == 1 else f"after {waited:.1f} s"
        await asyncio.sleep(0.05)
    return f"no, for {4 * LIMIT:g} s"


async def measure(contender: Contender, say: Callable[[str, str], None]) -> None:
    """Go through the rows; each is said as soon as it is known."""
    await contender.start()
    said = await answered(contender)
    say("answers", said)
    if not said.startswith("no"):
        times = []
        for _ in range(CALLS):
            began = time.perf_counter()
            await contender.ask("answer")
            times.append(time.perf_counter() - began)
        say("call", f"{median(times) * 1e6:,.0f} µs")
        for what in ("crash", "hang"):
            say(f"{what}_told", await told(contender, what))
            say(f"{what}_next", await answered(contender))
    begun = begun_by(os.getpid())
    async with asyncio.timeout(PATIENCE):
        await contender.stop()
    await asyncio.sleep(1)
    say("left", str(sum(map(is_alive, begun))))
    for pid in begun:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


async def wait_to_be_killed(contender: Contender) -> None:
    """Be a host whose plugin loops when the host is killed."""
    await contender.start()
    await contender.ask("answer")
    task = asyncio.create_task(contender.ask("hang"))
    await asyncio.sleep(0.5)
    print(json.dumps(begun_by(os.getpid())), flush=True)
    await task
    await asyncio.sleep(PATIENCE)


def begun_by(pid: int) -> list[int]:
    """All processes below one."""
    parents: dict[int, int] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(place.parent.name)] = int(place.read_text().rpartition(")")[2].split()[1])
    found, wanted = [], [pid]
    while wanted:
        one = wanted.pop()
        children = [child for child, parent in parents.items() if parent == one]
        found += children
        wanted += children
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs and is not merely unburied."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def run(name: str) -> dict[str, str]:
    """Measure one contender in a process of its own, and then have that killed."""
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        child = begin(name, folder, "--one")
        try:
            out, error = child.communicate(timeout=600)
        finally:
            child.kill()
        for line in out.splitlines():
            with suppress(ValueError):
                found.update(json.loads(line))
        if child.returncode:
            print(f"{name}: {error.strip().splitlines()[-1:]}", file=sys.stderr)
    if "call" in found:
        with tempfile.TemporaryDirectory() as folder:
            found["orphans"] = orphans(name, folder)
    return found


def orphans(name: str, folder: str) -> str:
    """Kill a host while its plugin loops, and count who is left."""
    child = begin(name, folder, "--wait")
    assert child.stdout is not None
    begun: list[int] = []
    for line in child.stdout:
        with suppress(ValueError):
            begun = json.loads(line)
            break
    child.kill()
    child.communicate()
    time.sleep(5)
    left = [pid for pid in begun if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return str(len(left))


def begin(name: str, folder: str, how: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "HOME": folder}
    command = [sys.executable, str(Path(__file__).resolve()), how, name]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", choices=CONTENDERS)
    parser.add_argument("--wait", choices=CONTENDERS)
    options = parser.parse_args()
    name = options.one or options.wait
    if name is not None:
        contender = CONTENDERS[name](Path.cwd())
        if options.wait:
            asyncio.run(wait_to_be_killed(contender))
        else:
            asyncio.run(measure(contender, lambda row, text: print(json.dumps({row: text}), flush=True)))
        os._exit(0)  # a thread that waits for a hung worker would hold the interpreter
    there = [one for one, kind in CONTENDERS.items() if is_installed(kind.distribution)]
    found = {one: run(one) for one in there}
    versions = [f"{one} ({version_of(CONTENDERS[one].distribution)})" for one in there]
    print(f"| | {' | '.join(versions)} |\n|---|{'---|' * len(there)}")
    for row, text in ROWS.items():
        print(f"| {text} | {' | '.join(found[one].get(row, '-') for one in there)} |")
    ours = found["plughost"]
    is_right = (
        ours.get("crash_next") == ours.get("hang_next") == "yes"
        and ours.get("left") == ours.get("orphans") == "0"
    )
    return 0 if is_right else 1


def is_installed(distribution: str) -> bool:
    """Whether a distribution is here."""
    try:
        return bool(version_of(distribution))
    except ImportError:
        return False


if __name__ == "__main__":
    sys.exit(main())
