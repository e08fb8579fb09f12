"""Frames, values, faults and calls: what crosses arrives as it was, and no bytes at all can break either end."""

from __future__ import annotations

import datetime as dt
import enum
import logging
import socket
import uuid
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pluggy
import pytest
from anyio.lowlevel import current_token
from hypothesis import given
from hypothesis import strategies as st

from housed import until
from plughost.contracts import (
    Abstain,
    Allow,
    AuthAttempt,
    Deny,
    HealthCheck,
    PluginRecord,
    PluginState,
    Principal,
    Secret,
)
from plughost.core.calls.declaration import read_declarations
from plughost.core.guest.logs import HostHandler
from plughost.core.wire.calls import MOST_IN_FLIGHT, WireCalls
from plughost.core.wire.channel import AsyncioChannel, open_channel
from plughost.core.wire.codec import CannotCrossError, WireCodec, arguments_codec
from plughost.core.wire.crossings import crossing_verdict
from plughost.core.wire.faults import Fault, as_fault
from plughost.core.wire.frames import CLOSED, HEAD, FrameBuffer, FrameError, FrameReader, Kind, Put
from plughost.core.wire.protocol import Member, MemberCrossing, crossing_of
from plughost.core.wire.values import ENCODER
from plughost.exceptions import AuthRefused, ConfigProblem, PlughostError, PluginConfigError, RemoteError
from plughost.hookspecs import CATALOGUE

FRAMES = st.lists(
    st.tuples(
        st.sampled_from([*Kind]),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**16 - 1),
        st.binary(max_size=300),
    ),
    max_size=8,
)


def put_raw(value: Any, buffer: bytearray, at: int) -> None:
    buffer += value


def read_in_pieces(data: bytes, sizes: list[int], limit: int = 1 << 20) -> list[tuple[int, int, int, bytes]]:
    found: list[tuple[int, int, int, bytes]] = []
    reader = FrameReader(
        lambda kind, call, member, body: found.append((kind, call, member, bytes(body))), limit
    )
    at, sizes = 0, sizes or [len(data) or 1]
    while at < len(data):
        for size in sizes:
            room = reader.room()
            piece = data[at : at + min(size, len(room))]
            room[: len(piece)] = piece
            reader.received(len(piece))
            at += len(piece)
    return found


@given(FRAMES, st.lists(st.integers(1, 50), max_size=5))
def test_frames_arrive_as_they_were_however_they_are_cut(frames: Any, sizes: list[int]) -> None:
    buffer = FrameBuffer()
    for kind, call, member, body in frames:
        buffer.add(kind, call, member, body, put_raw)
    assert read_in_pieces(bytes(buffer.take()), sizes) == frames


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), max_size=5))
def test_any_bytes_at_all_are_frames_or_are_refused(data: bytes, sizes: list[int]) -> None:
    try:
        for kind, _, _, body in read_in_pieces(data, sizes, limit=1000):
            assert Kind.CALL <= kind <= Kind.PONG
            assert len(body) <= 1000
    except FrameError:
        pass


@given(st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 255))
def test_a_head_that_says_too_much_is_refused_before_anything_is_kept_for_it(
    length: int, kind: int, plugin: int
) -> None:
    reader = FrameReader(lambda *_: None, limit=1000)
    room = reader.room()
    room[: HEAD.size] = HEAD.pack(length, kind, plugin, 1, 1)
    if 8 <= length <= 1000 and 1 <= kind <= 7 and plugin == 0:
        reader.received(HEAD.size)
    else:
        with pytest.raises(FrameError):
            reader.received(HEAD.size)


