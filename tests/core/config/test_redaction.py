"""What is shown of a configuration holds no secret."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest

from plughost.contracts.masking import is_secret_key, masked_text
from plughost.contracts.secret import Secret
from plughost.core.config import load_config, redacted

HIDDEN = "hunter2"


SECRET_KEYS = [
    *("password", "PASSWORD", "db_password", "dbPassword", "passphrase", "secret", "client-secret"),
    *("clientSecret", "token", "access_token", "api_key", "apiKey", "APIKey", "key", "keys", "private_key"),
    *("encryption_keys", "dsn", "DSN", "sentry_dsn", "credentials"),
]

OPEN_KEYS = [
    *("username", "monkey", "keyboard", "tokenizer", "url", "public", ""),
    *("token_ttl", "secret_file", "cookie_name", "cookie_domain", "key_prefix", "password_min_length"),
]


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_keys_that_look_secret(key: str) -> None:
    assert is_secret_key(key)
    assert redacted({key: HIDDEN}) == {key: "***"}


@pytest.mark.parametrize("key", OPEN_KEYS)
def test_keys_that_do_not(key: str) -> None:
    assert not is_secret_key(key)
    assert redacted({key: "shown"}) == {key: "shown"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:hunter2@host/0", "redis://:***@host/0"),
        ("postgresql+psycopg://app:hunter2@db:5432/shop", "postgresql+psycopg://app:***@db:5432/shop"),
        ("postgresql://app:hun/ter@2@db/shop", "postgresql://app:***@db/shop"),
        ("https://ghp_token@github.com/x", "https://***@github.com/x"),
        ("https://host:8443/path", "https://host:8443/path"),
        ("postgresql://app@db/shop", "postgresql://app@db/shop"),
        ("host=db password=hunter2 dbname=shop", "host=db password=*** dbname=shop"),
        ("https://host/?api_key=hunter2&page=2", "https://host/?api_key=***&page=2"),
        ("https://host/?access_token=hunter2", "https://host/?access_token=***"),
        ("see a:b and c@d", "see a:b and c@d"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
    ],
)
def test_passwords_in_urls_and_connection_strings_are_hidden(text: str, shown: str) -> None:
    assert masked_text(text) == shown
    assert redacted({"url": [text]}) == {"url": [shown]}


def test_every_value_under_a_secret_key_is_hidden() -> None:
    assert redacted({"secrets": {"a": HIDDEN, "b": {"c": [HIDDEN]}}, "keys": [HIDDEN], "pin": 1234}) == {
        "secrets": {"a": "***", "b": {"c": "***"}},
        "keys": "***",
        "pin": "***",
    }


def test_names_of_plugins_apps_and_hooks_are_not_taken_for_keys() -> None:
    source = {
        "plugins": {"token-auth": {"required": True, "config": {"size": 3}}},
        "apps": {"key-store": {"size": 3}},
        "hooks": {"timeouts": {"rotate_keys": 2}, "order": {"check_token": ["token-auth"]}},
        "features": {"api_keys": True},
    }
    shown = {entry.path: entry.value for entry in load_config(source, environ={}).entries()}
    assert {path: value for path, value in shown.items() if not path.startswith("host.")} == {
        "plugins.token-auth.required": True,
        "plugins.token-auth.config.size": 3,
        "apps.key-store.size": 3,
        "hooks.timeouts.rotate_keys": 2.0,
        "hooks.order.check_token": ["token-auth"],
        "features.api_keys": True,
    }


def test_that_a_secret_is_empty_or_off_is_no_secret() -> None:
    assert redacted({"password": "", "token": None, "key": False, "secrets": {}}) == {
        "password": "",
        "token": None,
        "key": False,
        "secrets": {},
    }


def test_a_reference_is_named_and_not_followed() -> None:
    assert redacted({"url": {"$env": "DB_URL"}, "key": {"$file": "/run/key"}}) == {
        "url": "*** ($env DB_URL)",
        "key": "*** ($file /run/key)",
    }


class Inner(msgspec.Struct, frozen=True):
    url: str = "redis://:hunter2@host"


class StructConfig(msgspec.Struct, rename="camel"):
    user_name: str = "app"
    login: Secret = Secret(HIDDEN)
    directory: Path = Path("backups")
    inner: Inner = Inner()


@dataclass
class DataConfig:
    login: Secret = field(default_factory=lambda: Secret(HIDDEN))
    tags: set[str] = field(default_factory=lambda: {"a"})


class ModelConfig(pydantic.BaseModel):
    login: pydantic.SecretStr = pydantic.SecretStr(HIDDEN)
    size: int = 3


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        (
            StructConfig(),
            {
                "userName": "app",
                "login": "***",
                "directory": "backups",
                "inner": {"url": "redis://:***@host"},
            },
        ),
        (DataConfig(), {"login": "***", "tags": ["a"]}),
        (ModelConfig(), {"login": "**********", "size": 3}),
        ({"login": Secret(HIDDEN), 3: object}, {"login": "***", "3": "<class 'object'>"}),
    ],
)
def test_any_kind_of_configuration_becomes_plain_data(config: Any, shown: dict[str, Any]) -> None:
    assert redacted(config) == shown
    assert HIDDEN not in json.dumps(redacted(config))


def test_what_a_reference_stood_for_is_hidden_in_the_decoded_configuration() -> None:
    class Config(msgspec.Struct):
        user: str
        names: list[str]
        inner: Inner

    raw = {"user": {"$env": "X"}, "names": ["a", {"$env": "X"}], "inner": {"url": {"$env": "X"}}}
    loaded = load_config({"plugins": {"backup": {"config": raw}}}, environ={"X": HIDDEN})
    config = loaded.decode_plugin("backup", Config)
    assert config.inner.url == HIDDEN
    shown = loaded.redact(config, "backup")
    assert shown == {
        "user": "*** ($env X)",
        "names": ["a", "*** ($env X)"],
        "inner": {"url": "*** ($env X)"},
    }


class AliasConfig(pydantic.BaseModel):
    user_name: str = pydantic.Field(default="", alias="userName")
    home: str = pydantic.Field(default="", validation_alias=pydantic.AliasChoices("homeDir", "home_dir"))


@pytest.mark.parametrize("kind", [StructConfig, AliasConfig])
def test_what_a_reference_stood_for_is_hidden_however_its_key_was_spelled(kind: Any) -> None:
    environ = {"PLUGHOST_PLUGINS__BACKUP__CONFIG": '{"USERNAME": {"$env": "X"}}', "X": HIDDEN}
    loaded = load_config({}, environ=environ)
    config = loaded.decode_plugin("backup", kind)
    assert config.user_name == HIDDEN
    assert HIDDEN not in str(loaded.redact(config, "backup"))


def test_what_a_reference_stood_for_is_hidden_under_each_alias() -> None:
    raw = {"homeDir": {"$env": "X"}}
    loaded = load_config({"plugins": {"backup": {"config": raw}}}, environ={"X": HIDDEN})
    config = loaded.decode_plugin("backup", AliasConfig)
    assert config.home == HIDDEN
    assert loaded.redact(config, "backup") == {"user_name": "", "home": "*** ($env X)"}


def test_the_whole_configuration_is_listed_with_origins(tmp_path: Path) -> None:
    file = tmp_path / "acme.toml"
    file.write_text(
        '[host]\nname = "acme"\ndata_dir = {"$env" = "DATA"}\n'
        '[plugins.backup.config]\npassword = "hunter2"\nurl = {"$env" = "URL"}\nlevel = 3\n'
        '[apps.shop]\nurl = "postgresql://app:hunter2@db/shop"\n[features]\nnew = true\n'
    )
    loaded = load_config(file, environ={"DATA": HIDDEN, "PLUGHOST_PLUGINS__BACKUP__CONFIG__LEVEL": "4"})
    entries = {entry.path: (entry.value, entry.origin) for entry in loaded.entries()}
    assert entries["host.name"] == ("acme", str(file))
    assert entries["host.load_timeout"] == (30.0, "default")
    assert entries["host.data_dir"] == ("*** ($env DATA)", str(file))
    assert {path: entry for path, entry in entries.items() if not path.startswith("host.")} == {
        "plugins.backup.config.password": ("***", str(file)),
        "plugins.backup.config.url": ("*** ($env URL)", str(file)),
        "plugins.backup.config.level": ("4", "environment PLUGHOST_PLUGINS__BACKUP__CONFIG__LEVEL"),
        "apps.shop.url": ("postgresql://app:***@db/shop", str(file)),
        "features.new": (True, str(file)),
    }
    assert HIDDEN not in json.dumps(entries)
    assert HIDDEN not in str(loaded.entries())


def test_a_loaded_configuration_does_not_show_its_environment() -> None:
    assert HIDDEN not in repr(load_config({}, environ={"DB_PASSWORD": HIDDEN}))


class Account(msgspec.Struct):
    login: Secret
    name: str = ""


class SecretiveModel(pydantic.BaseModel):
    account: pydantic.SecretStr = pydantic.Field(default=pydantic.SecretStr(""), alias="accountCode")
    size: int = 3


class Secretive(msgspec.Struct):
    login: Secret
    maybe: Secret | None = None
    several: list[Secret] = []
    by_name: dict[str, Secret] = {}
    account: Account | None = None
    accounts: list[Account] = []
    named: dict[str, Account] = {}
    name: str = ""


WRITTEN = {
    "LOGIN": HIDDEN,
    "maybe": HIDDEN,
    "several": [HIDDEN, {"$env": "X"}],
    "by_name": {"a": HIDDEN},
    "account": {"login": HIDDEN, "name": "shown"},
    "accounts": [{"login": HIDDEN, "name": "shown"}],
    "named": {"a": {"login": HIDDEN}},
    "name": "shown",
    "unknown": "shown",
}


def test_what_the_class_declares_secret_is_hidden_in_the_table_as_it_was_written() -> None:
    source = {"plugins": {"back-up": {"config": WRITTEN}, "model": {"config": {"accountCode": HIDDEN}}}}
    loaded = load_config(source, environ={})
    shown = {
        "LOGIN": "***",
        "maybe": "***",
        "several": ["***", "*** ($env X)"],
        "by_name": {"a": "***"},
        "account": {"login": "***", "name": "shown"},
        "accounts": [{"login": "***", "name": "shown"}],
        "named": {"a": {"login": "***"}},
        "name": "shown",
        "unknown": "shown",
    }
    assert loaded.redact(WRITTEN, config_class=Secretive) == shown
    entries = loaded.entries({"back_up": Secretive, "model": SecretiveModel})
    assert HIDDEN not in str(entries)
    values = {entry.path: entry.value for entry in entries}
    assert values["plugins.back-up.config.account.name"] == "shown"
    assert values["plugins.model.config.accountCode"] == "***"


def test_a_table_that_does_not_fit_its_class_is_shown_all_the_same() -> None:
    @dataclass
    class Lost:
        value: Nowhere  # noqa: F821

    loaded = load_config({}, environ={})
    assert loaded.redact({"login": {"a": [HIDDEN, 1]}, "accounts": 3}, config_class=Secretive) == {
        "login": {"a": ["***", "***"]},
        "accounts": 3,
    }
    assert loaded.redact({"value": "shown"}, config_class=Lost) == {"value": "shown"}
