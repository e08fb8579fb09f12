"""Hooks are told by a task of their own, in order: no plugin that listens makes a sign-in wait."""

from __future__ import annotations

from collections import deque
from typing import Any

import anyio

from plughost.contracts import get_logger
from plughost.plugins.sessions.announcements import SessionChange

_MOST_UNTOLD = 100_000

_log = get_logger("plughost.sessions")


class HookTeller:
    """Hands announcements to the hooks ``session_created``, ``session_rotated`` and ``session_ended``.

    When all sessions of a subject end at once, their handles are not known at that moment: they are removed right
    away, and each is told then.

    Args:
        hooks: The hooks of the host.
    """

    def __init__(self, hooks: Any) -> None:
        self._hooks = hooks
        self._untold: deque[SessionChange] = deque()
        self._news = anyio.Event()
        self._swept = anyio.Event()

    def hear(self, told: SessionChange) -> None:
        """Take an announcement."""
        if told.kind == "ended" and not told.handle:
            self._swept.set()
        elif len(self._untold) >= _MOST_UNTOLD:
            _log.error("listeners are too slow, an event of a session was not told", handle=told.handle)
        else:
            self._untold.append(told)
            self._news.set()

    async def run(self) -> None:
        """Tell the hooks, for ever."""
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            while self._untold:
                told = self._untold.popleft()
                hook = getattr(self._hooks, f"session_{told.kind}")
                await hook(handle=told.handle, subject=told.subject, reason=told.reason)

    async def subject_ended(self) -> None:
        """Return when sessions of a subject wait to be removed."""
        await self._swept.wait()
        self._swept = anyio.Event()
