"""``/api/auth`` in a whole host: sign in through the hooks, look, validate, sign out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asgi_browser import Browser
from plughost import Host, hookimpl
from plughost.contracts import Abstain, Allow, AuthAttempt, Deny, Principal, SessionManager, Verdict
from plughost.exceptions import AuthRefused, StoreUnavailableError
from plughost.http import create_app
from plughost.plugins.sessions.plugin import SessionsPlugin

pytestmark = pytest.mark.anyio

COOKIE = "__Host-acme_session"


class Accounts:
    """Knows ada, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.attempts: list[AuthAttempt] = []

    def start(self, context: Any) -> None: ...

    @hookimpl
    def before_auth(self, attempt: AuthAttempt) -> None:
        self.attempts.append(attempt)
        if attempt.username == "banned":
            raise AuthRefused("Not today.", log_reason="inside reason")

    @hookimpl
    async def authenticate(self, attempt: AuthAttempt) -> Verdict:
        if attempt.username == "crash":
            raise RuntimeError("inside reason")
        if attempt.username != "ada":
            return Abstain()
        right = attempt.credentials.get("password") == "right"
        return Allow(Principal("7", "ada", ("admin",))) if right else Deny("Wrong name or password.")

    @hookimpl
    def before_logout(self, principal: Principal, session_handle: str) -> None:
        self.told.append(("before_logout", principal.user_id))

    @hookimpl
    def after_logout(self, principal: Principal, session_handle: str) -> None:
        self.told.append(("after_logout", principal.user_id))


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    running = Host(
        "acme", config={"host": {"data_dir": str(tmp_path / "data")}}, environ={"PLUGHOST_LOAD_PLUGINS": ""}
    )
    async with running:
        await running.load_plugin(SessionsPlugin, name="sessions")
        yield running


@pytest.fixture
async def accounts(host: Host) -> Accounts:
    accounts = Accounts()
    await host.load_plugin(accounts, name="accounts")
    return accounts


@pytest.fixture
def browser(host: Host, accounts: Accounts) -> Browser:
    return Browser(create_app(host))


RIGHT = {"username": "ada", "password": "right"}


async def test_signing_in_looking_and_signing_out(browser: Browser, accounts: Accounts, host: Host) -> None:
    answer = await browser.post("/api/auth/login", RIGHT)
    assert answer.status == 200
    assert {key: answer.json()[key] for key in ("user_id", "username", "roles")} == {
        "user_id": "7", "username": "ada", "roles": ["admin"],
    }  # fmt: skip
    assert browser.cookies[COOKIE] not in answer.body.decode()
    shown = await browser.get("/api/auth/session")
    assert shown.json()["username"] == "ada"
    assert (await browser.get("/api/auth/validate")).json()["valid"] is True
    session_id = browser.cookies[COOKIE]
    out = await browser.post("/api/auth/logout")
    assert out.status == 204
    assert out.header("clear-site-data") == '"cache"'
    assert browser.cookies == {}
    assert accounts.told == [("before_logout", "7"), ("after_logout", "7")]
    assert await host.use(SessionManager).get(session_id) is None


async def test_cve_2024_31999_a_copied_cookie_is_dead_after_the_sign_out(browser: Browser) -> None:
    await browser.post("/api/auth/login", RIGHT)
    thief = browser.copy()
    await browser.post("/api/auth/logout")
    assert (await thief.get("/api/auth/session")).status == 401
    thief.cookies = {COOKIE: thief.cookies.get(COOKIE, "x" * 43)}
    assert (await thief.get("/api/auth/validate")).json()["valid"] is False


async def test_no_plugin_can_stop_a_sign_out(browser: Browser, host: Host) -> None:
    class Clinging:
        def start(self, context: Any) -> None: ...

        @hookimpl
        def before_logout(self) -> None:
            raise AuthRefused("stay!")

    await host.load_plugin(Clinging(), name="clinging")
    await browser.post("/api/auth/login", RIGHT)
    assert (await browser.post("/api/auth/logout")).status == 204
    assert browser.cookies == {}


async def test_who_is_not_signed_in_is_told_so(browser: Browser) -> None:
    assert (await browser.get("/api/auth/session")).status == 401
    assert (await browser.get("/api/auth/validate")).json()["valid"] is False
    assert (await browser.post("/api/auth/logout")).status == 204


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"username": "ada", "password": "wrong"}, 401, "Wrong name or password."),
        ({"username": "nobody", "password": "x"}, 401, ""), ({"username": "banned"}, 401, "Not today."),
        ({"username": "crash", "password": "x"}, 401, ""), ({}, 422, "username"), ({"username": 7}, 422, "username"),
        ({"username": ""}, 422, "username"), ([], 422, ""), ("ada", 422, ""),
    ],
)  # fmt: skip
async def test_a_refusal_says_what_the_person_may_know_and_no_more(
    browser: Browser, body: object, status: int, words: str
) -> None:
    answer = await browser.post("/api/auth/login", body)
    assert (answer.status, browser.cookies) == (status, {})
    assert words in answer.body.decode()
    assert "inside" not in answer.body.decode()


