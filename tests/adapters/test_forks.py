"""Processes that fork with a host in use: servers that load the program before they fork, and Celery."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

PRELUDE = """
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of every fork beside threads
from plughost.adapters.threads import HostOfProcess
from plughost.blocking import BlockingHost
from plughost.exceptions import HostNotReadyError

config = sys.argv[1]

def in_child(work):
    # Run it in a forked process that leaves as programs do, and return how that ended: 0 is well.
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        signal.alarm(40)  # a child that hangs ends here
        work()
        sys.exit(0)
    return os.waitpid(child, 0)[1]

def greeted(host):
    from adapter_greeter import Greetings
    return host.use(Greetings).greet("you")
"""

USED_BEFORE = """
hosts = HostOfProcess("forked", config)
assert greeted(hosts.get()) == "hello you"
first = hosts.get()

def work():
    assert hosts.get() is not first
    assert greeted(hosts.get()) == "hello you"
    hosts.stop()

assert in_child(work) == 0
assert in_child(lambda: greeted(hosts.get())) == 0   # nobody stops it: the exit does
assert greeted(first) == "hello you", "the parent's goes on"
hosts.stop()
"""

STARTING_MEANWHILE = """
hosts = HostOfProcess("forked", config)
starter = threading.Thread(target=hosts.get)
starter.start()
assert in_child(lambda: greeted(hosts.get())) == 0
starter.join()
assert greeted(hosts.get()) == "hello you"
hosts.stop()
"""

BY_HAND = """
from adapter_greeter import Greetings

def refused(use):
    try:
        use()
    except HostNotReadyError as error:
        assert "forked" in str(error), error
        return
    raise AssertionError("it was not refused")

host = BlockingHost("forked", config=config)
with host:
    greetings = host.use(Greetings)

    def work():
        refused(lambda: host.ready)
        refused(lambda: greeted(host))
        refused(lambda: greetings.greet("x"))
        host.stop()

    assert in_child(work) == 0
    assert greetings.greet("you") == "hello you"
"""

OUT_OF_THE_BLOCK = """
with BlockingHost("forked", config=config) as host:
    child = os.fork()
    if child == 0:
        signal.alarm(40)
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
"""

HOOKS_HELD = """
import pluggy

spec, impl = pluggy.HookspecMarker("forked"), pluggy.HookimplMarker("forked")

class Specs:
    @spec
    def tell(self, what): ...

class Plain:
    @impl
    def tell(self, what):
        return what

class Waiting:
    @impl
    async def tell(self, what):
        return what

host = BlockingHost.for_pluggy("forked", Specs, config={}, environ={})
host.start()
manager = host.pluggy
manager.hook = host.sync_hooks
manager.register(Plain(), "plain")
manager.register(Waiting(), "waiting")
host.load_plugin(Plain(), name="of the host")
assert len(manager.hook.tell(what=1)) == 3

def refused(use):
    try:
        use()
    except HostNotReadyError as error:
        assert "forked" in str(error), error
        return
    raise AssertionError("it was not refused")

def work():
    warnings.simplefilter("error")
    refused(lambda: manager.hook.tell(what=1))
    refused(lambda: manager.hook.tell.call_extra([Waiting().tell], {"what": 1}))
    manager.unregister(name="waiting")
    manager.unregister(name="of the host")
    assert manager.hook.tell(what=1) == [1]
    assert manager.register(Plain(), "of the child") and manager.hook.tell(what=1) == [1, 1]
    host.stop()

assert in_child(work) == 0
assert len(manager.hook.tell(what=1)) == 3
host.stop()
"""


@pytest.mark.parametrize(
    "program",
    [USED_BEFORE, STARTING_MEANWHILE, BY_HAND, OUT_OF_THE_BLOCK, HOOKS_HELD],
    ids=["used before", "starting meanwhile", "by hand", "out of the block", "hooks that somebody holds"],
)
def test_a_forked_process_never_waits_for_the_threads_of_its_parent(config: Path, program: str) -> None:
    script = config.with_name("forking.py")
    script.write_text(PRELUDE + program)
    ended = subprocess.run(
        [sys.executable, str(script), str(config)], capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 0, ended.stderr


IN_THE_MIDST_OF_AN_IMPORT = """
import os, time

{fork}
time.sleep(1)

class Late:
    name = "late"

    async def start(self, context):
        pass
"""

FORKS_MEANWHILE = """
import os, signal, sys, threading, time
from plughost.blocking import BlockingHost

host = BlockingHost("forked", config=sys.argv[1])
starter = threading.Thread(target=host.start)
starter.start()
while "late_to_come" not in sys.modules:
    time.sleep(0.01)
child = os.fork()
if child == 0:
    signal.alarm(20)  # a child that hangs ends here
    import late_to_come
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
starter.join()
assert host.plugin("late").state == "ready"
host.stop()
"""

FORKS_ITSELF = """
import sys
import time
from plughost.blocking import BlockingHost

begun = time.monotonic()
with BlockingHost("forked", config=sys.argv[1]) as host:
    assert host.plugin("late").state == "ready"
assert time.monotonic() - begun < 9, "it waited for itself"
"""


@pytest.mark.parametrize(
    ("program", "fork"),
    [
        (FORKS_MEANWHILE, ""),
        (FORKS_ITSELF, "child = os.fork()\nif child == 0: os._exit(0)\nos.waitpid(child, 0)"),
    ],
    ids=["by another thread", "by the import itself"],
)
def test_a_fork_in_the_midst_of_an_import_inherits_no_lock_and_waits_for_nothing_of_its_own(
    tmp_path: Path, program: str, fork: str
) -> None:
    (tmp_path / "late_to_come.py").write_text(IN_THE_MIDST_OF_AN_IMPORT.format(fork=fork))
    (tmp_path / "forking.py").write_text(program)
    config = tmp_path / "plughost.toml"
    config.write_text(
        '[host]\nallow = ["late"]\ndata_dir = "data"\n[plugins.late]\nmodule = "late_to_come:Late"\n'
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(tmp_path / "forking.py"), str(config)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


SLOW = """
import anyio

class Slow:
    name = "slow"

    async def start(self, context):
        while not await anyio.Path({go!r}).exists():
            await anyio.sleep(0.02)
        context.provide(Slow, self)
"""


def test_a_celery_child_says_hello_while_its_host_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from celery import Celery
    from celery.signals import worker_process_init, worker_process_shutdown

    from plughost.adapters.celery import Plughost

    go = tmp_path / "go"
    (tmp_path / "adapter_slow.py").write_text(SLOW.format(go=str(go)))
    monkeypatch.syspath_prepend(str(tmp_path))
    app = Celery("shop")
    plughost = Plughost(
        app,
        config={
            "host": {"data_dir": str(tmp_path / "data"), "load_timeout": 5, "allow": ["slow"]},
            "plugins": {"slow": {"module": "adapter_slow:Slow"}},
        },
    )
    try:
        # Celery sends this in the child, and says hello when all receivers have returned.
        child = threading.Thread(target=lambda: worker_process_init.send(sender=None), daemon=True)
        child.start()
        child.join(60)
        go.touch()
        assert plughost.host.plugin("slow").state == "ready"
    finally:
        worker_process_shutdown.send(sender=None)
        for signal in (worker_process_init, worker_process_shutdown):
            signal.disconnect(plughost._begin)
            signal.disconnect(plughost._end)