def test_what_fails_to_be_written_leaves_nothing_of_itself() -> None:
    buffer = FrameBuffer()
    buffer.add(Kind.PING, 1, 0, None, None)
    with pytest.raises(TypeError):
        buffer.add(Kind.CALL, 2, 0, [b"x" * 100, object()], ENCODER.encode_into)
    with pytest.raises(ValueError, match="at most 67108864 can cross at once"):
        buffer.add(Kind.CALL, 3, 0, bytes(65 << 20), put_raw)
    assert [frame[:2] for frame in read_in_pieces(bytes(buffer.take()), [])] == [(Kind.PING, 1)]


def crossed(value: Any, annotation: Any = Any) -> Any:
    codec, buffer = WireCodec(annotation), bytearray()
    codec.put(value, buffer, 0)
    return codec.read(memoryview(buffer))


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_data_arrives_as_it_was_where_anything_may_stand(value: Any) -> None:
    assert crossed(value) == value
    assert crossed({"a": value}, Mapping[str, Any]) == {"a": value}
    attempt = AuthAttempt(username="ann", credentials={"a": value})
    assert crossed(attempt, AuthAttempt) == attempt
    assert crossed(attempt) == attempt


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        frozenset({"a"}),
        (1, [2, (3,)]),
        dt.datetime(2026, 1, 2, 3, 4, 5, 6),
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        dt.date(2026, 1, 2),
        dt.timedelta(seconds=1.5),
        Decimal("1.10"),
        uuid.UUID(int=7),
        Path("/tmp/x"),
        Secret("hidden"),
        PluginState.READY,
        Principal("1", "ann", ("reader",)),
        HealthCheck(name="x", figures={"a": (1, 2)}),
        PluginRecord(name="x", config={"when": dt.date(2026, 1, 2)}),
        [Allow(Principal("1", "a")), {"deep": Deny("no")}],
    ],
    ids=repr,
)
def test_what_is_more_than_plain_arrives_as_it_was_too(value: Any) -> None:
    assert crossed(value) == value
    assert type(crossed(value)) is type(value)


@pytest.mark.parametrize("value", [Allow(Principal("1", "a")), Deny("no"), Abstain(), None])
def test_of_several_records_the_right_one_arrives(value: Any) -> None:
    assert crossed(value, Allow | Deny | Abstain | None) == value
    assert crossed([value], list[Allow | Deny | Abstain | None]) == [value]


@pytest.mark.parametrize("value", [object(), open, int, lambda: 1, {"deep": [object()]}, {(1, 2): 3}, 2**70])
def test_what_has_no_copy_elsewhere_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, OverflowError)):
        crossed(value)


def test_what_holds_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(TypeError, match="more than 100 deep, or holds itself"):
        crossed(circle)


class Client:
    pass


class Session(msgspec.Struct):
    client: Client


@pytest.mark.parametrize(
    ("annotation", "said"), [(Client, "Client is a live object"), (Session, "Session.client")]
)
def test_a_type_that_cannot_cross_says_which_part_of_it(annotation: Any, said: str) -> None:
    with pytest.raises(CannotCrossError, match=said):
        WireCodec(annotation)


def test_plughosts_own_exceptions_arrive_as_themselves_and_others_as_remote_ones() -> None:
    refused = AuthRefused("no", log_reason="seen before")
    again = revived(refused)
    assert type(again) is AuthRefused
    assert (str(again), vars(again)) == ("no", {"reason": "no", "log_reason": "seen before"})
    wrong = PluginConfigError("two things", plugin="x", path="a.b", origin="f")
    wrong.problems = (ConfigProblem("a.b", "f", "missing"),)
    again = revived(wrong)
    assert isinstance(again, PluginConfigError)
    assert (again.plugin, again.problems) == ("x", wrong.problems)
    other = revived(ValueError("password=hunter2 is wrong"))
    assert isinstance(other, RemoteError)
    assert (other.kind, str(other)) == ("ValueError", "ValueError: password=*** is wrong")


