"""Sign-in by PIN: through a browser's eyes, and the token is nowhere it must not be."""

from __future__ import annotations

import pytest

from plughost import hookimpl
from plughost.contracts import AuthAttempt

pytestmark = pytest.mark.anyio


async def test_who_says_yes_is_signed_in_under_a_new_session(browser):
    begun = await browser.begin()
    assert begun["address"].startswith(f"{browser.fakes.addresses['plextv']}/auth#?clientID=")
    before = dict(browser.client.cookies)
    path = f"/api/auth/plex/{begun['handle']}"
    waiting = await browser.get(path)
    assert (waiting.status_code, waiting.json()) == (202, {"state": "waiting"})
    code = begun["address"].partition("code=")[2].partition("&")[0]
    browser.fakes.plex_tv.allow(code, browser.fakes.plex_tv.accounts[0])
    signed = await browser.get(path)
    assert (signed.status_code, signed.json()["user_id"]) == (200, "plex:1001")
    assert dict(browser.client.cookies) != before
    assert (await browser.get("/api/auth/session")).json()["username"] == "ada"
    assert (await browser.get(path)).status_code == 410


async def test_the_handle_is_worth_nothing_in_another_browser(suite, browser):
    begun = await browser.begin()
    code = begun["address"].partition("code=")[2].partition("&")[0]
    browser.fakes.plex_tv.allow(code, browser.fakes.plex_tv.accounts[0])
    thief = suite.browser()
    await thief.begin()
    for handle in (begun["handle"], "x", "%00"):
        assert (await thief.get(f"/api/auth/plex/{handle}")).status_code == 410


async def test_a_pin_that_is_over_is_gone(browser):
    begun = await browser.begin()
    browser.fakes.plex_tv._pins.clear()
    assert (await browser.get(f"/api/auth/plex/{begun['handle']}")).status_code == 410


async def test_one_comes_back_to_pages_of_ours_only(browser):
    for forward in ("//evil.example", "/\\evil.example", "https://evil.example", "", 7, "/" + "a" * 500):
        assert (await browser.post("/api/auth/plex", {"forward": forward})).status_code == 422, forward
    assert "evil" not in str(browser.fakes.plex_tv.calls)


async def test_every_plugin_has_its_say_and_sees_no_token(suite, browser):
    seen: list[AuthAttempt] = []

    class Door:
        name = "door"

        async def start(self, context):
            pass

        @hookimpl
        async def before_auth(self, attempt):
            seen.append(attempt)
            return attempt

    await suite.host.load_plugin(Door())
    assert (await browser.sign_in()).status_code == 200
    assert [attempt.username for attempt in seen] == ["ada"]
    assert "account-token-of-ada" not in repr([dict(attempt.credentials) for attempt in seen])


async def test_a_password_sign_in_cannot_claim_to_be_a_pin(browser):
    given = {"username": "ada", "plex_proof": "guess"}
    assert (await browser.post("/api/auth/login", given)).status_code == 401


@pytest.mark.parametrize(
    ("kind", "status"), [("away", 502), ("500", 502), ("429", 503), ("garbage", 502), ("404", 410)]
)
async def test_trouble_of_plex_tv_is_told_as_what_it_is(browser, kind, status):
    begun = await browser.begin()
    browser.fakes.plex_tv.begin(kind)
    answer = await browser.get(f"/api/auth/plex/{begun['handle']}")
    assert answer.status_code == status
    assert "127.0.0.1:" not in answer.text
    browser.fakes.plex_tv.end()
    again = await browser.get(f"/api/auth/plex/{begun['handle']}")
    assert again.status_code == (410 if kind == "404" else 202 if kind != "429" else again.status_code)


async def test_an_account_that_plex_forgot_has_to_sign_in_again_but_a_failure_says_nothing(suite, ada):
    plex_tv = ada.fakes.plex_tv
    ada.fakes.home.accounts.clear()  # the server knows nobody any more
    plex_tv.begin("500")
    assert (await ada.get("/api/plex/ondeck")).status_code == 502
    plex_tv.end()
    assert (await ada.get("/api/plex/servers")).status_code == 200
    plex_tv.revoked.add("account-token-of-ada")
    answer = await ada.get("/api/plex/continue")
    assert (answer.status_code, answer.json()["code"]) == (409, "plex_sign_in_again")
    assert (await ada.get("/api/plex/servers")).json()["code"] == "plex_not_linked"


async def test_no_token_is_in_an_answer_a_log_or_a_file(suite, ada, caplog):
    caplog.set_level("DEBUG")
    for path in ("servers", "libraries", "library/1/all", "metadata/101", "ondeck", "activities", "sessions"):
        answer = await ada.get(f"/api/plex/{path}")
        assert answer.status_code == 200, (path, answer.text)
        assert "token-of" not in answer.text + str(answer.headers), path
        assert "server-token" not in answer.text, path
    played = (await ada.post("/api/plex/playback/101")).json()["stream"]
    assert (await ada.get(played)).status_code == 200
    assert "token" not in caplog.text.replace("csrf_token", "").replace("plex_token", "")
    calls = [call for fake in (ada.fakes.home, ada.fakes.plex_tv) for call in fake.calls]
    assert calls
    assert not any("token" in str(call.query).lower() for call in calls)
    for file in suite.folder.rglob("*"):
        if file.is_file():
            kept = file.read_bytes()
            assert b"account-token-of" not in kept, file
            assert b"server-token-machine" not in kept, file


async def test_one_identifier_stands_for_the_installation(suite, ada):
    await ada.get("/api/plex/libraries")
    calls = [*ada.fakes.plex_tv.calls, *ada.fakes.home.calls]
    identifiers = {call.headers.get("x-plex-client-identifier") for call in calls}
    assert len(identifiers) == 1
    assert len(identifiers.pop() or "") == 36
