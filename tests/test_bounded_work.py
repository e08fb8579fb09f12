"""What anybody can send costs work in proportion to its length, at every door.

Where Python code does the work, its steps are counted: each line and each call. What runs inside one call of the
interpreter (an expression, ``bytes.replace``) has no steps that could be counted, so there the processor time of
this thread stands for them: of several tries the best, compared over sixteen times the input, with room for four
times more. Other programs do not change it, and what grows with the square is four times beyond that room.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from bounded import steps_of
from plughost.contracts.error_text import error_line
from plughost.contracts.masking import masked_text
from plughost.core.config.paths import folded
from plughost.core.config.toml_text import parse_toml
from plughost.exceptions import did_you_mean
from plughost.http.access_file import AccessFile
from plughost.http.bodies import form_body, refuse_depth
from plughost.http.cacheability import directives, has_it_already, key_of, lifetime, values, vary_names
from plughost.http.csrf import is_cross_site
from plughost.http.loopback import from_loopback
from plughost.http.problems import Problem, wants_page
from plughost.http.shapes import refuse_odd_shape
from plughost.http.sign_ins import SignIns
from plughost.http.tokens import Tokens
from plughost.plugins.cache.patterns import glob, regex
from plughost.plugins.sessions.cookies import CookiePolicy, SessionCookie

Door = Callable[[str], object]

SMALL, LARGE = 1_000, 1_000_000
GROWTH = 16


def request(*headers: tuple[bytes, bytes], body: bytes = b"", query: bytes = b"") -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {
        "type": "http", "method": "POST", "path": "/", "query_string": query, "scheme": "http",
        "client": ("127.0.0.1", 1), "headers": list(headers),
    }  # fmt: skip
    return Request(scope, receive)


def form(body: str, kind: bytes = b"application/x-www-form-urlencoded") -> object:
    coroutine = form_body(request((b"content-type", kind), body=body.encode()))
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    return ended.value


def query(text: str) -> object:
    asked = request(query=text.encode())
    return asked.query_params.getlist("exclude"), key_of(asked.scope, "", ())


def asked_of_caches(headers: Any) -> object:
    told = [(b"etag", b'"1"'), *((b"cache-control", value) for value in values(headers, b"if-none-match"))]
    return directives(told), lifetime(told, 1.0), has_it_already({"headers": headers}, told)


numbers = itertools.count()


def new_pattern(read: Callable[[str], Callable[[str], bool]]) -> Door:
    """Return what reads a pattern that was never seen before, since those that were are remembered."""
    return lambda text: read(f"{next(numbers)}{text}")


def filled(piece: str, size: int) -> str:
    return (piece * (size // len(piece) + 1))[:size]


sign_ins = SignIns(AccessFile(Path()), host_name="test", link_lifetime=1, browser_lifetime=1)
tokens = Tokens(AccessFile(Path()))
session_cookie = SessionCookie(CookiePolicy(name="id"))
plugins = ["sessions", "cache", "database", "admin"]


def header(name: bytes, look: Callable[[Any], object]) -> Callable[[str], object]:
    return lambda text: look(request((name, text.encode("latin-1"))).scope)


DOORS: dict[str, tuple[Door, tuple[str, ...]]] = {
    "JSON bodies": (
        lambda text: refuse_depth(b"[]" * 33 + text.encode(), 32),
        ('"\\', '""', '"\\"', "[", "[]", "[{}]", "]", "\\", '"a",', '[["', "]["),
    ),
    "forms": (form, ("a=1", "%41", "%", "&", "=", "+")),
    "forms with files": (
        lambda text: form(text, b"multipart/form-data; boundary=b"),
        ("--b\r\n", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n", "\r\n", "-"),
    ),
    "kinds of forms": (lambda text: form("a=1", text.encode()), (";", "a/", " ", "multipart/form-data;b=")),
    "query strings": (query, ("exclude=a&", "exclude&", "&", "=", "%", "%41", "+", "%ff&", ";")),
    "headers": (
        lambda text: refuse_odd_shape({"headers": [(b"x-%d" % at, b"") for at in range(len(text) // 8)]}),
        ("x",),
    ),
    "headers for caches": (
        header(b"if-none-match", asked_of_caches),
        (",", 'W/"', "max-age=", "max-age=1 ", "s-maxage", " ", "\t,", "no-store,"),
    ),
    "names of headers": (header(b"vary", vary_names), (",", "a,", " ", "*")),
    "TOML": (
        parse_toml,
        ("a.", "[", "{a=", "[a.", '"', '"""\\"', "'", "'''", '"a".', "#", "\n", "x=[", '""" "', "\\", "a.\n", "a . "),
    ),
    "TOML that holds": (lambda text: parse_toml(text[: text.rindex("\n")]), ('[[a]]\nb = [1, "x", {c = 1.0}]\n',)),
    "values in TOML": (
        lambda text: parse_toml(f"x = {text}"),
        ("9", "1_1", "[", "{a=", "{a.", "[[],", "1.", "1e", '"\\', '"""', "{a=1,", "[#\n"),
    ),
    "globs": (
        new_pattern(glob),
        ("*", "?", "[", "[a", "[!a]", "\\", "a", "*a", "[a-", "]", "[]", "[[]"),
    ),
    "expressions": (
        new_pattern(regex),
        ("(", "a*", "a?", "[", "[a", "(a|", "|", "(?:", "a{2}", "\\", ".*", "(a*)*", "(?i)", "[^]", "{", "a{1,"),
    ),
    "keys under a glob": (glob("*a*[b-d]*a?"), ("ab", "é")),
    "keys under an expression": (regex("(a|b)*(ab?)+(.*b){3}$"), ("ab", "\n")),
    "session cookies": (header(b"cookie", session_cookie.read), (";", "id_plain=", "id_plain=a;", "=", " ;")),
    "administrators' cookies": (
        header(b"cookie", sign_ins.secret_in),
        (";", "plughost_test_admin=", "plughost_test_admin=a;", " "),
    ),
    "bearer tokens": (tokens.identify, ("phk_", "phk_0123456789ab_", "0", "_")),
    "Host headers": (header(b"host", from_loopback), ("[", ":", "]", "localhost:", ".")),
    "Origin headers": (header(b"origin", is_cross_site), ("https://", ":", "[")),
    "Accept headers": (
        lambda text: wants_page(request((b"accept", text.encode()))),
        ("text/html", "text/", ",", "text/html,json"),
    ),
    "lengths": (header(b"content-length", refuse_odd_shape), ("9", " ", "-1")),
    "names of plugins": (lambda text: (folded(text), did_you_mean(text, plugins)), ("a", "-", "A_", "sessions")),
    "text of errors": (
        lambda text: (masked_text(text), error_line(ValueError(text))),
        ("a", "a-", "://", "a://b:", "a://b:c@", "https://", "password=", "password=a ", "@", "bearer ", "'token': '"),
    ),
}  # fmt: skip
INPUTS = [(name, piece) for name, (_, pieces) in DOORS.items() for piece in pieces]


