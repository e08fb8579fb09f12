"""The page's routes: the whole of it, one box of it, what its forms do, and the way to Plex and back."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from plughost.contracts import RequestSession, counted, session_of
from plughost.http import PUBLIC, SIGNED_IN, Problem, Route, Subanswer, form_body, subrequest
from plughost_media.boxes import NAMED, WALLS, Filled, all_filled, filled
from plughost_media.deeds import DEEDS

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " media-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
_STATIC: Final = {"style.css": "text/css", "page.js": "text/javascript", "player.js": "text/javascript"}
_COLUMNS: Final = {
    "top": ("trending",),
    "films": ("watchlist", "recommended", "ondeck", "history", "library"),
    "side": ("activities", "figures", "servers", "usage", "settings", "key", "parts"),
}
_NO_SENSE: Final = "What came makes no sense."
_SIGN_IN, _SAID = "media_sign_in", "media_said"


class Page:
    """Makes the page out of what the other plugins answer. It knows their addresses and none of their code."""

    def __init__(self) -> None:
        folder = files("plughost_media").joinpath("page")
        self._static = {name: folder.joinpath(name).read_bytes() for name in _STATIC}
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("plughost_media", "page"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["picture"] = _picture
        self._templates.globals["walls"] = WALLS
        self._templates.globals["shown"] = self._shown
        self._templates.filters["counted"] = counted

    def routes(self) -> list[Route]:
        """Return them."""
        return [
            Route("/media/", self._whole, methods=["GET"], guard=PUBLIC, name="media-page"),
            Route("/media/static/{name}", self._file, methods=["GET"], guard=PUBLIC, name="media-file"),
            Route("/media/box/{name}", self._box, methods=["GET"], guard=SIGNED_IN, name="media-box"),
            Route("/media/sign-in", self._sign_in, methods=["POST"], guard=PUBLIC, name="media-sign-in"),
            Route("/media/play", self._play, methods=["POST"], guard=SIGNED_IN, name="media-play"),
            Route("/media/do/{deed}", self._do, methods=["POST"], guard=SIGNED_IN, name="media-deed"),
        ]

    async def _whole(self, request: Request) -> Response:
        session = await session_of(request).load()
        if _SIGN_IN in session:
            return await self._come_back(request, session)
        known = (await subrequest(request, "GET", "/api/auth/validate")).json() or {}
        if not known.get("valid"):
            return self._html(request, "door.html", said=session.pop(_SAID, {}).get("text", ""))
        boxes = await all_filled(request)
        return self._html(
            request, "page.html", name=known["username"], boxes=boxes, columns=_COLUMNS,
            said=session.pop(_SAID, {}), state=_state(boxes["parts"]),
        )  # fmt: skip

    async def _box(self, request: Request) -> Response:
        box = NAMED.get(request.path_params["name"])
        if box is None:
            raise Problem(404, "There is no such box.", code="box_missing")
        found = await filled(request, box)
        return self._html(request, "box.html", filled=found, said={}, state=_state(found))

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._static:
            raise Problem(404, "There is no such file.", code="file_missing")
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
        return Response(self._static[name], 200, headers, f"{_STATIC[name]}; charset=utf-8")

    async def _sign_in(self, request: Request) -> Response:
        """Lead to Plex. By a page in between: browsers let no form lead to another site, not even by a detour."""
        session = await session_of(request).load()
        answer = await subrequest(request, "POST", "/api/auth/plex", json={"forward": _here(request)})
        begun = answer.json() or {}
        if not answer.ok:
            # There is no such route; or there is, and it says that plex.tv has no such thing.
            away = answer.status in (404, 405) and begun.get("code") != "plex_missing"
            session[_SAID] = {
                "text": "The part that signs in with Plex is away." if away else _detail(answer)
            }
            return _back(request)
        session[_SIGN_IN] = begun["handle"]
        page = self._html(request, "leaving.html", address=begun["address"])
        page.headers["Refresh"] = f"0; url={begun['address']}"
        return page

    async def _come_back(self, request: Request, session: RequestSession) -> Response:
        """Look whether the person has said yes to Plex."""
        answer = await subrequest(request, "GET", f"/api/auth/plex/{quote(session[_SIGN_IN], safe='')}")
        if answer.status in (202, 429) or answer.status >= 500:
            said = "" if answer.status == 202 else _detail(answer)
            page = self._html(request, "waiting.html", said=said)
            page.headers["Refresh"] = answer.headers.get("retry-after", "2")
            return page
        session.pop(_SIGN_IN, None)
        if not answer.ok:
            session[_SAID] = {"text": _detail(answer)}
        return _back(request)

    async def _play(self, request: Request) -> Response:
        given = await form_body(request)
        answer = await subrequest(
            request, "POST", f"/api/plex/playback/{quote(given.get('key', ''), safe='')}", json={}
        )
        playing = answer.json() if answer.ok else None
        said = "" if answer.ok else _detail(answer)
        return self._html(
            request, "player.html", playing=playing, said=said, title=given.get("title", "")[:200]
        )

    async def _do(self, request: Request) -> Response:
        deed = DEEDS.get(request.path_params["deed"])
        if deed is None:
            raise Problem(404, "The page has no such form.", code="deed_unknown")
        given = await form_body(request)
        try:
            body = deed.body(given) if deed.body else None
            path = deed.path.format_map({name: quote(value, safe="") for name, value in given.items()})
        except KeyError as error:
            raise Problem(422, f"The form lacks {error}.", code="field_missing") from None
        answer = await subrequest(request, deed.method, path, json=body)
        if not answer.ok:
            session = await session_of(request).load()
            session[_SAID] = {"box": deed.box, "text": _detail(answer)}
        return _back(request)

    def _shown(self, found: Filled, root: str, said: Any, state: Any) -> Any:
        """Return a box; one in which stands what no template expects says so, and takes no other with it."""
        pieces: Any = self._templates.get_template("pieces.html").module
        try:
            return pieces.box(found, root, said, state)
        except (TypeError, ValueError, LookupError, AttributeError, jinja2.TemplateError):
            return pieces.box(replace(found, data=None, age=_NO_SENSE, tone="bad"), root, said, state)

    def _html(self, request: Request, template: str, **values: Any) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return HTMLResponse(
            self._templates.get_template(template).render(root=root, **values), headers=_HEADERS
        )


def _here(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/media/"


def _back(request: Request) -> Response:
    return RedirectResponse(_here(request), 303, headers={"Cache-Control": "no-store"})


def _detail(answer: Subanswer) -> str:
    said = answer.json()
    return str(said["detail"]) if isinstance(said, dict) and "detail" in said else f"Status {answer.status}"


def _state(parts: Filled) -> Any:
    return parts.data if parts.box.name == "parts" else None


def _picture(root: str, source: str, path: str | None, width: int) -> str:
    """Return the address of a picture of ours; empty when there is none."""
    return f"{root}/api/images/{source}/{quote(path.lstrip('/'))}?w={width}" if path else ""
