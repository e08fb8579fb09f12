"""A plugin's process as the host has it: asked, looked after, ended, and told of when it is gone."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final, Protocol

import anyio
from anyio.abc import TaskGroup

from plughost._dataclasses import dataclass
from plughost.contracts.clock import Clock
from plughost.contracts.logs import get_logger
from plughost.contracts.masking import masked_text
from plughost.contracts.processes import ProcessExit
from plughost.core.processes.figures import FigureReader, Figures, catches
from plughost.core.processes.held import hold, let_go
from plughost.core.processes.output import Output
from plughost.core.processes.own_time import OwnTime
from plughost.core.processes.template import Child, TemplateProcess
from plughost.core.wire.births import Ends, Request
from plughost.core.wire.calls import Crossing, WireCalls
from plughost.core.wire.channel import open_channel
from plughost.core.wire.frames import CLOSED
from plughost.core.wire.page import FlightReader, new_page
from plughost.core.wire.protocol import Member, crossing_of
from plughost.exceptions import PluginCrashedError, PluginError, PluginProcessError

_log = get_logger("plughost.loading")

PATIENCE: Final = 0.2
"""Seconds of its own in which the event loop of a process must turn once a call was cancelled."""

_STRUGGLE: Final = 1.0
"""Seconds of its own that a cancelled call has to come to its end before it counts as a strike."""

_LOOK_AGAIN: Final = 0.05
_DUMP: Final = 0.25  # seconds that writing the stacks may take
_LAST_WORD: Final = 0.5  # seconds the template has to tell how a process ended
_FAREWELL: Final = 2.0  # seconds a process has to end when nobody is there for it any more


class Resident(Protocol):
    """Who lives in the process, for the host."""

    def call(self, call: int, member: int, body: memoryview) -> None:
        """It calls the host."""

    def cancel(self, call: int) -> None:
        """It wants no answer any more."""

    def note(self, member: int, body: memoryview) -> None:
        """It says something."""

    def fall_silent(self) -> None:
        """It says nothing any more."""

    def name_of(self, member: int) -> str:
        """Return what a member is called, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """How a process is looked after.

    Attributes:
        plugin: Name of the plugin.
        strikes: How many calls that would not end are forgiven.
        start: How it is begun: ``template`` or ``fresh``.
        tasks: Where the tasks run that look after it.
        clock: Time, for what is told of it.
    """

    plugin: str
    strikes: int
    start: str
    tasks: TaskGroup
    clock: Clock


@dataclass(slots=True)
class HostSide:
    """What the host keeps of a process beside the channel.

    Attributes:
        leash: The end of a pipe; when it is closed, the process is killed by the kernel.
        page: The page it shares.
        output: What it writes to its standard streams.
    """

    leash: int
    page: FlightReader
    output: Output

    def close(self) -> None:
        """Let go of all of it."""
        let_go(self.leash)
        os.close(self.leash)
        self.page.close()
        self.output.close()


