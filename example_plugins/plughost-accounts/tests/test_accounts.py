"""The plugin in a real host, with the real sessions plugin."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from plughost import Host
from plughost.contracts import AuthAttempt, NewUser, SessionManager, UserChange, copy_sqlite
from plughost.exceptions import UserRefused
from plughost.plugins.sessions import SessionsPlugin
from plughost_accounts import AccountsPlugin
from plughost_accounts.passwords import Passwords

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"
ADA = NewUser(username="Ada", password=PASSWORD, roles=("admin",), fields={"theme": "dark"})


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("plughost_accounts.passwords.PasswordHasher", lambda: cheap)
    running = Host(
        "shop", config={"host": {"data_dir": str(tmp_path)}}, environ={"PLUGHOST_LOAD_PLUGINS": ""}
    )
    async with running:
        await running.load_plugin(SessionsPlugin, {"store": "memory"}, name="sessions")
        await running.load_plugin(AccountsPlugin, name="accounts")
        yield running


async def sign_in(host: Host, username: str, password: Any) -> Any:
    return await host.auth.authenticate(AuthAttempt(username=username, credentials={"password": password}))


async def test_a_user_signs_in_whatever_the_capitals(host: Host) -> None:
    user = await host.users.create(ADA)
    result = await sign_in(host, " aDA", PASSWORD)
    assert result.allowed
    assert (result.principal.user_id, result.principal.roles) == (user.user_id, ("admin",))


async def test_a_wrong_password_an_unknown_name_and_a_blocked_user_get_the_same_answer(host: Host) -> None:
    user = await host.users.create(ADA)
    await host.users.create(NewUser(username="guest"))
    answers = [
        await sign_in(host, *given) for given in (("ada", "wrong"), ("nobody", PASSWORD), ("guest", ""))
    ]
    await host.users.update(UserChange(user_id=user.user_id, active=False))
    answers.append(await sign_in(host, "ada", PASSWORD))
    assert {(answer.allowed, answer.reason) for answer in answers} == {(False, "Wrong name or password.")}


async def test_cve_2024_39329_an_unknown_name_costs_as_much_work_as_a_known_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.users.create(ADA)
    work: list[str] = []
    original = Passwords._verify

    def counted(self: Passwords, stored: str, password: str) -> bool:
        work.append(stored.rsplit("$", 2)[0])
        return original(self, stored, password)

    monkeypatch.setattr(Passwords, "_verify", counted)
    await sign_in(host, "ada", "wrong")
    await sign_in(host, "nobody", "wrong")
    assert len(work) == 2
    assert work[0] == work[1], "the same algorithm with the same costs"


async def test_other_credentials_are_for_others_to_judge(host: Host) -> None:
    await host.users.create(ADA)
    assert not (await sign_in(host, "ada", None)).allowed
    assert not (await sign_in(host, "ada", 7)).allowed


@pytest.mark.parametrize("change", [{"password": "another long password"}, {"roles": ()}, {"active": False}])
async def test_cve_2023_40273_a_change_of_who_may_do_what_signs_out_everywhere(
    host: Host, change: dict[str, Any]
) -> None:
    user = await host.users.create(ADA)
    sessions = host.use(SessionManager)
    made = [await sessions.create(user.user_id) for _ in range(3)]
    stranger = await sessions.create("somebody else")
    await host.users.update(UserChange(user_id=user.user_id, **change))
    assert [await sessions.get(one.session_id) for one in made] == [None] * 3
    assert await sessions.get(stranger.session_id) is not None


async def test_a_change_of_the_theme_signs_nobody_out(host: Host) -> None:
    user = await host.users.create(ADA)
    made = await host.use(SessionManager).create(user.user_id)
    changed = await host.users.update(
        UserChange(user_id=user.user_id, fields={"lang": "de"}, remove_fields=("theme",))
    )
    assert changed is not None
    assert changed.fields == {"lang": "de"}
    assert await host.use(SessionManager).get(made.session_id) is not None


async def test_a_deleted_user_is_gone_and_signed_out(host: Host) -> None:
    user = await host.users.create(ADA)
    made = await host.use(SessionManager).create(user.user_id)
    assert await host.users.delete(user.user_id) is True
    assert await host.users.find(username="ada") is None
    assert await host.use(SessionManager).get(made.session_id) is None


async def test_a_taken_name_and_a_short_password_are_refused(host: Host) -> None:
    await host.users.create(ADA)
    with pytest.raises(UserRefused, match="taken"):
        await host.users.create(NewUser(username="ADA", password=PASSWORD))
    with pytest.raises(UserRefused, match="12 characters"):
        await host.users.create(NewUser(username="eve", password="short"))


async def test_the_password_is_in_no_file_and_in_no_repr(host: Host, tmp_path: Path) -> None:
    user = await host.users.create(ADA)
    assert PASSWORD not in repr(user)
    for path in (tmp_path / "accounts").iterdir():
        assert PASSWORD.encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "alike", ["ada", "A\u200bda", "\uff21\uff44\uff41", "Ad\u00ada", "\u202eAda", "A\u2060DA "]
)
async def test_a_name_that_looks_like_another_is_that_other(host: Host, alike: str) -> None:
    user = await host.users.create(ADA)
    with pytest.raises(UserRefused, match="taken"):
        await host.users.create(NewUser(username=alike, password=PASSWORD))
    result = await sign_in(host, alike, PASSWORD)
    assert result.principal.user_id == user.user_id


async def test_who_is_in_the_file_that_is_there_signs_in_though_another_was_opened(
    host: Host, tmp_path: Path
) -> None:
    file = tmp_path / "accounts" / "accounts.db"
    await host.users.create(ADA)
    copy_sqlite(file, tmp_path / "backup", lock_timeout=5.0)
    await host.users.create(NewUser(username="Late", password="another long password"))
    (tmp_path / "backup").replace(file)  # and the log of the file before is still beside it
    assert (await sign_in(host, "Ada", PASSWORD)).allowed
    assert not (await sign_in(host, "Late", "another long password")).allowed
    file.unlink()
    assert not (await sign_in(host, "Ada", PASSWORD)).allowed
    await host.users.create(ADA)
    assert (await sign_in(host, "Ada", PASSWORD)).allowed
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT username FROM users").fetchall() == [("Ada",)]


@pytest.mark.parametrize("name", ["\uff22ob", "A\u200bda"])
async def test_accounts_from_before_look_alikes_were_folded_keep_working(
    host: Host, tmp_path: Path, name: str
) -> None:
    ada = await host.users.create(ADA)
    old = await host.users.create(NewUser(username="somebody", password="another long password"))
    with sqlite3.connect(tmp_path / "accounts" / "accounts.db") as db:
        old_folded = name.strip().casefold()
        db.execute("UPDATE users SET username=?, folded=? WHERE user_id=?", (name, old_folded, old.user_id))
    db.close()
    result = await sign_in(host, name, "another long password")
    assert result.allowed
    assert result.principal.user_id == old.user_id
    assert (await sign_in(host, "Ada", PASSWORD)).principal.user_id == ada.user_id
    changed = await host.users.update(UserChange(user_id=old.user_id, roles=("guest",)))
    assert changed is not None
    assert (await sign_in(host, name, "another long password")).allowed, "a change does not lose the name"
