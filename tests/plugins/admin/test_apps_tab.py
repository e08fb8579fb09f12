"""The tab Apps: apps that are not there, those that failed, and those without which the host is not ready."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from plughost import Plugin, hookimpl
from plughost.contracts import PluginRecord, PluginState
from plughost.exceptions import AppError
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.admin.advice import about_plugins

pytestmark = pytest.mark.anyio
PAGE = {"Accept": "text/html"}
APPS: dict[str, Any] = {
    "shop": {"colour": {"$env": "NOBODY_SET_THIS"}, "required": True},
    "blog": {"colour": {"$env": "NOBODY_SET_THIS"}},
    "mail": {"required": True},
    "wiki": {},
}


class Clumsy(Plugin):
    name = "clumsy"

    @hookimpl
    def rollback_app(self, app_name: str) -> None:
        raise OSError("the disk is gone")


@pytest.fixture
async def client(serve):
    async with (
        serve(AdminPlugin, Clumsy, config={"apps": APPS}) as served,
        served.client(token=served.token("*")) as each,
    ):
        each.served = served
        yield each


async def cards(client: Any) -> dict[str, str]:
    """The card of each app on the page, as text."""
    text = (await client.get("/admin/system/apps", headers=PAGE)).text
    told = (html.unescape(re.sub(r"<[^>]+>", " ", card)) for card in text.split('<section class="card">')[1:])
    return {card.split()[0]: " ".join(card.split()) for card in told}


async def advice(client: Any) -> dict[str, str]:
    told = (await client.get("/admin/api/apps")).json()["advice"]
    return {each["subject"]: each["text"] for each in told}


async def test_an_app_that_is_not_registered_has_a_card_that_says_whether_it_is_required(client):
    told = await cards(client)
    assert sorted(told) == ["blog", "mail", "shop", "wiki"]
    assert told["shop"].startswith("shop required not registered")
    assert told["blog"].startswith("blog not registered")
    assert told["mail"].startswith("mail required registered")
    assert told["wiki"].startswith("wiki registered")
    said = await advice(client)
    assert sorted(said) == ["blog", "shop"]
    assert "NOBODY_SET_THIS" in said["shop"]
    assert said["shop"].endswith("The host is not ready without it.")
    assert "not ready" not in said["blog"]


async def test_what_failed_stands_once_and_is_counted_in_the_head(client):
    apps = client.served.host.apps
    await apps.unregister("mail")
    with pytest.raises(AppError):
        await apps.unregister("wiki", rollback=True)
    said = await advice(client)
    assert said["mail"] == "not registered. The host is not ready without it."
    assert said["wiki"].startswith("failed: ")
    assert "the disk is gone" in said["wiki"]
    text = (await client.get("/admin/system/apps", headers=PAGE)).text
    assert text.count("the disk is gone") == 1
    assert "not ready, 4 apps failed" in text


async def test_the_failure_of_a_registration_says_once_what_failed(serve):
    apps = {"shop": {"url": "sqlite:////proc/none/shop.db"}}
    async with (
        serve(AdminPlugin, allow=("database",), config={"apps": apps}) as served,
        served.client(token=served.token("*")) as client,
    ):
        text = (await advice(client))["shop"]
        assert text.startswith("not registered: open_connection of plugin 'database': ")


async def test_a_host_without_apps_says_how_one_comes(serve):
    async with serve(AdminPlugin) as served, served.client(token=served.token("*")) as client:
        assert "There is no app. Name one" in (await client.get("/admin/system/apps", headers=PAGE)).text


def test_a_required_plugin_that_is_switched_off_is_told_too():
    records = [
        PluginRecord(name=name, state=PluginState.DISABLED, required=name == "lamp", reason="switched off")
        for name in ("lamp", "vase")
    ]
    (only,) = about_plugins(records)
    assert (only.severity, only.subject) == ("fail", "lamp")
    assert only.text == "switched off. The host is not ready without it."
