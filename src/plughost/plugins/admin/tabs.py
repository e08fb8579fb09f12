"""The tabs of the page: those of our own, and those that plugins add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio
from msgspec import Struct

from plughost.contracts import (
    AdminPanel,
    PanelAction,
    call_loader,
    error_text,
    for_json,
    get_logger,
    items_of,
    spoken,
)
from plughost.http import HttpRuntime, Identity, Problem
from plughost.plugins.admin import figures
from plughost.plugins.admin.actions import Done
from plughost.plugins.admin.documents import Document
from plughost.plugins.admin.figures import Figures, FigureSources
from plughost.plugins.admin.told_once import FailuresToldOnce

_log = get_logger("plughost.admin")


class Tab(Struct, frozen=True, kw_only=True):
    """One tab.

    Attributes:
        name: Last part of its address.
        title: What it says.
        scope: What it needs.
        figures: Makes its document.
        template: File of its template.
        panel: The plugin's panel, when it is one.
        live: Whether its figures are renewed while somebody looks.
    """

    name: str
    title: str
    scope: str
    figures: Figures
    template: str
    panel: AdminPanel | None = None
    live: bool = True


OWN: tuple[Tab, ...] = (
    Tab(name="sessions", title="Sessions", scope="sessions:read", figures=figures.session_figures,
        template="sessions.html"),
    Tab(name="cache", title="Cache", scope="cache:read", figures=figures.cache_figures, template="cache.html"),
    Tab(name="plugins", title="Plugins", scope="plugins:read", figures=figures.plugin_figures,
        template="plugins.html"),
    Tab(name="apps", title="Apps", scope="apps:read", figures=figures.app_figures, template="apps.html"),
    Tab(name="health", title="Health", scope="health:read", figures=figures.health_figures,
        template="health.html"),
    Tab(name="trace", title="Trace", scope="plugins:read", figures=figures.trace_figures, template="trace.html"),
)  # fmt: skip


class Tabs:
    """All tabs of one host, asked for anew each time: panels come and go with their plugins.

    Args:
        limit: Seconds a panel or one of its actions may take.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._named: set[tuple[str, str]] = set()
        self._failures = FailuresToldOnce()

    def all(self, runtime: HttpRuntime) -> list[Tab]:
        """Return the tabs, our own first; a panel whose name is taken is left out, and named in the log once."""
        found = {tab.name: tab for tab in OWN}
        report = runtime.host.own_hooks.register_admin_panels.report(context=runtime.context)
        panels: list[tuple[str, AdminPanel]] = []
        for outcome in report.outcomes:
            try:
                panels += [(outcome.plugin, panel) for panel in items_of(outcome.value, AdminPanel)]
            except TypeError as error:
                _log.error("panels of plugin left out", plugin=outcome.plugin, reason=error_text(error))
        for plugin, panel in sorted(panels, key=lambda pair: -pair[1].priority):
            if panel.name in found:
                if (plugin, panel.name) not in self._named:
                    self._named.add((plugin, panel.name))
                    _log.error("panel left out: its name is taken", plugin=plugin, panel=panel.name)
            else:
                found[panel.name] = self._tab(panel)
        return list(found.values())

    def seen(self, runtime: HttpRuntime, identity: Identity) -> list[Tab]:
        """Return the tabs that somebody may see."""
        return [tab for tab in self.all(runtime) if identity.holds(tab.scope)]

    def find(self, runtime: HttpRuntime, name: str) -> Tab:
        """Return the tab of that name.

        Raises:
            Problem: 404, there is none.
        """
        for tab in self.all(runtime):
            if tab.name == name:
                return tab
        raise Problem(404, f"There is no tab {name!r}.", code="not_found")

    async def press(self, tab: Tab, name: str, fields: Mapping[str, str]) -> Done:
        """Run an action of a plugin's panel.

        Raises:
            Problem: 404 there is none; 503 it took too long; 500 it failed.
        """
        action = find_action(tab, name)
        said = await self._within(lambda: action.run(fields), f"The action {action.title!r}")
        return Done(spoken(said))

    def _tab(self, panel: AdminPanel) -> Tab:
        async def panel_figures(_: HttpRuntime, __: FigureSources) -> Document:
            what = f"The panel {panel.title!r}"
            told = await self._within(panel.data, what)
            if not isinstance(told, Mapping):
                raise Problem(500, f"{what} gave no figures.", code="panel_failed")
            return {**await self._within(lambda: for_json(told), what), "advice": []}

        return Tab(
            name=panel.name,
            title=panel.title,
            scope=panel.scope,
            figures=panel_figures,
            template="panel.html",
            panel=panel,
        )

    async def _within(self, function: Callable[[], Any], what: str) -> Any:
        with anyio.move_on_after(self._limit):
            try:
                return await call_loader(function)
            except Problem:
                raise
            except Exception as error:
                self._failures.note(what, error)
                raise Problem(500, f"{what} failed; the log knows more.", code="panel_failed") from error
        raise Problem(503, f"{what} took longer than {self._limit:g} s.", code="timeout")


def find_action(tab: Tab, name: str) -> PanelAction:
    """Return an action of a panel.

    Raises:
        Problem: 404, there is none.
    """
    for action in tab.panel.actions if tab.panel is not None else ():
        if action.name == name:
            return action
    raise Problem(404, f"There is no action {name!r} here.", code="not_found")
