"""`/admin/system/fleet` in a real Chromium: a roll-out under way, one taken back, what differs first, every button."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from typing import Any

import anyio
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from browsing import Complaints, chromium
from plughost import Host
from plughost.contracts import Fleet, FleetChange, Greeting, Rollout, RolloutPlan
from plughost.http import HttpSettings
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
from serving import LiveServer, live_server

__all__ = ["live_server"]

CODE = """
import msgspec
from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, Route
from starlette.responses import PlainTextResponse

class Config(msgspec.Struct):
    screens: int = 5

class Films(Plugin):
    version = "2.1.0"
    Config = Config

    async def start(self, context):
        if context.config.screens > 100:
            raise RuntimeError("there are 12 screens in the house, and not more")
        context.cron("0 3 * * *", self.sync, name="sync", scope="fleet")

    def sync(self):
        pass

    @hookimpl
    def register_routes(self, context):
        return [Route("/films", self.list, guard=PUBLIC)]

    async def list(self, request):
        return PlainTextResponse("Alien")

class Posters(Plugin):
    version = "1.4.2"
"""
PLAN = RolloutPlan(settle=600.0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


class Cinema:
    """Three hosts, the page of one of them, and a fourth that was lost."""

    def __init__(self, folder: Path, code: str, live_server: Any, stack: ExitStack, browser: Browser) -> None:
        self.file = folder / "fleet.db"
        self._secret = folder / "secret"
        self._secret.touch(mode=0o600)
        self._secret.write_text("s" * 48)
        self._code = code
        settings = HttpSettings(environment="staging", rate_limits={"read": 10_000, "auth": 1000})
        self.server: LiveServer = live_server(config=self.config(folder, "north"), settings=settings)
        south = Host("cinema", config=self.config(folder, "south"), environ={})
        off = {"PLUGHOST_PLUGINS__POSTERS__ENABLED": "false"}
        west = Host("cinema", config=self.config(folder, "west"), environ=off)
        for host in (south, west):
            stack.enter_context(self.server.portal.wrap_async_context_manager(host))
        self.server.portal.call(self._lose_one)
        self.fleet: Any = self.server.host.use(Fleet)  # type: ignore[type-abstract]
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(30_000)
        stack.callback(context.close)
        self.complaints = Complaints()
        self.page: Page = context.new_page()
        self.complaints.listen(self.page)
        self.page.goto(self.server.sign_in_link())

    def config(self, folder: Path, name: str) -> dict[str, Any]:
        fleet = {
            "name": "cinema",
            "path": str(self.file),
            "secret_file": str(self._secret),
            "member_name": name,
            "interval": 5,
        }
        allow = ["fleet", "films", "posters", "admin", "cache"]
        return {
            "host": {"name": "cinema", "data_dir": str(folder / name), "allow": allow},
            "plugins": {
                "fleet": {"config": fleet},
                "films": {"module": f"{self._code}:Films"},
                "posters": {"module": f"{self._code}:Posters"},
                "admin": {"config": {"refresh": 0.2}},
            },
        }

    async def _lose_one(self) -> None:
        store = SqliteFleetStore(self.file, fleet="cinema")
        await store.open()
        await store.join(Greeting(member="east", ttl=1))
        await store.close()

    def propose(self, change: FleetChange, until: str) -> Rollout:
        """Have a change made, and wait until it came so far."""

        async def work() -> Rollout:
            rollout = await self.fleet.propose(change, PLAN, author="ada@office")
            with anyio.fail_after(60):
                while rollout.state != until:
                    await anyio.sleep(0.05)
                    rollout = await self.fleet.rollout(rollout.id)
            return rollout

        found: Rollout = self.server.portal.call(work)
        return found

    def look(self) -> Page:
        self.page.goto(f"{self.server.address}/admin/system/fleet")
        expect(self.page.locator("#live-state")).to_have_text("live")
        return self.page


@pytest.fixture
def cinema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live_server: Any, browser: Browser
) -> Iterator[Cinema]:
    code = f"cinema_{token_hex(4)}"
    (tmp_path / f"{code}.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    with ExitStack() as stack:
        yield Cinema(tmp_path, code, live_server, stack, browser)


Keep = Callable[[Page, str], None]


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Keep pictures of a page at both widths and in both schemes, after looking whether everybody can use it."""
    folder, checker = Path(os.environ.get("SCREENSHOTS") or tmp_path), Axe()

    def take(page: Page, name: str) -> None:
        for device, width in (("admin", 1280), ("phone", 390)):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
                page.screenshot(path=folder / f"{device}-{name}-{scheme}.png", full_page=True)
                found = checker.run(page)
                assert found.violations_count == 0, found.generate_report()
            assert page.locator("body").evaluate("body => body.scrollWidth") <= width
        page.set_viewport_size({"width": 1280, "height": 900})

    return take


@pytest.mark.timeout(300)
def test_the_page_shows_what_is_under_way_what_was_taken_back_and_what_differs_first(
    cinema: Cinema, keep: Keep
) -> None:
    cinema.propose(
        FleetChange("configure", "films", "a new house", config={"screens": 1200}), until="reverted"
    )
    page = cinema.look()
    expect(page.locator("h2 .state.reverted")).to_be_visible()
    expect(page.locator(".advice")).to_contain_text("there are 12 screens in the house")
    expect(page.locator(".advice code")).to_have_text("plughost info films")
    expect(page.locator("[data-live=hosts] tr", has_text="this host")).to_contain_text("north")
    expect(page.locator("[data-live=plugins] tbody tr").first).to_contain_text("posters")
    page.set_viewport_size({"width": 390, "height": 900})
    expect(page.get_by_role("button", name="Abort")).to_be_hidden()
    lost = page.locator("[data-live=hosts] tr", has_text="east")
    expect(lost.locator("[data-label='Failed calls']")).to_be_hidden()
    keep(page, "fleet-reverted")

    cinema.propose(FleetChange("reload", "films", "a new programme"), until="settling")
    page = cinema.look()
    expect(page.locator("h2 .state.settling")).to_be_visible()
    expect(page.get_by_text("Waits for north to stay ready for 600 s.")).to_be_visible()
    expect(page.locator("[data-live=rollout] tbody tr")).to_have_text(
        ["northapplied", "southnot yet", "westnot yet"]
    )
    keep(page, "fleet")

    expect(page.get_by_role("button", name="Resume")).to_be_hidden()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("h2 .state.paused")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("h2 .state.paused")).to_have_count(0)
    page.get_by_role("button", name="Abort").click()
    expect(page.locator("h2 .state.reverted")).to_be_visible()
    expect(page.get_by_role("button", name="Abort")).to_be_hidden()
    page.get_by_role("button", name="Run now").click()
    expect(page.locator(".notice.good")).to_contain_text("films:sync runs once")
    expect(page.locator("[data-live=jobs] .state.done")).to_be_visible()
    page.get_by_label("Host", exact=True).select_option("west")
    page.get_by_role("button", name="Drain", exact=True).click()
    expect(page.locator(".state.draining")).to_be_visible()
    page.get_by_label("Host", exact=True).select_option("west")
    page.get_by_role("button", name="Undrain", exact=True).click()
    expect(page.locator(".state.draining")).to_have_count(0)
    assert cinema.complaints.heard == []
