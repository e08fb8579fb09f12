"""Calls through a real host to a service that really listens."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from fake_service import Answer, FakeService, fake_service, until

from plughost import Host, Plugin, hookimpl
from plughost.contracts import Secret
from plughost.testing import FakeClock, HostMaker
from plughost_upstream import Call, Origin, Upstream, Upstreams
from plughost_upstream.addresses import networks_of
from plughost_upstream.protocols import (
    CallRecord,
    UpstreamBusyError,
    UpstreamError,
    UpstreamForbiddenError,
    UpstreamGarbageError,
    UpstreamMissingError,
    UpstreamRefusedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from plughost_upstream.service import Services

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def service(anyio_backend: str) -> AsyncIterator[FakeService]:
    async with fake_service() as running:
        yield running


@pytest.fixture
async def host(anyio_backend: str, make_host: HostMaker) -> AsyncIterator[Host]:
    config = {"plugins": {"upstream": {"config": {"allowed_networks": ["127.0.0.1/32"]}}}}
    async with make_host("upstream", config=config) as running:
        yield running


@pytest.fixture
def upstream(host: Host, service: FakeService) -> Upstream:
    return host.use(Upstreams).register(Origin(name="fake", url=service.url))


async def test_a_call_reaches_the_service_with_its_query_and_headers(
    upstream: Upstream, service: FakeService
) -> None:
    service.answer = Answer(body=b'{"results": [1, 2]}')
    reply = await upstream.send(
        Call(
            path="/3/search/movie",
            params={"query": "a b&c", "with": ["1", "2"]},
            headers={"X-Client": "t"},
            secrets={"Authorization": Secret("Bearer k3y-canary")},
        )
    )
    assert (reply.status, reply.data) == (200, {"results": [1, 2]})
    (asked,) = service.asked
    assert asked.target == "/3/search/movie?query=a+b%26c&with=1&with=2"
    assert asked.headers["authorization"] == "Bearer k3y-canary"
    assert asked.headers["host"] == f"127.0.0.1:{service.port}"
    assert asked.headers["x-client"] == "t"


GARBAGE = {
    "a page instead of JSON": Answer(body=b"<!doctype html><title>Sign in</title>"),
    "JSON that is cut off": Answer(body=b'{"results": [1, 2'),
    "fewer bytes than it says": Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"),
    "no HTTP at all": Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "a redirection": Answer(status=302, headers={"location": "http://169.254.169.254/latest/meta-data"}),
    "packed, and damaged": Answer(body=b"no gzip", headers={"content-encoding": "gzip"}),
    "packed in another way": Answer(body=b"x", headers={"content-encoding": "br"}),
    "nested without end": Answer(body=b"[" * 200_000),
    "another shape": Answer(body=b'["neither", "nor"]'),
    "nothing": Answer(body=b""),
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
async def test_what_is_not_what_it_should_be_is_garbage(
    upstream: Upstream, service: FakeService, answer: Answer
) -> None:
    service.answer = answer
    with pytest.raises(UpstreamGarbageError) as caught:
        await upstream.send(Call(path="/3/configuration", expect="object"))
    assert caught.value.http_status == 502
    assert len(service.asked) == 1


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_is_read_no_further_than_it_may_become(
    upstream: Upstream, service: FakeService, packed: bool
) -> None:
    body = b" " * 3_000_000
    answer = (
        Answer(body=gzip.compress(body), headers={"content-encoding": "gzip"})
        if packed
        else Answer(body=body)
    )
    service.answer = answer
    with pytest.raises(UpstreamGarbageError, match="more than 1000000 bytes"):
        await upstream.send(Call(path="/big", expect="bytes", most=1_000_000, deadline=20))
    reply = await upstream.send(Call(path="/big", expect="bytes", most=3_000_000, deadline=20))
    assert reply.body == body


async def test_a_packed_answer_is_unpacked(upstream: Upstream, service: FakeService) -> None:
    service.answer = Answer(body=gzip.compress(b'{"a": 1}'), headers={"content-encoding": "gzip"})
    assert (await upstream.send(Call(path="/"))).data == {"a": 1}
    assert service.asked[0].headers["accept-encoding"] == "gzip"


STATUSES = {
    400: UpstreamRejectedError, 401: UpstreamRefusedError, 403: UpstreamRefusedError, 404: UpstreamMissingError,
    410: UpstreamMissingError, 422: UpstreamRejectedError, 429: UpstreamBusyError, 500: UpstreamUnavailableError,
    502: UpstreamUnavailableError, 503: UpstreamUnavailableError, 504: UpstreamUnavailableError,
}  # fmt: skip


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
async def test_each_status_is_an_error_of_its_kind(
    upstream: Upstream, service: FakeService, status: int, kind: type[UpstreamError]
) -> None:
    service.answer = Answer(status=status, body=b"<html>")
    with pytest.raises(kind) as caught:
        await upstream.send(Call(path="/x"))
    assert caught.value.status == status
    assert len(service.asked) == (3 if status in (502, 503, 504) else 1)


async def test_a_status_that_the_call_accepts_is_an_answer(upstream: Upstream, service: FakeService) -> None:
    service.answer = Answer(status=401, body=b'{"status_code": 7}')
    reply = await upstream.send(Call(path="/3/authentication", accept=(401,)))
    assert (reply.status, reply.data) == (401, {"status_code": 7})


async def test_who_hangs_up_without_a_word_is_away(upstream: Upstream, service: FakeService) -> None:
    await upstream.send(Call(path="/x"))
    service.answer = Answer(status=0)
    with pytest.raises(UpstreamUnavailableError):
        await upstream.send(Call(path="/x"))


async def test_only_a_get_is_repeated(upstream: Upstream, service: FakeService) -> None:
    service.answer = Answer(status=503)
    for method in ("PUT", "POST", "DELETE"):
        with pytest.raises(UpstreamUnavailableError):
            await upstream.send(Call(path="/:/scrobble", method=method, json={"a": 1}))
    assert [asked.method for asked in service.asked] == ["PUT", "POST", "DELETE"]
    assert service.asked[0].body == b'{"a":1}'


async def test_a_service_that_is_back_when_it_is_asked_again_has_answered(
    upstream: Upstream, service: FakeService
) -> None:
    answers = iter([Answer(status=502), Answer(status=504), Answer(body=b'{"ok": true}')])
    service.answer = lambda asked: next(answers)
    assert (await upstream.send(Call(path="/x"))).data == {"ok": True}


async def test_a_service_that_says_when_to_come_back_is_not_asked_again_before(
    upstream: Upstream, service: FakeService
) -> None:
    service.answer = Answer(status=503, headers={"retry-after": "30"})
    with pytest.raises(UpstreamUnavailableError) as caught:
        await upstream.send(Call(path="/x"))
    assert caught.value.retry_after == 30
    assert len(service.asked) == 1


async def test_who_is_too_slow_is_not_waited_for_beyond_the_deadline(
    upstream: Upstream, service: FakeService
) -> None:
    service.answer = Answer(delay=60)
    with anyio.fail_after(20), pytest.raises(UpstreamTimeoutError) as caught:
        await upstream.send(Call(path="/x", deadline=0.2))
    assert caught.value.http_status == 504


async def test_after_five_failures_it_is_left_alone_and_probed(anyio_backend: str) -> None:
    clock = FakeClock()
    async with fake_service() as service:
        services = Services(clock, allowed=networks_of(["127.0.0.1"]))
        upstream = services.register(Origin(name="fake", url=service.url))
        service.answer = Answer(status=500)
        for _ in range(5):
            with pytest.raises(UpstreamUnavailableError):
                await upstream.send(Call(path="/x"))
        for _ in range(10):
            with pytest.raises(UpstreamUnavailableError, match="left alone") as caught:
                await upstream.send(Call(path="/x"))
        assert len(service.asked) == 5
        assert caught.value.retry_after == pytest.approx(5)
        await clock.advance(5.1)
        with pytest.raises(UpstreamUnavailableError, match="answers 500"):
            await upstream.send(Call(path="/x"))
        with pytest.raises(UpstreamUnavailableError, match="left alone"):
            await upstream.send(Call(path="/x"))
        service.answer = Answer()
        await clock.advance(5.1)
        await upstream.send(Call(path="/x"))
        await upstream.send(Call(path="/x"))
        assert len(service.asked) == 8
        await services.aclose()


async def test_one_that_wants_a_rest_has_it_from_whoever_has_no_allowance(anyio_backend: str) -> None:
    clock = FakeClock()
    async with fake_service() as service:
        services = Services(clock, allowed=networks_of(["127.0.0.1"]))
        upstream = services.register(Origin(name="fake", url=service.url))
        service.answer = Answer(status=429, headers={"retry-after": "7"})
        for _ in range(5):
            with pytest.raises(UpstreamBusyError) as caught:
                await upstream.send(Call(path="/x"))
            assert caught.value.retry_after == pytest.approx(7)
        assert len(service.asked) == 1
        service.answer = Answer()
        await clock.advance(7.1)
        await upstream.send(Call(path="/x"))
        await services.aclose()


async def test_what_is_wrong_with_a_call_is_not_the_services_failure(
    upstream: Upstream, service: FakeService
) -> None:
    for status in (404, 401, 422) * 4:
        service.answer = Answer(status=status)
        with pytest.raises(UpstreamError) as caught:
            await upstream.send(Call(path="/x"))
        assert caught.value.status == status


PATHS = [
    "",
    "x",
    "//evil.example/x",
    "/a/../b",
    "/a/%2e%2E/b",
    "/a b",
    "/a?b=c",
    "/a#b",
    "/a\\b",
    "/a\r\nX: y",
    "/ä",
    "/./a",
]


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_that_could_lead_elsewhere_is_refused(
    upstream: Upstream, service: FakeService, path: str
) -> None:
    with pytest.raises(UpstreamForbiddenError):
        await upstream.send(Call(path=path))
    assert service.asked == []


async def test_a_reply_can_be_read_piece_by_piece(
    upstream: Upstream, service: FakeService, host: Host
) -> None:
    service.answer = Answer(body=b"x" * 200_000, headers={"content-type": "video/mp2t"})
    async with upstream.stream(Call(path="/segment.ts", expect="bytes")) as reply:
        pieces = [piece async for piece in reply]
    assert (reply.status, reply.headers["content-type"]) == (200, "video/mp2t")
    assert b"".join(pieces) == b"x" * 200_000
    (record,) = host.use(Upstreams).recent()
    assert (record.outcome, record.received) == ("ok", 200_000)


async def test_who_leaves_is_no_failure_of_the_service(
    upstream: Upstream, service: FakeService, host: Host
) -> None:
    service.answer = Answer(body=b"x" * 200_000)
    with anyio.CancelScope() as scope:
        async with upstream.stream(Call(path="/segment.ts", expect="bytes")):
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    (record,) = host.use(Upstreams).recent()
    assert (record.outcome, record.attempts) == ("left", 1)
    assert host.plugins["upstream"].status["failed"] == 0


async def test_a_stream_that_is_too_long_or_breaks_off_says_so(
    upstream: Upstream, service: FakeService
) -> None:
    service.answer = Answer(body=b"x" * 2000)
    async with upstream.stream(Call(path="/x", most=1000)) as reply:
        with pytest.raises(UpstreamGarbageError):
            [piece async for piece in reply]
    service.answer = Answer(status=404)
    with pytest.raises(UpstreamMissingError):
        await upstream.stream(Call(path="/x")).__aenter__()


async def test_calls_are_told_in_batches_with_everything_but_secrets(
    host: Host, upstream: Upstream, service: FakeService
) -> None:
    told: list[CallRecord] = []

    class Listener(Plugin):
        async def start(self, context: object) -> None: ...

        @hookimpl(optionalhook=True)
        async def upstream_calls(self, batch: Sequence[CallRecord]) -> None:
            told.extend(batch)

    await host.load_plugin(Listener, name="listener")
    secrets = {"X-Plex-Token": Secret("t0ken-canary")}
    await upstream.send(
        Call(path="/a", params={"query": "private"}, secrets=secrets, user="7", priority="warm")
    )
    service.answer = Answer(status=404)
    with pytest.raises(UpstreamMissingError):
        await upstream.send(Call(path="/b", secrets=secrets))
    await until(lambda: len(told) == 2)
    first, second = told
    assert (first.origin, first.path, first.outcome, first.user, first.priority) == (
        "fake",
        "/a",
        "ok",
        "7",
        "warm",
    )
    assert (second.path, second.outcome, second.status) == ("/b", "missing", 404)
    assert "canary" not in repr(told)
    assert "private" not in repr(told)


async def test_figures_say_what_happened(host: Host, upstream: Upstream, service: FakeService) -> None:
    await upstream.send(Call(path="/a"))
    service.answer = Answer(status=500)
    with pytest.raises(UpstreamUnavailableError):
        await upstream.send(Call(path="/a"))
    figures = host.use(Upstreams).figures()["fake"]
    assert figures.calls == {"ok": 1, "unavailable": 1}
    assert host.plugins["upstream"].status["failed"] == 1
    families = [family for answer in await host.hooks.describe_metrics() for family in answer]
    samples = {family.name: family.samples for family in families}["upstream_calls_total"]
    assert {(sample.labels["outcome"], sample.value) for sample in samples} == {("ok", 1), ("unavailable", 1)}


async def test_registering_the_same_again_keeps_the_connections(
    host: Host, upstream: Upstream, service: FakeService
) -> None:
    for _ in range(5):
        await host.use(Upstreams).register(Origin(name="fake", url=service.url)).send(Call(path="/"))
    assert service.connections == 1
    assert host.use(Upstreams).remove("fake")
    assert not host.use(Upstreams).remove("fake")


async def test_a_call_under_way_ends_well_when_its_origin_is_removed(
    host: Host, upstream: Upstream, service: FakeService
) -> None:
    service.answer = Answer(delay=1.0, body=b'{"late": true}')
    got: list[Any] = []

    async def ask() -> None:
        got.append((await upstream.send(Call(path="/"))).data)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await until(lambda: service.asked)
        host.use(Upstreams).remove("fake")
    assert got == [{"late": True}]


async def test_no_more_connections_than_the_origin_may_have(host: Host, service: FakeService) -> None:
    upstream = host.use(Upstreams).register(Origin(name="few", url=service.url, connections=2))
    service.answer = Answer(delay=0.05)
    async with anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(upstream.send, Call(path="/"))
    assert len(service.asked) == 12
    assert service.connections <= 2
