"""Heads that are put together from kept lines are those that uvicorn would write, byte for byte."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from plughost.cli.serving import heads
from plughost.cli.serving.heads import QuickCycle

DATE = [(b"date", b"Sun, 29 Nov 2026 12:00:00 GMT")]
NAMES = st.sampled_from(
    [
        b"content-type",
        b"Content-Length",
        b"content-length",
        b"Transfer-Encoding",
        b"connection",
        b"X-Name",
        b"set-cookie",
        *[b"", b"in valid", b"colon:", b"nul\x00", b"\xff", "text"],
    ]
)
VALUES = st.sampled_from(
    [
        b"5",
        b"0",
        b"05",
        b"-1",
        b"\xb25",
        b"9" * 20,
        b"chunked",
        b"close",
        b"keep-alive, Close",
        b"",
        b"a\tb",
        b"\xff",
        *[b"new\r\nline", b"\x7f", b"x" * 600, "text", bytearray(b"5")],
    ]
)
HEADERS = st.lists(st.tuples(NAMES, VALUES) | st.tuples(NAMES, VALUES).map(list), max_size=4)


@dataclass
class Wire:
    """Takes what is written."""

    written: list[bytes] = field(default_factory=list)
    closed: bool = False

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True


def answer(kind: Any, messages: list[Any], *, method: str = "GET", stays: bool = True) -> Any:
    """Return what becomes of an answer: bytes, whether the connection was closed, the error."""

    async def main() -> Any:
        wire, log = Wire(), SimpleNamespace()
        flow, event = SimpleNamespace(write_paused=False), asyncio.Event()
        ends: list[bool] = []
        cycle = kind(
            {"method": method},
            wire,
            flow,
            log,
            log,
            False,
            DATE,
            event,
            False,
            stays,
            lambda: ends.append(True),
        )
        error = None
        try:
            for message in messages:
                await cycle.send(dict(message))
        except Exception as raised:
            error = type(raised), str(raised)
        state = cycle.response_started, cycle.chunked_encoding, cycle.keep_alive, cycle.response_complete
        return b"".join(wire.written), wire.closed, error, ends, state

    return asyncio.run(main())


@given(
    status=st.sampled_from([200, 204, 304, 404, 599, 700, 99]),
    headers=HEADERS,
    body=st.sampled_from([b"", b"12345", b"123456"]),
    method=st.sampled_from(["GET", "HEAD"]),
    stays=st.booleans(),
)
def test_every_answer_is_that_of_uvicorn(
    status: int, headers: Any, body: bytes, method: str, stays: bool
) -> None:
    messages = [
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
    ]
    theirs = answer(RequestResponseCycle, messages, method=method, stays=stays)
    for _ in range(2):  # the second time, its lines are known
        assert answer(QuickCycle, messages, method=method, stays=stays) == theirs


@given(
    pieces=st.lists(
        st.sampled_from([b"", b"12", b"345", b"12345", bytearray(b"12345"), None, "12345"]), max_size=4
    ),
    more=st.lists(st.sampled_from([True, False, None]), min_size=4, max_size=4),
    kind=st.sampled_from(["http.response.body", "http.response.start", "odd"]),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_a_body_in_pieces_ends_as_with_uvicorn(pieces: Any, more: Any, kind: str, method: str) -> None:
    messages: list[Any] = [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
    ]
    for piece, goes_on in zip(pieces, more, strict=False):
        message = {"type": "http.response.body", "body": piece, "more_body": goes_on}
        messages.append({name: value for name, value in message.items() if value is not None})
    messages.append({"type": kind, "body": b"12345"})
    theirs = answer(RequestResponseCycle, messages, method=method)
    assert answer(QuickCycle, messages, method=method) == theirs


@pytest.mark.parametrize("messages", [[{"type": "http.response.body", "body": b"x"}], [{"type": "odd"}]])
def test_what_comes_out_of_turn_is_refused_as_before(messages: Any) -> None:
    assert answer(QuickCycle, messages) == answer(RequestResponseCycle, messages)


def test_lines_are_kept_but_no_secrets_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_lines", {})
    start = {"type": "http.response.start", "status": 200}
    for number in range(3000):
        said = [(b"content-length", b"0"), (b"set-cookie", b"id=%d" % number), (b"x-number", b"%d" % number)]
        answer_of = heads._head(200, DATE, said)
        assert answer_of is not None
        assert b"set-cookie: id=%d\r\nx-number: %d\r\n\r\n" % (number, number) in answer_of[0]
    assert 0 < len(heads._lines) <= 1024
    assert not any(name == b"set-cookie" for name, _ in heads._lines)
    long = [(b"content-length", b"0"), (b"x-long", b"x" * 5000)]
    written, *_ = answer(QuickCycle, [{**start, "headers": long}])
    assert b"x" * 5000 in written
    assert (b"x-long", b"x" * 5000) not in heads._lines


def test_headers_that_can_be_gone_through_once_only_are_left_to_uvicorn() -> None:
    def messages() -> list[Any]:
        start = {"type": "http.response.start", "status": 200, "headers": iter([(b"content-length", b"1")])}
        return [start, {"type": "http.response.body", "body": b"x"}]

    assert answer(QuickCycle, messages()) == answer(RequestResponseCycle, messages())
