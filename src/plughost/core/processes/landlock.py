"""Landlock: the kernel keeps this process to the files it was told of, for good and without a privilege.

Each version of Landlock (its ABI) knows more actions. What a kernel does not know it does not forbid, so whoever
calls ``restrict`` first asks ``abi_of_kernel`` whether that is enough.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from plughost.core.processes.system_calls import call

FILES: Final = 1
"""The ABI from which files and folders are guarded: Linux 5.13."""
TRUNCATE: Final = 3
"""The ABI from which shortening a file counts as writing it: Linux 6.2."""
CONNECTIONS: Final = 4
"""The ABI from which TCP can be forbidden: Linux 6.7."""
SIGNALS: Final = 6
"""The ABI from which signals to, and abstract sockets of, processes outside can be forbidden: Linux 6.12."""

_ACTIONS: Final = {FILES: 13, 2: 14, TRUNCATE: 15, 5: 16}
"""How many actions with files each ABI knows; they are bits, from the lowest."""

_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_OF_ONE_FILE: Final = _EXECUTE | 1 << 1 | _READ_FILE | 1 << 14 | 1 << 15
"""Run, write, read, shorten, and commands to a device: what can be done with a file that is no folder."""
_ALL_TCP, _ALL_SCOPES = 3, 3
_ASK_VERSION: Final = 1
_PATH_RULE: Final = 1


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("actions", ctypes.c_uint64), ("place", ctypes.c_int32))


def abi_of_kernel() -> int:
    """Return the ABI that this kernel speaks; 0 when it has no Landlock, or does not let this process use it."""
    try:
        return call("landlock_create_ruleset", None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    except OSError:
        return 0


def why_not() -> str:
    """Say why ``abi_of_kernel`` is 0."""
    try:
        call("landlock_create_ruleset", None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    except OSError as error:
        reasons = {
            errno.ENOSYS: "this kernel was built without it, or is older than Linux 5.13",
            errno.EOPNOTSUPP: "this kernel has it switched off: add landlock to its lsm= list",
        }
        return reasons.get(
            error.errno or 0, "this process may not use it; a container's own filter may say so"
        )
    return ""


def restrict(
    *,
    read: Iterable[Path],
    write: Iterable[Path],
    names: Iterable[Path] = (),
    run: Iterable[Path] = (),
    tcp: bool = True,
) -> None:
    """Keep this thread, and all threads and processes it begins from now on, to these files.

    What is open already stays open. Signals to processes outside and their abstract sockets are forbidden where
    the kernel can do that (``SIGNALS``), TCP where it can (``CONNECTIONS``).

    Args:
        read: Files and folders, with all below them, that may be read.
        write: Those in which everything may be done but to run programs.
        names: Folders in which names may be listed; the files themselves may not be read for that.
        run: Those in which programs may be run; they may be read, too.
        tcp: Whether TCP is left alone.

    Raises:
        OSError: The kernel refused, or a place is not there.
    """
    abi = abi_of_kernel()
    known = (1 << max(bits for least, bits in _ACTIONS.items() if least <= max(abi, FILES))) - 1
    ruleset = _Ruleset(
        known, 0 if tcp or abi < CONNECTIONS else _ALL_TCP, 0 if abi < SIGNALS else _ALL_SCOPES
    )
    size = 24 if abi >= SIGNALS else 16 if abi >= CONNECTIONS else 8
    rules = call("landlock_create_ruleset", ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for places, actions in (
            (read, _READ_FILE | _READ_DIR),
            (names, _READ_DIR),
            (run, _EXECUTE | _READ_FILE | _READ_DIR),
            (write, known & ~_EXECUTE),
        ):
            for place in places:
                _allow(rules, place, actions & known)
        call("landlock_restrict_self", ctypes.c_int(rules), ctypes.c_uint32(0))
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, actions: int) -> None:
    with _opened(path) as place:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            actions &= _OF_ONE_FILE
        rule = _PathRule(actions, place)
        call(
            "landlock_add_rule",
            ctypes.c_int(rules),
            ctypes.c_int(_PATH_RULE),
            ctypes.byref(rule),
            ctypes.c_uint32(0),
        )


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        yield place
    finally:
        os.close(place)