class TooManyLampsRefused(AuthRefused):
    """A plugin's own."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} lamps", log_reason="lamps")


class UnspokenRefused(AuthRefused):
    """One that does without what it is derived from."""

    def __init__(self) -> None:
        PlughostError.__init__(self)


def test_what_is_derived_from_an_exception_of_plughost_arrives_as_that_one() -> None:
    again = revived(TooManyLampsRefused(3))
    assert type(again) is AuthRefused
    assert (again.reason, again.log_reason) == ("3 lamps", "lamps")
    again = revived(UnspokenRefused())
    assert type(again) is AuthRefused
    assert (again.reason, again.log_reason) == ("This was refused.", "This was refused.")
    other = revived(type("LampError", (PlughostError,), {})("no lamp"))
    assert (type(other), str(other)) == (RemoteError, "LampError: no lamp")


def test_an_exception_whose_text_no_wire_can_carry_arrives_all_the_same() -> None:
    assert str(revived(ValueError("no file \udcff"))) == "ValueError: no file \\udcff"
    refused = AuthRefused("no \udcff")
    refused.__dict__.update(seen=10**30, times=3)
    again = revived(refused)
    assert type(again) is AuthRefused
    assert (str(again), vars(again)["times"], "seen" in vars(again)) == ("no \\udcff", 3, False)


class Seconds(float):
    """A number of a type of its own, as numpy's are."""


class Pieces(int):
    """Another."""


class Mode(str, enum.Enum):  # noqa: UP042  a text that ``str`` does not return
    FAST = "fast"


def test_what_an_exception_carries_arrives_as_plain_values_and_the_rest_is_left_out() -> None:
    refused = AuthRefused("no")
    refused.__dict__.update(
        after=Seconds(2.5), count=Pieces(3), mode=Mode.FAST, most=Pieces(10**30), last=None
    )
    refused.__dict__.update({"problems": 5, "\udcff": True})
    again = vars(revived(refused))
    said = {"reason": "no", "log_reason": "no", "problems": 5, "\\udcff": True}
    assert again == {**said, "after": 2.5, "count": 3, "mode": "fast", "last": None}
    assert [type(again[name]) for name in ("after", "count", "mode")] == [float, int, str]


def test_an_exception_that_is_its_own_cause_arrives() -> None:
    refused = AuthRefused("no")
    refused.__cause__ = refused
    assert str(revived(refused)) == "no"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_fields_of_a_log_record_cross_whatever_type_of_its_own_a_number_has() -> None:
    written = bytearray()

    class Notes:
        def note(self, member: int, value: Any, put: Put) -> None:
            put(value, written, 0)

    record = logging.makeLogRecord(
        {
            "name": "shop",
            "levelno": 20,
            "msg": "done",
            "after": Seconds(2.5),
            "most": Pieces(10**30),
            "mode": Mode.FAST,
        }
    )
    HostHandler(Notes(), current_token()).emit(record)
    (line,) = crossing_of(Member.LOG).arguments.read(memoryview(written))
    assert line.fields == {"after": 2.5, "most": hex(10**30), "mode": "fast"}


def revived(error: BaseException) -> Exception:
    return msgspec.msgpack.decode(ENCODER.encode(as_fault(error)), type=Fault).revived()


class Echo:
    """The other end: answers as it likes."""

    def __init__(self) -> None:
        self.calls = WireCalls(self)
        self.heard: list[int] = []
        self.cancelled: list[int] = []

    def call(self, call: int, member: int, body: memoryview) -> None:
        self.heard.append(call)
        if member == 0:
            self.calls.answer(call, bytes(ONE.arguments.read(body)[0]), ONE.answer.put)
        if member == 1:  # twice, and one that nobody asked for
            for number in (call, call, call + 1000):
                self.calls.answer(number, b"once", ONE.answer.put)

    def cancel(self, call: int) -> None:
        self.cancelled.append(call)
        self.calls.answer(call, b"late", ONE.answer.put)

    def note(self, member: int, body: memoryview) -> None: ...


ONE = MemberCrossing(arguments_codec((bytes,)), WireCodec(bytes))


