"""Live figures: one look for all who watch a tab, told to each as what changed since the last look."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from msgspec import Struct, field

from plughost.contracts import SYSTEM_CLOCK, Clock, get_logger, json_bytes
from plughost.http import HttpRuntime, Problem
from plughost.plugins.admin.documents import Document
from plughost.plugins.admin.figures import FigureSources
from plughost.plugins.admin.tabs import Tab, Tabs
from plughost.plugins.admin.views import ListView

_WAITING = 4  # looks a slow reader may lag behind before it is told everything anew

_log = get_logger("plughost.admin")


class Look(Struct, frozen=True):
    """One look at a tab.

    Attributes:
        figures: Its document.
        parts: The pieces of its page that may change, as HTML by name.
        shape: Changes when pieces come or go; then the page is loaded anew.
    """

    figures: Document
    parts: Mapping[str, str]
    shape: str


Render = Callable[[HttpRuntime, Tab, Document, ListView], Mapping[str, str]]
"""Makes the pieces of a tab's page that may change."""


def look_of(figures: Document, parts: Mapping[str, str]) -> Look:
    """Return a look with its shape."""
    shape = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return Look(figures, parts, shape)


class _Watched(Struct):
    """A tab that somebody watches."""

    runtime: HttpRuntime
    name: str
    view: ListView
    readers: set[MemoryObjectSendStream[Look]] = field(default_factory=set)


class Live:
    """Looks at every tab that is watched, once per round for all who watch.

    Args:
        tabs: The tabs.
        desk: What figures are made of.
        render: Makes the pieces.
        every: Seconds between two rounds.
        clock: Waits.
    """

    def __init__(
        self, tabs: Tabs, desk: FigureSources, render: Render, *, every: float, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._tabs = tabs
        self.desk = desk
        self._render = render
        self._every = every
        self._clock = clock
        self._watched: dict[tuple[int, str, ListView], _Watched] = {}
        self._wake = anyio.Event()
        self._over = False

    async def run(self) -> None:
        """Look while somebody watches; runs until cancelled, and then ends all streams."""
        self._over = False  # it may be a restart after a crash
        try:
            while True:
                if not self._watched:
                    await self._wake.wait()
                for watched in list(self._watched.values()):
                    await self._tell(watched)
                await self._clock.sleep(self._every)
        finally:
            self.end()

    def end(self) -> None:
        """End all streams: the plugin stops."""
        self._over = True
        for watched in self._watched.values():
            for reader in watched.readers:
                reader.close()
        self._watched.clear()

    async def look(self, runtime: HttpRuntime, tab: Tab, view: ListView) -> Look:
        """Look at a tab now, as a page of its lists shows it."""
        figures = await tab.figures(runtime, self.desk)
        return look_of(figures, self._render(runtime, tab, figures, view))

    async def watch(
        self, runtime: HttpRuntime, tab: Tab, view: ListView | None
    ) -> AsyncGenerator[Mapping[str, str], None]:
        """Give an event for each round: what changed.

        Args:
            runtime: Whose figures.
            tab: Which tab.
            view: Give the pieces of the page that shows this of its lists (event ``parts``); None gives the figures
                (event ``figures``).
        """
        if self._over:
            return
        key = (id(runtime), tab.name, view or ListView())
        writer, reader = anyio.create_memory_object_stream[Look](_WAITING)
        watched = self._watched.setdefault(key, _Watched(runtime, tab.name, view or ListView()))
        watched.readers.add(writer)
        self._wake.set()
        last: Mapping[str, str] = {}
        number = 0
        try:
            with reader:
                async for look in reader:
                    number += 1
                    event = (
                        {"event": "figures", "data": _json(look.figures)}
                        if view is None
                        else _parts(look, last)
                    )
                    last = look.parts
                    if event is not None:
                        yield {**event, "id": str(number)}
        finally:
            writer.close()
            watched.readers.discard(writer)
            if not watched.readers:
                self._watched.pop(key, None)
                self._wake = anyio.Event() if not self._watched else self._wake

    async def _tell(self, watched: _Watched) -> None:
        try:
            tab = self._tabs.find(watched.runtime, watched.name)
            look = await self.look(watched.runtime, tab, watched.view)
        except Problem as problem:
            look = look_of({"problem": problem.document(), "advice": []}, {})
        except Exception:
            _log.exception("figures failed", tab=watched.name)
            return
        for reader in list(watched.readers):
            try:
                reader.send_nowait(look)
            except anyio.WouldBlock:
                continue  # it is told everything with the next look it has room for
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                watched.readers.discard(reader)


def _parts(look: Look, last: Mapping[str, str]) -> dict[str, str] | None:
    changed = {name: html for name, html in look.parts.items() if last.get(name) != html}
    if not changed and last.keys() == look.parts.keys():
        return None
    return {"event": "parts", "data": _json({"shape": look.shape, "parts": changed})}


def _json(value: Any) -> str:
    return json_bytes(value).decode()
