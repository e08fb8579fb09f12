"""Grades are work for a plugin's author: asked for on its own page, never in passing by everybody who looks."""

from __future__ import annotations

import pytest

from plughost import checks
from plughost.checks import grades_of
from plughost.plugins.admin import AdminPlugin

pytestmark = pytest.mark.anyio

CARELESS = """
from plughost import Plugin

class P(Plugin):
    async def start(self, context):
        self.context = context
"""
PAGE = {"Accept": "text/html"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_running_plugin_has_a_grade_and_what_is_missing_for_the_next(serve, install):
    install("careless", CARELESS, card='description = "Does next to nothing"')
    install("careful", CARELESS, card='description = "Does next to nothing too"')
    async with serve(allow=("careless", "careful")) as served:
        grades = await grades_of(served.host)
        assert grades["careless"].grade == "bronze"
        assert grades["careless"].missing
        assert set(await grades_of(served.host, ["careful"])) == {"careful"}


@pytest.mark.parametrize(
    "path",
    ["system", "system/plugins", "system/plugins.json", "system/plugins.live", "api/plugins", "api/plugins/careless"],
)  # fmt: skip
async def test_looking_at_plugins_reads_and_parses_no_source(serve, install, monkeypatch, path):
    def parse(*_: object) -> None:
        raise AssertionError("a request had a plugin graded")

    install("careless", CARELESS, card='description = "Does next to nothing"')
    async with (
        serve(AdminPlugin, allow=("careless",)) as served,
        served.client(token=served.token("*")) as client,
    ):
        monkeypatch.setattr(checks.running, "_grades", parse)
        answer = await client.get(f"/admin/{path}", headers=PAGE if path.count(".") == 0 else {})
        assert answer.status_code == 200
        assert "careless" in answer.text
