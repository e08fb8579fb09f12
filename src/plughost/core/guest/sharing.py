"""What the template holds is shared with the processes forked of it, as far as nobody writes on it.

Python counts in each object who uses it, so that even reading writes. From 3.12 on it does not count the uses of what
lives for ever (PEP 683), such as ``None``: so all that is there before the fork is made to live for ever. For these
processes it does in any case: they end without tearing down what they hold.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import sysconfig
from collections.abc import Iterable
from types import CodeType, FrameType, ModuleType
from typing import Final

_LAYOUT_IS_KNOWN: Final = (
    sys.implementation.name == "cpython"
    and (3, 12) <= sys.version_info < (3, 14)
    and sys.byteorder == "little"
    and sys.maxsize > 1 << 32
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)
"""Whether an object begins with its count, of which ``None`` shows how it is for what lives for ever."""

_NOT_LOOKED_INTO: Final = (FrameType, ModuleType)
"""A frame may hold what is made here, without end. Some modules in C, such as that of asyncio, tell of objects that are
dead, which come to life when they are looked at; what a module holds by name the collector knows without it."""


def share_all() -> None:
    """Have no use of an object counted any more that is there now, where that can be done."""
    if _LAYOUT_IS_KNOWN:
        keep_for_ever(gc.get_objects())


def keep_for_ever(roots: Iterable[object]) -> None:
    """Have these objects, and all that they hold, live for ever; for interpreters that ``share_all`` knows only."""
    for_ever = ctypes.c_uint32.from_address(id(None)).value
    waiting, seen = [*roots], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        count = ctypes.c_uint32.from_address(id(one))
        count.value = max(count.value, for_ever)
        if not isinstance(one, _NOT_LOOKED_INTO):
            waiting += gc.get_referents(one)
        if isinstance(one, CodeType):  # the collector knows that it holds nothing that could hold it
            waiting += [one.co_consts, one.co_names, one.co_code]
