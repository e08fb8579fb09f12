"""A plugin's table becomes an instance of its Config, or an error that names everything wrong with it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
import pydantic
import pytest

from plughost.contracts.secret import Secret
from plughost.core.config import Reading, decode_plugin_config, load_config
from plughost.exceptions import PluginConfigError


class Level(enum.Enum):
    FAST = "fast"
    SMALL = "small"


class Target(msgspec.Struct):
    url: str
    weight: int = 1


@dataclass
class Rule:
    path: str
    allow: bool = False


class StructConfig(msgspec.Struct, rename={"keep_for": "keepFor"}):
    directory: Path
    schedule: str = "0 2 * * *"
    timeout: float = 30.0
    keep_for: timedelta = timedelta(days=7)
    level: Level = Level.FAST
    store: Literal["sqlite", "redis"] = "sqlite"
    password: Secret = Secret("")
    tags: tuple[str, ...] = ()
    limits: dict[str, int] = {}
    target: Target | None = None
    targets: list[Target] = []
    rules: tuple[Rule, ...] = ()
    named: Mapping[str, Target] | None = None


@dataclass
class DataConfig:
    directory: str
    size: int = 10
    rules: list[Rule] = field(default_factory=list)


class DictConfig(TypedDict):
    directory: str
    names: list[str]
    size: NotRequired[int]


class Inner(pydantic.BaseModel):
    url: str = "x"


class ModelConfig(pydantic.BaseModel):
    directory: str
    size: int = pydantic.Field(default=10, ge=1)
    max_age: float = pydantic.Field(default=1.0, alias="maxAge")
    names: list[str] = []
    inner: Inner = Inner()
    token: pydantic.SecretStr = pydantic.SecretStr("")


class Thing:
    """What only code can make."""


class Impossible(msgspec.Struct):
    thing: Thing | None = None


class Picky(msgspec.Struct, frozen=True):
    low: int = 0
    high: int = 1

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high")


class Odd(msgspec.Struct):
    def __post_init__(self) -> None:
        raise KeyError("x")


class Holder(msgspec.Struct):
    picky: Picky = Picky()
    odd: Odd | None = None


def decode(kind: Any, /, **raw: Any) -> Any:
    return decode_plugin_config("backup", kind, raw, Reading(environ={}))


def problems(kind: Any, /, **raw: Any) -> dict[str, str]:
    with pytest.raises(PluginConfigError) as caught:
        decode(kind, **raw)
    error = caught.value
    assert (error.plugin, error.phase) == ("backup", "validation")
    assert error.path == error.problems[0].path
    return {one.path.removeprefix("plugins.backup.config."): one.message for one in error.problems}


def from_environment(kind: Any, /, **variables: str) -> Any:
    environ = {f"PLUGHOST_PLUGINS__BACKUP__CONFIG__{name}": value for name, value in variables.items()}
    return load_config({}, environ=environ).decode_plugin("backup", kind)


def test_a_struct_is_made_of_its_table() -> None:
    config = decode(
        StructConfig,
        directory="backups",
        timeout=5,
        keepFor=3600,
        level="small",
        store="redis",
        password="hunter2",
        tags=["a", "b"],
        limits={"daily": 1},
        target={"url": "x"},
        targets=[{"url": "y", "weight": 2}],
        rules=[{"path": "/"}],
        named={"main": {"url": "z"}},
    )
    assert config == StructConfig(
        directory=Path("backups"),
        timeout=5.0,
        keep_for=timedelta(hours=1),
        level=Level.SMALL,
        store="redis",
        password=Secret("hunter2"),
        tags=("a", "b"),
        limits={"daily": 1},
        target=Target("x"),
        targets=[Target("y", 2)],
        rules=(Rule("/"),),
        named={"main": Target("z")},
    )


def test_a_dataclass_is_made_of_its_table() -> None:
    made = decode(DataConfig, directory="backups", rules=[{"path": "/", "allow": True}])
    assert made == DataConfig("backups", 10, [Rule("/", True)])


def test_a_typed_dict_is_made_of_its_table() -> None:
    assert decode(DictConfig, directory="x", names=["a"]) == {"directory": "x", "names": ["a"]}
    assert problems(DictConfig, size="x") == {
        "directory": "missing: expected `str`",
        "names": "missing: expected `list[str]`",
        "size": "expected `int`, got `str`",
    }


def test_a_pydantic_model_is_made_of_its_table() -> None:
    config = decode(ModelConfig, directory="backups", maxAge=2, inner={"url": "y"}, token="hunter2")
    assert (config.directory, config.max_age, config.inner.url) == ("backups", 2.0, "y")
    assert config.token.get_secret_value() == "hunter2"


def test_without_a_class_the_table_is_handed_over_read_only() -> None:
    raw = {"a": {"b": [1]}}
    config = decode_plugin_config("backup", None, raw, Reading(environ={}))
    assert config == raw
    with pytest.raises(TypeError):
        config["a"] = 1
    config["a"]["b"].append(2)
    assert raw == {"a": {"b": [1]}}


def test_code_may_hand_over_what_is_typed_already() -> None:
    target = Target("x")
    config = decode(
        StructConfig,
        directory=Path("x"),
        keepFor=timedelta(1),
        timeout=timedelta(seconds=3),
        level=Level.SMALL,
        password=Secret("x"),
        target=target,
    )
    assert config.target is target
    assert (config.directory, config.keep_for, config.timeout) == (Path("x"), timedelta(1), 3.0)
    assert (config.level, config.password) == (Level.SMALL, Secret("x"))


@pytest.mark.parametrize("kind", [StructConfig, DataConfig, DictConfig, ModelConfig])
def test_an_unknown_key_is_refused_whatever_the_class_is(kind: Any) -> None:
    assert problems(kind, directory="x", directroy="y", **({"names": []} if kind is DictConfig else {})) == {
        "directroy": "unknown setting. Did you mean 'directory'?"
    }


@pytest.mark.parametrize("kind", [StructConfig, DataConfig, ModelConfig])
def test_an_unknown_key_further_inside_is_refused_too(kind: Any) -> None:
    inside = {"rules": [{"path": "/"}, {"path": "/", "alow": True}]}
    expected = {"rules[1].alow": "unknown setting. Did you mean 'allow'?"}
    if kind is ModelConfig:
        inside, expected = {"inner": {"ulr": "x"}}, {"inner.ulr": "unknown setting. Did you mean 'url'?"}
    assert problems(kind, directory="x", **inside) == expected


def test_all_problems_are_named_with_their_paths() -> None:
    assert problems(
        StructConfig,
        schedule=3,
        timeout="30",
        store="mysql",
        level="tiny",
        password=3,
        tags=[1],
        limits={"daily": "x", "weekly": 2},
        target={"weight": 1},
        targets=[{"url": 1}, 3],
        named={"main": {"url": "x", "wait": 1}},
    ) == {
        "directory": "missing: expected `Path`",
        "schedule": "expected `str`, got `int`",
        "timeout": "expected `float`, got `str`",
        "store": "expected one of 'sqlite', 'redis'.",
        "level": "expected one of 'fast', 'small'.",
        "password": "expected `str`, got `int`",
        "tags[0]": "expected `str`, got `int`",
        "limits.daily": "expected `int`, got `str`",
        "target.url": "missing: expected `str`",
        "targets[0].url": "expected `str`, got `int`",
        "targets[1]": "expected `table`, got `int`",
        "named.main.wait": "unknown setting. Did you mean 'weight'?",
    }


def test_a_wrong_choice_is_answered_with_the_nearest() -> None:
    assert problems(StructConfig, directory="x", store="sqlte") == {
        "store": "expected one of 'sqlite', 'redis'. Did you mean 'sqlite'?"
    }


def test_a_model_s_problems_have_paths_and_no_values() -> None:
    found = problems(ModelConfig, size="hunter2", inner={"url": 3}, names="hunter2")
    assert set(found) == {"directory", "size", "inner.url", "names"}
    assert found["directory"] == "missing"
    assert "hunter2" not in str(found)


def test_a_model_that_takes_anything_is_given_anything() -> None:
    class Open(pydantic.BaseModel, extra="allow"):
        a: int = 1

    assert decode(Open, b=2).b == 2


def test_words_from_the_environment_are_read_as_what_is_expected() -> None:
    config = from_environment(
        StructConfig,
        DIRECTORY="/srv",
        TIMEOUT="5",
        KEEPFOR="60",
        LEVEL="small",
        TAGS="a, b",
        LIMITS='{"daily": 3}',
        LIMITS__WEEKLY="4",
        TARGET__URL="x",
        TARGET__WEIGHT="7",
        TARGETS='[{"url": "y"}]',
        PASSWORD="12345",
        SCHEDULE="1",
    )
    assert config == StructConfig(
        directory=Path("/srv"),
        timeout=5.0,
        keep_for=timedelta(minutes=1),
        level=Level.SMALL,
        tags=("a", "b"),
        limits={"daily": 3, "weekly": 4},
        target=Target("x", 7),
        targets=[Target("y")],
        password=Secret("12345"),
        schedule="1",
    )


@pytest.mark.parametrize("word", ["[1]", '{"a": 1}', "a,b", "true", "1"])
def test_where_text_is_expected_a_word_is_text(word: str) -> None:
    assert from_environment(StructConfig, DIRECTORY="x", SCHEDULE=word).schedule == word
    assert from_environment(None, ANYTHING=word) == {"anything": word}


def test_a_model_reads_lists_and_spellings_from_the_environment() -> None:
    config = from_environment(
        ModelConfig, DIRECTORY="x", NAMES="a,b", MAXAGE="3", SIZE="4", INNER='{"url": "y"}'
    )
    assert (config.names, config.max_age, config.size, config.inner.url) == (["a", "b"], 3.0, 4, "y")


def test_words_in_a_file_are_words() -> None:
    source = {"plugins": {"backup": {"config": {"directory": "x", "timeout": "5"}}}}
    loaded = load_config(source, environ={"PLUGHOST_PLUGINS__BACKUP__CONFIG__LIMITS__A": "1"})
    with pytest.raises(PluginConfigError) as caught:
        loaded.decode_plugin("backup", StructConfig)
    assert [str(one) for one in caught.value.problems] == [
        "plugins.backup.config.timeout (code): expected `float`, got `str`"
    ]


def test_a_problem_names_the_variable_it_came_from() -> None:
    with pytest.raises(PluginConfigError) as caught:
        from_environment(StructConfig, DIRECTORY="x", TIMEOUT="soon")
    assert caught.value.origin == "environment PLUGHOST_PLUGINS__BACKUP__CONFIG__TIMEOUT"
    assert "soon" not in str(caught.value)


def test_code_s_own_settings_take_the_place_of_the_table() -> None:
    loaded = load_config({"plugins": {"backup": {"config": {"directory": "x"}}}}, environ={})
    assert loaded.decode_plugin("backup", DataConfig, {"directory": "y"}) == DataConfig("y")
    with pytest.raises(PluginConfigError, match=r"plugins\.backup\.config\.size \(code\)"):
        loaded.decode_plugin("backup", DataConfig, {"directory": "y", "size": "x"})


@pytest.mark.parametrize("config", [StructConfig(Path("x")), DataConfig("x"), ModelConfig(directory="x")])
def test_code_may_hand_over_the_finished_configuration(config: Any) -> None:
    assert load_config({}, environ={}).decode_plugin("backup", type(config), config) is config


def test_code_may_hand_over_a_finished_part_of_it() -> None:
    rule = Rule("/")
    assert decode(DataConfig, directory="x", rules=[rule]).rules[0] is rule
    assert decode(Holder, picky=Picky(0, 2)).picky == Picky(0, 2)


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(PluginConfigError, match="expected `table`, got `Target`"):
        decode_plugin_config("backup", StructConfig, Target("x"))


def test_a_class_s_own_checks_are_part_of_it() -> None:
    assert decode(Picky, low=0).high == 1
    assert problems(Holder, picky={"low": 2}, odd={}) == {
        "picky": "low must not be above high",
        "odd": "KeyError: 'x'",
    }


def test_a_constraint_is_checked() -> None:
    class Limited(msgspec.Struct):
        size: Annotated[int, msgspec.Meta(ge=1)] = 1
        names: Annotated[list[str], msgspec.Meta(min_length=1)] = []

    assert problems(Limited, size=0, names=[]) == {
        "size": "expected `int` >= 1",
        "names": "expected `list` of length >= 1",
    }


def test_an_annotation_that_msgspec_cannot_use_is_told() -> None:
    class Odd(msgspec.Struct):
        either: dict[str, int] | Target | None = None

    assert "the type of this setting cannot be used" in problems(Odd, either=3)["either"]


def test_a_secret_in_the_table_is_in_no_message() -> None:
    class Talkative(msgspec.Struct):
        api_key: str = ""

        def __post_init__(self) -> None:
            raise ValueError(f"not a key: {self.api_key}")

    with pytest.raises(PluginConfigError, match=r"not a key: \*\*\*$"):
        decode(Talkative, api_key="hunter2")


def test_a_class_that_is_no_shape_for_a_table_is_told_so() -> None:
    class Plain:
        pass

    found = problems(Plain)["plugins.backup.config"]
    assert found.startswith("Config must be a msgspec.Struct, dataclass, TypedDict or pydantic model;")
    assert found.endswith(".Plain is not")


def test_annotations_that_lead_nowhere_are_told() -> None:
    @dataclass
    class Lost:
        value: Nowhere  # noqa: F821

    assert "annotations of" in str(problems(Lost))
    assert "'Nowhere' is not defined" in str(problems(Lost))


def test_a_type_that_no_configuration_can_hold_is_told() -> None:
    class Loose(msgspec.Struct):
        hook: Sequence[Target] = ()
        made: Any = None
        level: Level | None = None
        lock: object = None

    assert decode(Loose, made=[1], lock="x", hook=[{"url": "x"}]).hook == [Target("x")]
    assert problems(Impossible, thing="x") == {
        "thing": "a Thing cannot be made of what a configuration holds"
    }
    thing = Thing()
    assert decode(Impossible, thing=thing).thing is thing
