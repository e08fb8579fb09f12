"""The first moments of a plugin's process: what must hold before any of its code runs."""

from __future__ import annotations

import faulthandler
import fcntl
import os
import resource
import select
import signal
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn

from plughost.core.containment import person
from plughost.core.processes.system_calls import control
from plughost.core.wire.births import Ends, scrubbed_environment
from plughost.core.wire.page import FlightRecorder
from plughost.core.wire.protocol import GuestSpec

_SET_CHILD_SUBREAPER: Final = 36
_LAST_STREAM: Final = 2  # of the standard streams


def settle_process() -> None:
    """Make what is the same for all plugins, in the template or, where there is none, in a process of its own."""
    person.is_there = False
    # Whoever sends it ends the process, and that is what is told.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for name in os.environ.keys() - scrubbed_environment().keys():
        del os.environ[name]
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # the host may have closed its own
            stream.flush()
    while (number := os.open(os.devnull, os.O_RDWR)) <= _LAST_STREAM:
        pass
    os.close(number)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, 1, encoding="utf-8", errors=errors, closefd=False)
        for number, mode, errors in ((0, "r", "replace"), (1, "w", "strict"), (2, "w", "backslashreplace"))
    )


def settle_in(spec: GuestSpec, ends: Ends) -> tuple[FlightRecorder, socket.socket]:
    """Make a fresh process one of a plugin: out of the host's reach by accident, and on its leash."""
    os.setsid()
    put_on_leash(ends.leash)
    adopt_orphans()
    null = os.open(os.devnull, os.O_RDONLY)
    for number, source in ((0, null), (1, ends.output), (2, ends.output)):
        os.dup2(source, number)
    for number in (null, ends.output):
        os.close(number)
    recorder = FlightRecorder(ends.page)
    os.register_at_fork(after_in_child=recorder.be_copied)
    faulthandler.enable(file=ends.page)
    faulthandler.register(signal.SIGUSR1, file=ends.page)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if spec.memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (spec.memory, spec.memory))
    if spec.nice:
        with suppress(OSError):
            os.nice(spec.nice)
    if spec.path:
        sys.path[:] = spec.path
    sys.argv[:] = [f"plughost plugin {spec.name}"]
    sys.breakpointhook = partial(_explain_breakpoint, spec.name)
    return recorder, socket.socket(fileno=ends.channel)


def _explain_breakpoint(plugin: str, *_: object, **__: object) -> NoReturn:
    raise RuntimeError(
        f"breakpoint() has nobody to talk to in a process of its own. Take the plugin inside for once: "
        f"PLUGHOST_IN_PROCESS={plugin}; or see where it stands: `plughost stack {plugin}`"
    )


def put_on_leash(pipe: int) -> None:
    """Have the kernel kill this process when the host's end of the pipe is closed, however the host ended.

    No thread of this process is needed for it, so it works whatever the plugin does. ``PR_SET_PDEATHSIG`` would not
    do: it goes by the end of the thread that forked.
    """
    if not hasattr(fcntl, "F_SETSIG"):
        return  # where the kernel lacks it, the end of the channel has to do
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([pipe], [], [], 0)[0]:
        os._exit(0)  # it was closed before


def adopt_orphans() -> None:
    """Become the parent of whatever a child leaves behind, so that all of it is found when this process ends."""
    if sys.platform == "linux":
        control(_SET_CHILD_SUBREAPER, 1)