class GuestProcess:
    """One process, from its fork to its end.

    Attributes:
        care: How it is looked after.
        calls: The calls to it and from it.
        ended: Set when it is gone.
        exit: How it ended; None while it lives.
        is_leaving: Whether it is being stopped: nothing is to take its place.
        asked_to_end: Whether nobody needs it any more.
        since: When it was begun, in seconds since the epoch.
        strikes: How many of its calls would not end.
        figures: What was last read of it; None before the first time.
        cpu_share: How many processors it used between the last two times; None before the second.
    """

    def __init__(
        self, care: Care, child: Child, sock: socket.socket, resident: Resident, kept: HostSide
    ) -> None:
        def stop_telling(waiting: int) -> None:
            self.kill(f"it did not read what the host told it, until {waiting} bytes were waiting")

        def busy(why: str) -> PluginProcessError:
            return PluginProcessError(f"plugin {care.plugin!r} cannot answer now: {why}", plugin=care.plugin)

        self.calls = WireCalls(resident, self._look_soon, stop_telling, busy)
        self.ended = anyio.Event()
        self.exit: ProcessExit | None = None
        self.is_leaving = self.asked_to_end = False
        self.since = care.clock.time()
        self.strikes = 0
        self.figures: Figures | None = None
        self.cpu_share: float | None = None
        self._reader = FigureReader(child.pid)
        self.care = care
        self._child = child
        self._channel = open_channel(sock, care.tasks, self.calls.frame, self._lose)
        self.calls.open_over(self._channel)
        self._resident = resident
        self._kept = kept
        self._looking = False
        self._why_killed = ""
        self._error: Callable[[], PluginError] | None = None
        care.tasks.start_soon(self._wait_for_end, name=f"end of the process of plugin {care.plugin}")
        care.tasks.start_soon(kept.output.drain, name=f"output of plugin {care.plugin}")

    @property
    def pid(self) -> int:
        """Its number."""
        return self._child.pid

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent to it and received from it."""
        return self._channel.sent, self._channel.received

    async def ask(self, member: Member, *values: Any) -> Any:
        """Call a member that is no hook.

        Raises:
            Exception: What it raised, or ``PluginCrashedError``.
        """
        return await self.call(member, values, crossing_of(member))

    def call(self, member: int, arguments: tuple[Any, ...], crossing: Crossing) -> Coroutine[Any, Any, Any]:
        """Call a member that crosses in that way, once the coroutine is awaited.

        Raises:
            PluginProcessError: It has too much to do already.
            Exception: What it raised, ``PluginCrashedError``, or what keeps a value from crossing.
        """
        return self.calls.call(member, arguments, crossing)

    async def stack(self) -> str:
        """Have it write down where its threads stand, and return that; it goes on."""
        self._kept.page.turn(at_rest=False)
        before = self._kept.page.stacks()
        if catches(self.pid, signal.SIGUSR1):  # else it would be killed by it, as a program that it became
            self._signal(signal.SIGUSR1)
        with anyio.move_on_after(_DUMP):
            written = last = ""
            while not written or written != last:
                await anyio.sleep(_DUMP / 25)
                last, written = written, self._kept.page.since(before)
        return self._kept.page.since(before)

    def take_figures(self) -> Figures | None:
        """Read what the kernel tells of it now, and make room for its stacks."""
        if self.ended.is_set():
            return None
        self._kept.page.turn(at_rest=True)
        now = self._reader.read(self.care.clock.monotonic())
        if now is not None:
            share = now.share_since(self.figures)
            self.cpu_share = self.cpu_share if share is None else share
            self.figures = now
        return now

    def kill(self, why: str) -> None:
        """End it at once.

        Args:
            why: In a sentence, for its record.
        """
        if not self.ended.is_set():
            self._why_killed = self._why_killed or why
            self._signal(signal.SIGKILL)

    async def end(self) -> None:
        """Let it end, since nobody needs it any more; returns when it is gone."""
        self.is_leaving = self.asked_to_end = True
        was_well = not self.ended.is_set() and not self._why_killed
        with anyio.CancelScope(shield=True):
            self._channel.close()
            with anyio.move_on_after(_FAREWELL):
                await self.ended.wait()
            self.kill("it did not end when it was told to")
            await self.ended.wait()
        if was_well and self.exit is not None and (self.exit.exit or self.exit.signal):
            _log.warning(
                "process of plugin did not end cleanly", plugin=self.care.plugin, reason=self.exit.reason
            )

    def _lose(self, why: str) -> None:
        """The channel to it is gone: whatever it does, it is of no use any more."""
        if self.asked_to_end:
            return
        if why != CLOSED:
            self.kill(f"what it sent was not understood: {why}")
        else:
            self.kill("" if self._reader.is_ending() else "it closed its end of the channel")

    # looking after it

    def _look_soon(self) -> None:
        if not self._looking and not self.ended.is_set():
            self._looking = True
            self.care.tasks.start_soon(self._look)

    async def _look(self) -> None:
        """A call was given up: does its event loop still turn, and does the call come to its end?"""

        async def see_it_turn() -> None:
            with suppress(PluginError):
                await self.calls.ping()
                turned.set()

        try:
            turned = anyio.Event()
            async with anyio.create_task_group() as looking:
                looking.start_soon(see_it_turn)
                own_time = OwnTime(self.pid)
                while not turned.is_set() and own_time.passed() < PATIENCE:
                    with anyio.move_on_after(_LOOK_AGAIN):
                        await turned.wait()
                while not turned.is_set() and not self.ended.is_set():
                    await self._end_what_holds_it()
                    with anyio.move_on_after(_LOOK_AGAIN):
                        await turned.wait()
                looking.cancel_scope.cancel()
            own_time = OwnTime(self.pid)
            while self.calls.abandoned and own_time.passed() < _STRUGGLE:  # noqa: ASYNC110  each has its own end
                await anyio.sleep(_LOOK_AGAIN)
            self.strikes += len(self.calls.abandoned)
            self.calls.abandoned.clear()
            if self.strikes >= self.care.strikes:
                self.kill(f"{self.strikes} of its calls did not end when they were cancelled")
        finally:
            self._looking = False

    async def _end_what_holds_it(self) -> None:
        """Kill it, unless what holds its event loop is a call whose caller still waits within its own limit."""
        holding, member = self._kept.page.stepping()
        if holding and self.calls.is_pending(holding):
            return
        stack = await self.stack()
        what = (
            f"{self._resident.name_of(member)} held its event loop" if holding else "its event loop was held"
        )
        hint = "" if stack else "; it did not even write down where it stood"
        self.kill(f"{what} beyond its limit{hint}")
        await self.ended.wait()

    # its end

    async def _wait_for_end(self) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.wait_readable(self._child.stands_for)
            with anyio.move_on_after(_LAST_WORD):
                await self._child.ended.wait()
        page, output = self._kept.page, self._kept.output
        holding, member = page.stepping()
        output.read_rest()
        self._resident.fall_silent()
        status = self._child.exit
        number = None if status is None else os.waitstatus_to_exitcode(status.status)
        how = self._why_killed or _how(number)
        said = masked_text(page.last_words())
        self.exit = ProcessExit(
            at=self.care.clock.time(),
            reason=f"{how}: {said.rstrip('.')}" if said else how,
            exit=number if number is not None and number >= 0 else None,
            signal=_signal_name(-number) if number is not None and number < 0 else "",
            call=self._resident.name_of(member) if holding or member else "",
            peak_memory=None if status is None else status.peak_memory,
            stack=page.stacks(),
            output=masked_text(output.tail),
        )
        self._error = partial(_crash, self.care.plugin, self.exit)
        self.calls.end(self.error)
        self._kept.close()
        self._reader.close()
        os.close(self._child.stands_for)
        self.ended.set()

    def error(self) -> PluginError:
        """Return what a call of a process that is gone fails with."""
        if self.asked_to_end or self._error is None:
            return PluginProcessError(
                f"the process of plugin {self.care.plugin!r} was ended", plugin=self.care.plugin
            )
        return self._error()

    def _signal(self, number: int) -> None:
        with suppress(OSError):
            signal.pidfd_send_signal(self._child.stands_for, number)


async def begin_process(
    care: Care, template: TemplateProcess, request: Request, resident: Resident
) -> GuestProcess:
    """Begin a process; it has not said yet that it is ready.

    Raises:
        OSError: The system does not allow it.
    """
    with ExitStack() as given, ExitStack() as kept_open:
        ours, theirs = socket.socketpair()
        kept_open.callback(ours.close)
        given.callback(theirs.close)
        leash, kept_leash = os.pipe()
        given.callback(os.close, leash)
        hold(kept_leash)
        kept_open.callback(os.close, kept_leash)
        kept_open.callback(let_go, kept_leash)
        output, written = os.pipe()
        kept_open.callback(os.close, output)
        given.callback(os.close, written)
        page = new_page(care.plugin)
        kept_open.callback(os.close, page)
        child = await template.fork(request, Ends(theirs.fileno(), leash, written, page))
        kept_open.pop_all()
    return GuestProcess(
        care, child, ours, resident, HostSide(kept_leash, FlightReader(page), Output(output, care.plugin))
    )


def _how(number: int | None) -> str:
    if number is None:
        return "it ended, and nobody is left who knows how"
    if number < 0:
        return f"{_signal_name(-number)} ended it"
    return f"it exited by itself, with status {number}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # most of those for real time have no name


def _crash(plugin: str, exit_: ProcessExit) -> PluginCrashedError:
    during = f" during {exit_.call}" if exit_.call else ""
    return PluginCrashedError(
        f"the process of plugin {plugin!r} is gone{during}: {exit_.reason}. Its record tells where it stood",
        plugin=plugin,
        exit=exit_.exit,
        signal=exit_.signal,
        stack=exit_.stack,
    )
