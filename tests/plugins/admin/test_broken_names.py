"""A file name that is not UTF-8 is in a status or an error: every page and document is there."""

from __future__ import annotations

import json

import pytest

from plughost import Plugin, hookimpl
from plughost.contracts import AdminPanel, HealthCheck
from plughost.exceptions import PluginStartError
from plughost.plugins.admin import AdminPlugin

pytestmark = pytest.mark.anyio
NAME = b"caf\xe9.txt".decode("utf-8", "surrogateescape")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Reader(Plugin):
    name = "reader"

    def status(self):
        return {"file": NAME, NAME: 1, "many": 10**5000}

    @hookimpl
    def health_check(self):
        return HealthCheck(name=f"disk {NAME}", status="warn", detail=NAME, figures={NAME: NAME})

    @hookimpl
    def register_admin_panels(self):
        return [
            AdminPanel(name="files", title=NAME, scope="x:read", data=lambda: {NAME: NAME, "many": 10**5000})
        ]


class Unread(Plugin):
    name = "unread"

    async def start(self, context):
        raise ValueError(NAME)


@pytest.fixture
async def client(serve):
    async with serve(AdminPlugin, Reader) as served:
        with pytest.raises(PluginStartError):
            await served.host.load_plugin(Unread)
        async with served.client(token=served.token("*")) as client:
            yield client


PAGES = ["plugins", "plugins/reader", "plugins/unread", "health", "apps", "trace", "files"]
DOCUMENTS = [
    "/admin/api/plugins", "/admin/api/plugins/reader", "/admin/api/plugins/unread", "/admin/api/plugins/reader/logs",
    "/admin/api/health", "/admin/api/stats/errors", "/admin/api/audit", "/admin/system/plugins.live",
    "/admin/system/health.live", "/admin/system/files.json", "/admin/system/files.live", "/health/detailed",
    "/readyz?verbose",
]  # fmt: skip


@pytest.mark.parametrize("tab", PAGES)
async def test_every_page_is_there(client, tab):
    answer = await client.get(f"/admin/system/{tab}", headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert ">caf\\udce9.txt<" in answer.text  # the panel's name, in the row of tabs


@pytest.mark.parametrize("address", DOCUMENTS)
async def test_every_document_is_there(client, address):
    answer = await client.get(address)
    assert answer.status_code in (200, 503)  # a host with a failed plugin may say so
    assert json.loads(answer.text)
    if address.partition("?")[0].rpartition("/")[2] in {"reader", "unread", "files.json"}:
        assert "caf\\\\udce9.txt" in answer.text
