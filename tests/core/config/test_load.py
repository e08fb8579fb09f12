"""A configuration comes from a file, a mapping, sections or nothing, and says what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plughost.contracts.config import HooksSection, HostConfig, HostSection, PluginSection
from plughost.core.config import load_config
from plughost.exceptions import ConfigError

ACME = """
[host]
name = "acme"
load_concurrency = 3
load_timeout = 20
shutdown_timeout = 15
plugin_dir = "plugins"
required = ["sessions"]

[hooks.order]
before_auth = ["access", "audit"]
[hooks.timeouts]
before_auth = 2
"backup.before_backup" = 10

[plugins.backup]
enabled = true
module = "plughost_backup:BackupPlugin"
[plugins.backup.config]
directory = "./backups"
schedule = "0 2 * * *"

[apps.shop]
url = "sqlite:///shop.db"

[features]
new_checkout = true

[environments.production.host]
load_timeout = 60
[environments.production.plugins.backup.config]
directory = "/var/backups"
[environments.staging]
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file, seen from its own folder as ``acme.toml``."""
    monkeypatch.chdir(tmp_path)
    Path("acme.toml").write_text(ACME)
    return Path("acme.toml")


def problems_of(source: Any, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what is wrong with a configuration, by path."""
    with pytest.raises(ConfigError) as caught:
        load_config(source, environ=environ or {})
    return {problem.path: problem.message for problem in caught.value.problems}


def test_without_anything_the_defaults_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_config(environ={})
    assert loaded.config == HostConfig()
    assert loaded.path is None
    host = loaded.config.host
    assert (host.load_concurrency, host.load_timeout, host.shutdown_timeout) == (3, 30.0, 15.0)
    assert set(loaded.origins.values()) == {"default"}


def test_a_file_becomes_typed_sections(acme: Path) -> None:
    config = load_config(acme, environ={}).config
    assert config.host.name == "acme"
    assert config.host.load_timeout == 20.0
    assert isinstance(config.host.load_timeout, float)
    assert config.host.plugin_dir == Path("plugins")
    assert config.host.required == ("sessions",)
    assert config.hooks.order == {"before_auth": ("access", "audit")}
    assert config.hooks.timeouts == {"before_auth": 2.0, "backup.before_backup": 10.0}
    assert config.plugins["backup"].module == "plughost_backup:BackupPlugin"
    assert config.plugins["backup"].config == {"directory": "./backups", "schedule": "0 2 * * *"}
    assert config.apps == {"shop": {"url": "sqlite:///shop.db"}}
    assert config.features == {"new_checkout": True}


def test_a_configured_plugin_has_twice_the_time() -> None:
    assert load_config({"host": {"load_timeout": 7}}, environ={}).config.host.configured_load_timeout == 14


def test_each_value_knows_where_it_came_from(acme: Path) -> None:
    loaded = load_config(
        acme, environ={"PLUGHOST_HOST__LOAD_TIMEOUT": "5"}, overrides={"host": {"strict": True}}
    )
    assert loaded.origins["host.load_timeout"] == "environment PLUGHOST_HOST__LOAD_TIMEOUT"
    assert loaded.origins["host.name"] == "acme.toml"
    assert loaded.origins["host.strict"] == "code"
    assert loaded.origins["host.safe_mode"] == "default"
    assert loaded.origins["plugins.backup.config.schedule"] == "acme.toml"
    assert loaded.origins['hooks.timeouts."backup.before_backup"'] == "acme.toml"


def test_later_layers_win(acme: Path) -> None:
    environ = {"PLUGHOST_HOST__LOAD_TIMEOUT": "5", "PLUGHOST_HOST__LOAD_CONCURRENCY": "9"}
    config = load_config(acme, environ=environ, overrides={"host": {"load_concurrency": 1}}).config
    assert config.host.load_timeout == 5
    assert config.host.load_concurrency == 1
    assert config.host.shutdown_timeout == 15


def test_the_file_in_the_working_directory_is_taken_by_default(acme: Path) -> None:
    acme.rename("plughost.toml")
    loaded = load_config(environ={})
    assert loaded.path == Path("plughost.toml")
    assert loaded.config.host.name == "acme"


