"""The tab of Plex on the admin page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest

from plughost.plugins.admin import AdminPlugin

pytestmark = pytest.mark.anyio


@pytest.fixture
async def administrator(suite, ada):
    """Give the browser of somebody who may everything, on the tab."""
    await suite.host.load_plugin(AdminPlugin())
    await ada.get("/api/plex/libraries")
    browser = suite.browser().client
    browser.headers.update({"Accept": "text/html", "Origin": "http://127.0.0.1"})
    code = suite.app.runtime.sign_ins.make_link_code()
    await browser.get("/admin/sign-in", params={"code": code})
    return browser


async def press(browser: httpx2.AsyncClient, action: str, **fields: str) -> httpx2.Response:
    answer = await browser.post(f"/admin/system/plex/{action}", data=fields)
    assert answer.status_code == 303, answer.text
    return await browser.get(urljoin(str(answer.url), answer.headers["location"]))


async def shown(browser: httpx2.AsyncClient) -> dict[str, Any]:
    answer = await browser.get("/admin/system/plex.json")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_who_uses_which_server_is_shown_and_can_be_changed(administrator, ada):
    page = (await administrator.get("/admin/system/plex")).text
    assert "ada to Far" in page
    assert "token-of" not in page
    page = (await press(administrator, "switch", to="plex:1001 machine-far")).text
    assert "Calls of ada go to Far now." in page
    assert "ada to Home" in page
    current = [(row["server"], row["current"]) for row in (await shown(administrator))["servers"]]
    assert current == [("Home", False), ("Far", True)]
    await ada.get("/api/plex/ondeck")
    assert ada.fakes.far.count("/library/onDeck") == 1


@pytest.mark.parametrize("to", ["", "plex:1001 machine-else", "plex:4711 machine-far", " ", "machine-far"])
async def test_a_server_that_somebody_does_not_have_is_not_switched_to(administrator, to):
    assert "Nothing was changed" in (await press(administrator, "switch", to=to)).text
    assert [row["current"] for row in (await shown(administrator))["servers"]] == [True, False]


async def test_a_server_that_only_a_relay_reaches_is_warned_of(administrator):
    assert "Only a relay" not in (await administrator.get("/admin/system/plex")).text
    page = (await press(administrator, "probe")).text
    assert "2 servers answer, 0 do not." in page
    assert "<strong>Far</strong><span>Only a relay of Plex reaches this server" in page
    assert (await shown(administrator))["relayed"] == ["Far"]
