"""What plugins hand over as panels of the page: whatever it is, the panels of the others are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plughost import Plugin, hookimpl
from plughost.contracts import AdminPanel
from plughost.plugins.admin import AdminPlugin

pytestmark = pytest.mark.anyio
GOOD = AdminPanel(name="good", title="Good", scope="good:read", data=lambda: {"shown": 1})


def broken_off() -> Iterator[AdminPanel]:
    yield AdminPanel(name="half", title="Half", scope="x:read", data=dict)
    raise RuntimeError("no more panels")


class Leaves:
    """Ends the program whenever somebody wants to go through it, or to know what it is."""

    def __iter__(self) -> Iterator[AdminPanel]:
        raise SystemExit(3)

    def __repr__(self) -> str:
        raise SystemExit(4)


HANDED_OVER: dict[str, Callable[[], Any]] = {
    "an iterator that breaks off": broken_off,
    "something that ends the program": Leaves,
    "a list of such": lambda: [Leaves()],
    "a panel by itself": lambda: GOOD,
    "a text": lambda: "panels",
    "a number": lambda: 3,
    "a list of texts": lambda: ["panel"],
}


@pytest.mark.parametrize("what", HANDED_OVER)
async def test_the_panels_of_others_are_there_whatever_a_plugin_hands_over(serve, what):
    class Bad(Plugin):
        name = "bad"

        @hookimpl
        def register_admin_panels(self) -> Any:
            return HANDED_OVER[what]()

    class Good(Plugin):
        name = "good"

        @hookimpl
        def register_admin_panels(self) -> Any:
            return [GOOD]

    async with serve(Bad, AdminPlugin, Good) as served, served.client(token=served.token("*")) as client:
        page = await client.get("/admin/system/plugins", headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert ">Good<" in page.text
        assert "Half" not in page.text
        assert (await client.get("/admin/system/good.json")).json()["shown"] == 1
