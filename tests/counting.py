"""Instructions of Python, counted: no busy machine changes them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class Counted:
    """How many instructions were carried out."""

    instructions: int = 0


@contextmanager
def counted() -> Iterator[Counted]:
    """Count what this thread does in the block; counting itself is a few of them."""
    found = Counted()
    if sys.version_info >= (3, 12):
        monitoring, mine = sys.monitoring, threading.get_ident()
        tool, event = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION

        def note(*_: object) -> None:
            found.instructions += threading.get_ident() == mine

        monitoring.use_tool_id(tool, "instructions")
        monitoring.register_callback(tool, event, note)
        monitoring.set_events(tool, event)
        try:
            yield found
        finally:
            monitoring.set_events(tool, 0)
            monitoring.free_tool_id(tool)
        return

    def trace(frame: FrameType, kind: str, _: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        found.instructions += kind == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield found
    finally:
        sys.settrace(before)
