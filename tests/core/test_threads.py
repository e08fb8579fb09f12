"""Functions in daemon threads."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading

import anyio
import anyio.lowlevel
import pytest

from plughost.core.threads import DaemonWorker, run_in_daemon_thread

pytestmark = pytest.mark.anyio


async def test_the_result_comes_back():
    assert await run_in_daemon_thread(divmod, 7, 2) == (3, 1)


async def test_what_the_function_raises_comes_back():
    def fail() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        await run_in_daemon_thread(fail)


async def test_it_runs_in_another_thread_that_is_a_daemon():
    thread = await run_in_daemon_thread(threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.daemon


async def test_context_variables_are_seen():
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("seen")
    assert await run_in_daemon_thread(variable.get) == "seen"


async def test_a_cancelled_caller_leaves_at_once_and_the_late_result_is_dropped():
    release, ended = threading.Event(), threading.Event()

    def hang() -> str:
        release.wait()
        ended.set()
        return "late"

    with anyio.move_on_after(0.05) as scope:
        await run_in_daemon_thread(hang)
    assert scope.cancelled_caught
    assert not ended.is_set()
    release.set()
    assert await run_in_daemon_thread(ended.wait, 10)
    await anyio.lowlevel.checkpoint()


async def test_an_abandoned_thread_gives_its_place_to_the_next():
    release = threading.Event()
    limiter = anyio.CapacityLimiter(1)
    with anyio.move_on_after(0.05):
        await run_in_daemon_thread(release.wait, limiter=limiter)
    assert limiter.borrowed_tokens == 0
    assert await run_in_daemon_thread(str, 1, limiter=limiter) == "1"
    release.set()


async def test_no_more_run_at_once_than_the_limiter_allows():
    limiter = anyio.CapacityLimiter(2)
    lock = threading.Lock()
    running = most = 0
    together = threading.Barrier(2)

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(10)
        with lock:
            running -= 1

    async def call() -> None:
        await run_in_daemon_thread(work, limiter=limiter)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(call)
    assert most == 2


SCRIPT = """
import threading, anyio
from plughost.core.threads import DaemonWorker, run_in_daemon_thread
async def main():
    with anyio.move_on_after(0.05):
        await run_in_daemon_thread(threading.Event().wait)
    print("went on", flush=True)
anyio.run(main, backend={backend!r})
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_thread_that_never_returns_does_not_keep_the_process(backend: str):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.format(backend=backend)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_thread_that_ends_after_its_loop_is_gone_harms_nobody(backend: str):
    release, failed = threading.Event(), []
    threads: list[threading.Thread] = []

    def hang() -> None:
        threads.append(threading.current_thread())
        release.wait()

    async def main() -> None:
        with anyio.move_on_after(0.05):
            await run_in_daemon_thread(hang)

    anyio.run(main, backend=backend)
    old, threading.excepthook = threading.excepthook, failed.append
    try:
        release.set()
        threads[0].join(10)
    finally:
        threading.excepthook = old
    assert not threads[0].is_alive()
    assert failed == []


# One thread for many functions.


async def test_a_worker_calls_one_function_after_the_other_in_one_daemon_thread() -> None:
    worker = DaemonWorker("helper")
    seen = {await worker.run(threading.current_thread) for _ in range(3)}
    assert [(thread.name, thread.daemon) for thread in seen] == [("helper", True)]
    worker.close()


async def test_what_a_function_raises_comes_back_and_the_thread_goes_on() -> None:
    worker = DaemonWorker("helper")
    first = await worker.run(threading.get_ident)
    with pytest.raises(SystemExit):
        await worker.run(sys.exit, 3)
    assert await worker.run(threading.get_ident) == first
    worker.close()


async def test_a_function_that_is_left_behind_holds_up_nobody() -> None:
    worker, release = DaemonWorker("helper"), threading.Event()
    with anyio.move_on_after(0.05) as scope:
        await worker.run(release.wait)
    assert scope.cancelled_caught
    assert await worker.run(lambda: 5) == 5
    release.set()
    worker.close()
    worker.close()
    assert await worker.run(lambda: 6) == 6
    worker.close()
