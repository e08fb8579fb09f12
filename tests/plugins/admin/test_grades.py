"""The grade of each plugin, as `plughost check` gives it, on the page and in its JSON twin."""

from __future__ import annotations

import pytest

from plughost.checks import grades_of
from plughost.plugins.admin import AdminPlugin

pytestmark = pytest.mark.anyio

CARELESS = """
from plughost import Plugin

class P(Plugin):
    async def start(self, context):
        self.context = context
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_running_plugin_has_a_grade_and_what_is_missing_for_the_next(serve, install):
    install("careless", CARELESS, card='description = "Does next to nothing"')
    async with serve(allow=("careless",)) as served:
        grades = await grades_of(served.host)
        assert grades["careless"].grade == "bronze"
        assert grades["careless"].missing


async def test_the_plugins_tab_shows_the_grade(serve, install):
    install("careless", CARELESS, card='description = "Does next to nothing"')
    async with (
        serve(AdminPlugin, allow=("careless",)) as served,
        served.client(token=served.token("*")) as client,
    ):
        told = (await client.get("/admin/api/plugins")).json()
        assert told["plugins"]["careless"]["grade"]["grade"] == "bronze"
        assert (
            told["plugins"]["admin"]["grade"] is None
        )  # loaded by hand: there is no distribution to look at
        page = await client.get("/admin/system/plugins", headers={"Accept": "text/html"})
        assert ">bronze</span>" in page.text
