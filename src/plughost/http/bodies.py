"""Request bodies: bounded in size while they arrive, and checked against a type before anybody uses them."""

from __future__ import annotations

from typing import Any, TypeVar, overload
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from plughost.contracts.http import Message, Receive
from plughost.http.problems import Problem
from plughost.http.runtime import runtime_of

T = TypeVar("T")

_JSON_TYPES = frozenset({"application/json", "application/merge-patch+json"})
_FORM_TYPE = "application/x-www-form-urlencoded"
_MOST_FIELDS = 100
_MOST_PARTS = 50_000
"""Lists and objects that one body may hold. Making one costs as much as reading dozens of bytes, and the decoder lets
nothing else run meanwhile: a megabyte of them would stop every other request for a fifth of a second."""

_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def bounded_receive(receive: Receive, most: int) -> Receive:
    """Return a ``receive`` that refuses a body of more than ``most`` bytes as soon as that is known."""
    taken = 0

    async def receive_bounded() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > most:
                raise too_large(most)
        return message

    return receive_bounded


def too_large(most: int) -> Problem:
    """Return the refusal of a body of more than ``most`` bytes."""
    return Problem(413, f"The body may have {most} bytes at most.", code="body_too_large", limit=most)


@overload
async def json_body(request: Request, kind: type[T]) -> T: ...
@overload
async def json_body(request: Request, kind: Any = ...) -> Any: ...
async def json_body(request: Request, kind: Any = Any) -> Any:
    """Return the JSON body of a request as ``kind``: a ``msgspec.Struct``, a dataclass, what msgspec knows.

    An empty body counts as ``{}``. A ``Struct`` with ``forbid_unknown_fields=True`` refuses what it does not
    know.

    Raises:
        Problem: 415 its type is not JSON; 400 by its text; 422 it does not fit; 413 it is too deep.
    """
    body = await request.body()
    if body and _media_type(request) not in _JSON_TYPES:
        raise Problem(415, "Send JSON, with `Content-Type: application/json`.", code="unsupported_media_type")
    refuse_depth(body, runtime_of(request).settings.max_depth)
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise Problem(422, f"The body does not fit: {error}", code="invalid_body") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(400, "The body is not JSON.", code="malformed_body") from error


async def form_body(request: Request) -> dict[str, str]:
    """Return the fields of a form without files; of several with one name the last one.

    Raises:
        Problem: 415 it is no such form; 400 it cannot be read or has more fields than anybody needs.
    """
    body = await request.body()
    if body and _media_type(request) != _FORM_TYPE:
        raise Problem(415, f"Send a form, with `Content-Type: {_FORM_TYPE}`.", code="unsupported_media_type")
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=_MOST_FIELDS
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise Problem(400, "The form cannot be read.", code="malformed_body") from error
    return dict(fields)


def refuse_depth(body: bytes, most: int) -> None:
    """Refuse JSON that nests deeper than ``most``, or has more parts than anybody needs, before it is decoded.

    Raises:
        Problem: 413 it does, or has.
    """
    if body.count(b"[") + body.count(b"{") <= most:
        return
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(unescaped.split(b'"')[::2])
    brackets = outside_strings.translate(_AS_SQUARE, _ALL_BUT_BRACKETS)
    if brackets.count(b"[") > _MOST_PARTS:
        raise Problem(
            413, f"JSON may hold {_MOST_PARTS} lists and objects at most.", code="body_too_many_parts",
            limit=_MOST_PARTS,
        )  # fmt: skip
    # Each pass takes the innermost pairs away, so that no more than ``most`` passes are needed; no byte is
    # looked at by Python code, and a megabyte takes a few hundredths of a second.
    for _ in range(most):
        shallower = brackets.replace(b"[]", b"")
        if len(shallower) == len(brackets):
            break
        brackets = shallower
    if b"[]" in brackets or brackets.count(b"[") > most:
        raise Problem(413, f"JSON may nest {most} levels at most.", code="body_too_deep", limit=most)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
