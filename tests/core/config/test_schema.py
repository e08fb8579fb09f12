"""The schema of a configuration accepts what the host accepts and refuses what it refuses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pydantic
import pytest

from plughost.contracts.secret import Secret
from plughost.core.config import config_schema, load_config
from plughost.exceptions import ConfigError

HIDDEN = "hunter2"


class Level(Enum):
    FAST = "fast"


class Target(msgspec.Struct):
    url: str
    more: list[Target] = []


class StructConfig(msgspec.Struct):
    """Settings of backups.

    And more about them.

    Attributes:
        directory: Where archives are kept;
            relative to the file.
        level: How hard to press.
    """

    directory: Path
    level: Level = Level.FAST
    keep: int = 7
    password: Secret = Secret(HIDDEN)
    api_key: str = HIDDEN
    url: str = "redis://:hunter2@host"
    folder: Path = Path("archive")
    targets: dict[str, Target] = {}
    main: Target | None = None
    limit: float | None = None


@dataclass
class DataConfig:
    size: int = 1
    password: str = HIDDEN


class Inner(pydantic.BaseModel):
    url: str = "x"


class ModelConfig(pydantic.BaseModel):
    size: int = 1
    api_key: str = HIDDEN
    inner: Inner = Inner()


class Odd:
    """Nothing that a table can become."""


PLUGINS: dict[str, Any] = {
    "backup": StructConfig,
    "data": DataConfig,
    "model": ModelConfig,
    "a/b~c": DataConfig,
    "free": None,
    "odd": Odd,
}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = config_schema(PLUGINS)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))


def plugin(name: str, **config: Any) -> dict[str, Any]:
    return {"plugins": {name: {"config": config}}}


ACCEPTED = [
    {},
    {"host": {"name": "acme", "load_timeout": 30, "allow": ["a"], "plugin_dir": "plugins"}},
    {"hooks": {"order": {"before_auth": ["a"]}, "timeouts": {"backup.before_backup": 10}}},
    {"apps": {"shop": {"url": "x", "anything": [1]}}, "features": {"new": True}},
    {"plugins": {"unheard-of": {"enabled": False, "module": "a.b:C", "config": {"any": {"thing": 1}}}}},
    plugin("backup", directory="x", level="fast", targets={"a": {"url": "x", "more": [{"url": "y"}]}}),
    plugin("backup", directory="x", main={"url": "x"}, limit=3),
    plugin("data", size=3),
    plugin("model", size=3, inner={"url": "y"}),
    plugin("a/b~c", size=3),
    plugin("free", any={"thing": 1}),
    plugin("odd", any={"thing": 1}),
    {"environments": {"production": {"host": {"strict": True}}, "staging": {}}},
    {"environments": {"production": plugin("backup", keep=3)}},
]

REFUSED = [
    {"hots": {}},
    {"host": {"load_timeot": 3}},
    {"host": {"load_timeout": 0}},
    {"host": {"load_concurrency": "3"}},
    {"host": {"name": "2fast"}},
    {"features": {"new": "yes"}},
    {"plugins": {"backup": {"enable": True}}},
    {"plugins": {"backup": {"enabled": "yes", "config": {"directory": "x"}}}},
    {"plugins": {"backup": 3}},
    {"environments": {"production": {"hots": {}}}},
]

REFUSED_BY_PLUGIN = [
    plugin("backup"),
    plugin("backup", directory="x", level="slow"),
    plugin("backup", directory="x", kep=3),
    plugin("backup", directory="x", targets={"a": {"ulr": "x"}}),
    plugin("backup", directory="x", targets={"a": {"url": "x", "more": [{}]}}),
    plugin("backup", directory="x", main={}),
    plugin("data", seize=3),
    plugin("data", size="3"),
    plugin("model", seize=3),
    plugin("model", inner={"ulr": "x"}),
    plugin("a/b~c", seize=3),
]


@pytest.mark.parametrize("document", ACCEPTED, ids=str)
def test_what_the_host_accepts_is_valid(document: Any, validator: jsonschema.Draft202012Validator) -> None:
    assert list(validator.iter_errors(document)) == []
    load_config(document, environ={})


@pytest.mark.parametrize("document", REFUSED, ids=str)
def test_what_the_host_refuses_is_invalid(document: Any, validator: jsonschema.Draft202012Validator) -> None:
    assert list(validator.iter_errors(document)) != []
    with pytest.raises(ConfigError):
        load_config(document, environ={})


@pytest.mark.parametrize("document", REFUSED_BY_PLUGIN, ids=str)
def test_what_a_plugin_s_config_refuses_is_invalid(
    document: Any, validator: jsonschema.Draft202012Validator
) -> None:
    assert list(validator.iter_errors(document)) != []
    (name,) = document["plugins"]
    with pytest.raises(ConfigError):
        load_config(document, environ={}).decode_plugin(name, PLUGINS[name])


REFERENCE = {"$env": "NAME"}


@pytest.mark.parametrize(
    "document",
    [
        {"host": {"load_timeout": REFERENCE, "data_dir": {"$file": "x"}}},
        {"plugins": {"backup": {"module": REFERENCE, "config": {"directory": REFERENCE}}}},
        plugin("backup", directory="x", keep=REFERENCE, password=REFERENCE, level=REFERENCE, limit=REFERENCE),
        plugin("backup", directory="x", targets={"a": {"url": REFERENCE}}),
        plugin("data", size=REFERENCE),
        plugin("model", size=REFERENCE, inner={"url": REFERENCE}),
    ],
    ids=str,
)
def test_a_reference_may_stand_for_a_value(document: Any, validator: jsonschema.Draft202012Validator) -> None:
    assert list(validator.iter_errors(document)) == []


@pytest.mark.parametrize("reference", [{"$evn": "X"}, {"$env": ""}, {"$env": "X", "$file": "y"}, {"$env": 3}])
def test_a_malformed_reference_is_invalid(reference: Any, validator: jsonschema.Draft202012Validator) -> None:
    assert list(validator.iter_errors({"host": {"load_timeout": reference}})) != []


def test_settings_are_described_from_the_docstring() -> None:
    schema = config_schema(PLUGINS)
    backup = schema["$defs"]["backup.StructConfig"]
    assert backup["description"] == "Settings of backups."
    assert (
        backup["properties"]["directory"]["description"] == "Where archives are kept; relative to the file."
    )
    host = schema["$defs"]["HostSection"]["properties"]
    assert all(setting.get("description") for setting in host.values())


def test_defaults_are_shown_unless_they_are_secret() -> None:
    schema = config_schema(PLUGINS)
    settings = schema["$defs"]["backup.StructConfig"]["properties"]
    assert {key: one["default"] for key, one in settings.items() if "default" in one} == {
        "level": "fast",
        "keep": 7,
        "folder": "archive",
        "main": None,
        "limit": None,
    }
    assert HIDDEN not in json.dumps(schema)


def test_the_schema_says_which_values_are_secret() -> None:
    password = config_schema(PLUGINS)["$defs"]["backup.StructConfig"]["properties"]["password"]
    assert {"type": "string", "writeOnly": True} in password["anyOf"]


def test_classes_of_one_name_in_two_plugins_are_kept_apart() -> None:
    other = msgspec.defstruct("StructConfig", [("port", int)])
    schema = config_schema({"backup": StructConfig, "other": other})
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(plugin("other", port=3))
    assert not validator.is_valid(plugin("other", directory="x"))


def test_a_class_that_cannot_be_described_does_not_spoil_the_others() -> None:
    class Broken(msgspec.Struct):
        value: Nowhere  # noqa: F821

    validator = jsonschema.Draft202012Validator(config_schema({"broken": Broken, "data": DataConfig}))
    assert validator.is_valid(plugin("broken", anything=1))
    assert not validator.is_valid(plugin("data", seize=1))


def test_without_plugins_every_plugin_s_table_is_free() -> None:
    assert jsonschema.Draft202012Validator(config_schema()).is_valid(plugin("backup", anything=1))
