"""The cookie's fences, malformed cookies, and the truth table of requests from elsewhere."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_browser import Browser
from plughost.exceptions import ConfigError
from plughost.plugins.sessions.cookies import CookiePolicy, SessionCookie, keep_private
from plughost.plugins.sessions.csrf import CsrfCheck, CsrfPolicy
from plughost.plugins.sessions.desk import Desk
from plughost.plugins.sessions.manager import Sessions

ID = "k" * 43
NAME = "__Host-acme"


def scope(
    cookie: str | None = None,
    *,
    scheme: str = "https",
    host: str = "shop.example",
    client: str = "203.0.113.9",
    **headers: str,
) -> dict[str, Any]:
    lines = [(b"host", host.encode())]
    if cookie is not None:
        lines.append((b"cookie", cookie.encode("latin-1")))
    lines += [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {
        "type": "http", "method": "POST", "path": "/", "scheme": scheme, "headers": lines,
        "client": (client, 1) if client else None,
    }  # fmt: skip


@pytest.fixture
def cookie() -> SessionCookie:
    return SessionCookie(CookiePolicy(name="acme"))


def test_the_cookie_is_fenced_in(cookie: SessionCookie) -> None:
    name, value = cookie.write(scope(), ID, 60)
    assert name == b"set-cookie"
    assert value.decode() == f"{NAME}={ID}; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure"


def test_it_is_taken_away_with_the_same_fences(cookie: SessionCookie) -> None:
    _, value = cookie.clear(scope())
    assert value.decode() == f"{NAME}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"


@pytest.mark.parametrize(
    ("left", "shown"), [(1209599.9, 1209600), (1209600.0, 1209600), (59.001, 60), (0.4, 1), (-3.0, 1)]
)
def test_a_cookie_lives_no_shorter_than_its_session(cookie: SessionCookie, left: float, shown: int) -> None:
    assert f"; Max-Age={shown};".encode() in cookie.write(scope(), ID, left)[1]


def test_a_browser_session_cookie_has_no_age_and_is_still_taken_away() -> None:
    cookie = SessionCookie(CookiePolicy(name="acme", persistent=False))
    assert b"Max-Age" not in cookie.write(scope(), ID, 60)[1]
    assert b"Max-Age=0" in cookie.clear(scope())[1]


def test_a_partitioned_cookie_is_partitioned_where_it_is_secure() -> None:
    cookie = SessionCookie(CookiePolicy(name="acme", partitioned=True, samesite="none"))
    for header in (cookie.write(scope(), ID, 60), cookie.clear(scope())):
        assert header[1].endswith(b"; SameSite=None; Secure; Partitioned")
    local = scope(scheme="http", host="localhost", client="127.0.0.1")
    assert b"Partitioned" not in cookie.write(local, ID, 60)[1]


@pytest.mark.parametrize(("asked", "given"), [("none", b"Lax"), ("lax", b"Lax"), ("strict", b"Strict")])
def test_over_plain_http_on_this_machine_no_cookie_is_one_that_browsers_drop(
    asked: Any, given: bytes
) -> None:
    cookie = SessionCookie(CookiePolicy(name="acme", samesite=asked))
    local = scope(scheme="http", host="localhost", client="127.0.0.1")
    for header in (cookie.write(local, ID, 60), cookie.clear(local)):
        assert b"SameSite=" + given in header[1]
        assert b"Secure" not in header[1]


def test_a_cookie_that_browsers_will_drop_on_a_lan_is_told_once(
    cookie: SessionCookie, caplog: pytest.LogCaptureFixture
) -> None:
    lan = scope(scheme="http", host="192.168.1.7:8000", client="192.168.1.9")
    for _ in range(3):
        cookie.write(lan, ID, 60)
    cookie.write(scope(), ID, 60)
    (told,) = caplog.records
    assert "cookie_secure = false" in told.getMessage()
    assert ID not in told.getMessage()


def test_two_cookies_of_one_name_are_told_once(
    cookie: SessionCookie, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert cookie.read(scope(f"{NAME}={ID}; {NAME}={'j' * 43}")) is None
    (told,) = caplog.records
    assert "cookie_name" in told.getMessage()
    assert ID not in told.getMessage()


@pytest.mark.parametrize(
    "line", [f"{NAME}={ID}", f"a=b; {NAME}={ID}", f"{NAME}={ID}; a=b", f"a=b;{NAME}={ID} "]
)
def test_it_is_found_among_others(cookie: SessionCookie, line: str) -> None:
    assert cookie.read(scope(line)) == ID


@pytest.mark.parametrize(
    "line",
    ["", ";", "=", f"{NAME}", f"x{NAME}={ID}", f"{NAME}x={ID}", f"{NAME.lower()}={ID}",
     f"acme={ID}", f"{NAME} ={ID}"],
)  # fmt: skip
def test_what_only_looks_like_it_is_not_it(cookie: SessionCookie, line: str) -> None:
    assert cookie.read(scope(line)) is None


@pytest.mark.parametrize("second", [ID, "z" * 43, ""])
def test_cve_2016_7401_two_of_them_are_none(cookie: SessionCookie, second: str) -> None:
    assert cookie.read(scope(f"{NAME}={ID}; {NAME}={second}")) is None
    split = scope(f"{NAME}={ID}")
    split["headers"].append((b"cookie", f"{NAME}={second}".encode()))
    assert cookie.read(split) is None


@given(st.binary())
def test_no_cookie_header_makes_reading_fail(line: bytes) -> None:
    broken = scope()
    broken["headers"].append((b"cookie", line))
    SessionCookie(CookiePolicy(name="acme")).read(broken)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "value",
    ["", "x", "é" * 43, "k" * 42, "k" * 44, "k" * 5000,
     '"' + ID[2:] + '"', "%6b" * 20, "../../etc/passwd", "k" * 42 + "\x00"],
)  # fmt: skip
async def test_malformed_truncated_and_foreign_cookies_begin_nothing_and_harm_nothing(
    wrap: Any, sessions: Sessions, value: str
) -> None:
    async def handler(session: Any) -> str:
        return str(session.get("x"))

    browser = wrap(handler)
    browser.cookies = {"__Host-acme_session": value}
    answer = await browser.get()
    assert (answer.status, answer.body) == (200, b"None")
    assert (await sessions.stats()).active == 0


@pytest.mark.parametrize(
    ("scheme", "host", "client", "headers", "name"),
    [
        ("https", "shop.example", "203.0.113.9", {}, b"__Host-acme="),
        ("https", "localhost", "127.0.0.1", {}, b"__Host-acme="),
        ("http", "shop.example", "203.0.113.9", {}, b"__Host-acme="),
        ("http", "shop.example", "127.0.0.1", {}, b"__Host-acme="),
        ("http", "localhost:8000", "203.0.113.9", {}, b"__Host-acme="),
        ("http", "localhost:8000", "127.0.0.1", {"x_forwarded_for": "1.2.3.4"}, b"__Host-acme="),
        ("http", "localhost", "", {}, b"__Host-acme="),
        ("http", "localhost:8000", "127.0.0.1", {}, b"acme_plain="),
        ("http", "127.0.0.1:8000", "127.0.0.1", {}, b"acme_plain="),
        ("http", "[::1]:8000", "::1", {}, b"acme_plain="),
        ("http", "testserver", "testclient", {}, b"acme_plain="),
    ],
)
def test_only_direct_plain_http_on_this_machine_gets_a_cookie_without_secure(
    cookie: SessionCookie, scheme: str, host: str, client: str, headers: dict[str, str], name: bytes
) -> None:
    _, value = cookie.write(scope(scheme=scheme, host=host, client=client, **headers), ID, 60)
    assert value.startswith(name)
    assert value.endswith(b"; Secure") == name.startswith(b"__Host-")


def test_the_plain_cookie_is_not_read_over_https(cookie: SessionCookie) -> None:
    line = f"acme_plain={ID}"
    assert cookie.read(scope(line, scheme="http", host="localhost", client="127.0.0.1")) == ID
    assert cookie.read(scope(line)) is None


def test_cve_2026_28779_a_path_or_domain_of_its_own_costs_the_host_prefix() -> None:
    mounted = SessionCookie(CookiePolicy(name="acme", path="/shop"))
    _, value = mounted.write(scope(), ID, 60)
    assert value.startswith(b"__Secure-acme=")
    assert b"; Path=/shop;" in value
    shared = SessionCookie(CookiePolicy(name="acme", domain="example.org"))
    assert shared.write(scope(), ID, 60)[1].endswith(b"; Domain=example.org; Secure")


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"name": "a b"}, {"name": "a=b"}, {"name": "__Host-a"}, {"name": "a", "path": "x"},
     {"name": "a", "path": "/;Domain=evil"}, {"name": "a", "domain": "a;b"},
     {"name": "a", "samesite": "none", "secure": False}, {"name": "a", "partitioned": True, "secure": False}],
)  # fmt: skip
def test_a_cookie_that_browsers_would_misread_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        CookiePolicy(**wrong)


@pytest.mark.parametrize(
    ("given_control", "store", "expected"),
    [
        ([], True, b"private"), ([b"public"], True, b"private"), ([b"no-store"], True, b"no-store"),
        ([b"public, max-age=9"], True, b"private, max-age=9"), ([b"max-age=9"], False, b"no-store"),
        ([b"PUBLIC", b"S-MaxAge=9"], True, b"private"), ([b'private="x-a"'], True, b"private"),
    ],
)  # fmt: skip
def test_cve_2023_30861_shared_caches_are_kept_away(
    given_control: list[bytes], store: bool, expected: bytes
) -> None:
    headers = keep_private([(b"Cache-Control", value) for value in given_control], store=store)
    assert dict(headers)[b"cache-control"] == expected
    assert dict(headers)[b"vary"] == b"Cookie"


def test_a_vary_that_says_everything_or_cookie_already_is_left() -> None:
    assert dict(keep_private([(b"vary", b"*")], store=True))[b"vary"] == b"*"
    assert dict(keep_private([(b"Vary", b"cookie, Accept")], store=True))[b"vary"] == b"cookie, Accept"


# requests from elsewhere


def check(policy: CsrfPolicy | None = None, *, cookie: bool = True) -> CsrfCheck:
    return CsrfCheck(policy or CsrfPolicy(), lambda _, token: token == "good", lambda _: cookie)


SITES = [None, "same-origin", "none", "same-site", "cross-site", "", "SAME-ORIGIN"]
ORIGINS = [
    None, "https://shop.example", "https://shop.example:443", "https://SHOP.example", "http://shop.example",
    "https://shop.example.evil.test", "https://evilshop.example", "https://shop.example:444", "null", "",
    "https://other.shop.example", "https://shop.example/", "https://shop.example@evil.test",
]  # fmt: skip
TOKENS = [None, "good", "bad", "ü"]
OWN = {"https://shop.example", "https://shop.example:443", "https://SHOP.example"}


@pytest.mark.parametrize(("site", "origin", "token"), list(product(SITES, ORIGINS, TOKENS)))
def test_cve_2026_40864_the_whole_truth_table(
    site: str | None, origin: str | None, token: str | None
) -> None:
    headers = {"sec_fetch_site": site, "origin": origin, "x_csrf_token": token, "sec_fetch_mode": "no-cors"}
    request = scope("a=b", **{name: value for name, value in headers.items() if value is not None})
    if site is not None:
        allowed = site in ("same-origin", "none")
    elif origin is not None:
        allowed = origin in OWN or token == "good"
    else:
        allowed = True
    assert check().refuses(request) is not allowed


@pytest.mark.parametrize("token", TOKENS)
def test_strict_asks_whoever_says_nothing_for_a_token(token: str | None) -> None:
    strict = CsrfPolicy(strict=True)
    request = scope("a=b", **({"x_csrf_token": token} if token is not None else {}))
    assert check(strict).refuses(request) is (token != "good")
    assert not check(strict, cookie=False).refuses(request)


def test_a_trusted_origin_may_send_requests_and_its_lookalikes_may_not() -> None:
    policy = CsrfPolicy(trusted_origins=frozenset({"https://app.example"}))
    for site in ("cross-site", "same-site"):
        assert not check(policy).refuses(scope("a=b", origin="https://app.example", sec_fetch_site=site))
        assert check(policy).refuses(scope("a=b", origin="https://app.example.evil", sec_fetch_site=site))
    assert check(policy).refuses(scope("a=b", sec_fetch_site="cross-site"))


def test_cve_2026_40110_two_origins_must_both_be_ours() -> None:
    request = scope("a=b", origin="https://shop.example")
    request["headers"].append((b"origin", b"https://evil.test"))
    assert check().refuses(request)


def test_a_bearer_token_alone_passes_and_one_beside_a_cookie_does_not() -> None:
    assert not check().refuses(scope(authorization="Bearer x", sec_fetch_site="cross-site"))
    assert check().refuses(scope("a=b", authorization="Bearer x", sec_fetch_site="cross-site"))


def test_cve_2025_46721_behind_a_proxy_the_scheme_is_what_the_server_says() -> None:
    assert not check().refuses(scope("a=b", scheme="https", origin="https://shop.example"))
    assert check().refuses(scope("a=b", scheme="https", origin="http://shop.example"))
    assert not check().refuses(scope("a=b", scheme="wss", origin="https://shop.example"))
    assert check().refuses(scope("a=b", scheme="ws", origin="https://shop.example"))


def test_cve_2025_47910_an_exempt_path_is_that_path_and_no_other() -> None:
    policy = CsrfPolicy(exempt_paths=frozenset({"/hook"}))
    for path, refused in {
        "/hook": False,
        "/hook/": True,
        "/hook/x": True,
        "//hook": True,
        "/HOOK": True,
    }.items():
        request = scope("a=b", sec_fetch_site="cross-site") | {"path": path}
        assert check(policy).refuses(request) is refused


@pytest.mark.anyio
async def test_a_request_from_elsewhere_never_reaches_the_handler(wrap: Any) -> None:
    called: list[int] = []

    async def handler(session: Any) -> None:
        called.append(1)

    browser = wrap(handler)
    answer = await browser.post("/", headers={"sec-fetch-site": "cross-site"})
    assert answer.status == 403
    assert "Sec-Fetch-Site" in (answer.header("vary") or "")
    assert called == []
    assert (await browser.get("/", headers={"sec-fetch-site": "cross-site"})).status == 200


@pytest.mark.anyio
async def test_a_token_of_another_session_does_not_speak_for_this_one(wrap: Any, desk: Desk) -> None:
    async def handler(session: Any) -> str:
        session["x"] = 1
        return session.csrf_token

    browser = wrap(handler)
    await browser.get()
    own = (await browser.get()).body.decode()
    stranger = wrap(handler)
    await stranger.get()
    foreign = (await stranger.get()).body.decode()
    assert own != foreign
    plain = Browser(browser.app)
    plain.cookies = browser.cookies
    for token, status in ((own, 200), (foreign, 403), ("", 403)):
        headers = {"origin": "http://shop.example", "x-csrf-token": token}
        assert (await plain.post("/", headers=headers)).status == status
