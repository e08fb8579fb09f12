"""The filter of system calls answers each call as its rules say, on every kind of processor it knows."""

from __future__ import annotations

import errno
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plughost.contracts import Confinement
from plughost.core.processes.refusals import refusals
from plughost.core.processes.seccomp import Only, Rule, assembled
from plughost.core.processes.system_calls import NEWEST, number_of

ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def answer(
    rules: Sequence[Rule], machine: str, number: int, arguments: Sequence[int], architecture: int
) -> int:
    """What the kernel's machine makes of the program: it has one register, and jumps forward only."""
    program = assembled(rules, machine)
    facts = {0: number, 4: architecture}
    facts |= {16 + 8 * place: argument & 0xFFFFFFFF for place, argument in enumerate(arguments)}
    register, at = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        match code:
            case 0x20:
                register = facts[value]
            case 0x54:
                register &= value
            case 0x06:
                return value
            case 0x15:
                at += if_true if register == value else if_false
            case 0x25:
                at += if_true if register > value else if_false
            case 0x35:
                at += if_true if register >= value else if_false
            case _:
                raise AssertionError(code)


def expected(rules: Sequence[Rule], machine: str, number: int, arguments: Sequence[int]) -> int:
    if number > NEWEST:
        return REFUSE | (errno.EPERM if machine == "x86_64" and number >= 0x40000000 else errno.ENOSYS)
    for rule in rules:
        if number_of(rule.name, machine) == number:
            fits = rule.unless and all(
                ((arguments[only.argument] & only.mask) in only.values) != only.other for only in rule.unless
            )
            return ALLOW if fits else REFUSE | rule.error
    return ALLOW


NAMES = ("kill", "clone", "socket", "socketpair", "fcntl", "ioctl", "execve", "setpriority", "chmod", "fork")
CONDITIONS = st.builds(
    Only,
    st.integers(0, 5),
    st.lists(st.integers(0, 20), min_size=1, max_size=4, unique=True).map(tuple),
    st.sampled_from([0xFFFFFFFF, 0xF, 0x10]),
    st.booleans(),
)
RULES = st.lists(
    st.builds(Rule, st.sampled_from(NAMES), st.lists(CONDITIONS, max_size=3).map(tuple), st.sampled_from([1, 13, 38])),
    unique_by=lambda rule: rule.name,
)  # fmt: skip


@given(
    RULES,
    st.sampled_from(sorted(ARCHITECTURES)),
    st.sampled_from([*NAMES, "mount"]),
    st.lists(st.integers(0, 20) | st.integers(0, 2**64 - 1), min_size=6, max_size=6),
)
def test_a_filter_answers_as_its_rules_say(
    rules: list[Rule], machine: str, name: str, arguments: list[int]
) -> None:
    number = number_of(name, machine)
    if number is not None:
        got = answer(rules, machine, number, arguments, ARCHITECTURES[machine])
        assert got == expected(rules, machine, number, arguments)


@given(st.sampled_from(sorted(ARCHITECTURES)), st.integers(NEWEST + 1, 2**32 - 1))
def test_calls_that_are_newer_than_the_filter_are_answered_as_if_they_were_not_there(
    machine: str, number: int
) -> None:
    got = answer(refusals(Confinement()), machine, number, [0] * 6, ARCHITECTURES[machine])
    assert got == expected([], machine, number, [0] * 6)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_a_call_by_the_numbers_of_another_processor_ends_the_process(machine: str) -> None:
    for other in (*ARCHITECTURES.values(), 0x40000003, 0):
        got = answer(refusals(Confinement()), machine, 0, [0] * 6, other)
        assert (got == KILL) == (other != ARCHITECTURES[machine])


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize("wanted", [Confinement(), Confinement(network=True, programs=True, user="nobody")])
def test_no_two_rules_are_about_one_call_and_no_jump_is_too_long(machine: str, wanted: Confinement) -> None:
    rules = refusals(wanted)
    names = [rule.name for rule in rules]
    assert len(names) == len(set(names))
    program = assembled(rules, machine)
    assert len(program) < 4096  # what the kernel takes
    assert all(max(if_true, if_false) < 256 for _, if_true, if_false, _ in program)


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("socketpair", [1, 1], 0),
        ("socketpair", [1, 1 | 0o2000000 | 0o4000], 0),  # close on exec, non-blocking
        ("socketpair", [1, 2], errno.EPERM),
        ("socketpair", [2, 1], errno.EPERM),
        ("clone", [0x3D0F00], 0),  # as the C library starts a thread
        ("clone", [17], errno.EPERM),  # as it forks
        ("clone", [0x3D0F00 | 0x10000000], errno.EPERM),
        ("clone3", [], errno.ENOSYS),
        ("fcntl", [3, 2], 0),
        ("fcntl", [3, 8], errno.EPERM),
        ("fcntl", [3, 15], errno.EPERM),
        ("ioctl", [0, 0x5413], 0),
        ("ioctl", [0, 0x5412 | 1 << 32], errno.EPERM),  # the kernel looks at the lower half only
    ],
)
def test_what_python_needs_is_told_from_what_it_does_not(
    name: str, arguments: list[int], error: int, machine: str
) -> None:
    number = number_of(name, machine)
    assert number is not None
    filled = [*arguments, *[0] * (6 - len(arguments))]
    got = answer(refusals(Confinement()), machine, number, filled, ARCHITECTURES[machine])
    assert got == (REFUSE | error if error else ALLOW)
