"""The garbage collector spared what lives as long as the host.

Python's collector looks through everything that is there, some hundred thousand objects of libraries and plugins, again
and again while requests are answered: that takes some forty milliseconds each time, and nobody is answered meanwhile.
"""

from __future__ import annotations

import gc
from typing import Final, NoReturn

import anyio

from plughost.contracts.records import PluginStateChanged
from plughost.host import Host

_CALM: Final = 1.0
"""Seconds after the start, or a change of the plugins, in which what comes late and what else changes is awaited."""


async def spare_what_stays(host: Host) -> NoReturn:
    """Collect after the start and each change of the plugins, and let what is left then be looked through no more.

    Begun when the host has started. What a plugin leaves behind is found by the collection after it left, and what is
    left at the end by the last one of the interpreter: a file that nobody closed is written to its end there.
    """
    changed = anyio.Event()

    def note(_: PluginStateChanged) -> None:
        changed.set()

    host.events.subscribe(PluginStateChanged, note)
    try:
        while True:
            await anyio.sleep(_CALM)
            changed = anyio.Event()
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            await changed.wait()
    finally:
        gc.unfreeze()
