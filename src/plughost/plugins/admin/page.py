"""The page below ``/system``: a document made into HTML, and forms that do what the API does."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from plughost.http import (
    PUBLIC,
    SIGNED_IN,
    Guard,
    Identity,
    Problem,
    Route,
    form_body,
    host_from,
    identity_of,
    note_detail,
    runtime_of,
    scope,
)
from plughost.plugins.admin.actions import ACTIONS, Action, Done
from plughost.plugins.admin.api import answer, perform
from plughost.plugins.admin.figures import user_sessions
from plughost.plugins.admin.live import Live, look_of
from plughost.plugins.admin.rendering import STATIC, PageFrame, Renderer, static_file, static_version
from plughost.plugins.admin.tabs import OWN, Tab, Tabs, find_action
from plughost.plugins.admin.views import ListView

_NOTICES = 256


class Notices:
    """What actions said, until the page that follows has shown it; kept here, so that no link can make it up."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, Done] = OrderedDict()

    def leave(self, done: Done) -> str:
        """Keep what an action said; returns the name to ask for it."""
        name = secrets.token_urlsafe(9)
        self._said[name] = done
        while len(self._said) > _NOTICES:
            self._said.popitem(last=False)
        return name

    def take(self, name: str) -> Done | None:
        """Return what an action said, once."""
        return self._said.pop(name, None)


class OfTab(Guard):
    """The scope of the tab that the address names; a tab that is not there needs them all."""

    def __init__(self, tabs: Tabs) -> None:
        self._tabs = tabs

    def allows(self, identity: Identity, connection: Mapping[str, Any]) -> bool:
        """Whether ``identity`` may see the tab, or press its button."""
        try:
            tab = self._tabs.find(runtime_of(connection), tab_name(connection["path_params"]["tab"]))
            pressed = connection["path_params"].get("action")
            wanted = find_action(tab, pressed).scope if pressed is not None else tab.scope
        except Problem:
            return "*" in identity.scopes
        return identity.holds(wanted)


