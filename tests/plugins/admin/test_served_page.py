"""The page of a plugin by the door an operator comes in by: the installed command, its printed link, a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import Complaints, chromium

COMMAND = Path(sys.executable).parent / "plughost"

CONFIG = """\
# how we run it
[host]
allow = ["admin", "lamp"]
data_dir = "data"

[plugins.lamp]  # in the hall
module = "lamp:Lamp"
[plugins.lamp.config]
watts = 40  # not too bright
"""

LAMP = '''
import msgspec
from plughost import Plugin

class LampConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a lamp.

    Attributes:
        watts: How bright it is.
        room: Where it hangs.
    """

    watts: int = 60
    room: str = "hall"

class Lamp(Plugin):
    Config = LampConfig

    async def start(self, context):
        self.watts = context.config.watts

    def status(self):
        return {"shines with": self.watts}
'''


class Desk:
    """A folder with a host that ``plughost serve`` runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "plughost.toml"
        self.file.write_text(CONFIG, "utf-8")
        (folder / "lamp.py").write_text(LAMP, "utf-8")
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
        self.environ["PYTHONPATH"] = str(folder)
        with (folder / "err").open("w") as err:
            self.server = subprocess.Popen(
                [COMMAND, "serve", "--port", "0"],
                cwd=folder, env=self.environ, stdout=subprocess.PIPE, stderr=err, text=True,
            )  # fmt: skip

    def link(self) -> str:
        assert self.server.stdout is not None
        for line in self.server.stdout:
            if found := re.search(r"One-time sign-in link .*: (\S+)", line):
                return found[1]
        raise AssertionError((self.folder / "err").read_text())

    def run(self, *arguments: str) -> str:
        ran = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout + ran.stderr

    def end(self) -> None:
        self.server.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.server.wait(30)
        self.server.kill()
        self.server.communicate()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(desk: Desk, browser: Browser) -> Iterator[Page]:
    """The page of the lamp, which was found by whoever followed the printed link."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    complaints = Complaints()
    page = context.new_page()
    complaints.listen(page)
    page.goto(desk.link())
    page.get_by_role("link", name="Plugins", exact=True).click()
    page.get_by_role("link", name="lamp", exact=True).click()
    expect(page.locator("h1")).to_have_text("lamp")
    yield page
    context.close()
    assert complaints.heard == []


@pytest.mark.timeout(240)
def test_a_setting_is_changed_previewed_saved_and_seen_in_the_file_and_on_the_page(
    desk: Desk, page: Page
) -> None:
    expect(page.get_by_label("watts")).to_have_value("40")
    page.get_by_label("watts").fill("75")
    page.get_by_role("button", name="Preview the change").click()
    expect(page.locator(".diff .minus")).to_have_text("- watts = 40")
    expect(page.locator(".diff .plus")).to_have_text("+ watts = 75")
    assert desk.file.read_text("utf-8") == CONFIG

    page.get_by_role("button", name="Save and reload").click()
    expect(page.locator(".notice.good")).to_have_text(
        "watts of lamp changed in plughost.toml; lamp was reloaded with it."
    )
    assert desk.file.read_text("utf-8") == CONFIG.replace("watts = 40", "watts = 75")
    expect(page.get_by_label("watts")).to_have_value("75")
    expect(page.get_by_role("row", name="shines with")).to_contain_text("75")
    page.reload()
    expect(page.get_by_label("watts")).to_have_value("75")

    page.get_by_label("watts").fill("dim")
    page.get_by_role("button", name="Preview the change").click()
    expect(page.locator(".notice.bad")).to_contain_text("watts")
    assert "watts = 75" in desk.file.read_text("utf-8")


@pytest.mark.timeout(240)
def test_a_plugin_that_is_disabled_and_enabled_says_so_and_offers_what_fits(desk: Desk, page: Page) -> None:
    state, offers = page.locator(".stand .state"), page.locator(".row .acts").first.locator("button, summary")
    expect(state).to_have_text("ready")
    assert "Stopped: lamp." in desk.run("disable", "lamp", "--now")
    page.get_by_role("link", name="Look again").click()
    expect(state).to_have_text("disabled")
    expect(offers).to_have_text(["Enable"])
    assert "Started: lamp." in desk.run("enable", "lamp", "--now")
    page.get_by_role("link", name="Look again").click()
    expect(state).to_have_text("ready")

    page.locator("summary", has_text="Disable").click()
    page.get_by_role("button", name="Yes, disable").click()
    expect(page.locator(".notice.good")).to_contain_text("lamp")
    expect(state).to_have_text("disabled")
    assert "enabled = false" in desk.file.read_text("utf-8")
    page.get_by_role("button", name="Enable").click()
    expect(state).to_have_text("ready")
    assert "enabled = false" not in desk.file.read_text("utf-8")
    assert "# not too bright" in desk.file.read_text("utf-8")
