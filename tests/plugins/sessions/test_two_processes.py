"""Show: two processes on defaults, signed in, looked at and signed out across both; one killed; one replaced."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tabs import Tab, wait_for

SERVED = Path(__file__).with_name("served_counter.py")


class Worker:
    """One process of the application; all of a folder share its data."""

    def __init__(self, folder: Path, name: str) -> None:
        self.data, self.path = folder / "data", folder / name
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        self.path.unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, str(SERVED), str(self.data), str(self.path)])

    def wait(self) -> None:
        assert self.process is not None
        wait_for(self.path, self.process)

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    folder = Path(tempfile.mkdtemp(prefix="plughost-"))  # socket paths may be 107 signs long
    found = [Worker(folder, name) for name in ("a", "b", "c")]
    try:
        for worker in found[:2]:
            worker.launch()  # both at once: they make the file, the tables and the secret together
        for worker in found[:2]:
            worker.wait()
        yield found
    finally:
        for worker in found:
            worker.end()
        shutil.rmtree(folder, ignore_errors=True)


def ask(tab: Tab, worker: Worker, method: str, address: str, body: object = None) -> tuple[int, str]:
    tab.path = worker.path
    status, text, _ = tab.ask(method, address, body)
    return status, text


def valid(tab: Tab, worker: Worker) -> bool:
    status, text = ask(tab, worker, "GET", "/api/auth/validate")
    assert status == 200, text
    return bool(json.loads(text)["valid"])


def signed_in(workers: list[Worker], number: int) -> list[Tab]:
    tabs = [Tab(workers[0].path) for _ in range(number)]
    for which, tab in enumerate(tabs):
        status, text = ask(
            tab, workers[which % len(workers)], "POST", "/api/auth/login", {"username": f"user{which}"}
        )
        assert status == 200, text
    return tabs


@pytest.mark.parametrize(
    ("number", "rounds"),
    [
        pytest.param(200, 1, id="short"),
        pytest.param(200, 20, id="soak", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
def test_what_one_process_signs_in_or_out_holds_in_the_other_and_a_kill_changes_nothing(
    workers: list[Worker], number: int, rounds: int
) -> None:
    first, second, _ = workers
    both, chance = [first, second], random.Random(1)  # noqa: S311 - to choose, not to hide
    for _ in range(rounds):
        tabs = signed_in(both, number)
        assert all(valid(tab, both[(which + 1) % 2]) for which, tab in enumerate(tabs)), "none is lost"
        kept = [dict(tab.cookies) for tab in tabs]
        for tab in tabs[: number // 2]:
            assert ask(tab, chance.choice(both), "POST", "/api/auth/logout")[0] == 204
        second.end()  # kill -9, in between
        assert [valid(tab, first) for tab in tabs] == [False] * (number // 2) + [True] * (number // 2)
        second.launch()
        second.wait()
        for tab in tabs[number // 2 :]:
            assert ask(tab, chance.choice(both), "POST", "/api/auth/logout")[0] == 204
        for tab, cookies in zip(tabs, kept, strict=True):
            tab.cookies = dict(cookies)  # as a thief would have it
            for worker in both:
                assert not valid(tab, worker), "none is alive after its logout"
                tab.cookies = dict(cookies)


def test_an_id_that_one_process_replaced_is_dead_in_the_other(workers: list[Worker]) -> None:
    first, second, _ = workers
    (tab,) = signed_in([first], 1)
    before = dict(tab.cookies)
    assert ask(tab, second, "POST", "/api/auth/login", {"username": "user0"})[0] == 200
    assert tab.cookies != before
    assert valid(tab, first)
    tab.cookies = before
    assert not valid(tab, first)


@pytest.mark.parametrize(
    ("number", "rounds"),
    [
        pytest.param(20, 1, id="short"),
        pytest.param(200, 20, id="soak", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
def test_a_process_that_takes_the_place_of_another_under_load_serves_its_sessions(
    workers: list[Worker], number: int, rounds: int
) -> None:
    old, beside, new = workers
    tabs = signed_in([old, beside], number)
    for _ in range(rounds):
        stop, lies, served = threading.Event(), [], [0]
        watchers = [
            threading.Thread(target=look_all_the_while, args=(worker, tabs, stop, lies, served))
            for worker in (old, beside, new)
        ]
        for watcher in watchers:
            watcher.start()
        new.launch()  # while the others serve
        new.wait()
        old.end(signal.SIGTERM)
        gone = time.monotonic()
        assert valid(tabs[0], new)
        assert time.monotonic() - gone < 2, "the sessions are usable within two seconds"
        assert all(valid(tab, new) for tab in tabs), "none is lost"
        stop.set()
        for watcher in watchers:
            watcher.join()
        assert lies == []
        assert served[0] > 20
        old, new = new, old
    for which, tab in enumerate(tabs):
        kept = dict(tab.cookies)
        assert ask(tab, (old, beside)[which % 2], "POST", "/api/auth/logout")[0] == 204
        for worker in (old, beside):
            tab.cookies = dict(kept)
            assert not valid(tab, worker), "none is alive after its logout"


def look_all_the_while(
    worker: Worker, tabs: list[Tab], stop: threading.Event, lies: list[object], served: list[int]
) -> None:
    """Whoever says that it is ready must have the sessions."""
    mine = [Tab(worker.path) for _ in tabs]
    for tab, known in zip(mine, tabs, strict=True):
        tab.cookies = dict(known.cookies)
    while not stop.is_set():
        for tab in mine:
            if stop.is_set():
                break
            try:
                ready = ask(tab, worker, "GET", "/readyz")[0] == 200
                status, text = ask(tab, worker, "GET", "/api/auth/validate")
            except OSError:
                continue  # it does not listen yet, or has ended
            served[0] += 1
            if ready and not (status == 200 and json.loads(text)["valid"]):
                lies.append((worker.path.name, status, text))
