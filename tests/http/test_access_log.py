"""The line for each request: like any other record to whoever takes it, at less cost."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from typing import Any

import pytest

from plughost.cli.logs import configure_logging
from plughost.http.access_log import note_request

SCOPE = {"client": ("192.0.2.7", 1234), "method": "GET", "path": "/things"}
ODD = {"client": None, "method": "GET", "path": "/line\nbreak"}


class Keeping(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def access():
    """The logger, with everything it is told."""
    log = logging.getLogger("plughost.access")
    log.setLevel(logging.INFO)
    return log


@pytest.fixture
def kept(access):
    handler = Keeping()
    access.addHandler(handler)
    return handler.records


def test_a_record_has_all_that_formatters_ask_of_records(access, kept) -> None:
    note_request(SCOPE, 200, 0.0025)
    access.info("%s", "in the usual way")
    ours, usual = kept
    assert vars(ours).keys() == vars(usual).keys()
    for name in (
        "process",
        "processName",
        "thread",
        "threadName",
        "levelname",
        "levelno",
        "name",
        "exc_info",
    ):
        assert getattr(ours, name) == getattr(usual, name), name
    assert 0 <= usual.created - ours.created < 60
    assert 0 <= usual.relativeCreated - ours.relativeCreated < 60_000
    assert ours.msecs == int(ours.created % 1 * 1000)
    assert ours.getMessage() == "192.0.2.7 GET /things 200 2.5 ms"


def test_each_record_has_its_own_time_and_words(kept) -> None:
    note_request(SCOPE, 200, 0.001)
    note_request(ODD, 404, 0.002)
    first, second = kept
    assert first.created <= second.created
    assert first.getMessage() == "192.0.2.7 GET /things 200 1.0 ms"
    assert second.getMessage() == r"- GET '/line\nbreak' 404 2.0 ms"


def test_a_programs_own_kind_of_record_is_made(kept) -> None:
    class Own(logging.LogRecord):
        tenant = "acme"

    usual = logging.getLogRecordFactory()
    logging.setLogRecordFactory(Own)
    try:
        note_request(SCOPE, 200, 0.001)
    finally:
        logging.setLogRecordFactory(usual)
    (record,) = kept
    assert (record.tenant, record.getMessage()) == ("acme", "192.0.2.7 GET /things 200 1.0 ms")


def test_nothing_is_made_where_nobody_wants_to_know(access, kept) -> None:
    access.setLevel(logging.WARNING)
    note_request(SCOPE, 200, 0.001)
    assert kept == []


class CountingWrites(io.StringIO):
    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


@pytest.fixture
def stderr(access, monkeypatch):
    stream = CountingWrites()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logging({}, for_machines=True)
    access.setLevel(logging.INFO)
    return stream


def paths(stream: io.StringIO) -> list[Any]:
    return [json.loads(line)["path"] for line in stream.getvalue().splitlines()]


def test_lines_of_one_turn_of_the_loop_are_written_together(stderr) -> None:
    async def serve() -> None:
        for turn in range(3):
            for request in range(20):
                note_request({**SCOPE, "path": f"/{turn}/{request}"}, 200, 0.001)
            await asyncio.sleep(0)

    asyncio.run(serve())
    assert paths(stderr) == [f"/{turn}/{request}" for turn in range(3) for request in range(20)]
    assert stderr.writes == 3


@pytest.mark.parametrize("for_machines", [True, False])
def test_a_line_of_which_no_record_was_made_is_that_of_the_record(access, monkeypatch, for_machines) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    configure_logging({}, for_machines=for_machines)
    note_request(SCOPE, 200, 0.0025)
    logging.setLogRecordFactory(lambda *said, **more: logging.LogRecord(*said, **more))
    try:
        note_request(SCOPE, 200, 0.0025)
    finally:
        logging.setLogRecordFactory(logging.LogRecord)
    time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
    direct, recorded = stderr.getvalue().splitlines()
    assert time.sub("", direct) == time.sub("", recorded)
    assert len(time.findall(direct)) == 1
    assert "192.0.2.7 GET /things 200 2.5 ms" in direct


@pytest.mark.parametrize("wish", ["another handler", "a filter", "a level", "another form"])
def test_whoever_wants_the_record_gets_it(stderr, access, wish) -> None:
    # pytest has put its own handlers beside the one that writes
    (handler,) = access.handlers[:] = [each for each in access.handlers if hasattr(each, "take_request")]
    kept = Keeping()
    if wish == "another handler":
        access.addHandler(kept)
    elif wish == "a filter":
        handler.addFilter(lambda record: kept.records.append(record) or True)
    elif wish == "a level":
        handler.setLevel(logging.WARNING)
    else:
        handler.setFormatter(logging.Formatter("of a record: %(message)s"))
    note_request(SCOPE, 200, 0.001)
    written = stderr.getvalue()
    assert len(kept.records) == (wish in ("another handler", "a filter"))
    assert written.startswith("of a record: 192.0.2.7") == (wish == "another form")
    assert (written == "") == (wish == "a level")


def test_a_line_outside_a_loop_is_written_at_once(stderr) -> None:
    note_request(SCOPE, 200, 0.001)
    assert paths(stderr) == ["/things"]


def test_lines_of_a_loop_that_ended_too_early_are_written_at_the_end_of_the_program(stderr, access) -> None:
    async def serve() -> None:
        note_request(SCOPE, 200, 0.001)

    loop = asyncio.new_event_loop()
    coroutine = serve()
    asyncio._set_running_loop(loop)
    try:
        with pytest.raises(StopIteration):
            coroutine.send(None)
    finally:
        asyncio._set_running_loop(None)
        loop.close()
    assert paths(stderr) == []
    for handler in access.handlers:  # as logging.shutdown does
        handler.flush()
    assert paths(stderr) == ["/things"]


def test_many_lines_of_one_turn_do_not_pile_up(stderr) -> None:
    async def serve() -> int:
        for request in range(5000):
            note_request({**SCOPE, "path": f"/{request}"}, 200, 0.001)
        return stderr.writes

    assert asyncio.run(serve()) == 5
    assert len(paths(stderr)) == 5000


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_has_gone_away_harms_nothing(access, stderr) -> None:
    for handler in access.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is stderr:
            handler.setStream(Closed())

    async def serve() -> None:
        note_request(SCOPE, 200, 0.001)
        await asyncio.sleep(0)

    asyncio.run(serve(), debug=True)
    note_request(SCOPE, 200, 0.001)
    assert stderr.getvalue() == ""