@pytest.mark.anyio
async def test_calls_are_answered_once_in_any_order_and_end_with_the_other_end() -> None:
    ours, theirs = socket.socketpair()
    here, there = Echo(), Echo()
    lost: list[str] = []
    async with anyio.create_task_group() as tasks:
        near = open_channel(ours, tasks, here.calls.frame, lost.append)
        here.calls.open_over(near)
        there.calls.open_over(open_channel(theirs, tasks, there.calls.frame, lambda _: None))
        for size in (0, 1, 100_000, 5_000_000):
            assert await here.calls.call(0, (b"x" * size,), ONE) == b"x" * size
        assert [await here.calls.call(1, (b"",), ONE) for _ in range(3)] == [b"once"] * 3
        with anyio.move_on_after(0.05):
            await here.calls.call(2, (b"",), ONE)
        await here.calls.ping()
        assert (len(there.cancelled), here.calls.in_flight, here.calls.abandoned) == (1, 0, set())
        ended: Counter[str] = Counter()

        async def wait_forever() -> None:
            try:
                await here.calls.call(2, (b"",), ONE)
            except (ConnectionError, OverflowError) as error:
                ended[type(error).__name__] += 1

        for _ in range(MOST_IN_FLIGHT + 3):
            tasks.start_soon(wait_forever)
        await until(lambda: ended["WireFullError"] == 3)
        here.calls.end(lambda: ConnectionError("gone"))
        await wait_forever()
        tasks.cancel_scope.cancel()
    assert ended == {"ConnectionError": MOST_IN_FLIGHT + 1, "WireFullError": 3}
    theirs.close()


def test_each_hook_of_the_catalogue_crosses_or_says_why_not() -> None:
    manager = pluggy.PluginManager("plughost")
    found = {
        one.name: crossing_verdict(one) for family in CATALOGUE for one in read_declarations(manager, family)
    }
    kinds = Counter(verdict.kind for verdict in found.values())
    assert len(found) > 50
    assert all((verdict.kind == "crosses") is (verdict.reason == "") for verdict in found.values())
    assert {name for name, verdict in found.items() if verdict.kind == "refused"} == {
        *("provide_backup_artifacts", "warm_cache", "register_middleware", "register_commands"),
    }
    assert {"run_migrations", "restore_artifact"} <= {n for n, v in found.items() if v.kind == "without"}
    assert kinds["crosses"] + kinds["by value"] >= 40


@pytest.mark.anyio
async def test_an_end_that_had_not_read_everything_is_an_end_like_any_other() -> None:
    lost: list[str] = []
    ours, theirs = socket.socketpair()
    async with anyio.create_task_group() as tasks:
        theirs.setblocking(True)
        ours.send(b"x")  # unread, so that the system says that the connection was reset
        open_channel(ours, tasks, lambda *_: None, lost.append)
        theirs.close()
        await until(lambda: bool(lost))
    assert lost == [CLOSED]


def test_of_an_exception_whose_text_is_a_novel_the_beginning_arrives() -> None:
    fault = as_fault(ValueError("x" * 10_000_000))
    assert fault.message.endswith("... (10000000 characters)")
    assert len(fault.traceback) < 10_000
    assert fault.traceback.startswith("ValueError: xxx")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_said_in_one_turn_leaves_in_one_write() -> None:
    written: list[int] = []
    came: list[int] = []

    class Counting(AsyncioChannel):
        def _push(self, view: memoryview) -> None:
            written.append(len(view))
            super()._push(view)

    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
    channel = Counting(ours, lambda *_: None, lambda _: None)
    other = AsyncioChannel(theirs, lambda _, call, *__: came.append(call), lambda _: None)
    for call in range(50):
        channel.send(Kind.CALL, call, 0)
    assert written == []
    await until(lambda: len(came) == 50)
    assert len(written) == 1
    assert came == [*range(50)]
    channel.close()
    other.close()