def test_a_variable_names_the_file(acme: Path) -> None:
    loaded = load_config(environ={"PLUGHOST_CONFIG": str(acme)})
    assert loaded.path == acme
    assert load_config(host_name="shop", environ={"SHOP_CONFIG": "acme.toml"}).path == acme
    both = {"SHOP_CONFIG": "acme.toml", "PLUGHOST_CONFIG": "other.toml"}
    assert load_config(host_name="shop", environ=both).path == acme


def test_an_empty_variable_names_no_file(acme: Path) -> None:
    assert load_config(environ={"PLUGHOST_CONFIG": ""}).path is None


def test_an_explicit_source_wins_over_the_variable(acme: Path) -> None:
    loaded = load_config({"host": {"name": "other"}}, environ={"PLUGHOST_CONFIG": str(acme)})
    assert loaded.config.host.name == "other"


def test_the_process_environment_is_read_by_default(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGHOST_HOST__LOAD_TIMEOUT", "3")
    assert load_config(acme).config.host.load_timeout == 3


def test_a_mapping_is_a_source_and_is_left_alone() -> None:
    source = {"plugins": {"backup": {"config": {"paths": ["a"]}}}}
    loaded = load_config(source, environ={"PLUGHOST_PLUGINS__BACKUP__CONFIG__LEVEL": "3"})
    assert loaded.origins["plugins.backup.config.paths"] == "code"
    source["plugins"]["backup"]["config"]["paths"].append("b")
    assert loaded.config.plugins["backup"].config == {"paths": ["a"], "level": "3"}
    assert source == {"plugins": {"backup": {"config": {"paths": ["a", "b"]}}}}


def test_typed_sections_are_a_source() -> None:
    config = HostConfig(
        host=HostSection(load_timeout=7, plugin_dir=Path("plugins")),
        hooks=HooksSection(order={"before_auth": ("a",)}),
        plugins={"backup": PluginSection(required=True, config={"directory": "x"})},
        features={"new": True},
    )
    loaded = load_config(config, environ={"PLUGHOST_HOST__LOAD_TIMEOUT": "8"})
    assert loaded.config == msgspec.structs.replace(
        config, host=msgspec.structs.replace(config.host, load_timeout=8.0)
    )
    assert loaded.origins["host.plugin_dir"] == "code"
    assert loaded.origins["host.load_concurrency"] == "default"


def test_the_host_s_own_name_wins_over_the_file_s(acme: Path) -> None:
    loaded = load_config(acme, host_name="shop", environ={})
    assert loaded.config.host.name == "shop"
    assert loaded.origins["host.name"] == "code"


def test_sections_cannot_be_changed(acme: Path) -> None:
    config = load_config(acme, environ={}).config
    with pytest.raises(AttributeError):
        config.host.name = "x"
    with pytest.raises(TypeError):
        config.plugins["x"] = PluginSection()
    with pytest.raises(TypeError):
        config.plugins["backup"].config["x"] = 1


def test_an_environment_is_laid_over_the_file(acme: Path) -> None:
    loaded = load_config(acme, environ={"PLUGHOST_ENVIRONMENT": "production"})
    assert loaded.config.host.environment == "production"
    assert loaded.config.host.load_timeout == 60
    assert loaded.config.plugins["backup"].config == {"directory": "/var/backups", "schedule": "0 2 * * *"}
    assert loaded.origins["host.load_timeout"] == "acme.toml [environments.production]"


def test_no_environment_is_chosen_by_itself(acme: Path) -> None:
    loaded = load_config(acme, environ={})
    assert loaded.config.host.environment == ""
    assert loaded.config.host.load_timeout == 20


def test_variables_win_over_the_chosen_environment(acme: Path) -> None:
    environ = {"ACME_ENVIRONMENT": "production", "PLUGHOST_HOST__LOAD_TIMEOUT": "1"}
    assert load_config(acme, environ=environ).config.host.load_timeout == 1


def test_the_file_or_code_may_choose_the_environment(acme: Path) -> None:
    acme.write_text(ACME.replace('name = "acme"', 'name = "acme"\nenvironment = "production"'))
    assert load_config(acme, environ={}).config.host.load_timeout == 60
    chosen_by_code = load_config(
        acme,
        environ={"PLUGHOST_ENVIRONMENT": "production"},
        overrides={"host": {"environment": "staging"}},
    )
    assert chosen_by_code.config.host.load_timeout == 20


def test_an_environment_that_is_not_there_is_refused(acme: Path) -> None:
    with pytest.raises(ConfigError, match=r"chooses environment 'prod'.*no table \[environments\.prod\]"):
        load_config(acme, environ={"PLUGHOST_ENVIRONMENT": "prod"})
    with pytest.raises(ConfigError, match="Did you mean 'production'"):
        load_config(acme, environ={"PLUGHOST_ENVIRONMENT": "prodution"})


def test_a_file_without_environments_serves_any_of_them() -> None:
    loaded = load_config({}, environ={"PLUGHOST_ENVIRONMENT": "production"})
    assert loaded.config.host.environment == "production"


def test_mistakes_in_another_environment_are_seen_now(acme: Path) -> None:
    acme.write_text(ACME + "[environments.test.host]\nload_timeot = 1\n")
    assert problems_of(acme) == {
        "environments.test.host.load_timeot": "unknown setting. Did you mean 'load_timeout'?"
    }


def test_a_secret_of_another_environment_need_not_be_there() -> None:
    there = {"host": {"data_dir": {"$env": "DATA"}, "required": ["a", {"$env": "NAME"}]}}
    source = {"environments": {"production": there}}
    assert load_config(source, environ={}).config == HostConfig()


def test_environments_are_tables() -> None:
    with pytest.raises(ConfigError, match=r"one table for each environment: \[environments\.production\]"):
        load_config({"environments": {"production": 3}}, environ={})


def test_all_problems_are_named_at_once() -> None:
    source = {
        "host": {"load_timeot": 1, "load_timeout": "x", "load_concurrency": 0, "required": "a", "allow": "a"},
        "plugns": {},
        "plugins": {"a": 3, "b": {"module": "a b"}},
        "hooks": {"timeouts": {"before_auth": -1}},
    }
    assert problems_of(source) == {
        "host.load_timeot": "unknown setting. Did you mean 'load_timeout'?",
        "host.load_timeout": "expected `float`, got `str`",
        "host.load_concurrency": "expected `int` >= 1",
        "host.required": "expected `list`, got `str`",
        "host.allow": "expected `list`, got `str`",
        "plugns": "unknown setting. Did you mean 'plugins'?",
        "plugins.a": "expected `table`, got `int`",
        "plugins.b.module": "expected text like 'acme.lamp:Lamp'",
        "hooks.timeouts.before_auth": "expected `float` > 0.0",
    }


def test_an_error_carries_the_path_and_origin_of_its_first_problem(acme: Path) -> None:
    acme.write_text('[host]\nload_timeot = 1\nname = "2fast"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(acme, environ={})
    assert (caught.value.path, caught.value.origin) == ("host.load_timeot", "acme.toml")
    assert str(caught.value).startswith("2 problems:\n  host.load_timeot (acme.toml): unknown setting.")


def test_a_number_written_as_text_is_refused_in_a_file(acme: Path) -> None:
    acme.write_text('[host]\nload_concurrency = "3"\nstrict = "true"\n')
    assert problems_of(acme) == {
        "host.load_concurrency": "expected `int`, got `str`",
        "host.strict": "expected `bool`, got `str`",
    }


def test_a_plugin_s_settings_in_the_wrong_place_are_told_the_right_one() -> None:
    assert problems_of({"plugins": {"backup": {"directory": "x"}}}) == {
        "plugins.backup.directory": "unknown setting. The plugin's own settings go under"
        " [plugins.backup.config]."
    }
    assert problems_of({"plugins": {"backup": {"enable": True}}}) == {
        "plugins.backup.enable": "unknown setting. Did you mean 'enabled'?"
    }


def test_a_plugin_is_fetched_only_with_its_digest() -> None:
    digest = "0" * 64
    url = "https://example.org/plugin.whl"
    assert load_config({"plugins": {"a": {"url": url, "sha256": digest}}}, environ={})
    assert "sha256" in problems_of({"plugins": {"a": {"url": url}}})["plugins.a"]
    assert (
        "expected text like"
        in problems_of({"plugins": {"a": {"url": url, "sha256": "0"}}})["plugins.a.sha256"]
    )
    both = {"url": url, "sha256": digest, "path": "x"}
    assert "not from both" in problems_of({"plugins": {"a": both}})["plugins.a"]


def test_a_limit_may_be_infinite(acme: Path) -> None:
    acme.write_text("[hooks.timeouts]\nbefore_backup = inf\n")
    assert load_config(acme, environ={}).config.hooks.timeouts["before_backup"] == float("inf")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[host]\nname = \n", "line 2, column 8"),
        ('[host]\nname = "acme"\nname = "other"\n', "line 3"),
        ("[host\n", "line 1, column 6"),
        ('a = "unfinished', "line 1, column 16"),
        ("a = [1,\n2,", "line 2, column 3"),
    ],
)
def test_a_broken_file_names_the_place(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "acme.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"acme\.toml is not TOML: .*{place}"):
        load_config(file, environ={})


def test_a_missing_file_says_who_named_it(tmp_path: Path) -> None:
    missing = str(tmp_path / "acme.toml")
    with pytest.raises(ConfigError, match=r"acme\.toml does not exist: create it, or name another"):
        load_config(missing, environ={})
    with pytest.raises(ConfigError, match=r"acme\.toml, which PLUGHOST_CONFIG names, does not exist"):
        load_config(environ={"PLUGHOST_CONFIG": missing})


def test_what_is_no_readable_text_is_an_error_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path, environ={})
    (tmp_path / "acme.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match="not UTF-8 text: byte 8"):
        load_config(tmp_path / "acme.toml", environ={})


def test_paths_begin_at_the_file(acme: Path) -> None:
    loaded = load_config(acme.absolute(), environ={})
    assert loaded.located("plugins") == Path.cwd() / "plugins"
    assert loaded.located("/srv/plugins") == Path("/srv/plugins")
    assert load_config({}, environ={}).located("plugins") == Path.cwd() / "plugins"


def test_a_plugin_is_required_when_the_host_or_its_own_table_says_so() -> None:
    source = {"host": {"required": ["Cache"]}, "plugins": {"backup": {}, "query-cache": {"required": True}}}
    loaded = load_config(source, environ={})
    names = ["cache", "query.cache", "backup", "other"]
    assert [name for name in names if loaded.is_required(name)] == ["cache", "query.cache"]


def test_turning_a_plugins_switch_leaves_all_else_as_it_is() -> None:
    loaded = load_config({"plugins": {"query-cache": {"required": True}}}, environ={})
    off = loaded.switched("Query_Cache", enabled=False)
    assert not off.plugin("query-cache").enabled
    assert off.plugin("query-cache").required
    assert off.switched("query-cache", enabled=True) == loaded


def test_a_table_belongs_to_a_plugin_whose_name_has_the_other_kind_of_dash() -> None:
    loaded = load_config({"plugins": {"query_cache": {"required": True}, "a-b": {}}}, environ={})
    assert loaded.section_of("query-cache") == "query_cache"
    assert loaded.plugin("Query-Cache").required
    assert loaded.section_of("A.b") == "a-b"
    assert loaded.section_of("other") is None
    assert loaded.plugin("other") == PluginSection()


def test_a_feature_is_off_until_it_is_switched_on() -> None:
    loaded = load_config({"features": {"new": True, "old": False}}, environ={})
    assert loaded.feature("new")
    assert not loaded.feature("old", default=True)
    assert not loaded.feature("other")
    assert loaded.feature("other", default=True)


def test_an_app_s_references_are_followed_when_it_is_asked_for() -> None:
    source = {"apps": {"shop": {"url": {"$env": "SHOP_URL"}}, "blog": {"url": {"$env": "BLOG_URL"}}}}
    loaded = load_config(source, environ={"SHOP_URL": "sqlite:///shop.db"})
    assert loaded.app_config("shop") == {"url": "sqlite:///shop.db"}
    with pytest.raises(
        ConfigError, match=r"apps\.blog\.url \(code\): environment variable BLOG_URL is not set"
    ):
        loaded.app_config("blog")
    with pytest.raises(KeyError):
        loaded.app_config("wiki")


def test_two_hosts_of_one_process_do_not_share_anything(acme: Path) -> None:
    environ = dict(os.environ) | {"SHOP_HOST__LOAD_TIMEOUT": "1", "BLOG_HOST__LOAD_TIMEOUT": "2"}
    shop = load_config(acme, host_name="shop", environ=environ)
    blog = load_config(acme, host_name="blog", environ=environ)
    assert (shop.config.host.load_timeout, blog.config.host.load_timeout) == (1, 2)


def test_a_working_folder_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigError, match=r"was removed, so nobody knows where relative paths begin"):
        load_config(None)
    assert load_config({}, base=tmp_path).config.host.load_timeout > 0
