"""The page of one plugin: ``/admin/system/plugins/NAME``, and the form that changes its settings."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from plughost.http import Problem, Route, form_body, host_from, identity_of, note_detail, runtime_of, scope
from plughost.http.runtime import note_target
from plughost.plugins.admin.actions import Done
from plughost.plugins.admin.documents import Document
from plughost.plugins.admin.figures import FigureSources
from plughost.plugins.admin.one_plugin import change, one_plugin, record_named, shown_grade
from plughost.plugins.admin.page import Page, notice_of, notices_of
from plughost.plugins.admin.rendering import PageFrame, Renderer
from plughost.plugins.admin.settings_form import changes_in
from plughost.plugins.admin.tabs import Tab, Tabs

_DRAFTS = 64


class Draft(Struct, frozen=True):
    """A change of settings that somebody looks at before it is made. It may hold secrets, so no page holds it."""

    plugin: str
    author: str
    changes: dict[str, Any]
    lines: tuple[str, ...]


class PluginPage:
    """Makes the routes of the page.

    Args:
        desk: What figures are made of.
        tabs: The tabs, for the head of the page.
        page: Where a stranger is sent.
        renderer: Makes HTML.
    """

    def __init__(self, desk: FigureSources, tabs: Tabs, page: Page, renderer: Renderer) -> None:
        self._desk = desk
        self._tabs = tabs
        self._page = page
        self._renderer = renderer
        self._drafts: OrderedDict[str, Draft] = OrderedDict()

    def routes(self, prefix: str) -> list[Route]:
        """Return the routes below ``prefix``, each with its guard."""
        path, look, edit = (
            f"{prefix}/system/plugins/{{name}}",
            scope("plugins:read"),
            scope("plugins:configure"),
        )
        return [
            Route(path, self._show, guard=look, refuse=self._page.refuse, rate="read", name="plugin_page"),
            Route(
                f"{path}/preview", self._preview, methods=["POST"], guard=edit, refuse=self._page.refuse,
                rate="write", max_body=64 * 1024, audit="plugins.preview", name="form_plugins.preview",
            ),
            Route(
                f"{path}/configure", self._save, methods=["POST"], guard=edit, refuse=self._page.refuse,
                rate="code", audit="plugins.configure", max_body=4096, timeout=120.0, name="form_plugins.configure",
            ),
        ]  # fmt: skip

    async def _show(self, request: Request) -> Response:
        runtime, identity, name = runtime_of(request), identity_of(request), request.path_params["name"]
        document: Document | None = None
        problem = ""
        try:
            document = await one_plugin(runtime, self._desk, name)
            if request.query_params.get("grade") == "1":
                document["grade"] = await shown_grade(runtime.host, name)
        except Problem as raised:
            problem = raised.detail
        draft = self._drafts.get(request.query_params.get("draft", ""))
        if (
            document is not None
            and draft is not None
            and (draft.plugin, draft.author) == (name, identity.name)
        ):
            document["draft"] = {"id": request.query_params["draft"], "lines": list(draft.lines)}
        title = document["plugin"]["name"] if document is not None else name
        tab = Tab(
            name="plugins",
            title=title,
            scope="plugins:read",
            figures=_none,
            template="plugin.html",
            live=False,
        )
        frame = PageFrame(
            identity=identity, tabs=self._tabs.seen(runtime, identity), base="../",
            problem=problem, notice=notice_of(request),
        )  # fmt: skip
        html = self._renderer.page(runtime, tab, document, frame)
        return HTMLResponse(html, 200 if document is not None else 404, headers={"Cache-Control": "no-store"})

    async def _preview(self, request: Request) -> Response:
        host, name = host_from(request), request.path_params["name"]
        try:
            known = record_named(host, name).name
            changes = changes_in(host.plugin_settings(known), await form_body(request))
            if not changes:
                return _back(request, name, Done("Nothing was changed.", False))
            told = await change(host, name, changes, preview=True)
        except Problem as problem:
            return _back(request, name, Done(problem.detail, False))
        draft = secrets.token_urlsafe(9)
        self._drafts[draft] = Draft(name, identity_of(request).name, changes, told.lines)
        while len(self._drafts) > _DRAFTS:
            self._drafts.popitem(last=False)
        return RedirectResponse(f"../{quote(name, safe='')}?draft={draft}#settings", 303)

    async def _save(self, request: Request) -> Response:
        name, form = request.path_params["name"], await form_body(request)
        draft = self._drafts.pop(form.get("draft", ""), None)
        note_target(request, name)
        if draft is None or (draft.plugin, draft.author) != (name, identity_of(request).name):
            return _back(request, name, Done("This preview is too old: preview the change again.", False))
        reload = form.get("reload") == "1"
        try:
            told = await change(host_from(request), name, draft.changes, preview=False, reload=reload)
            done = Done(changed_sentence(name, told.file.name, tuple(draft.changes), reload=reload))
        except Problem as problem:
            done = Done(problem.detail, False)
        note_detail(request, f"{name}: {done.sentence}")
        return _back(request, name, done)


def changed_sentence(name: str, file: str, keys: tuple[str, ...], *, reload: bool) -> str:
    """Return what a change of settings did, and from when on it holds; values are left out: they may be secret."""
    when = f"{name} was reloaded with it" if reload else f"it holds once {name} is reloaded"
    return f"{', '.join(keys)} of {name} changed in {file}; {when}."


def _back(request: Request, name: str, done: Done) -> Response:
    left = notices_of(request).leave(done)
    return RedirectResponse(f"../{quote(name, safe='')}?done={left}", 303)


async def _none(_: Any, __: Any) -> Document:
    return {}
