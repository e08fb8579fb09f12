"""A filter of system calls: the kernel asks it at every call of this process, for good and without a privilege.

A filter is a program for a tiny machine in the kernel with one register. It sees the number of the call and its
arguments as numbers, never what they point to.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from plughost._dataclasses import dataclass
from plughost.core.processes.system_calls import MACHINE, NEWEST, call, control, number_of

_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OTHER_NUMBERING: Final = 0x40000000
"""x86_64 knows each call by a second number from here on (x32): rules for the first would not see them."""

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST = 0x15, 0x25, 0x35
_AT_NUMBER, _AT_ARCHITECTURE, _AT_ARGUMENTS = 0, 4, 16

_KILL, _REFUSE, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000

_SET_FILTER, _ON_ALL_THREADS, _ASK_ACTION = 1, 1, 2
_NO_NEW_PRIVILEGES: Final = 38

_Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Only:
    """A condition on one argument of a call.

    Attributes:
        argument: Its place, from 0.
        values: What it may be; what it may not be when ``other`` is true.
        mask: Which bits of it are looked at; an ``int`` is its lower 32 bits, whatever lies above.
        other: Whether it must be none of the values.
    """

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    other: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A system call that is refused.

    Attributes:
        name: The call.
        unless: It is allowed when all of these hold; without any it is always refused.
        error: The error number it is answered with.
    """

    name: str
    unless: tuple[Only, ...] = ()
    error: int = errno.EPERM


class _Fprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def is_available() -> bool:
    """Whether this kernel filters system calls, and lets this process ask for it."""
    try:
        call("seccomp", ctypes.c_uint(_ASK_ACTION), ctypes.c_uint(0), ctypes.byref(ctypes.c_uint32(_REFUSE)))
    except OSError:
        return False
    return True


def refuse(rules: Sequence[Rule]) -> None:
    """Refuse these calls to this process and to all it begins; all others are allowed, if they are known.

    A call that is newer than this code is answered as by a kernel that does not have it. One that is made as if on
    another kind of processor ends the process.

    Raises:
        OSError: The kernel refused.
    """
    program = b"".join(struct.pack("=HBBI", *one) for one in assembled(rules, MACHINE))
    text = ctypes.create_string_buffer(program)
    control(_NO_NEW_PRIVILEGES, 1)
    call(
        "seccomp",
        ctypes.c_uint(_SET_FILTER),
        ctypes.c_uint(_ON_ALL_THREADS),
        ctypes.byref(_Fprog(len(program) // 8, ctypes.addressof(text))),
    )


def assembled(rules: Iterable[Rule], machine: str) -> list[_Instruction]:
    """Return the filter's instructions: code, how many to skip if true and if false, and a number."""
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _AT_ARCHITECTURE),
        (_IF_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _AT_NUMBER),
    ]
    if machine == "x86_64":
        program += [(_IF_AT_LEAST, 0, 1, _OTHER_NUMBERING), (_RETURN, 0, 0, _REFUSE | errno.EPERM)]
    program += [(_IF_GREATER, 0, 1, NEWEST), (_RETURN, 0, 0, _REFUSE | errno.ENOSYS)]
    for rule in rules:
        number = number_of(rule.name, machine)
        if number is not None:
            block = _block(rule)
            program += [(_IF_EQUAL, 0, len(block), number), *block]
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _block(rule: Rule) -> list[_Instruction]:
    """What is done when the number fits; it always ends in an answer, for the register holds another thing then."""
    refusal = (_RETURN, 0, 0, _REFUSE | rule.error)
    block: list[_Instruction] = []
    for only in rule.unless:
        block += [(_LOAD, 0, 0, _AT_ARGUMENTS + 8 * only.argument), (_AND, 0, 0, only.mask)]
        for place, value in enumerate(only.values):
            left = len(only.values) - place - 1
            # To the refusal that follows the last value, or past it.
            block.append(
                (_IF_EQUAL, left, int(left == 0), value) if only.other else (_IF_EQUAL, left + 1, 0, value)
            )
        block.append(refusal)
    return [*block, (_RETURN, 0, 0, _ALLOW) if rule.unless else refusal]
