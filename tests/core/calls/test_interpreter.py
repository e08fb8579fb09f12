"""What the short way of a hook call takes for granted of the interpreter, asked of the one that runs this."""

from __future__ import annotations

import subprocess
import sys
import threading
import types

import pytest

from core.calls.ways import SHORT, dispatcher, plugin
from plughost.core.calls import shortcut
from plughost.core.calls.drain import Traffic
from plughost.hookspecs import hookspec


class Specs:
    @hookspec(mode="collect")
    def ask(self, what): ...


@types.coroutine
def waiting():
    yield "waiting"


async def slow(what):
    await waiting()
    return what


@types.coroutine
def steps(what, step=slow):
    _at = 3
    try:
        yield from step(what)
    except BaseException as error:
        return error.__traceback__.tb_next is None
    return None


def suspended():
    run = steps(7)
    assert next(run) == "waiting"
    return run


def test_the_variables_of_a_suspended_generator_can_be_read():
    run = suspended()
    assert dict(run.gi_frame.f_locals) == {"what": 7, "step": slow, "_at": 3}
    assert run.gi_yieldfrom.cr_code is slow.__code__
    run.gi_yieldfrom.close()


def test_a_generator_that_is_closed_sees_an_exception_that_went_through_no_other_frame():
    run = suspended()
    run.gi_yieldfrom.close()  # as when the plain way has taken it over and ended it
    with pytest.raises(StopIteration) as ended:
        run.throw(GeneratorExit())
    assert ended.value.value is True


def test_an_exception_out_of_what_a_generator_awaits_went_through_another_frame():
    async def leaving(what):
        raise GeneratorExit

    with pytest.raises(StopIteration) as ended:
        next(steps(7, leaving))
    assert ended.value.value is False


def test_threads_lose_no_count():
    traffic, before = Traffic(), sys.getswitchinterval()

    def enter():
        for _ in range(20_000):
            traffic.entered += 1

    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=enter) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert traffic.entered == 80_000


def test_an_interpreter_that_nobody_tested_goes_the_plain_way(monkeypatch):
    monkeypatch.setattr(shortcut, "TRUSTED", False)
    hosts = dispatcher(Specs, plugin("ask", lambda what: what), way=SHORT)
    assert hosts._points["ask"].short is None


@pytest.mark.parametrize(
    ("change", "trusted"),
    [
        ("", True),
        ("sys.implementation.name = 'other'", False),
        ("sys.version_info = (3, 99, 0)", False),
        ("sys._is_gil_enabled = lambda: False", False),
    ],
)
def test_what_is_not_known_of_an_interpreter_is_not_trusted(change, trusted):
    first = f"import sys, plughost.core.stepping, plughost.core.calls.modes\n{change}\n"
    program = f"{first}from plughost.core.calls.writing import TRUSTED\nprint(TRUSTED)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(trusted)
