"""Blocking implementations in worker threads, each plugin within its bulkhead."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import anyio
from anyio.lowlevel import current_token

from plughost.core.calls.plan import Step
from plughost.core.threads import run_in_daemon_thread


class BlockingLane:
    """Runs blocking implementations, a bounded number at once on each event loop.

    A thread abandoned at its limit gives its place back, but goes on: so that a plugin which hangs in
    every call does not take thread after thread, no implementation may have more of them than there are
    places.

    Args:
        places: How many run at once.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._limiters: weakref.WeakKeyDictionary[object, anyio.CapacityLimiter]
        self._limiters = weakref.WeakKeyDictionary()
        self._threads: Counter[tuple[str, str]] = Counter()
        self._counting = threading.Lock()

    def run(self, step: Step, values: dict[str, Any]) -> Coroutine[Any, Any, Any]:
        """Call a step in a worker thread.

        Raises:
            RuntimeError: As many threads as there are places hang in this implementation already.
        """
        key = (step.plugin, step.hook)
        if self._threads[key] >= self._places:
            raise RuntimeError(
                f"not called, because {self._places} earlier calls of it still hang in their threads"
            )

        def work() -> Any:
            self._count(key, 1)
            try:
                return step.call(values)
            finally:
                self._count(key, -1)

        loop = current_token().native_token
        limiter = self._limiters.get(loop)
        if limiter is None:
            limiter = self._limiters[loop] = anyio.CapacityLimiter(self._places)
        return run_in_daemon_thread(work, limiter=limiter, name=f"plughost {step.plugin}.{step.hook}")

    def _count(self, key: tuple[str, str], change: int) -> None:
        with self._counting:
            self._threads[key] += change
