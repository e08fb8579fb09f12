"""An implementation whose annotations contradict its spec is refused when it comes; `plughost check` says so before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pluggy
import pytest

from plughost import Host, Plugin, hookimpl, hookspec
from plughost.contracts import AuthAttempt, Principal, User
from plughost.exceptions import PluginInvalidError

pytestmark = pytest.mark.anyio


def plugin(function: Any, **about: Any) -> type[Plugin]:
    """A plugin with one implementation, named as its function is."""
    return type(
        "Guest", (Plugin,), {"name": "guest", function.__name__: staticmethod(hookimpl(function)), **about}
    )


async def an_argument_too_narrow(attempt: str) -> None: ...
async def an_answer_of_another_kind(user_id: str | None) -> Principal: ...
async def an_answer_to_a_decision(attempt: AuthAttempt) -> bool: ...
async def an_argument_that_cannot_be_none(user_id: str) -> User | None: ...


CONTRADICTIONS = [
    (an_argument_too_narrow, "after_auth", "argument 'attempt' is declared as str"),
    (an_answer_of_another_kind, "find_user", "declared to return Principal"),
    (an_answer_to_a_decision, "authenticate", "declared to return bool"),
    (an_argument_that_cannot_be_none, "find_user", "may be any str | None"),
]


@pytest.mark.parametrize(("function", "hook", "words"), CONTRADICTIONS)
async def test_it_is_refused_by_name_hook_and_what_to_write_instead(
    function: Any, hook: str, words: str
) -> None:
    function.__name__ = hook
    async with Host("acme", config={"host": {"allow": []}}) as host:
        with pytest.raises(PluginInvalidError, match="guest") as refused:
            await host.load_plugin(plugin(function))
        assert hook in str(refused.value)
        assert words in str(refused.value)
        assert host.plugin("guest").state == "failed"
        assert host.plugin("guest").hooks == ()


async def health_check(app_name: str | None) -> dict[str, int]: ...
async def after_auth(attempt: object, principal: Any) -> int: ...
async def find_user(user_id: str | int | None) -> User: ...
async def describe_device(user_agent: NotImportedHere) -> str: ...  # type: ignore[name-defined] # noqa: F821
async def delete_user(user): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize("function", [health_check, after_auth, find_user, describe_device, delete_user])
async def test_what_fits_or_is_not_known_is_taken(function: Any) -> None:
    async with Host("acme", config={"host": {"allow": []}}) as host:
        record = await host.load_plugin(plugin(function))
        assert record.hooks == (function.__name__,)


async def test_an_annotation_that_raises_when_it_is_looked_at_says_nothing() -> None:
    async def after_auth(attempt: 1 / 0) -> None: ...  # type: ignore[valid-type]

    async with Host("acme", config={"host": {"allow": []}}) as host:
        assert (await host.load_plugin(plugin(after_auth))).state == "ready"


async def test_a_reload_that_brings_a_contradiction_leaves_the_old_one_in_service() -> None:
    answers: list[Any] = [{"status": "pass"}]

    def make() -> Plugin:
        if len(answers) == 1:

            async def health_check() -> Mapping[str, Any]:
                return {"old": 1}
        else:

            async def health_check() -> Mapping[str, Any]:
                return {"new": 1}

            health_check.__annotations__["return"] = "int"
        answers.append(None)
        return plugin(health_check)()

    make.name = "guest"  # type: ignore[attr-defined]
    async with Host("acme", config={"host": {"allow": []}}) as host:
        await host.load_plugin(make, name="guest")
        with pytest.raises(PluginInvalidError, match="declared to return int"):
            await host.reload_plugin("guest")
        assert host.plugin("guest").state == "ready"


async def test_an_implementation_that_was_there_first_binds_the_spec_that_comes_later() -> None:
    def weigh(parcel: str) -> int:
        return len(parcel)

    class Specs:
        @hookspec
        def weigh(self, parcel: bytes) -> int: ...

    early = type(
        "Guest", (Plugin,), {"name": "guest", "weigh": staticmethod(hookimpl(optionalhook=True)(weigh))}
    )
    async with Host("acme", config={"host": {"allow": []}}) as host:
        await host.load_plugin(early)
        with pytest.raises(PluginInvalidError, match="argument 'parcel' is declared as str"):
            host.add_hookspecs(Specs)


def test_the_types_of_a_spec_that_pluggys_own_marker_made_bind_nobody() -> None:
    spec, impl = pluggy.HookspecMarker("shop"), pluggy.HookimplMarker("shop")

    class Specs:
        @spec
        def price(self, item: str) -> int: ...

    class Guest:
        @impl
        def price(self, item: bytes) -> str:
            return "cheap"

    host = Host.for_pluggy("shop", hookspecs=[Specs])
    host.pluggy.register(Guest())
    assert host.pluggy.hook.price(item="tea") == ["cheap"]
