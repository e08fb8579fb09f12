"""The demo as one starts it, in a real Chromium: sign-in, films, a clip, trouble, recovery, a part that goes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from plughost_media.demo import OWN_KEY

_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
_PLAYS = "video => new Promise(done => video.addEventListener('timeupdate', () => video.currentTime > 0.3 && done()))"
_ALL: dict[str, object] = {}
_COLOURS = {"runOnly": ["color-contrast"]}
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "plughost_media", "--demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        yield demo.stdout.readline().strip()
        demo.terminate()
        assert demo.wait(20) in (0, -15)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path is not None, "the browser tests need Chromium: apt-get install chromium, or set CHROMIUM"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=_QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module")
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(address)
    page.get_by_role("button", name="Sign in with Plex").click()
    expect(page.get_by_role("heading", name="A fake of plex.tv asks")).to_be_visible()
    expect(page.locator("#product")).to_have_text("plughost media")
    page.get_by_role("button", name="Allow as ada").click()
    expect(page.locator("#who-name")).to_have_text("ada")
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
    page.goto(address)
    expect(page.locator("#who-name")).to_have_text("ada")
    yield page
    page.close()
    assert complaints == []


def box(page: Page, name: str) -> Page:
    return page.locator(f'[data-box="{name}"]')  # type: ignore[return-value] - it is asked the same things


def give(page: Page, upstream: str, kind: str) -> None:
    page.locator(f'select[name="{upstream}"]').select_option(kind)


def test_one_sees_the_own_films_what_goes_on_and_a_clip_that_plays(page: Page) -> None:
    expect(box(page, "trending").locator("li")).to_have_count(20)
    expect(box(page, "trending").locator("li img").first).to_have_js_property("naturalWidth", 342)
    expect(box(page, "trending")).to_contain_text("not endorsed or certified by TMDB")
    expect(box(page, "library").locator("li")).to_have_count(18)
    expect(box(page, "ondeck").locator("li")).to_have_count(2)
    expect(box(page, "activities").locator("progress")).to_have_attribute("value", "37")
    expect(box(page, "figures")).to_contain_text("watching now")
    expect(box(page, "figures").locator(".age")).to_have_text(re.compile(r"^\d+ (s|min) old$"))
    expect(page.locator("#saved-text")).to_contain_text("calls saved")
    expect(box(page, "library").locator("img").first).to_have_js_property("naturalWidth", 342)
    page.get_by_role("button", name="Play Metropolis").click()
    expect(page.locator("#player-text")).to_contain_text("Conversion OK.")
    page.locator("video").evaluate(_PLAYS)
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#player")).to_be_hidden()


def test_what_is_put_on_the_list_is_there_and_something_like_it_is_recommended(page: Page) -> None:
    expect(box(page, "watchlist")).to_contain_text("Nothing yet")
    add = box(page, "trending").locator(".listing button").first
    title = (add.get_attribute("aria-label") or "").removeprefix("Put ").removesuffix(" on your list")
    add.click()
    expect(box(page, "watchlist")).to_contain_text(title)
    page.reload()
    expect(box(page, "recommended").locator("li").first).to_be_visible()
    page.get_by_role("button", name=f"Take {title} off your list").click()
    expect(box(page, "watchlist")).to_contain_text("Nothing yet")


def test_what_is_marked_as_seen_is_in_the_history_and_can_be_taken_back(page: Page) -> None:
    expect(box(page, "history")).to_contain_text("Nothing yet")
    page.get_by_role("button", name="Mark Metropolis as seen").click()
    expect(box(page, "history").locator("li")).to_have_text(
        re.compile(r"Metropolis\s*(just now|\d+ (s|min) ago)")
    )
    page.get_by_role("button", name="Mark Metropolis as not seen").click()
    expect(box(page, "history")).to_contain_text("Nothing yet")
    expect(page.get_by_role("button", name="Mark Metropolis as seen")).to_be_visible()


def test_what_the_wall_shows_is_a_setting_that_stays_and_the_keyboard_keeps_its_place(page: Page) -> None:
    chosen = page.get_by_label("The wall shows")
    chosen.focus()
    for key, heading in (
        ("ArrowDown", "Trending today"),
        ("ArrowUp", "Trending this week"),
        ("End", "Series of today"),
    ):
        page.keyboard.press(key)
        expect(page.locator("#trending-title")).to_contain_text(heading)
        expect(page.get_by_label("The wall shows")).to_be_focused()
    page.reload()
    expect(page.locator("#trending-title")).to_contain_text("Series of today")
    chosen.select_option("all/week")
    expect(page.locator("#trending-title")).to_contain_text("Trending this week")


def test_how_much_was_asked_and_saved_is_told_for_each_service(page: Page) -> None:
    for source in ("plex", "tmdb"):
        named = page.locator("span", has_text=re.compile(f"^{source}$"))
        expect(box(page, "usage").locator("li", has=named)).to_contain_text(
            re.compile(r"\d+ answers?, \d+ % saved; \d+ calls? in all")
        )


def test_what_a_form_could_not_do_is_said(page: Page) -> None:
    page.route("**/media/do/**", lambda route: route.abort())
    page.get_by_role("button", name="Mark Metropolis as seen").click()
    expect(box(page, "library").locator(".age")).to_have_text(
        "That was not done: this server does not answer."
    )
    page.unroute("**/media/do/**")
    page.route("**/api/plex/stream/**", lambda route: route.abort())
    page.get_by_role("button", name="Play Metropolis").click()
    expect(page.locator("#player-text")).to_have_text("The film cannot be played: the stream broke off.")
    page.keyboard.press("Escape")
    expect(page.locator("#player")).to_be_hidden()


def test_no_token_is_in_the_browser(page: Page) -> None:
    kept = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])") + page.content()
    assert "token" not in kept.replace("Access Token", "").replace("Its token stays", "")


def test_another_server_can_be_used(page: Page) -> None:
    page.get_by_role("button", name="Use Summer house").click()
    expect(box(page, "library").locator("li")).to_have_count(7)
    expect(box(page, "servers")).to_contain_text("relay")
    page.get_by_role("button", name="Use Home").click()
    expect(box(page, "library").locator("li")).to_have_count(18)


def test_an_own_key_is_used_and_taken_back_and_never_shown(page: Page) -> None:
    for key, said in (
        ("wrong-read-token", "does not accept this key"),
        (OWN_KEY, f"your own key, ending in {OWN_KEY[-4:]}."),
    ):
        page.get_by_label("API Read Access Token").fill(key)
        page.get_by_role("button", name="Use this key").click()
        expect(box(page, "key")).to_contain_text(said)
        expect(page.get_by_label("API Read Access Token")).to_have_value("")
    assert OWN_KEY not in page.content()
    page.get_by_role("button", name="Use the shared one").click()
    expect(page.locator("#key-state")).to_have_text("You use the shared key.")


@pytest.mark.parametrize("kind", [pytest.param("garbage", marks=pytest.mark.soak), "away"])
def test_in_trouble_the_last_good_answer_stays_and_says_so_until_all_is_well(page: Page, kind: str) -> None:
    activities = box(page, "activities")
    expect(activities.locator("progress")).to_have_attribute("value", "37")
    give(page, "home", kind)
    expect(activities.locator(".age")).to_have_text(re.compile("stale, [0-9]+ s old"))
    expect(activities.locator("progress")).to_have_attribute("value", "37")
    expect(box(page, "library").locator("li")).to_have_count(18)
    give(page, "home", "well")
    expect(activities.locator(".age")).to_have_text(re.compile("^(fresh|[0-9]+ s old)$"))


def test_a_part_that_is_unloaded_is_named_and_the_rest_goes_on(page: Page) -> None:
    page.get_by_role("button", name="Unload plex").click()
    expect(box(page, "parts").locator("li", has_text="plex")).to_contain_text("away")
    expect(box(page, "activities").locator(".age")).to_have_text("The part plex is away.")
    expect(box(page, "activities")).to_have_attribute("data-away", "")
    expect(box(page, "trending").locator(".age")).not_to_have_class(re.compile("bad"))
    expect(box(page, "library").locator("li")).to_have_count(18)  # as it was last
    page.reload()
    expect(box(page, "library")).to_contain_text("Nothing to show.")
    expect(box(page, "trending").locator("li")).to_have_count(20)
    page.get_by_role("button", name="Load plex").click()
    expect(box(page, "activities").locator(".age")).to_have_text(re.compile("fresh|old"))
    expect(box(page, "library").locator("li")).to_have_count(18)
    for name in ("activities", "library"):
        expect(box(page, name)).not_to_have_attribute("data-away", "")


def test_a_part_that_others_stand_on_is_named_where_it_is_missed(page: Page) -> None:
    page.get_by_role("button", name="Unload vault").click()
    expect(box(page, "parts").locator("li", has_text="vault")).to_contain_text("away")
    expect(box(page, "trending").locator("li")).to_have_count(20)
    give(page, "home", "500")  # nothing is asked without a token, so this does not trouble them
    expect(box(page, "activities").locator(".age")).to_have_text(re.compile("stale|vault is away"))
    give(page, "home", "well")
    page.get_by_role("button", name="Load vault").click()
    expect(box(page, "activities").locator(".age")).to_have_text(re.compile("^(fresh|[0-9]+ s old)$"))


def test_a_part_that_crashes_at_each_request_is_named_and_the_rest_goes_on(page: Page) -> None:
    page.get_by_role("button", name="Crash plex").click()
    expect(box(page, "activities").locator(".age")).to_have_text("The part plex failed.")
    expect(box(page, "parts").locator("li", has_text="plex")).to_contain_text(re.compile("answers? failed"))
    expect(box(page, "key").locator(".age")).not_to_have_class(re.compile("bad"))
    page.reload()
    expect(box(page, "trending").locator("li")).to_have_count(20)
    expect(box(page, "library").locator(".age")).to_have_text("The part plex failed.")
    page.get_by_role("button", name="Load plex").click()
    expect(box(page, "activities").locator(".age")).to_have_text(re.compile("fresh|old"))
    expect(box(page, "library").locator("li")).to_have_count(18)


@pytest.fixture
def scriptless(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, java_script_enabled=False)
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(address)
    yield page
    context.close()


def test_all_but_keeping_itself_up_to_date_works_without_javascript(scriptless: Page, address: str) -> None:
    page = scriptless
    page.get_by_role("button", name="Sign in with Plex").click()
    page.wait_for_url(re.compile("/auth#"))
    code = page.url.partition("code=")[2].partition("&")[0]
    ada = page.get_by_role("button", name="Allow as ada").get_attribute("value")
    page.goto(f"{page.url.partition('#')[0]}/allow?account={ada}&code={code}&forwardUrl={address}")
    expect(page.locator("#who-name")).to_have_text("ada")
    expect(box(page, "library").locator("li")).to_have_count(18)
    expect(box(page, "trending").locator("li")).to_have_count(20)
    expect(page.get_by_text("with JavaScript it would keep itself up to date")).to_be_visible()
    page.get_by_role("button", name="Use Summer house").click()
    expect(box(page, "library").locator("li")).to_have_count(7)
    page.get_by_role("button", name="Use Home").click()
    page.get_by_label("API Read Access Token").fill("wrong-read-token")
    page.get_by_role("button", name="Use this key").click()
    expect(box(page, "key")).to_contain_text("does not accept this key")
    give(page, "home", "500")
    page.get_by_role("button", name="Do that").click()
    expect(page.locator('select[name="home"]')).to_have_value("500")
    give(page, "home", "well")
    page.get_by_role("button", name="Do that").click()
    page.get_by_role("button", name="Play Metropolis").click()
    expect(page.locator("video")).to_have_attribute("src", re.compile("/api/plex/stream/.*m3u8"))
    page.go_back()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in with Plex")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_sticks_out_of_a_narrow_screen(
    page: Page, scheme: str, tmp_path: Path
) -> None:
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    expect(box(page, "library").locator("li")).to_have_count(18)
    for title in ("Häxan", "Nosferatu"):
        box(page, "trending").get_by_role("button", name=f"Put {title} on your list").click()
        expect(box(page, "watchlist")).to_contain_text(title)
    page.get_by_role("button", name="Mark Metropolis as seen").click()
    expect(box(page, "history")).to_contain_text("Metropolis")
    for width, name in ((1280, "media"), (390, "phone-media")):
        page.set_viewport_size({"width": width, "height": 2000})
        page.evaluate("Promise.all([...document.images].filter(one => !one.complete).map(one => new Promise(done => {"
                      " one.loading = 'eager'; one.onload = one.onerror = done })))")  # fmt: skip
        assert page.locator("body").evaluate("body => body.scrollWidth") <= width
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=folder / f"{name}-{scheme}.png")
        # The rest is the same in the dark.
        found = Axe().run(page, options=_ALL if scheme == "light" else _COLOURS)
        assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Mark Metropolis as not seen").click()
    page.get_by_role("button", name="Play Metropolis").click()
    page.locator("video").evaluate(_PLAYS)
    found = Axe().run(page, context="dialog", options=_ALL)
    assert found.violations_count == 0, found.generate_report()


def test_signed_out_one_sees_nothing_but_the_door(page: Page, context: BrowserContext, address: str) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator("#boxes")).to_have_count(0)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
