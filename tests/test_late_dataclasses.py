"""Dataclasses whose methods are written late: whoever uses one finds what the standard library would have made."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import itertools
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from plughost._dataclasses import _Unwritten, dataclass
from plughost.contracts.frozen import Payload

OPTIONS = ("frozen", "slots", "kw_only")
SOME = [
    {name: on for name, on in zip(OPTIONS, each, strict=True) if on}
    for each in itertools.product((False, True), repeat=3)
]


def lamp(decorator: Any, options: dict[str, bool]) -> Any:
    """Return the same class, made by either decorator."""

    @decorator(**options)
    class Lamp(Payload):
        """A lamp."""

        name: str
        wicks: list[int] = dataclasses.field(default_factory=list)
        lit: bool = dataclasses.field(default=False, compare=False)
        hours: int = dataclasses.field(default=7, init=False, repr=False)

        def __post_init__(self) -> None:
            if not self.name:
                raise ValueError("a lamp has a name")

        @property
        def is_new(self) -> bool:
            return not self.wicks

    return Lamp


def torch(decorator: Any, options: dict[str, bool]) -> Any:
    """Return one with nothing in it that only the standard library can write."""

    @decorator(**options)
    class Torch(Payload):
        """A torch."""

        name: str
        wicks: list[int] = dataclasses.field(default_factory=list)
        lit: bool = dataclasses.field(default=False, compare=False, kw_only=True)
        is_new: bool = True

        def __post_init__(self) -> None:
            if not self.name:
                raise ValueError("a torch has a name")

    return Torch


def set_name(lamp: Any) -> None:
    lamp.name = "other"


def delete_name(lamp: Any) -> None:
    del lamp.name


USES: list[Callable[[Any], Any]] = [
    lambda kind: repr(kind(name="desk", wicks=[1])),
    lambda kind: kind(name="desk") == kind(name="desk", lit=True),
    lambda kind: kind(name="desk") == kind(name="hall"),
    lambda kind: kind(name="desk") == "desk",
    lambda kind: hash(kind(name="desk", wicks=())) == hash(kind(name="desk", wicks=(), lit=True)),
    lambda kind: hash(kind(name="desk")),
    lambda kind: repr(kind("desk")),
    lambda kind: kind(),
    lambda kind: kind(name=""),
    lambda kind: kind(name="desk", hours=3),
    lambda kind: kind(name="desk").is_new,
    lambda kind: set_name(kind(name="desk")),
    lambda kind: delete_name(kind(name="desk")),
    lambda kind: dataclasses.asdict(kind(name="desk")),
    lambda kind: repr(dataclasses.replace(kind(name="desk"), name="hall")),
    lambda kind: repr(copy.deepcopy(kind(name="desk", wicks=[3]))),
    lambda kind: repr(copy.copy(kind(name="desk", wicks=[3]))),
    lambda kind: str(inspect.signature(kind)),
    lambda kind: str(inspect.signature(kind.__init__)),
    lambda kind: kind.__init__.__qualname__,
    lambda kind: kind.__init__.__module__,
    lambda kind: kind.__init__.__annotations__,
    lambda kind: kind("desk", wicks=[5]).wicks,
    lambda kind: kind("desk").wicks is kind("desk").wicks,
    lambda kind: kind.__doc__,
    lambda kind: kind.__match_args__,
    lambda kind: repr(kind.__dataclass_params__),
    lambda kind: [(each.name, each.init, each.kw_only) for each in dataclasses.fields(kind)],
    lambda kind: kind.__hash__ is None,
    lambda kind: hasattr(kind(name="desk"), "__dict__"),
    lambda kind: repr(type("Hall", (kind,), {"__slots__": ()})(name="hall")),
    lambda kind: repr(dataclasses.dataclass(frozen=True)(type("Hall", (kind,), {}))(name="hall")),
    lambda kind: repr(dataclasses.dataclass(type("Hall", (kind,), {}))(name="hall")),
    lambda kind: msgspec.to_builtins(kind(name="desk", wicks=[2])),
    lambda kind: repr(msgspec.convert({"name": "desk", "wicks": [2]}, kind)),
    lambda kind: sorted(name for name in vars(kind) if name not in ("__weakref__",)),
]


def outcome(use: Callable[[Any], Any], kind: Any) -> Any:
    try:
        return use(kind)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize("options", SOME, ids=str)
@pytest.mark.parametrize("use", USES, ids=map(str, range(len(USES))))
@pytest.mark.parametrize("make", [lamp, torch])
def test_a_class_is_used_as_one_of_the_standard_library(
    make: Callable[..., Any], use: Callable[[Any], Any], options: dict[str, bool]
) -> None:
    mine, standard = (make(decorator, options) for decorator in (dataclass, dataclasses.dataclass))
    assert outcome(use, mine) == outcome(use, standard)
    assert outcome(use, mine) == outcome(use, standard)  # and now that its methods are written


@pytest.mark.parametrize("options", [{"frozen": True}, {"frozen": True, "slots": True}], ids=str)
def test_a_frozen_one_takes_nothing_that_is_no_field(options: dict[str, bool]) -> None:
    made = lamp(dataclass, options)("desk")
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'shade'"):
        made.shade = "green"
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'shade'"):
        del made.shade


@dataclass(frozen=True, slots=True)
class Sent:
    """What goes to another process."""

    word: str
    numbers: tuple[int, ...] = ()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_what_was_pickled_is_the_same_again(protocol: int) -> None:
    assert pickle.loads(pickle.dumps(Sent("lamp", (1, 2)), protocol)) == Sent("lamp", (1, 2))  # noqa: S301


def test_a_method_is_written_when_it_is_used_and_once() -> None:
    kind = lamp(dataclass, {"frozen": True, "slots": True})

    def unwritten() -> set[str]:
        return {name for name, value in vars(kind).items() if type(value) is _Unwritten}

    assert {"__init__", "__repr__", "__eq__", "__hash__"} <= unwritten()
    made = kind("desk")
    assert "__init__" not in unwritten()
    assert {"__repr__", "__eq__", "__hash__"} <= unwritten()
    written = vars(kind)["__init__"]
    assert kind("desk") == made
    assert vars(kind)["__init__"] is written
    assert {"__repr__", "__hash__"} <= unwritten()


def test_what_makes_an_object_is_written_without_a_second_class(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = torch(dataclass, {"frozen": True, "slots": True})
    monkeypatch.delattr("dataclasses.dataclass")
    assert kind("desk").wicks == []


def test_an_object_is_made_though_a_stranger_has_emptied_what_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = torch(dataclass, {"frozen": True, "slots": True})
    monkeypatch.delitem(sys.modules, kind.__module__)
    assert kind("desk").wicks == []


def test_what_derives_from_a_dataclass_or_has_its_own_methods_is_made_at_once() -> None:
    kind = lamp(dataclass, {"frozen": True})

    @dataclass(frozen=True)
    class Hall(kind):  # type: ignore[misc, valid-type]
        """A hall."""

        doors: int = 2

    @dataclass(frozen=True)
    class Weighed:
        """Compared by weight."""

        weight: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    for each in (Hall, Weighed):
        assert not [value for value in vars(each).values() if type(value) is _Unwritten]
    assert Hall("hall") == Hall("hall")
    assert Weighed(1) == Weighed(2)


def test_most_classes_of_a_host_are_never_written() -> None:
    count = """
import sys
from plughost import Host
from plughost._dataclasses import _Unwritten
kinds = {id(each): each for name, module in [*sys.modules.items()] if name.startswith("plughost")
         for each in vars(module).values() if isinstance(each, type) and "__dataclass_fields__" in vars(each)}
print(sum(type(vars(kind)["__init__"]) is _Unwritten for kind in kinds.values()), len(kinds))
"""
    ran = subprocess.run(
        [sys.executable, "-c", count], capture_output=True, text=True, check=True, timeout=60
    )
    late, all_of_them = map(int, ran.stdout.split())
    assert late > 0.6 * all_of_them