class Page:
    """Makes the routes of the page.

    Args:
        tabs: The tabs.
        live: Makes looks at tabs.
        renderer: Makes HTML.
    """

    def __init__(self, tabs: Tabs, live: Live, renderer: Renderer) -> None:
        self._tabs = tabs
        self._live = live
        self._renderer = renderer

    def routes(self, prefix: str) -> list[Route]:
        """Return the routes below ``prefix``, each with its guard."""
        return [
            *([Route(prefix, _to_system, guard=PUBLIC, name="admin")] if prefix else []),
            Route(f"{prefix}/", _to_system, guard=PUBLIC, name="admin_slash"),
            Route(f"{prefix}/system", self._index, guard=SIGNED_IN, refuse=self.refuse, rate="read"),
            *(
                Route(
                    f"{prefix}/system/{tab.name}{suffix}", self._show, guard=scope(tab.scope),
                    refuse=self.refuse, rate="read", name=f"tab_{tab.name}{suffix.replace('.', '_')}",
                )
                for tab in OWN
                for suffix in ("", ".json", ".live")
            ),
            *(self._form(prefix, action) for action in ACTIONS),
            Route(
                f"{prefix}/system/{{tab}}", self._show, guard=OfTab(self._tabs), refuse=self.refuse, rate="read"
            ),
            Route(
                f"{prefix}/system/{{tab}}/{{action}}", self._press, methods=["POST"], guard=OfTab(self._tabs),
                refuse=self.refuse, rate="write", audit="panel.action",
            ),
            Route(f"{prefix}/sign-in", self._sign_in, guard=PUBLIC, rate="auth"),
            Route(
                f"{prefix}/sign-in", self._sign_in_with_token, methods=["POST"], guard=PUBLIC, rate="auth",
                max_body=4096,
            ),
            Route(f"{prefix}/sign-out", self._sign_out, methods=["POST"], guard=PUBLIC),
            *(Route(f"{prefix}/static/{name}", _static, guard=PUBLIC, name=f"static_{name}") for name in STATIC),
        ]  # fmt: skip

    # looking

    async def _index(self, request: Request) -> Response:
        identity = identity_of(request)
        seen = self._tabs.seen(runtime_of(request), identity)
        if not seen:
            raise Problem(403, f"{identity.name} may see no tab.", code="insufficient_scope")
        usual = next((tab for tab in seen if tab.name == "plugins"), seen[0])
        return await self._page(request, usual, base="system/")

    async def _show(self, request: Request) -> Response:
        last = request.scope["path"].rpartition("/")[2]
        tab = self._tabs.find(runtime_of(request), tab_name(last))
        if last.endswith(".json"):
            return answer(await tab.figures(runtime_of(request), self._live.desk))
        if last.endswith(".live"):
            try:
                look = await self._live.look(runtime_of(request), tab, ListView.of(request.query_params))
            except Problem as away:
                # A plugin that does not run is no failed request each time a page that says so looks again.
                if away.status != 503:
                    raise
                look = look_of({}, {})
            return answer({"shape": look.shape, "parts": look.parts})
        return await self._page(request, tab, base="")

    async def _page(self, request: Request, tab: Tab, *, base: str) -> Response:
        runtime, identity = runtime_of(request), identity_of(request)
        document, problem, view = None, "", ListView.of(request.query_params)
        parts: Mapping[str, str] = {}
        try:
            document = await tab.figures(runtime, self._live.desk)
            wanted = request.query_params.get("user", "").strip()
            if wanted and tab.name == "sessions":
                document["found"] = await user_sessions(runtime.host, wanted[:200])
            parts = self._renderer.parts(runtime, tab, document, view)
        except Problem as raised:
            document, problem = None, raised.detail
        frame = PageFrame(
            identity=identity, tabs=self._tabs.seen(runtime, identity), base=base,
            shape=look_of({}, parts).shape, problem=problem, notice=notice_of(request), view=view,
        )  # fmt: skip
        html = self._renderer.page(runtime, tab, document, frame)
        return HTMLResponse(html, headers={"Cache-Control": "no-store"})

    # doing

    def _form(self, prefix: str, action: Action) -> Route:
        async def endpoint(request: Request) -> Response:
            fields = {name: value for name, value in (await form_body(request)).items() if value}
            try:
                done = await perform(action, request, fields, strict=False)
            except Problem as problem:
                done = _failed(request, problem)
            return _back_to(request, action.tab, done, fields.get("name", ""))

        return Route(
            f"{prefix}/system/{action.tab}/{action.name}", endpoint, methods=["POST"],
            guard=scope(action.scope), refuse=self.refuse, rate=action.rate, audit=action.verb,
            max_body=64 * 1024, timeout=120.0, name=f"form_{action.verb}",
        )  # fmt: skip

    async def _press(self, request: Request) -> Response:
        tab = self._tabs.find(runtime_of(request), request.path_params["tab"])
        try:
            done = await self._tabs.press(tab, request.path_params["action"], await form_body(request))
            note_detail(request, done.sentence)
        except Problem as problem:
            done = _failed(request, problem)
        return _back_to(request, tab.name, done)

    # signing in and out

    async def _sign_in(self, request: Request) -> Response:
        code = request.query_params.get("code")
        if code is None or request.method == "HEAD":  # only whoever gets the page uses the code up
            return self._door(request, 200)
        if "prefetch" in request.headers.get("sec-purpose", ""):
            raise Problem(503, "A sign-in link is followed by a person.", code="prefetch")
        secret = runtime_of(request).sign_ins.redeem(code)
        if secret is None:
            return self._door(
                request, 401, "This link was used already, or is too old. Start anew for another."
            )
        return self._let_in(request, secret)

    async def _sign_in_with_token(self, request: Request) -> Response:
        runtime = runtime_of(request)
        token = (await form_body(request)).get("token", "").strip()
        identity = runtime.tokens.identify(token)
        if identity is None:
            return self._door(request, 401, "This token is unknown, wrong, expired or revoked.")
        return self._let_in(request, runtime.sign_ins.begin_with_token(identity, token.split("_")[1]))

    async def _sign_out(self, request: Request) -> Response:
        sign_ins = runtime_of(request).sign_ins
        secret = sign_ins.secret_in(request.scope)
        if secret is not None:
            sign_ins.end(secret)
        response = RedirectResponse("sign-in", 303)
        response.headers.append("Set-Cookie", sign_ins.cookie(request.scope, None))
        return response

    def _let_in(self, request: Request, secret: str) -> Response:
        response = RedirectResponse("system", 303)
        response.headers.append("Set-Cookie", runtime_of(request).sign_ins.cookie(request.scope, secret))
        return response

    def refuse(self, connection: HTTPConnection, problem: Problem) -> Response:
        """Show the door to a person, and the problem to a program."""
        accept = connection.headers.get("accept", "")
        if "text/html" not in accept:
            return problem.response(connection)
        refusal = "" if problem.code == "unauthorized" else problem.detail
        return self._door(connection, problem.status, refusal)

    def _door(self, connection: HTTPConnection, status: int, refusal: str = "") -> Response:
        runtime = runtime_of(connection)
        path = connection.scope["path"].removeprefix(connection.scope.get("root_path", ""))
        depth = path.removeprefix(runtime.settings.admin_path).count("/")
        html = self._renderer.sign_in(runtime, up="../" * (depth - 1), refusal=refusal)
        return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})


def tab_name(last: str) -> str:
    """Return which tab the last part of an address names: ``cache``, ``cache.json``, ``cache.live``."""
    return last.removesuffix(".json").removesuffix(".live")


def notices_of(request: Request) -> Notices:
    """Return the notices, which outlive a reload of this very plugin: it must still be said that it went well."""
    kept = runtime_of(request).kept
    notices = kept.get("admin")
    if not isinstance(notices, Notices):
        notices = kept["admin"] = Notices()
    return notices


def notice_of(request: Request) -> Done | None:
    """Return what the last action said, as it stands now; None when there was none."""
    done = notices_of(request).take(request.query_params.get("done", ""))
    return None if done is None else done.still(host_from(request))


def _back_to(request: Request, tab: str, done: Done, plugin: str = "") -> Response:
    """Send a person back to where the button was: the tab, or the page of a plugin, which says so in the form."""
    left = notices_of(request).leave(done)
    inside = f"/{quote(plugin, safe='')}" if plugin and request.query_params.get("page") == "1" else ""
    return RedirectResponse(f"../{tab}{inside}?done={left}", 303)


def _failed(request: Request, problem: Problem) -> Done:
    note_detail(request, f"failed: {problem.detail}")
    return Done(problem.detail or "It failed.", False)


async def _to_system(request: Request) -> Response:
    last = request.scope["path"].rpartition("/")[2]  # empty when the address ends with a slash
    return RedirectResponse(f"{last}/system" if last else "system", 303)


async def _static(request: Request) -> Response:
    name = request.scope["path"].rpartition("/")[2]
    etag = f'"{static_version()}"'
    headers = {"Cache-Control": "public, max-age=3600", "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(static_file(name), headers=headers, media_type=STATIC[name])
