"""Tokens, sign-ins and the audit trail on a real file."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat

import pytest

from plughost.exceptions import StoreUnavailableError
from plughost.http import AccessFile, AuditTrail, SignIns, Tokens
from plughost.testing.clock import FakeClock
from redeeming import redeem_all


@pytest.fixture
def file(tmp_path):
    access = AccessFile(tmp_path / "data")
    yield access
    access.close()


def sign_ins(file: AccessFile, clock: FakeClock | None = None) -> SignIns:
    return SignIns(
        file, host_name="Acme-2", link_lifetime=600, browser_lifetime=3600, clock=clock or FakeClock()
    )


def browser(secret: str, name: str = "plughost_acme_2_admin", scheme: str = "http") -> dict[str, object]:
    return {"scheme": scheme, "headers": [(b"cookie", f"a=b; {name}={secret}".encode())]}


def test_the_file_is_for_its_owner_only(file):
    Tokens(file).create("ci", ["*"], 60)
    for path in file.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_no_secret_is_in_the_file(file):
    token, _ = Tokens(file).create("ci", ["*"], 60)
    code = sign_ins(file).make_link_code()
    secret = sign_ins(file).redeem(sign_ins(file).make_link_code())
    file.close()
    content = b"".join(path.read_bytes() for path in file.path.parent.iterdir())
    for kept in (token.split("_")[2], code, secret):
        assert kept.encode() not in content


def test_two_processes_see_each_others_tokens_at_once(file, tmp_path):
    server, command = Tokens(file), Tokens(AccessFile(tmp_path / "data"))
    token, record = command.create("ci", ["cache:read"], 60)
    assert server.identify(token).scopes == {"cache:read"}
    command.revoke(record.id)
    assert server.identify(token) is None


@pytest.mark.parametrize(
    ("name", "scopes", "lifetime"),
    [
        ("", ["*"], 1),
        ("x", [], 1),
        ("x", ["Cache:Read"], 1),
        ("x", ["a:b:c"], 1),
        ("x", ["a b"], 1),
        ("x", ["*"], 0),
    ],
)
def test_a_token_needs_a_name_scopes_and_an_end(file, name, scopes, lifetime):
    with pytest.raises(ValueError, match=r"token|scope"):
        Tokens(file).create(name, scopes, lifetime)


def test_a_revoked_token_cannot_be_revoked_again_and_stays_listed(file):
    tokens = Tokens(file)
    _, record = tokens.create("ci", ["*"], 60)
    assert tokens.revoke(record.id)
    assert not tokens.revoke(record.id)
    assert tokens.list()[0].revoked_at is not None
    assert not tokens.any_alive()


def test_its_use_is_noted_at_most_once_a_minute(file):
    clock = FakeClock()
    tokens = Tokens(file, clock)
    token, _ = tokens.create("ci", ["*"], 6000)
    tokens.identify(token)
    first = tokens.list()[0].last_used_at
    clock.jump(30)
    tokens.identify(token)
    assert tokens.list()[0].last_used_at == first
    clock.jump(40)
    tokens.identify(token)
    assert tokens.list()[0].last_used_at > first


def test_a_token_is_known_where_its_use_cannot_be_noted(file, monkeypatch):
    tokens = Tokens(file)
    token, record = tokens.create("ci", ["*"], 6000)

    def full():
        raise StoreUnavailableError("access.sqlite3 cannot be used: database or disk is full")

    monkeypatch.setattr(file, "writing", full)
    assert tokens.identify(token).id == record.id
    assert tokens.identify(token[:-1] + ("0" if token[-1] != "0" else "1")) is None
    assert tokens.list()[0].last_used_at is None


def test_a_link_signs_one_browser_in_once(file):
    doors = sign_ins(file)
    code = doors.make_link_code()
    secret = doors.redeem(code)
    assert doors.identify(secret).scopes == {"*"}
    assert doors.redeem(code) is None


def test_a_link_signs_one_browser_in_once_whichever_process_is_asked(tmp_path):
    doors = SignIns(AccessFile(tmp_path), host_name="Acme-2", link_lifetime=600, browser_lifetime=3600)
    codes = [doors.make_link_code() for _ in range(50)]
    spawning = multiprocessing.get_context("spawn")
    begin, results = spawning.Barrier(3), spawning.Queue()
    processes = [
        spawning.Process(target=redeem_all, args=(tmp_path, codes, begin, results)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    answers = [results.get(timeout=90) for _ in processes]
    for process in processes:
        process.join(30)
    for code, secrets in zip(codes, zip(*answers, strict=True), strict=True):
        (secret,) = [one for one in secrets if one is not None]
        assert doors.identify(secret) is not None
        assert doors.redeem(code) is None


def test_a_link_is_dead_when_it_is_too_old(file):
    clock = FakeClock()
    doors = sign_ins(file, clock)
    code = doors.make_link_code()
    clock.jump(601)
    assert doors.redeem(code) is None


def test_a_browser_is_out_after_its_time_and_when_it_signs_out(file):
    clock = FakeClock()
    doors = sign_ins(file, clock)
    first, second = doors.redeem(doors.make_link_code()), doors.redeem(doors.make_link_code())
    doors.end(first)
    assert doors.identify(first) is None
    assert doors.identify(second) is not None
    clock.jump(3601)
    assert doors.identify(second) is None


def test_a_browser_that_came_with_a_token_is_out_when_the_token_is_revoked(file):
    clock = FakeClock()
    tokens, doors = Tokens(file, clock), sign_ins(file, clock)
    token, record = tokens.create("ci", ["cache:read"], 60)
    secret = doors.begin_with_token(tokens.identify(token), record.id)
    assert doors.identify(secret).scopes == {"cache:read"}
    tokens.revoke(record.id)
    assert doors.identify(secret) is None


def test_the_cookie_is_the_hosts_own_and_over_https_only_https_can_set_it(file):
    doors = sign_ins(file)
    plain = doors.cookie({"scheme": "http"}, "s3cret")
    assert plain.startswith("plughost_acme_2_admin=s3cret; ")
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    safe = doors.cookie({"scheme": "https"}, "s3cret")
    assert safe.startswith("__Host-plughost_acme_2_admin=")
    assert "; Secure" in safe
    assert "Domain" not in safe


def test_production_never_reads_the_cookie_of_plain_http(file):
    doors = sign_ins(file)
    assert doors.secret_in(browser("s")) == "s"
    assert doors.secret_in(browser("s", scheme="https")) is None


def test_two_cookies_of_one_name_count_as_none(file):
    doors = sign_ins(file)
    twice = {"scheme": "http", "headers": [(b"cookie", b"plughost_acme_2_admin=a; plughost_acme_2_admin=b")]}
    assert doors.secret_in(twice) is None


def test_the_audit_trail_cannot_be_rewritten_or_erased_through_the_file(file):
    trail = AuditTrail(file)
    trail.add(actor="ada", verb="cache.clear", detail="cleared")
    for statement in ("UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"):
        with pytest.raises(StoreUnavailableError, match="audit trail is not"), file.writing() as db:
            db.execute(statement)
    assert [entry.actor for entry in trail.latest()] == ["ada"]


def test_the_audit_trail_is_read_backwards_page_by_page(file):
    trail = AuditTrail(file)
    for number in range(5):
        trail.add(actor="ada", verb=f"do.{number}")
    first = trail.latest(2)
    assert [entry.verb for entry in first] == ["do.4", "do.3"]
    assert [entry.verb for entry in trail.latest(2, before=first[-1].id)] == ["do.2", "do.1"]


def test_a_file_that_cannot_be_used_says_so(tmp_path):
    (tmp_path / "access.sqlite3").write_bytes(b"this is no database, and it is long enough to tell" * 100)
    with pytest.raises(StoreUnavailableError, match="cannot be used"):
        Tokens(AccessFile(tmp_path)).list()


def test_a_failed_change_leaves_no_trace(file):
    tokens = Tokens(file)

    def fail_half_way() -> None:
        with file.writing() as db:
            db.execute("INSERT INTO links VALUES (x'00', 'n', '[]', 1)")
            raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(StoreUnavailableError):
        fail_half_way()
    assert file.read("SELECT * FROM links") == []
    assert tokens.list() == []
