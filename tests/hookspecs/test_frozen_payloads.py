"""What a plugin does to a payload that it was shown reaches nobody: payloads are frozen all the way down."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import (
    AppRecord,
    ArchiveEntry,
    AuthAttempt,
    BackupPlan,
    HealthCheck,
    NewUser,
    OperationResult,
    PluginRecord,
    Principal,
    RestorePlan,
    Session,
    UnregisterOptions,
    User,
    UserChange,
)
from plughost.contracts.frozen import FrozenDict, FrozenList, frozen

Change = Callable[[Any], object]

CHANGES: dict[str, Change] = {
    "a key set": lambda held: held["lamp"].__setitem__("colour", "red"),
    "a key deleted": lambda held: held["lamp"].__delitem__("sizes"),
    "keys merged": lambda held: held["lamp"].__ior__({"a": 1}),
    "updated": lambda held: held["lamp"].update(a=1),
    "a default set": lambda held: held["lamp"].setdefault("a", 1),
    "a key taken out": lambda held: held["lamp"].pop("sizes"),
    "any key taken out": lambda held: held["lamp"].popitem(),
    "emptied": lambda held: held["lamp"].clear(),
    "the outermost": lambda held: held.__setitem__("lamp", {}),
    "appended": lambda held: held["lamp"]["sizes"].append(4),
    "extended": lambda held: held["lamp"]["sizes"].extend([4]),
    "added in place": lambda held: held["lamp"]["sizes"].__iadd__([4]),
    "repeated in place": lambda held: held["lamp"]["sizes"].__imul__(2),
    "inserted": lambda held: held["lamp"]["sizes"].insert(0, 4),
    "a member set": lambda held: held["lamp"]["sizes"].__setitem__(0, 4),
    "a member deleted": lambda held: held["lamp"]["sizes"].__delitem__(0),
    "a member taken out": lambda held: held["lamp"]["sizes"].pop(),
    "removed": lambda held: held["lamp"]["sizes"].remove(3),
    "sorted": lambda held: held["lamp"]["sizes"].sort(),
    "turned round": lambda held: held["lamp"]["sizes"].reverse(),
    "a list emptied": lambda held: held["lamp"]["sizes"].clear(),
    "in a tuple": lambda held: held["pair"][1].append(1),
    "in a set": lambda held: held["tags"].add("b"),
    "in bytes": lambda held: held["raw"].append(1),
}


def held() -> dict[str, Any]:
    return {
        "lamp": {"sizes": [3, 1], "deep": [{"on": True}]},
        "pair": (1, [2]),
        "tags": {"a"},
        "raw": bytearray(b"ab"),
    }


class Meddler(Plugin):
    name = "meddler"

    def __init__(self, change: Change) -> None:
        self.change = change

    @hookimpl(tryfirst=True)
    def after_auth(self, attempt: AuthAttempt) -> None:
        self.change(attempt.credentials)

    @hookimpl(tryfirst=True)
    def app_registered(self, config: Mapping[str, Any]) -> None:
        self.change(config)

    @hookimpl(tryfirst=True)
    def app_unregistered(self, options: Any) -> None:
        self.change(options.config)


class Neighbour(Plugin):
    name = "neighbour"

    def __init__(self) -> None:
        self.saw: list[Any] = []

    @hookimpl
    def after_auth(self, attempt: AuthAttempt) -> None:
        self.saw.append(attempt.credentials)

    @hookimpl
    def app_registered(self, config: Mapping[str, Any]) -> None:
        self.saw.append(config)

    @hookimpl
    def app_unregistered(self, options: Any) -> None:
        self.saw.append(options.config)


@pytest.mark.anyio
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_within_a_payload_fails_and_neither_neighbours_nor_the_caller_see_it(
    change: str,
) -> None:
    mine = held()
    neighbour = Neighbour()
    async with Host(config={"host": {"allow": []}}, environ={}) as host:
        await host.load_plugin(Meddler(CHANGES[change]))
        await host.load_plugin(neighbour)
        attempt = AuthAttempt(username="ada", credentials=mine)
        report = await host.hooks.after_auth.report(attempt=attempt, principal=Principal("1", "ada"))
        record = await host.apps.register("shop", mine)
        await host.apps.unregister("shop")
    kinds = {outcome.plugin: outcome.kind for outcome in report.outcomes}
    assert kinds == {"meddler": "error", "neighbour": "value"}
    assert mine == attempt.credentials == record.config == held()
    assert neighbour.saw == [held()] * 3


PAYLOADS: dict[str, Callable[[Any], Any]] = {
    "an attempt": lambda given: AuthAttempt(username="ada", credentials=given).credentials,
    "a new user": lambda given: NewUser(username="ada", fields=given).fields,
    "a user": lambda given: User(user_id="1", username="ada", fields=given).fields,
    "a change": lambda given: UserChange(user_id="1", fields=given).fields,
    "a result": lambda given: OperationResult(operation="seeds", figures=given).figures,
    "an app": lambda given: AppRecord(name="shop", config=given).config,
    "options": lambda given: UnregisterOptions(config=given).config,
    "a plan": lambda given: BackupPlan(backup_id="b", labels=given).labels,
    "an entry": lambda given: ArchiveEntry(name="a", plugin="p", size=1, sha256="", labels=given).labels,
    "a way back": lambda given: RestorePlan(archive="a", apps=given).apps,
    "a check": lambda given: HealthCheck(name="disk", figures=given).figures,
    "figures": lambda given: HealthCheck.from_figures("disk", given).figures,
    "a record": lambda given: PluginRecord(name="lamp", config=given).config,
    "a status": lambda given: PluginRecord(name="lamp", status=given).status,
    "a session": lambda given: Session(session_id="s", handle="h", user_id="1", fields=given).fields,
    "metadata": lambda given: Session(session_id="s", handle="h", user_id="1", metadata=given).metadata,
}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_keeps_what_it_was_made_with(payload: str) -> None:
    mine = held()
    kept = PAYLOADS[payload](mine)
    mine["lamp"]["sizes"].append(4)
    mine["lamp"]["deep"][0]["on"] = False
    assert kept == held()
    with pytest.raises(TypeError, match=r"copy\.deepcopy"):
        kept["lamp"]["deep"].append(1)


def test_roles_given_as_a_list_are_kept_as_they_were() -> None:
    roles = ["clerk"]
    made = Principal("1", "ada", roles), NewUser(username="ada", roles=roles)  # type: ignore[arg-type]
    roles.append("admin")
    assert [list(each.roles) for each in made] == [["clerk"], ["clerk"]]


def test_a_hook_may_answer_with_a_changed_copy() -> None:
    attempt = AuthAttempt(username="ada", credentials={"lamp": {"sizes": [1]}})
    mine = copy.deepcopy(attempt.credentials)
    mine["lamp"]["sizes"].append(2)  # type: ignore[index]  # a deep copy may be changed
    answer = dataclasses.replace(attempt, credentials=mine)
    assert answer.credentials == {"lamp": {"sizes": [1, 2]}}
    assert attempt.credentials == {"lamp": {"sizes": [1]}}


@pytest.mark.parametrize(
    "same",
    [
        lambda given: json.loads(json.dumps(given)),
        lambda given: pickle.loads(pickle.dumps(given)),  # noqa: S301  our own
        copy.deepcopy,
        copy.copy,
        lambda given: dataclasses.asdict(AuthAttempt(username="ada", credentials=given))["credentials"],
    ],
    ids=["json", "pickle", "deepcopy", "copy", "asdict"],
)
def test_frozen_containers_are_read_compared_and_encoded_as_others_are(same: Callable[[Any], Any]) -> None:
    given = frozen({"lamp": {"sizes": [3, 1]}})
    assert same(given) == given == {"lamp": {"sizes": [3, 1]}}
    assert isinstance(given, dict)
    assert isinstance(given["lamp"]["sizes"], list)


@pytest.mark.parametrize("kind", [dict, OrderedDict, lambda given: MappingProxyType(dict(given))])
def test_every_kind_of_mapping_is_frozen(kind: Callable[[Any], Any]) -> None:
    assert type(frozen(kind({"a": [1]}))) is FrozenDict
    assert type(frozen(kind({"a": [1]}))["a"]) is FrozenList


def test_what_is_frozen_is_not_copied_again() -> None:
    once = frozen({"lamp": {"sizes": [1]}})
    assert frozen(once) is once
    assert AuthAttempt(username="ada", credentials=once).credentials is once


def test_what_holds_itself_is_refused() -> None:
    ring: dict[str, Any] = {}
    ring["ring"] = [ring]
    with pytest.raises(ValueError, match="holds itself"):
        AuthAttempt(username="ada", credentials=ring)
