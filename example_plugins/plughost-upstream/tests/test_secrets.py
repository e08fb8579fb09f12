"""A key or token is in the headers of a call and nowhere else."""

from __future__ import annotations

import logging
import time
import traceback

import pytest
from fake_service import Answer, fake_service, until
from hypothesis import given, settings
from hypothesis import strategies as st

from plughost.contracts import SYSTEM_CLOCK, KnownSecrets, Secret, get_logger, masked_text
from plughost_upstream import Call, Origin, UpstreamError
from plughost_upstream.addresses import networks_of
from plughost_upstream.answers import seconds_to_wait
from plughost_upstream.plugin import _CLIENT_LOGS
from plughost_upstream.service import Services

pytestmark = pytest.mark.anyio

TOKEN = "xY7-canary-9_kQ2.w0"
TROUBLES = {
    "refused": Answer(status=401, body=TOKEN.encode()),
    "garbage": Answer(body=f"<html>{TOKEN}".encode()),
    "away": Answer(status=0),
    "slow": Answer(delay=60),
    "busy": Answer(status=429, headers={"retry-after": TOKEN}),
    "redirected": Answer(status=302, headers={"location": f"https://evil.example/{TOKEN}"}),
    "well": Answer(body=f'{{"token": "{TOKEN}"}}'.encode(), headers={"set-cookie": TOKEN}),
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_no_error_record_or_log_shows_it(
    anyio_backend: str, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in _CLIENT_LOGS:
        get_logger(name)
    shown = ""
    async with fake_service() as service:
        service.answer = TROUBLES[trouble]
        services = Services(SYSTEM_CLOCK, allowed=networks_of(["127.0.0.1"]))
        upstream = services.register(Origin(name="x", url=service.url))
        call = Call(
            path="/x",
            secrets={"Authorization": Secret(f"Bearer {TOKEN}")},
            deadline=1.0 if trouble == "slow" else 8.0,
        )
        try:
            await upstream.send(call)
        except UpstreamError as error:
            shown = "".join(traceback.format_exception(error)) + repr(error.__dict__)
        await until(lambda: service.asked)
        assert service.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
        shown += f"{call!r} {services.recent()} {services.figures()} {services.paces()} {caplog.text}"
        await services.aclose()
    assert "canary" not in shown


@settings(max_examples=50)
@given(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=8, max_size=60),
    st.text(max_size=80),
    st.text(max_size=80),
)
def test_a_known_secret_is_hidden_wherever_it_stands(secret: str, before: str, after: str) -> None:
    known = KnownSecrets()
    known.add([secret])
    assert secret not in masked_text(f"{before}{secret}{after}")


@given(st.text(max_size=60))
def test_whatever_it_says_the_wait_is_from_one_second_to_two_minutes(text: str) -> None:
    wait = seconds_to_wait(text, 0.0)
    assert wait is None or 1 <= wait <= 120


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("7", 7), ("0", 1), ("99999", 120), ("Sun, 06 Nov 1994 08:49:37 GMT", 37), ("", None), ("soon", None),
        ("-5", None), ("1.5", None), ("Sun, 06 Nov 1994 08:00:00 GMT", 1),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_both_ways(text: str, wait: float | None) -> None:
    assert seconds_to_wait(text, 784_111_740.0) == wait


def test_a_date_without_a_zone_is_meant_as_that_of_greenwich(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert seconds_to_wait("Sun, 06 Nov 1994 08:49:37 -0000", 784_111_740.0) == 37
    time.tzset()
