"""A route that could answer no request is refused where it is written."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from plughost.http import PUBLIC, Route, WebSocketRoute


async def answer(request: Request) -> Response:
    return PlainTextResponse("here")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"methods": "POST"}, r"write methods=\['POST'\]"),
        ({"max_body": -1}, "max_body is a number of bytes from 0, not -1"),
        ({"max_body": "1 MB"}, "max_body is a number of bytes from 0, not '1 MB'"),
        ({"timeout": 0}, "timeout is a number of seconds above zero, not 0"),
        ({"timeout": math.nan}, "timeout is a number of seconds above zero, not nan"),
        ({"timeout": "5"}, "timeout is seconds or a timedelta, not '5'"),
        ({"cache": 60}, "cache is a CachePolicy, not 60"),
        ({"endpoint": None}, "route /lamps takes a function, not None"),
    ],
)
def test_an_option_that_is_none_is_told_to_whoever_writes_it(options: dict[str, Any], told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told):
        Route("/lamps", **{"endpoint": answer, "guard": PUBLIC, **options})


def test_a_websocket_needs_somebody_to_take_it() -> None:
    nobody: Any = None
    with pytest.raises(TypeError, match="route /lamps takes a function, not None"):
        WebSocketRoute("/lamps", nobody, guard=PUBLIC)


def test_a_limit_may_be_any_length_of_time() -> None:
    limit: Any = timedelta(minutes=1)
    assert Route("/lamps", answer, guard=PUBLIC, timeout=limit).timeout == 60.0
    assert Route("/lamps", answer, guard=PUBLIC, timeout=math.inf).timeout == math.inf
