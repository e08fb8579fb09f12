"""The rules by themselves, and the plugin in a real host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import Allow, AuthAttempt, Deny, Principal, Verdict
from plughost.exceptions import PluginError
from plughost_access_control import AccessControlPlugin
from plughost_access_control.rules import Addresses, Failures, Hours


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Door(Plugin):
    """Lets in who says please."""

    name = "door"

    @hookimpl
    def authenticate(self, attempt: AuthAttempt) -> Verdict:
        polite = attempt.credentials.get("word") == "please"
        return Allow(Principal("7", attempt.username)) if polite else Deny("Say please.")


@asynccontextmanager
async def host(tmp_path: Path, **config: Any) -> AsyncIterator[Host]:
    running = Host(
        "shop", config={"host": {"data_dir": str(tmp_path)}}, environ={"PLUGHOST_LOAD_PLUGINS": ""}
    )
    async with running:
        await running.load_plugin(Door, name="door")
        await running.load_plugin(AccessControlPlugin, config, name="access-control")
        yield running


def attempt(word: str = "please", address: str | None = "10.1.2.3", name: str = "ada") -> AuthAttempt:
    return AuthAttempt(username=name, credentials={"word": word}, address=address)


@pytest.mark.parametrize(
    ("allowed", "denied", "address", "objection"),
    [
        ([], [], None, ""), ([], [], "198.51.100.1", ""), (["10.0.0.0/8"], [], "10.9.9.9", ""),
        (["10.0.0.0/8"], [], "11.0.0.1", "address not allowed"), (["10.0.0.0/8"], [], None, "address unknown"),
        (["10.0.0.0/8"], ["10.6.0.0/16"], "10.6.1.1", "address denied"),
        ([], ["10.0.0.0/8"], "nonsense", "address unknown"),
        (["10.0.0.0/8"], [], "::ffff:10.0.0.1", ""), ([], ["10.0.0.0/8"], "::ffff:10.0.0.1", "address denied"),
        (["fd00::/8"], [], "fd00::1", ""), (["fd00::/8"], [], "2001:db8::1", "address not allowed"),
    ],
)  # fmt: skip
def test_addresses(allowed: list[str], denied: list[str], address: str | None, objection: str) -> None:
    assert Addresses(allowed, denied).objection(address) == objection


@pytest.mark.parametrize(
    ("span", "days", "moment", "objection"),
    [
        ("", [], "2026-11-20T03:00", ""), ("08:00-18:00", [], "2026-11-20T08:00", ""),
        ("08:00-18:00", [], "2026-11-20T18:00", "not at this hour"), ("22:00-06:00", [], "2026-11-20T23:30", ""),
        ("22:00-06:00", [], "2026-11-20T05:59", ""), ("22:00-06:00", [], "2026-11-20T12:00", "not at this hour"),
        ("", [0, 1], "2026-11-20T12:00", "not on this day"), ("", [4], "2026-11-20T12:00", ""),
    ],
)  # fmt: skip
def test_hours(span: str, days: list[int], moment: str, objection: str) -> None:
    assert Hours(span, days).objection(datetime.fromisoformat(moment)) == objection


def test_failures_are_forgotten_with_time_and_with_a_success() -> None:
    failures = Failures(2, 60.0)
    for moment in (0.0, 10.0):
        failures.note("ada", moment)
    assert failures.objection("ada", 20.0) == "too many failures"
    assert failures.objection("eve", 20.0) == ""
    assert failures.objection("ada", 61.0) == ""
    failures.note("ada", 62.0)
    failures.forget("ada")
    assert failures.objection("ada", 62.0) == ""


@pytest.mark.anyio
async def test_a_sign_in_from_elsewhere_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    async with host(tmp_path, allow=["10.0.0.0/8"]) as running:
        assert (await running.auth.authenticate(attempt())).allowed
        refused = await running.auth.authenticate(attempt(address="198.51.100.1"))
        assert (refused.allowed, refused.reason) == (False, "Signing in is not possible now.")


@pytest.mark.anyio
async def test_after_too_many_failures_the_right_word_does_not_help(tmp_path: Path) -> None:
    async with host(tmp_path, most_failures=3) as running:
        for _ in range(3):
            assert (await running.auth.authenticate(attempt("now"))).reason == "Say please."
        assert (await running.auth.authenticate(attempt())).reason == "Signing in is not possible now."
        assert (await running.auth.authenticate(attempt(name="eve"))).allowed


@pytest.mark.anyio
@pytest.mark.parametrize("wrong", [{"allow": ["10.0.0.0/99"]}, {"hours": "8 to 18"}, {"deny": ["everybody"]}])
async def test_a_rule_that_cannot_be_read_keeps_the_plugin_from_starting(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(PluginError):
        async with host(tmp_path, **wrong):
            pass
