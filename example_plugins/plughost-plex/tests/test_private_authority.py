"""Servers whose certificates come from an authority of somebody's own."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from conftest import running
from plughost import Host
from plughost_media.fakes import FakePlexServer, serving
from plughost_media.fakes.plex_tv import Connection

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("named", "status"), [(True, 200), (False, 502)])
async def test_a_server_is_believed_when_its_authority_is_named(
    fakes, tmp_path: Path, named: bool, status: int
) -> None:
    authority, nas = trustme.CA(), FakePlexServer("nas")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(file)
    with serving(nas, tls=context) as served:
        fakes.plex_tv.share(fakes.plex_tv.accounts[0], nas, [Connection(served[nas])])
        async with running(fakes, tmp_path, **({"ca_file": str(file)} if named else {})) as suite:
            ada = suite.browser()
            await ada.sign_in()
            assert (await ada.post("/api/plex/servers/machine-nas/probe")).status_code == status
            assert (await ada.post("/api/plex/servers/machine-home/probe")).status_code == 200


async def test_a_file_without_certificates_keeps_the_plugin_from_starting(tmp_path: Path) -> None:
    for name, text in {
        "empty.pem": "",
        "nothing.pem": None,
        "other.pem": "-----BEGIN CERTIFICATE-----\n",
    }.items():
        file = tmp_path / name
        if text is not None:
            file.write_text(text)
        config = {
            "host": {"allow": ["plex"], "data_dir": str(tmp_path / "data")},
            "plugins": {"plex": {"config": {"ca_file": str(file)}}},
        }
        async with Host("media", config=config, environ={}) as host:
            assert f"ca_file '{file}'" in host.plugin("plex").reason, name
