"""Calls through a real host to a service that really listens."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from fake_service import Answer, FakeService, fake_service

from plughost import Host
from plughost.contracts import Secret
from plughost.testing import HostMaker
from plughost_upstream import Call, Origin, Upstream, Upstreams

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