async def test_cve_2022_25896_signing_in_gives_a_new_id_whatever_came_along(browser: Browser) -> None:
    planted = "P" * 43
    browser.cookies = {COOKIE: planted}
    await browser.post("/api/auth/login", RIGHT)
    first = browser.cookies[COOKIE]
    assert first != planted
    await browser.post("/api/auth/login", RIGHT)
    assert browser.cookies[COOKIE] != first
    thief = browser.copy()
    thief.cookies = {COOKIE: first}
    assert (await thief.get("/api/auth/session")).status == 401


async def test_a_failed_sign_in_leaves_an_existing_session_alone(browser: Browser) -> None:
    await browser.post("/api/auth/login", RIGHT)
    before = browser.cookies[COOKIE]
    assert (await browser.post("/api/auth/login", {"username": "ada", "password": "wrong"})).status == 401
    assert browser.cookies[COOKIE] == before
    assert (await browser.get("/api/auth/session")).status == 200


async def test_a_sign_in_from_another_site_is_refused(browser: Browser, accounts: Accounts) -> None:
    answer = await browser.post("/api/auth/login", RIGHT, headers={"sec-fetch-site": "cross-site"})
    assert answer.status == 403
    assert accounts.attempts == []


async def test_cve_2022_41919_only_json_signs_in(browser: Browser) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = await browser.post("/api/auth/login", RIGHT, headers={"content-type": kind})
        assert answer.status == 415


async def test_the_attempt_says_where_it_came_from(browser: Browser, accounts: Accounts) -> None:
    await browser.post(
        "/api/auth/login",
        RIGHT | {"otp": "123"},
        headers={"user-agent": "x" * 2000, "x-forwarded-for": "1.2.3.4"},
    )
    (attempt,) = accounts.attempts
    assert attempt.address == "203.0.113.9"
    assert attempt.user_agent == "x" * 512
    assert attempt.credentials["otp"] == "123"


async def test_cve_2025_59152_headers_that_claim_an_address_share_one_limit(browser: Browser) -> None:
    wrong = {"username": "ada", "password": "wrong"}
    for number in range(12):
        answer = await browser.post("/api/auth/login", wrong, headers={"x-forwarded-for": f"10.0.0.{number}"})
    assert "Too many attempts" in answer.body.decode()
    assert answer.status == 429
    wait = answer.header("retry-after")
    assert wait is not None
    assert 0 < int(wait) <= 300
    assert f"in {wait} seconds" in answer.body.decode()


async def test_cve_2015_5143_ten_thousand_anonymous_visits_store_nothing(
    browser: Browser, host: Host
) -> None:
    for _ in range(1000):
        await browser.get("/api/auth/validate")
    assert (await host.use(SessionManager).stats()).active == 0


@pytest.mark.parametrize(
    "path",
    ["//api/auth/session", "/api//auth/session", "/api/auth/session/", "/api/auth/session;x", "/api/auth/%2fsession",
     "/api/auth/./session", "/API/auth/session", "/api/auth/x/../session"],
)  # fmt: skip
async def test_cve_2026_33808_no_spelling_of_a_path_gets_around_its_guard(
    browser: Browser, path: str
) -> None:
    assert (await browser.get(path)).status in (401, 404, 405, 307, 308)


async def test_a_store_that_is_away_answers_503_to_who_is_signed_in(browser: Browser, host: Host) -> None:
    await browser.post("/api/auth/login", RIGHT)
    sessions: Any = host.use(SessionManager)

    def away(digest: bytes) -> Any:
        raise StoreUnavailableError("away")

    kept, sessions.records.store.read_now = sessions.records.store.read_now, away
    for path in ("/api/auth/session", "/api/auth/validate"):
        answer = await browser.get(path)
        assert answer.status == 503
        assert int(answer.header("retry-after") or 0) > 0
    assert COOKIE in browser.cookies
    sessions.records.store.read_now = kept
    assert (await browser.get("/api/auth/session")).status == 200


async def test_cve_2023_20866_ids_and_passwords_are_in_no_log(
    browser: Browser, host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    await browser.post("/api/auth/login", RIGHT | {"password": "canary-wrong"})
    await browser.post("/api/auth/login", RIGHT)
    session_id = browser.cookies[COOKIE]
    await host.use(SessionManager).rotate(session_id)
    await browser.get("/api/auth/session")
    await browser.post("/api/auth/logout")
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert session_id not in logged
    assert "canary-wrong" not in logged
    assert "right" not in logged.split()
