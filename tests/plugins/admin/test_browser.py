"""The page in a real Chromium, under two prefixes: live figures, every action, accessibility, no complaint."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from msgspec import Struct
from playwright.sync_api import Browser, BrowserContext, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from browsing import Complaints, Films, Mailer, chromium
from plughost import Host, Plugin, PluginContext, hookimpl
from plughost.contracts import AdminPanel, AuthAttempt, CacheManager, SessionManager
from plughost.exceptions import PluginStartError
from plughost.http import PUBLIC, HttpSettings, Route
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.admin.traces import HookTrace
from plughost.plugins.cache.plugin import CachePlugin
from plughost.plugins.sessions.plugin import SessionsPlugin
from serving import LiveServer

TABS = ("sessions", "cache", "plugins", "apps", "health", "trace", "shelves")
QUICK = {"refresh": 0.2, "history": 1.0}
ACME = HttpSettings(environment="staging", rate_limits={"read": 10_000, "auth": 1000})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


class Visit:
    """A browser that is signed in, and what its pages complained about."""

    def __init__(self, context: BrowserContext, server: LiveServer, prefix: str) -> None:
        self.context = context
        self.server = server
        self.base = f"{server.address}{prefix}/admin/"
        self.complaints = Complaints()
        self.page = self.open()
        self.page.goto(f"{self.base}sign-in?code={server.app.runtime.sign_ins.make_link_code()}")

    def open(self) -> Page:
        page = self.context.new_page()
        self.complaints.listen(page)
        return page

    def tab(self, name: str) -> Page:
        self.page.goto(f"{self.base}system/{name}")
        return self.page

    def said(self, words: str) -> None:
        expect(self.page.locator(".notice.good")).to_contain_text(words)

    def told(self, path: str) -> Any:
        answer = self.page.request.get(f"{self.base}api/{path}")
        assert answer.ok, answer.status
        return answer.json()


Begin = Callable[..., Visit]


@pytest.fixture
def visit(live_server: Any, browser: Browser) -> Iterator[Begin]:
    opened: list[BrowserContext] = []

    def begin(prefix: str = "", *, javascript: bool = True, apps: dict[str, Any] | None = None) -> Visit:
        server = live_server(
            SessionsPlugin, CachePlugin, (AdminPlugin, QUICK), Films, settings=ACME, config={"apps": apps or {}},
            wrap=lambda app: Starlette(routes=[Mount(prefix, app=app)]) if prefix else app,
        )  # fmt: skip
        context = browser.new_context(viewport={"width": 1280, "height": 900}, java_script_enabled=javascript)
        context.set_default_timeout(15_000)
        opened.append(context)
        return Visit(context, server, prefix)

    yield begin
    for context in opened:
        context.close()


@pytest.mark.parametrize("prefix", ["", "/ops/plughost"])
def test_every_action_does_what_it_says(visit, prefix):
    seen = visit(prefix)
    host = seen.server.host
    expect(seen.page).to_have_url(f"{seen.base}system")

    page = seen.tab("sessions")
    page.locator("tr", has_text="linus").locator("summary", has_text="End").click()
    page.get_by_role("button", name="Yes, end").click()
    seen.said("of 12 ended, confirmed.")
    assert seen.told("sessions/users/12")["sessions"] == []
    page.get_by_label("Sessions of user", exact=True).fill("9")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_role("region", name="Sessions of 9").locator("strong")).to_have_text("grace")
    page.get_by_label("End all sessions of user").fill("7")
    page.get_by_role("button", name="End all", exact=True).last.click()
    seen.said("2 sessions of 7 ended in store sqlite, confirmed.")
    page.get_by_role("button", name="Clean up now").click()
    seen.said("removed, confirmed.")
    assert seen.told("sessions/stats")["active"] == 1

    page = seen.tab("cache")
    films = page.locator("section.cache", has=page.get_by_role("heading", name="films"))
    films.locator("summary", has_text="Flush").click()
    films.get_by_role("button", name="Yes, flush").click()
    seen.said("Cache films cleared of")
    page.locator("section.card", has_text="All caches").get_by_role("button", name="Warm").click()
    seen.said("loaded;")
    page.get_by_role("button", name="Remove expired").click()
    seen.said("removed;")
    page.locator("section.card", has_text="All caches").get_by_role("button", name="Reset figures").click()
    expect(page.locator(".notice")).to_contain_text("counted from zero again")
    seen.server.portal.call(host.use(CacheManager).get("searches").set, "find me", 1)
    page.get_by_label("Invalidate in").select_option("searches")
    page.get_by_label("key", exact=True).fill("find me")
    page.get_by_role("button", name="Invalidate").click()
    seen.said("1 entry of searches invalidated by key 'find me', confirmed.")
    page.locator("summary", has_text="Clear all").click()
    page.get_by_role("button", name="Yes, clear all").click()
    expect(page.locator(".notice")).to_contain_text("All caches cleared")

    page = seen.tab("plugins")
    row = page.locator("tr", has=page.get_by_text("films", exact=True)).first
    row.get_by_role("button", name="Reload").click()
    seen.said("films started anew")
    assert seen.told("plugins/films")["generation"] == 2
    row.locator("summary", has_text="Unload").click()
    row.get_by_role("button", name="Yes, unload").click()
    seen.said("films stopped, confirmed.")
    assert seen.told("plugins/films")["state"] == "stopped"
    row.get_by_role("button", name="Load").click()
    seen.said("films started, confirmed.")
    row.locator("summary", has_text="Disable").click()
    row.get_by_role("button", name="Yes, disable").click()
    seen.said("no configuration file")
    row.get_by_role("button", name="Enable").click()
    seen.said("films started, confirmed.")
    page.locator("summary", has_text="Reload all").click()
    page.get_by_role("button", name="Yes, reload all").click()
    seen.said("4 plugins reloaded, confirmed.")

    page = seen.tab("health")
    page.locator("tr", has_text="sync films").get_by_role("button", name="Run now").click()
    seen.said("Job films:sync films ran")
    page = seen.tab("shelves")
    page.locator("summary", has_text="Sort shelves").click()
    page.get_by_role("button", name="Yes, sort shelves").click()
    seen.said("5 shelves sorted.")

    verbs = [entry["verb"] for entry in seen.told("audit")["entries"]]
    assert len(verbs) == 17
    assert verbs[-1] == "sessions.end-one"
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert page.request.get(f"{seen.base}system").status == 401
    assert seen.complaints.heard == []


def test_figures_change_while_one_looks_and_rows_come_and_go(visit):
    seen = visit()
    page = seen.tab("sessions")
    expect(page.locator("#live-state")).to_have_text("live")
    expect(page.locator('[data-live="active"]')).to_have_text("4")
    sessions = seen.server.host.use(SessionManager)
    seen.server.portal.call(lambda: sessions.create("99", username="barbara"))
    expect(page.locator('[data-live="active"]')).to_have_text("5")
    expect(page.locator("td", has_text="barbara")).to_be_visible()
    page = seen.tab("cache")
    before = page.locator('[data-live="hits"]').inner_text()
    expect(page.locator('[data-live="hits"]')).not_to_have_text(before)
    expect(page.locator('[data-live="rate-chart-films"] polygon')).to_be_visible()
    page = seen.tab("plugins")
    with pytest.raises(PluginStartError):
        seen.server.portal.call(seen.server.host.load_plugin, Mailer)
    expect(page.locator(".advice.fail")).to_contain_text(
        "the mail server mail.example refused the connection"
    )
    assert seen.complaints.heard == []


def test_eight_tabs_are_open_at_once_and_none_is_held_up(visit):
    seen = visit()
    pages = [seen.open() for _ in range(8)]
    for number, page in enumerate(pages):
        page.goto(f"{seen.base}system/{TABS[number % len(TABS)]}")
    for page in pages:
        expect(page.locator("#live-state")).to_have_text(re.compile("live|polling"))
    # A browser without a screen takes all its pages for visible: only three of them may have a stream.
    assert seen.server.app.runtime.open_streams == 3
    for page in (seen.page, *pages[:7]):
        page.close()
    expect(pages[7].locator("#live-state")).to_have_text("live", timeout=30_000)
    assert seen.complaints.heard == []


def test_a_page_without_a_stream_polls(visit):
    seen = visit()
    seen.context.route("**/api/events*", lambda route: route.abort())
    page = seen.tab("sessions")
    expect(page.locator("#live-state")).to_have_text("polling", timeout=30_000)
    sessions = seen.server.host.use(SessionManager)
    seen.server.portal.call(lambda: sessions.create("99", username="barbara"))
    expect(page.locator('[data-live="active"]')).to_have_text("5", timeout=30_000)


def test_everything_can_be_done_without_javascript(visit):
    seen = visit(javascript=False)
    page = seen.tab("plugins")
    row = page.locator("tr", has=page.get_by_text("films", exact=True)).first
    row.locator("summary", has_text="Unload").click()
    row.get_by_role("button", name="Yes, unload").click()
    seen.said("films stopped, confirmed.")
    assert seen.complaints.heard == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_the_pages_are_kept_for_the_documentation(visit, scheme, tmp_path):
    seen = visit(
        apps={"shop": {"colour": "red", "required": True}, "blog": {"colour": {"$env": "BLOG_COLOUR"}}}
    )
    with pytest.raises(PluginStartError):
        seen.server.portal.call(seen.server.host.load_plugin, Mailer)
    for path in ("films", "films", "films/broken", "films"):
        seen.page.request.get(f"{seen.server.address}/{path}")
    checker = Axe()
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    seen.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for tab in TABS:
        page = seen.tab(tab)
        expect(page.locator("#live-state")).to_have_text("live")
        if tab == "cache":
            expect(page.locator('[data-live="rate-chart-films"] polygon')).to_be_visible()
        page.screenshot(path=folder / f"admin-{tab}-{scheme}.png", full_page=True)
        _assert_accessible(checker, page)
    seen.server.portal.call(_call_some_hooks, seen.server.host)
    for name, path in (("trace", "trace"), ("plugin", "plugins/sessions"), ("failed", "plugins/mailer")):
        page = seen.tab(path)
        page.screenshot(path=folder / f"admin-{name}-{scheme}.png", full_page=True)
        _assert_accessible(checker, page)
    seen.page.set_viewport_size({"width": 390, "height": 844})
    for path in (*TABS, "plugins/sessions", "plugins/mailer"):
        page = seen.tab(path)
        page.screenshot(path=folder / f"phone-{path.replace('/', '-')}-{scheme}.png", full_page=True)
        _assert_accessible(checker, page)
    seen.page.set_viewport_size({"width": 1280, "height": 900})
    seen.context.clear_cookies()
    page = seen.page
    page.goto(f"{seen.base}system/plugins")
    page.screenshot(path=folder / f"admin-sign-in-{scheme}.png")
    _assert_accessible(checker, page)


def test_a_narrow_screen_shows_everything_without_scrolling_sideways(visit):
    seen = visit()
    seen.page.set_viewport_size({"width": 390, "height": 800})
    for tab in (*TABS, "plugins/sessions", "plugins/films"):
        page = seen.tab(tab)
        wide = page.locator("body").evaluate("body => body.scrollWidth")
        assert wide <= 390, tab
        # Nor does anything stick out of a region that scrolls by itself: buttons must be seen to be found.
        for button in page.locator("main button:visible, main summary:visible, main input:visible").all():
            box = button.bounding_box()
            assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= 390), (
                tab,
                button.inner_text(),
            )


class Wordy(Plugin):
    """Its name, what it keeps, its route and its panel have no place on a phone as they are."""

    name = "a_very_long_name_of_a_plugin_that_somebody_wrote_one_day"
    version = "2026.11.29.dev1234+gdeadbeefcafebabedeadbeefcafebabe"
    cells = ("Host", "State", "Ready", "Heard of", "Revision", "Trouble", "Started", "Skipped")

    class Config(Struct):
        """What it is told.

        Attributes:
            setting_whose_name_says_all_that_it_does_and_when_and_for_whom: Of Llanfairpwllgwyngyllgogerychwyrndrobwll.
        """

        setting_whose_name_says_all_that_it_does_and_when_and_for_whom: str = "/srv/data/" * 9

    async def start(self, context: PluginContext) -> None:
        words = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
        metadata = {
            "device": "Mobile Safari 17.4 on iPhone 15 Pro Max",
            "ip_address": "2001:db8:85a3::8a2e:370:7334",
        }
        await context.use(SessionManager).create(f"{words}@example.com", username=words, metadata=metadata)
        await (
            context.use(CacheManager)
            .get("a-cache-as-long-as-they-may-be.tenant-123456789.prices")
            .set("a", 1)
        )
        context.every(3600, self.wait, name=words)

    def wait(self) -> None:
        """Does nothing."""

    @hookimpl
    def before_auth(self, attempt: AuthAttempt) -> None:
        """Does nothing."""

    @hookimpl
    def register_routes(self) -> list[Route]:
        async def nothing(request: Request) -> Response:
            return Response()

        return [
            Route(
                "/a/very/long/way/to/{something}/and/{something_else}/and/{yet_another}",
                nothing,
                guard=PUBLIC,
            )
        ]

    @hookimpl
    def health_check(self, app_name: str | None) -> dict[str, Any]:
        return {"status": "warn", "figures_that_say": self.version * 3}

    @hookimpl
    def register_admin_panels(self) -> list[AdminPanel]:
        labelled = "".join(f'<td data-label="{cell}">{cell}</td>' for cell in self.cells)
        bare = "".join(f"<td>{cell}</td>" for cell in self.cells)
        table = (
            f"<table><tbody><tr>{labelled}</tr></tbody></table><table><tbody><tr>{bare}</tr></tbody></table>"
        )
        choice = f"<label>Plugin <select><option>{self.name}</option></select></label>"
        template = f'<section class="card">{table}{choice}</section>'
        return [AdminPanel(name="words", title="Words", data=dict, scope="words:read", template=template)]


@pytest.mark.parametrize("width", [390, 1280])
def test_long_names_push_nothing_off_the_screen(visit, width):
    seen = visit()
    seen.server.portal.call(seen.server.host.load_plugin, Wordy)
    seen.page.request.get(f"{seen.server.address}/a/very/long/way/to/somewhere/and/back/and/there")
    seen.page.set_viewport_size({"width": width, "height": 900})
    for path in (*TABS, f"plugins/{Wordy.name}", "words"):
        page = seen.tab(path)
        assert page.locator("html").evaluate("html => html.scrollWidth") == width, path
        hidden = page.locator(".scroll").evaluate_all(
            "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.ariaLabel)"
        )
        assert hidden == [], path
        broken = page.locator(".state").evaluate_all(
            "all => all.filter(one => one.offsetHeight > 30).map(one => one.innerText)"
        )
        assert broken == [], path


@pytest.mark.parametrize("path", ["plugins", f"plugins/{Wordy.name}", "words", "cache"])
def test_long_names_tables_of_plugins_and_questions_fit_a_narrow_screen(visit, path):
    seen = visit()
    seen.server.portal.call(seen.server.host.load_plugin, Wordy)
    seen.page.set_viewport_size({"width": 390, "height": 800})
    page = seen.tab(path)
    assert page.locator("html").evaluate("html => html.scrollWidth") == 390
    for name in page.locator(".grouped .first .mono").all():
        # A line or two, not letters below each other.
        assert name.bounding_box()["height"] < 50, name.inner_text()
    for state in page.locator(".stand .state").all():
        assert state.bounding_box()["height"] < 30, state.inner_text()
    for question in page.locator("details.confirm > summary:visible").all()[:3]:
        question.click()
        box = page.locator("details.confirm[open] .ask").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    assert page.locator("html").evaluate("html => html.scrollWidth") == 390


@pytest.mark.parametrize("width", [390, 1280])
def test_one_question_is_open_at_a_time_and_escape_closes_it(visit, width):
    seen = visit()
    seen.page.set_viewport_size({"width": width, "height": 800})
    page = seen.tab("plugins")
    row = page.locator("tr", has=page.get_by_text("films", exact=True)).first
    opened = page.locator("details.confirm[open]")
    row.locator("summary", has_text="Unload").click()
    expect(opened).to_have_count(1)
    row.locator("summary", has_text="Disable").click()
    expect(opened).to_have_count(1)
    expect(opened.locator("p")).to_have_text("Disable films? It stays off after a restart.")
    page.keyboard.press("Escape")
    expect(opened).to_have_count(0)
    expect(row.locator("summary", has_text="Disable")).to_be_focused()
    row.locator("summary", has_text="Unload").click()
    page.locator("h1").click()
    expect(opened).to_have_count(0)
    assert seen.complaints.heard == []


def test_the_words_of_the_search_box_are_whole_on_a_narrow_screen(visit):
    seen = visit()
    seen.page.set_viewport_size({"width": 390, "height": 800})
    box = seen.tab("plugins").get_by_label("Search plugins")
    needed, there = box.evaluate("""box => {
        const style = getComputedStyle(box), pen = document.createElement("canvas").getContext("2d");
        pen.font = style.font;
        const room = box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
        return [pen.measureText(box.placeholder).width, room];
    }""")
    assert needed <= there


def test_a_failure_stands_once_and_leads_to_its_plugin(visit):
    seen = visit()
    with pytest.raises(PluginStartError):
        seen.server.portal.call(seen.server.host.load_plugin, Mailer)
    seen.page.set_viewport_size({"width": 390, "height": 800})
    for tab in ("plugins", "health", "plugins/mailer"):
        page = seen.tab(tab)
        told = page.locator("main > :not(#log)").get_by_text("refused the connection").locator("visible=true")
        expect(told.and_(page.locator(":not(pre)"))).to_have_count(1)
    page = seen.tab("plugins")
    page.locator(".advice").get_by_role("link", name="mailer").click()
    row = page.locator("tr", has=page.get_by_role("link", name="mailer"))
    expect(row).to_be_in_viewport()
    expect(row).to_have_css("scroll-margin-top", re.compile("[1-9]"))
    assert seen.complaints.heard == []


def test_the_list_of_plugins_is_filtered_while_one_types(visit):
    seen = visit()
    page = seen.tab("plugins")
    rows = page.locator("#plugin-rows tbody tr:visible")
    assert rows.count() >= 4
    page.get_by_label("Search plugins").fill("fil")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("films")
    page.get_by_role("link", name="films", exact=True).click()
    expect(page.locator("h1")).to_have_text("films")
    page.go_back()
    expect(page).to_have_url(re.compile(r"q=fil$"))
    assert seen.complaints.heard == []


async def _call_some_hooks(host: Host) -> None:
    host.use(HookTrace).start(host)
    await host.auth.authenticate(AuthAttempt(username="ada", credentials="x"))
    await host.health()


def _assert_accessible(checker: Axe, page: Page) -> None:
    # The policy of the page forbids foreign scripts, this one too: it is put in by the debugger instead.
    found = checker.run(page)
    assert found.violations_count == 0, found.generate_report()
