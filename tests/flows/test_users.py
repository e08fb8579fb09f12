"""Users are created, changed and deleted through the plugin that keeps them; the others may object."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plughost.contracts.users import NewUser, User, UserChange
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.calls.policy import CallPolicy
from plughost.exceptions import HookError, HostNotReadyError, UserRefused
from plughost.flows.users import UserFlow
from plughost.hookspecs import CATALOGUE, hookimpl

pytestmark = pytest.mark.anyio


class Keeper:
    """Keeps users in a dictionary and notes what it is told."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.told: list[tuple[str, Any]] = []

    @hookimpl
    async def create_user(self, user: NewUser) -> User:
        stored = User(user_id=str(len(self.users) + 1), username=user.username, roles=user.roles)
        self.users[stored.user_id] = stored
        return stored

    @hookimpl
    async def update_user(self, change: UserChange) -> User | None:
        user = self.users.get(change.user_id)
        if user is None:
            return None
        self.users[user.user_id] = replace(user, username=change.username or user.username)
        return self.users[user.user_id]

    @hookimpl
    async def delete_user(self, user: User) -> bool:
        return self.users.pop(user.user_id, None) is not None

    @hookimpl
    async def find_user(self, user_id: str | None, username: str | None) -> User | None:
        return next(
            (u for u in self.users.values() if username in (u.username,) or u.user_id == user_id), None
        )

    @hookimpl
    def after_user_create(self, user: User) -> None:
        self.told.append(("created", user.username))

    @hookimpl
    def after_user_update(self, user: User, changed: tuple[str, ...]) -> None:
        self.told.append(("updated", changed))

    @hookimpl
    def after_user_delete(self, user: User) -> None:
        self.told.append(("deleted", user.username))


class Censor:
    """Answers ``before_...`` as told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def _say(self, value: Any) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer(value) if callable(self.answer) else self.answer

    @hookimpl
    def before_user_create(self, user: NewUser) -> Any:
        return self._say(user)

    @hookimpl
    def before_user_update(self, change: UserChange) -> Any:
        return self._say(change)

    @hookimpl
    def before_user_delete(self, user: User) -> Any:
        return self._say(user)


def flow(*plugins: object) -> UserFlow:
    dispatcher = HookDispatcher(policy=CallPolicy())
    for family in CATALOGUE:
        dispatcher.add_hookspecs(family)
    for number, plugin in enumerate(plugins):
        dispatcher.register(f"plugin{number}", plugin)
    return UserFlow(dispatcher.hooks)


async def test_a_user_is_created_changed_found_and_deleted() -> None:
    keeper = Keeper()
    users = flow(keeper)
    ada = await users.create(NewUser(username="ada", password="x", roles=("admin",)))
    assert await users.find(username="ada") == ada
    changed = await users.update(UserChange(user_id=ada.user_id, username="lovelace", password="y"))
    assert changed is not None
    assert changed.username == "lovelace"
    assert await users.find(user_id=ada.user_id) == changed
    assert await users.delete(ada.user_id) is True
    assert await users.delete(ada.user_id) is False
    assert keeper.told == [
        ("created", "ada"), ("updated", ("username", "password")), ("deleted", "lovelace"),
    ]  # fmt: skip


async def test_a_change_may_be_altered_on_the_way() -> None:
    users = flow(Keeper(), Censor(lambda user: replace(user, username=user.username.lower())))
    assert (await users.create(NewUser(username="ADA"))).username == "ada"


@pytest.mark.parametrize("answer", [UserRefused("Not today."), ValueError("inside"), "nonsense"])
async def test_who_objects_or_fails_stops_the_change_and_nobody_is_told(answer: Any) -> None:
    keeper = Keeper()
    ada = await flow(keeper).create(NewUser(username="ada"))
    keeper.told.clear()
    users = flow(keeper, Censor(answer))
    with pytest.raises((UserRefused, HookError)):
        await users.create(NewUser(username="eve"))
    with pytest.raises((UserRefused, HookError)):
        await users.update(UserChange(user_id=ada.user_id, username="eve"))
    with pytest.raises((UserRefused, HookError)):
        await users.delete(ada.user_id)
    assert list(keeper.users.values()) == [ada]
    assert keeper.told == []


async def test_a_change_cannot_be_turned_on_another_user() -> None:
    keeper = Keeper()
    ada, eve = [await flow(keeper).create(NewUser(username=name)) for name in ("ada", "eve")]
    users = flow(keeper, Censor(lambda given: replace(given, user_id=eve.user_id)))
    with pytest.raises(UserRefused):
        await users.update(UserChange(user_id=ada.user_id, username="x"))
    with pytest.raises(UserRefused):
        await users.delete(ada.user_id)
    assert len(keeper.users) == 2


async def test_without_a_provider_creating_says_what_to_do() -> None:
    with pytest.raises(HostNotReadyError, match="create_user"):
        await flow().create(NewUser(username="ada"))
    assert await flow().update(UserChange(user_id="1")) is None
    assert await flow().find(username="ada") is None
    assert await flow().delete("1") is False


async def test_a_provider_that_fails_is_not_a_user_who_does_not_exist() -> None:
    class Broken:
        @hookimpl
        async def find_user(self) -> User | None:
            raise RuntimeError("database away")

    with pytest.raises(HookError):
        await flow(Broken()).find(username="ada")
    with pytest.raises(HookError):
        await flow(Broken()).delete("1")


async def test_a_find_needs_exactly_one_of_id_and_name() -> None:
    for given in ({}, {"user_id": "1", "username": "ada"}):
        with pytest.raises(TypeError, match="exactly one"):
            await flow().find(**given)


async def test_a_wrong_answer_of_a_provider_is_an_error() -> None:
    class Odd:
        @hookimpl
        async def create_user(self) -> Any:
            return {"user_id": "1"}

    with pytest.raises(HookError, match="instead of User"):
        await flow(Odd()).create(NewUser(username="ada"))
