"""What plugins hand over as panels of the page: whatever it is, the panels of the others are there."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from plughost import Plugin, hookimpl
from plughost.contracts import AdminPanel, PanelAction
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.admin.live import Live
from plughost.plugins.admin.tabs import Tabs

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


class Ends(dict[str, Any]):
    def items(self) -> Any:
        raise SystemExit(6)


async def is_cancelled() -> Any:
    raise asyncio.CancelledError


def leaves(*_: object) -> Any:
    raise SystemExit(3)


FIGURES: dict[str, Callable[[], Any]] = {
    "leaves": leaves,
    "cancelled": is_cancelled,
    "closed": lambda: (_ for _ in ()).throw(GeneratorExit),
    "ends": lambda: Ends(a=1),
}
TEMPLATES = {"divides": "{{ 1 // 0 }}", "unfinished": "{{ data.x(", "leaves": "{{ data.x }}"}


class Strange(Plugin):
    name = "strange"

    @hookimpl
    def register_admin_panels(self) -> list[AdminPanel]:
        action = PanelAction(name="leave", title="Leave", scope="x:write", run=leaves)
        says = PanelAction(name="say", title="Say", scope="x:write", run=lambda _: Leaves())
        return [
            AdminPanel(name="acts", title="Acts", scope="x:read", data=dict, actions=(action, says)),
            *(AdminPanel(name=name, title=name, scope="x:read", data=data) for name, data in FIGURES.items()),
            *(
                AdminPanel(
                    name=f"t-{name}", title=name, scope="x:read", data=lambda: {"x": 1}, template=template
                )
                for name, template in TEMPLATES.items()
            ),
        ]


@pytest.fixture
async def strange(serve):
    base = "http://testserver/admin/system/"
    async with (
        serve(AdminPlugin, Strange) as served,
        served.client(token=served.token("*"), base=base) as client,
    ):
        client.served = served
        yield client


@pytest.mark.parametrize("panel", [*FIGURES, "t-divides", "t-unfinished"])
async def test_a_panel_that_fails_says_so_on_its_own_page_and_the_log_knows_why(strange, panel, caplog):
    page = await strange.get(panel, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "failed; the log knows more." in html.unescape(page.text)
    assert (await strange.get(f"{panel}.live")).status_code == 500
    assert (await strange.get("plugins", headers={"Accept": "text/html"})).status_code == 200
    told = [record for record in caplog.records if "part of the page failed" in record.getMessage()]
    assert len(told) == 1


async def test_who_watches_a_panel_that_ends_the_program_ends_nothing(strange):
    events = strange.served.host.plugin("admin")
    admin = strange.served.app.runtime
    tabs = Tabs(5)
    live = Live(tabs, None, lambda *_: {}, every=0.001)
    async with anyio.create_task_group() as group:
        group.start_soon(live.run)
        watched = live.watch(admin, tabs.find(admin, "leaves"), None)
        for _ in range(2):
            assert "panel_failed" in (await anext(watched))["data"]
        await watched.aclose()
        group.cancel_scope.cancel()
    assert events.state == "ready"


@pytest.mark.parametrize(
    ("action", "said"), [("leave", "failed; the log knows more"), ("say", "whose repr raises")]
)
async def test_an_action_that_ends_the_program_or_says_so_is_told_of(strange, action, said):
    answer = await strange.post(f"acts/{action}", headers={"Origin": "http://testserver"})
    assert answer.status_code == 303
    page = await strange.get(answer.headers["location"].removeprefix("../"), headers={"Accept": "text/html"})
    assert said in page.text
