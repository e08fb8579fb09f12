"""One answer in the two ways Plex writes it: XML unless the client accepts JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

Answer = Mapping[str, Any]
_LISTED = {"connections": "connection", "features": "feature"}
"""What plex.tv puts around its lists: an element of the list's own."""


def answered(request: Request, root: str, answer: Any, *, status: int = 200, bare: bool = False) -> Response:
    """Return the answer; ``bare`` JSON has no root, as plex.tv writes it."""
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(answer if bare else {root: answer}, status)
    listed = {"resource": answer} if isinstance(answer, list) else answer
    body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(_filled(Element(root), listed))
    return Response(body, status, media_type="application/xml")


def container(items: list[dict[str, Any]] | None = None, kind: str = "Metadata", **more: Any) -> Answer:
    """Return a ``MediaContainer``; one without items has no list at all, as Plex does it."""
    found = items or []
    return {"size": len(found), **more} | ({kind: found} if found else {})


def _filled(element: Element, value: Answer) -> Element:
    for name, part in value.items():
        if isinstance(part, Mapping):
            _filled(SubElement(element, name), part)
        elif isinstance(part, list):
            parent = SubElement(element, name) if name in _LISTED else element
            for item in part:
                _filled(SubElement(parent, _tag(name, item)), item)
        else:
            element.set(name, _text(part))
    return element


def _tag(name: str, item: Answer) -> str:
    if name == "Metadata":
        return "Directory" if item.get("type") in ("show", "season") else "Video"
    return _LISTED.get(name, name)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)
