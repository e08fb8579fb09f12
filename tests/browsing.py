"""A real Chromium, and a host worth looking at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from playwright.sync_api import Browser, Page, expect, sync_playwright
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import AdminPanel, CacheManager, PanelAction, SessionManager
from plughost.http import PUBLIC, Route

# Without these it looks for updates and search engines, and waits for answers that never come.
_QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the Chromium of the system; ``CHROMIUM`` names another."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert path is not None, "the browser tests need Chromium: apt-get install chromium, or set CHROMIUM"
    expect.set_options(timeout=30_000)  # a busy machine takes its time
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_QUIET)
        try:
            yield browser
        finally:
            browser.close()


class Complaints:
    """What a page had to complain about: its console, errors of its scripts, answers that were no answers."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def listen(self, page: Page) -> None:
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.heard.append(f"script: {error}"))
        page.on("response", lambda answer: self._answered(answer.status, answer.url))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") or "Content Security Policy" in text:
            self.heard.append(f"console {kind}: {text}")

    def _answered(self, status: int, url: str) -> None:
        if status >= 400:
            self.heard.append(f"{status} {url}")


class Mailer(Plugin):
    """Does not start."""

    name = "mailer"

    async def start(self, context: PluginContext) -> None:
        raise RuntimeError("the mail server mail.example refused the connection")


class Films(Plugin):
    """Uses caches and sessions, has routes, a job, a health check and a panel."""

    name = "films"
    version = "2.1.0"
    requires = ("cache", "sessions")

    async def start(self, context: PluginContext) -> None:
        self._context = context
        self.synced = 0
        self.sorted = 0
        await anyio.sleep(0.03)  # a start that can be seen in the waterfall
        context.every(3600, self.sync, name="sync films")
        context.spawn(self._ask)
        for user, name in (("7", "ada"), ("7", "ada"), ("9", "grace"), ("12", "linus")):
            metadata = {
                "ip_address": f"198.51.100.{user}",
                "user_agent": FIREFOX,
                "device": "Firefox on Linux",
            }
            await context.use(SessionManager).create(user, username=name, metadata=metadata)  # type: ignore[type-abstract]

    async def sync(self) -> None:
        self.synced += 1

    async def _ask(self) -> None:
        """Ask the caches again and again, the common things more often."""
        caches: Any = self._context.use(CacheManager)  # type: ignore[type-abstract]
        number = 0
        while True:
            for _ in range(20):
                number += 1
                await caches.get("films", ttl=300).get_or_set(
                    f"film:{number % (1 + number // 40 % 40)}", dict
                )
            await caches.get("searches", ttl=60, max_entries=50).get(f"search:{number}")
            await anyio.sleep(0.1)

    def sort(self, fields: Any) -> str:
        self.sorted += 1
        return f"{len('films')} shelves sorted."

    @hookimpl
    def health_check(self, app_name: str | None) -> dict[str, Any] | None:
        return (
            None if app_name else {"status": "warn", "detail": "3 of 200 films have no poster.", "films": 200}
        )

    @hookimpl
    def register_routes(self) -> list[Route]:
        async def film(request: Request) -> Response:
            return PlainTextResponse("a film")

        async def broken(request: Request) -> Response:
            raise ValueError("the list of films is empty")

        return [Route("/films", film, guard=PUBLIC), Route("/films/broken", broken, guard=PUBLIC)]

    @hookimpl
    def register_admin_panels(self) -> list[AdminPanel]:
        sort = PanelAction(
            name="sort", title="Sort shelves", run=self.sort, scope="films:write", confirm="Sort?"
        )
        return [
            AdminPanel(
                name="shelves", title="Shelves", scope="films:read", actions=(sort,),
                data=lambda: {"films": 200, "sorted": self.sorted, "shelves": {"A to K": 120, "L to Z": 80}},
            )
        ]  # fmt: skip
