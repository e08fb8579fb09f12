"""The contract suite for plugins passes a good plugin, and finds each of the faults that are planted here."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from .planted_faults import GOOD, Faults, failures

PRELUDE = """
import asyncio, logging, os, signal, sys, threading
import anyio
import msgspec
import pytest
from plughost import Plugin, hookimpl
from plughost.testing import PluginSuite
from plughost.testing import faults as faulty
from plughost.testing.leaks import Traces

class Settings(msgspec.Struct, frozen=True):
    greeting: str = "Hello"

class Good(Plugin):
    Config = Settings

    async def start(self, context):
        self.context = context
        self.greeted = []
        context.every(3600, self.greeted.clear)
        context.events.subscribe("greeted", self.greeted.append)
        context.provide(Settings, context.config)
        context.spawn(anyio.sleep_forever)
        self.busy = False
        self.lock = anyio.Lock()

    def status(self):
        return {"greeted": len(self.greeted)}

    @hookimpl
    async def before_auth(self, attempt):
        async with self.lock:
            await anyio.sleep(0)
            return attempt

    @hookimpl
    async def find_user(self, user_id, username):
        return None

    @hookimpl
    def register_commands(self):
        return []

@pytest.fixture(autouse=True)
def end_leaks():
    yield
    faulty.end_leaks()
"""

CASE = """
{source}

class Test{name}(PluginSuite):
    @pytest.fixture
    def plugin(self):
        return {name}
"""

FAULTS: Faults = {
    "FailsToStart": ("test_it_becomes_ready", "async def start(self, context): raise OSError('disk')"),
    "ShowsNoPlainStatus": ("test_its_status_is_plain_data", "def status(self): return {'lock': self.lock}"),
    "FailsInStatus": ("test_its_status_is_plain_data", "def status(self): return {'x': 1 / 0}"),
    "FailsToStop": ("test_it_stops_without_an_error", "async def stop(self): raise OSError('disk')"),
    "LeaksATask": ("test_it_leaves_nothing_behind", "async def stop(self): await faulty.leak_task()"),
    "LeaksAThread": ("test_it_leaves_nothing_behind", "async def stop(self): await faulty.leak_thread()"),
    "LeaksAFile": (
        "test_it_leaves_nothing_behind",
        "async def stop(self): self.__class__.kept = [*getattr(self, 'kept', []), os.open('/dev/null', os.O_RDONLY)]",
    ),
    "ConfiguresLogging": (
        "test_it_leaves_nothing_behind",
        "async def stop(self): logging.getLogger().setLevel(logging.getLogger().level + 1)",
    ),
    "SetsTheEnvironment": (
        "test_it_leaves_nothing_behind",
        "async def stop(self): os.environ[f'LEFT_{len(os.environ)}'] = '1'",
    ),
    "ChangesThePath": ("test_it_leaves_nothing_behind", "async def stop(self): sys.path.append('/nowhere')"),
    "StartsOnlyOnce": (
        "test_it_can_be_started_again",
        """
    async def start(self, context):
        await super().start(context)
        if context.data_dir.joinpath("started").exists():
            raise RuntimeError("started before")
        context.data_dir.joinpath("started").touch()""",
    ),
    "LeavesAHalfStartedThread": (
        "test_a_start_that_is_broken_off_leaves_nothing_behind",
        """
    async def start(self, context):
        await super().start(context)
        self.over = threading.Event()
        self.worker = threading.Thread(target=self.over.wait, daemon=True)
        self.worker.start()
        await anyio.sleep(0)

    async def stop(self):
        self.over.set()
        self.worker.join()""",
    ),
    "IsAloneInTheProcess": (
        "test_it_runs_in_two_hosts_at_once",
        """
    running = []

    async def start(self, context):
        await super().start(context)
        if self.running and self.running[0] != context.data_dir:
            raise RuntimeError("runs already")
        self.running[:] = [context.data_dir]""",
    ),
    "FailsForAnEmptyName": (
        "test_its_hooks_take_whatever_fits_their_types",
        """
    @hookimpl
    async def find_user(self, user_id, username):
        return None if username is None else username[0] and None
    @hookimpl
    async def auth_failed(self, reason):
        reason[0]""",
    ),
    "AnswersWithTheWrongType": (
        "test_its_hooks_take_whatever_fits_their_types",
        """
    @hookimpl
    async def find_user(self, user_id, username):
        return {"user_id": user_id}""",
    ),
    "GivesNoVerdict": (
        "test_its_hooks_take_whatever_fits_their_types",
        """
    @hookimpl
    async def authenticate(self, attempt):
        return None""",
    ),
    "ServesOneAtATime": (
        "test_its_hooks_answer_several_callers_at_once",
        """
    @hookimpl
    async def before_auth(self, attempt):
        if self.busy:
            raise RuntimeError("busy")
        self.busy = True
        try:
            await anyio.sleep(0)
        finally:
            self.busy = False
        return attempt""",
    ),
    "StaysLocked": (
        "test_a_hook_call_that_is_broken_off_does_no_harm",
        """
    @hookimpl
    async def before_auth(self, attempt):
        if self.busy:
            raise RuntimeError("still busy with a call that was broken off")
        self.busy = True
        await anyio.sleep(0)
        await anyio.sleep(0)
        self.busy = False
        return attempt""",
    ),
    "WaitsInStop": ("test_it_stops_without_an_error", "stop = faulty.hang"),
    "TakesWhateverIsConfigured": ("test_an_unknown_setting_is_refused", "Config = dict"),
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """Name of each case -> the tests of the suite that failed for it."""
    cases = [CASE.format(source="", name=GOOD)]
    for name, (_, body) in FAULTS.items():
        cases.append(CASE.format(source=f"class {name}(Good):\n    {body.lstrip()}\n", name=name))
    # On one event loop: what is tested is the suite.
    return failures(tmp_path_factory.mktemp("suite"), "\n".join([PRELUDE, *cases]), FAULTS, "[asyncio]")


def test_a_good_plugin_passes(failed: Mapping[str, set[str]]) -> None:
    assert failed[GOOD] == set()


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(failed: Mapping[str, set[str]], name: str) -> None:
    assert failed[name] == {FAULTS[name][0]}