def steps_on(door: Door, text: str) -> int:
    return steps_of(lambda: door(text), Problem, ValueError)


def processor_time_of(door: Door, text: str) -> float:
    tries = []
    for _ in range(5):
        began = time.thread_time()
        with suppress(Problem, ValueError):
            door(text)
        tries.append(time.thread_time() - began)
    return min(tries)


@pytest.mark.parametrize(("name", "piece"), INPUTS)
def test_a_thousand_times_the_input_takes_at_most_a_thousand_times_the_steps(name, piece):
    door, _ = DOORS[name]
    steps_on(door, filled(piece, SMALL))  # patterns are compiled at the first call
    sizes = (SMALL, 8 * SMALL)  # the same bound at a size that even quadratic work ends at
    if steps_on(door, filled(piece, sizes[1])) > 16 * steps_on(door, filled(piece, sizes[0])):
        pytest.fail(f"{name}: the steps grow faster than the input, for {piece!r}")
    if processor_time_of(door, filled(piece, 32_000)) < 1.0:  # else the other test tells
        few, many = (steps_on(door, filled(piece, size)) for size in (SMALL, LARGE))
        assert many <= 2 * few * LARGE // SMALL


@pytest.mark.parametrize(("name", "piece"), INPUTS)
def test_the_work_inside_one_call_grows_as_the_input_does(name, piece):
    door, _ = DOORS[name]
    for size in (2_000, 32_000):
        few, many = (processor_time_of(door, filled(piece, one)) for one in (size, GROWTH * size))
        # Below a millisecond it is the clock that is measured.
        assert many <= max(4 * GROWTH * few, 0.001), f"{name}: {piece!r} of {size} and {GROWTH * size} bytes"
