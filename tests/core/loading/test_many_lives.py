"""Lives of three plugins in every order: asked for, broken off, failing, waiting; at each step the records are true.

A program is a list of moves. It runs on one event loop, without threads and without time: plugins wait at gates that
a move opens, and everything else happens between two checkpoints.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from plughost import Host, Plugin, hookimpl
from plughost.contracts import RUNNING_STATES, PluginState
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.loading.ledger import Ledger
from plughost.core.loading.registry import PluginRegistry
from plughost.core.loading.runs import Runs
from plughost.core.loading.shape import PluginHandle
from plughost.exceptions import HostNotReadyError, PluginError

CONFIG = {"host": {"allow": [], "load_timeout": 600.0, "shutdown_timeout": 600.0}}
NEEDS: dict[str, dict[str, Any]] = {"base": {}, "user": {"requires": ("base",)}, "near": {"after": ("base",)}}
UNDER_WAY = {PluginState.IMPORTING, PluginState.WAITING, PluginState.STARTING, PluginState.STOPPING}

Manner = Literal["go", "wait", "raise"]
"""How a plugin goes through ``start`` or ``stop``."""


@dataclass
class Ask:
    """Somebody asks something of the host for a plugin, whose next start and stop will be of that manner."""

    what: str
    name: str
    start: Manner
    stop: Manner


@dataclass
class Pass:
    """So many checkpoints pass."""

    turns: int


@dataclass
class Open:
    """Whoever waits in a start or stop of the plugin goes on."""

    name: str


@dataclass
class Leave:
    """The caller of one of the requests under way is cancelled."""

    which: int


@dataclass
class Take:
    """Somebody takes the plugin out of ``host.pluggy``, and may put it back."""

    name: str
    puts_back: bool


Move = Ask | Pass | Open | Leave | Take

_names = st.sampled_from([*NEEDS])
_manners: st.SearchStrategy[Manner] = st.sampled_from(["go", "go", "wait", "raise"])
_asks = st.sampled_from(["load", "load by name", "unload", "reload", "enable", "disable"])
moves = st.one_of(
    st.builds(Ask, _asks, _names, _manners, st.sampled_from(["go", "go", "go", "wait", "raise"])),
    st.builds(Ask, st.just("load"), _names, _manners, st.just("go")),
    st.builds(Pass, st.integers(1, 12)),
    st.builds(Open, _names),
    st.builds(Leave, st.integers(0, 3)),
    st.builds(Take, _names, st.booleans()),
)


standing = st.sampled_from([("base", "user", "near"), ("base", "user"), ("base",), ()])
"""Plugins that run before anything else happens: most of what can go wrong goes wrong with those."""


class Traced(Plugin):
    """One start of a plugin; everything that a plugin can add."""

    world: World
    name: str

    def __init__(self) -> None:
        self.begun = self.started = self.gave_up = self.stopped = 0
        self.world.made.append(self)

    async def start(self, context: Any) -> None:
        self.begun += 1
        context.provide(self.world.services[self.name], self.world.services[self.name]())
        context.every(3600, lambda: None, name="hourly")
        try:
            await self.world.go_through(self.name, self.world.starts[self.name])
        except BaseException:
            self.gave_up += 1
            raise
        self.started += 1

    async def stop(self) -> None:
        self.stopped += 1
        await self.world.go_through(self.name, self.world.stops[self.name])

    @hookimpl
    def describe_metrics(self) -> list[Any]:
        return [self]


@dataclass
class World:
    """Three plugins, what they are to do, and what was asked for."""

    made: list[Traced] = field(default_factory=list)
    starts: dict[str, Manner] = field(default_factory=lambda: dict.fromkeys(NEEDS, "go"))
    stops: dict[str, Manner] = field(default_factory=lambda: dict.fromkeys(NEEDS, "go"))
    gates: dict[str, anyio.Event] = field(default_factory=lambda: {name: anyio.Event() for name in NEEDS})
    asked: list[anyio.CancelScope] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.services = {name: type(f"Service{name}", (), {}) for name in NEEDS}
        self.classes = {
            name: type("One", (Traced,), {"name": name, "world": self} | needs)
            for name, needs in NEEDS.items()
        }

    async def go_through(self, name: str, manner: Manner) -> None:
        if manner == "raise":
            raise OSError(f"{name} will not")
        if manner == "wait":
            await self.gates[name].wait()

    def open(self, name: str) -> None:
        self.gates[name].set()
        self.gates[name] = anyio.Event()

    async def make(self, move: Move, host: Host, tasks: TaskGroup) -> None:
        match move:
            case Ask():
                self.starts[move.name], self.stops[move.name] = move.start, move.stop
                tasks.start_soon(self._ask, host, move)
            case Pass():
                for _ in range(move.turns):
                    await anyio.lowlevel.checkpoint()
                    self.check(host)
            case Open():
                self.open(move.name)
            case Take():
                if (plugin := host.pluggy.get_plugin(move.name)) is not None:
                    host.pluggy.unregister(plugin)
                    self.check(host)
                    if move.puts_back:
                        host.pluggy.register(plugin, move.name)
            case Leave():
                if self.asked:
                    self.asked[move.which % len(self.asked)].cancel()

    async def _ask(self, host: Host, ask: Ask) -> None:
        ways: dict[str, Callable[[], Any]] = {
            "load": lambda: host.load_plugin(self.classes[ask.name]),
            "load by name": lambda: host.load_plugin(ask.name),
            "unload": lambda: host.unload_plugin(ask.name),
            "reload": lambda: host.reload_plugin(ask.name),
            "enable": lambda: host.enable_plugin(ask.name),
            "disable": lambda: host.disable_plugin(ask.name),
        }
        with anyio.CancelScope() as scope:
            self.asked.append(scope)
            try:
                await ways[ask.what]()
            except (PluginError, HostNotReadyError):
                pass
            finally:
                self.asked.remove(scope)

    # what must be true, at any moment

    def check(self, host: Host) -> None:
        ready = {name for name in NEEDS if (r := host.plugin(name)) is not None and r.state in RUNNING_STATES}
        answers = [
            one for answer in host.sync_hooks.describe_metrics() for one in answer if isinstance(one, Traced)
        ]
        assert sorted(one.name for one in answers) == sorted(ready), (
            "who answers is ready, who is ready answers"
        )
        assert all(one.started and not one.stopped for one in answers), "and has started, and not stopped"
        assert ready <= {*host.report.loaded}, "the report says the same"
        hooked = {record.name for record in host.plugins.values() if record.hooks}
        assert hooked & {*NEEDS} == ready, "so do its hooks"
        there = ready | self.taken_out(host)
        provided = {name for name, kind in self.services.items() if host._services.get(kind) is not None}
        assert {job.owner for job in host.jobs.snapshot()} & {*NEEDS} == there, (
            "jobs are of those that are ready"
        )
        assert provided == there, "so are services"
        if "user" in ready:
            assert "base" in there, "what it requires is there"
        assert all(one.begun <= 1 and one.stopped <= one.started for one in self.made), (
            "stop follows a start, once"
        )

    def taken_out(self, host: Host) -> set[str]:
        """Return those that somebody took out and that are not stopped yet."""
        return {
            name
            for name in NEEDS
            if (record := host.plugin(name)) is not None
            and record.state is PluginState.STOPPING
            and "on host.pluggy" in record.reason
            and any(one.name == name and one.started > one.stopped for one in self.made)
            and host._registry[name].run is not None
        }

    def check_at_rest(self, host: Host) -> None:
        self.check(host)
        states = {name: r.state for name in NEEDS if (r := host.plugin(name)) is not None}
        assert not UNDER_WAY & {*states.values()}, f"nothing is under way: {states}"
        for name in NEEDS:
            alive = [one for one in self.made if one.name == name and one.started > one.stopped]
            assert len(alive) == (states.get(name) in RUNNING_STATES), (
                f"starts and stops of {name} are paired"
            )

    def let_go(self) -> None:
        self.starts, self.stops = dict.fromkeys(NEEDS, "go"), dict.fromkeys(NEEDS, "go")
        for name in NEEDS:
            self.open(name)

    async def come_to_rest(self) -> None:
        while self.asked:
            self.let_go()
            await anyio.lowlevel.checkpoint()


async def live(first: tuple[str, ...], program: list[Move]) -> None:
    world = World()
    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:
            for name in first:
                with contextlib.suppress(PluginError):  # with a fault in the house; then the checks tell it
                    await host.load_plugin(world.classes[name])
            try:
                async with anyio.create_task_group() as tasks:
                    for move in program:
                        await world.make(move, host, tasks)
                        world.check(host)
                    await anyio.lowlevel.checkpoint()
                    await world.come_to_rest()
                for _ in range(20):
                    await anyio.lowlevel.checkpoint()
                world.check_at_rest(host)
            finally:
                world.let_go()  # when a check has failed, so that the host can stop them
    assert all(one.started == one.stopped for one in world.made)
    assert all(one.begun == one.started + one.gave_up for one in world.made)
    assert not any(
        r.state in RUNNING_STATES | UNDER_WAY for name in NEEDS if (r := host.plugin(name)) is not None
    )


def live_through_many(backend: str) -> None:
    # As found, not made shorter: a life is short as it is, and one that hangs takes its whole limit at each attempt.
    @settings(max_examples=60, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(standing, st.lists(moves, min_size=2, max_size=14))
    def run(first: tuple[str, ...], program: list[Move]) -> None:
        anyio.run(live, first, program, backend=backend)

    run()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_after_every_step_of_any_interleaving_the_records_tell_the_truth(backend: str) -> None:
    live_through_many(backend)


# A check is worth what it finds: with each of these faults in the house, some life above must come out wrong.


def a_record_says_ready_while_it_stops(patch: pytest.MonkeyPatch) -> None:
    move = PluginRegistry.move

    def lies(self: PluginRegistry, name: str, state: PluginState, **changes: Any) -> Any:
        return self[name].record if state is PluginState.STOPPING else move(self, name, state, **changes)

    patch.setattr(PluginRegistry, "move", lies)


def a_record_never_says_ready(patch: pytest.MonkeyPatch) -> None:
    move = PluginRegistry.move

    def lies(self: PluginRegistry, name: str, state: PluginState, **changes: Any) -> Any:
        told = PluginState.STARTING if state is PluginState.READY else state
        return move(self, name, told, **changes)

    patch.setattr(PluginRegistry, "move", lies)


def a_failure_is_told_as_ready(patch: pytest.MonkeyPatch) -> None:
    def lies(self: PluginRegistry, name: str, error: PluginError, state: Any = None) -> Any:
        self[name].settled.set()
        return self.move(name, PluginState.READY)

    patch.setattr(PluginRegistry, "fail", lies)


def a_record_says_ready_before_its_hooks_answer(patch: pytest.MonkeyPatch) -> None:
    enter = Runs.enter_service

    async def hurries(self: Runs, run: Any, *args: Any, **options: Any) -> Any:
        self.registry.move(run.plugin.candidate.name, PluginState.READY)
        await anyio.lowlevel.checkpoint()
        return await enter(self, run, *args, **options)

    patch.setattr(Runs, "enter_service", hurries)


def hooks_answer_after_the_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(HookDispatcher, "unregister", HookDispatcher._drain)


def services_and_jobs_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "undo", lambda self: None)


def stop_is_never_called(patch: pytest.MonkeyPatch) -> None:
    async def forgets(self: PluginHandle) -> None:
        await anyio.lowlevel.checkpoint()

    patch.setattr(PluginHandle, "stop", forgets)


FAULTS = (
    a_record_says_ready_while_it_stops,
    a_record_never_says_ready,
    a_failure_is_told_as_ready,
    a_record_says_ready_before_its_hooks_answer,
    hooks_answer_after_the_end,
    services_and_jobs_stay,
    stop_is_never_called,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found(fault: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        with pytest.raises(BaseException) as caught:  # a task group may have wrapped it
            live_through_many("asyncio")
    assert any(isinstance(one, AssertionError) for one in leaves(caught.value))


def leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
