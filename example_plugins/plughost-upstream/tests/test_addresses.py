"""Where a call may go, and where it may not."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import httpx2
import pytest
import trustme
from fake_service import Answer, fake_service

from plughost.testing import FakeClock, HostMaker
from plughost_upstream import Call, Origin
from plughost_upstream.addresses import networks_of, permits, resolved, system_resolve
from plughost_upstream.protocols import Reach, UpstreamForbiddenError, UpstreamUnavailableError
from plughost_upstream.service import Services, checked_url

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


PUBLIC = ["1.1.1.1", "13.224.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]
PRIVATE = ["10.0.0.5", "172.16.0.1", "172.31.255.254", "192.168.1.20", "fd12:3456::1", "::ffff:192.168.1.20"]
NOWHERE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1", "::127.0.0.1",  # noqa: S104
    "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1",
    "fe80::1", "fd00:ec2::254", "100.100.100.200", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1",
    "192.0.0.192", "2001:0:1::1", "64:ff9b:1::1", "fec0::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("reach", ["public", "local"])
def test_public_addresses_are_for_all(address: str, reach: Reach) -> None:
    assert permits(ip_address(address), reach, ())


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_for_local_services_only(address: str) -> None:
    assert permits(ip_address(address), "local", ())
    assert not permits(ip_address(address), "public", ())


@pytest.mark.parametrize("address", NOWHERE)
@pytest.mark.parametrize("reach", ["public", "local"])
def test_some_addresses_are_for_nobody(address: str, reach: Reach) -> None:
    assert not permits(ip_address(address), reach, ())


@pytest.mark.parametrize("address", [*PRIVATE, *NOWHERE])
def test_what_the_deployer_allows_is_allowed(address: str) -> None:
    assert permits(ip_address(address), "public", networks_of(["0.0.0.0/0", "::/0"]))


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0x7f.0.0.1", "0x7f000001", "017700000001", "[::1]"]
)
async def test_this_machine_is_not_reached_by_another_spelling(host: str, anyio_backend: str) -> None:
    services = Services(FakeClock())
    upstream = services.register(Origin(name="x", url=f"https://{host}"))
    # a spelling that the system does not know leads nowhere, which is right, too
    with pytest.raises((UpstreamForbiddenError, UpstreamUnavailableError)):
        await upstream.send(Call(path="/"))
    assert services.recent()[0].attempts == 1


async def test_a_name_with_a_good_and_a_bad_address_is_not_trusted(anyio_backend: str) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["1.1.1.1", "127.0.0.1"]

    with pytest.raises(UpstreamForbiddenError, match="allowed_networks"):
        await resolved("rebinding.example", 443, "public", (), resolve)


async def test_the_connection_goes_to_the_address_that_was_looked_at(anyio_backend: str) -> None:
    """A resolver that says something else the second time finds nobody who asks."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    clock = FakeClock()
    async with fake_service() as service:
        services = Services(clock, allowed=networks_of(["127.0.0.1"]), resolve=resolve)
        upstream = services.register(
            Origin(name="x", url=f"http://media.example:{service.port}", reach="local")
        )
        await upstream.send(Call(path="/"))
        await upstream.send(Call(path="/"))
        assert asked == ["media.example"]
        assert service.asked[0].headers["host"] == f"media.example:{service.port}"
        await clock.advance(61)
        with pytest.raises(UpstreamForbiddenError):
            await upstream.send(Call(path="/"))
        assert len(service.asked) == 2
        await services.aclose()


async def test_a_name_that_cannot_be_resolved_is_away(anyio_backend: str) -> None:
    services = Services(FakeClock())
    upstream = services.register(Origin(name="x", url="https://name.invalid"))
    with pytest.raises(UpstreamUnavailableError):
        await resolved("name.invalid", 443, "public", (), system_resolve)
    assert upstream.origin.name == "x"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "https://",
        "https://u:p@x",
        "https://x/path",
        "https://x?q=1",
        "x",
        "http://x.example",
        "http://127.0.0.1",
    ],
)
def test_an_url_that_is_no_origin_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="origin 'x'"):
        checked_url(Origin(name="x", url=url), ())


def test_http_is_for_local_services_and_allowed_networks() -> None:
    assert checked_url(Origin(name="x", url="http://192.168.1.5:32400", reach="local"), ()).port == 32400
    assert checked_url(Origin(name="x", url="http://127.0.0.1:8000"), networks_of(["127.0.0.1"])).port == 8000


@pytest.mark.parametrize("trusted", [True, False], ids=["its own certificates", "the system's certificates"])
@pytest.mark.parametrize("name", ["media.example", "other.example"])
async def test_the_certificate_must_be_good_for_the_name_that_was_asked_for(
    anyio_backend: str, tmp_path: object, trusted: bool, name: str
) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("media.example").configure_cert(context)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    with authority.cert_pem.tempfile() as ca_file:
        async with fake_service(tls=context) as service:
            service.answer = Answer(body=b'{"ok": true}')
            services = Services(FakeClock(), allowed=networks_of(["127.0.0.1"]), resolve=resolve)
            origin = Origin(
                name="x", url=f"https://{name}:{service.port}", ca_file=ca_file if trusted else None
            )  # type: ignore[arg-type]
            call = services.register(origin).send(Call(path="/", method="POST"))
            if trusted and name == "media.example":
                assert (await call).data == {"ok": True}
            else:
                with pytest.raises(UpstreamUnavailableError):
                    await call
                assert service.asked == []
            await services.aclose()


@pytest.mark.parametrize("beside", [True, False])
async def test_certificates_of_one_s_own_stand_alone_or_beside_those_of_the_system(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, beside: bool
) -> None:
    """Who trusts an authority of their own for one name of a server need not give up the others' for the next one."""
    own, system = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    system.issue_cert("media.example").configure_cert(context)
    own.cert_pem.write_to_path(tmp_path / "own.pem")
    known = ssl.create_default_context()
    system.configure_trust(known)
    monkeypatch.setattr(httpx2, "create_ssl_context", lambda **_: known)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with fake_service(tls=context) as service:
        services = Services(FakeClock(), allowed=networks_of(["127.0.0.1"]), resolve=resolve)
        url = f"https://media.example:{service.port}"
        origin = Origin(name="x", url=url, ca_file=tmp_path / "own.pem", ca_beside=beside)
        call = services.register(origin).send(Call(path="/", method="POST"))
        if beside:
            assert (await call).status == 200
        else:
            with pytest.raises(UpstreamUnavailableError):
                await call
        await services.aclose()


async def test_the_authorities_of_the_system_are_read_once_for_all_services_and_not_for_those_without_tls(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reading is work for tens of milliseconds, in which nobody else would be answered."""
    read: list[object] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(self: ssl.SSLContext, *where: object) -> None:
        read.append(where)
        load(self, *where)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    services = Services(FakeClock(), allowed=networks_of(["127.0.0.1"]))
    most = {"http": 0, "https": 1}
    for scheme in most:
        for number in range(4):
            origin = Origin(name=f"{scheme}{number}", url=f"{scheme}://127.0.0.1:9")
            with pytest.raises(UpstreamUnavailableError):
                await services.register(origin).send(Call(path="/", method="POST"))
        assert len(read) <= most[scheme], scheme
    await services.aclose()


async def test_a_network_that_cannot_be_read_keeps_the_plugin_from_starting(
    anyio_backend: str, make_host: HostMaker
) -> None:
    config = {"plugins": {"upstream": {"config": {"allowed_networks": ["127.0.0.1/33"]}}}}
    async with make_host("upstream", config=config) as host:
        assert "127.0.0.1/33" in host.plugins["upstream"].reason
