"""Environment variables reach every setting, however its name is spelled, and misspelled ones are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from plughost.core.config import LoadedConfig, load_config
from plughost.exceptions import ConfigError


def load(source: Mapping[str, Any] | None = None, /, **environ: str) -> LoadedConfig:
    return load_config(source or {}, environ=environ)


def test_numbers_and_switches_are_read_from_words() -> None:
    host = load(
        PLUGHOST_HOST__LOAD_TIMEOUT="10",
        PLUGHOST_HOST__LOAD_CONCURRENCY="4",
        PLUGHOST_HOST__HEALTH_INTERVAL="0.5",
        PLUGHOST_HOST__STRICT="yes",
    ).config.host
    assert (host.load_timeout, host.load_concurrency, host.health_interval, host.strict) == (
        10.0,
        4,
        0.5,
        True,
    )


@pytest.mark.parametrize("word", ["1", "true", "TRUE", "yes", "on", " On "])
def test_words_that_switch_on(word: str) -> None:
    assert load(PLUGHOST_SAFE_MODE=word).config.host.safe_mode is True


@pytest.mark.parametrize("word", ["0", "false", "No", "off", ""])
def test_words_that_switch_off(word: str) -> None:
    assert load({"host": {"safe_mode": True}}, PLUGHOST_SAFE_MODE=word).config.host.safe_mode is False


def test_a_word_that_is_neither_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        load(PLUGHOST_STRICT="perhaps")
    assert str(caught.value) == "host.strict (environment PLUGHOST_STRICT): expected `bool`, got `str`"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a,b", ("a", "b")), (" a , b ,", ("a", "b")), ('["a", "b,c"]', ("a", "b,c")), ("a", ("a",)), ("", ())],
)
def test_lists_are_separated_by_commas_or_json(text: str, expected: tuple[str, ...]) -> None:
    assert load(PLUGHOST_HOST__REQUIRED=text).config.host.required == expected


def test_the_plugins_to_load_are_named_by_a_variable_of_their_own() -> None:
    assert load().config.host.allow is None
    assert load(PLUGHOST_LOAD_PLUGINS="a,b").config.host.allow == ("a", "b")
    assert load(PLUGHOST_LOAD_PLUGINS="").config.host.allow == ()


def test_the_short_names_reach_the_host() -> None:
    loaded = load(PLUGHOST_SAFE_MODE="1", PLUGHOST_STRICT="1", PLUGHOST_ENVIRONMENT="production")
    host = loaded.config.host
    assert (host.safe_mode, host.strict, host.environment) == (True, True, "production")
    assert loaded.origins["host.strict"] == "environment PLUGHOST_STRICT"


def test_a_plugin_s_setting_is_reached() -> None:
    loaded = load(PLUGHOST_PLUGINS__CACHE__CONFIG__TTL="300")
    assert loaded.config.plugins["cache"].config == {"ttl": "300"}
    assert loaded.origins["plugins.cache.config.ttl"] == "environment PLUGHOST_PLUGINS__CACHE__CONFIG__TTL"


def test_names_with_dashes_and_capitals_are_reached_by_underscores() -> None:
    source = {
        "plugins": {"Query-Cache": {"config": {"maxEntries": 1, "redis-url": "x"}}},
        "apps": {"web-shop": {"url": "x"}},
        "features": {"new-checkout": False},
        "hooks": {"timeouts": {"query-cache.before_auth": 1}},
    }
    config = load(
        source,
        PLUGHOST_PLUGINS__QUERY_CACHE__CONFIG__MAXENTRIES="2",
        PLUGHOST_PLUGINS__QUERY_CACHE__CONFIG__REDIS_URL="y",
        PLUGHOST_PLUGINS__QUERY_CACHE__REQUIRED="on",
        PLUGHOST_APPS__WEB_SHOP__URL="y",
        PLUGHOST_FEATURES__NEW_CHECKOUT="on",
        PLUGHOST_HOOKS__TIMEOUTS__QUERY_CACHE__BEFORE_AUTH="2",
    ).config
    assert list(config.plugins) == ["Query-Cache"]
    assert config.plugins["Query-Cache"].config == {"maxEntries": "2", "redis-url": "y"}
    assert config.plugins["Query-Cache"].required
    assert config.apps == {"web-shop": {"url": "y"}}
    assert config.features == {"new-checkout": True}
    assert config.hooks.timeouts == {"query-cache.before_auth": 2.0}


def test_hooks_are_ordered_and_timed() -> None:
    hooks = load(
        PLUGHOST_HOOKS__ORDER__BEFORE_AUTH="b,a",
        PLUGHOST_HOOKS__TIMEOUTS__BEFORE_AUTH="2",
        PLUGHOST_HOOKS__TIMEOUTS__BACKUP__BEFORE_BACKUP="10",
    ).config.hooks
    assert hooks.order == {"before_auth": ("b", "a")}
    assert hooks.timeouts == {"before_auth": 2.0, "backup.before_backup": 10.0}


def test_a_whole_table_is_written_as_json_and_merged() -> None:
    source = {"plugins": {"cache": {"config": {"ttl": 1, "size": 2}}}}
    loaded = load(source, PLUGHOST_PLUGINS__CACHE__CONFIG='{"ttl": 300, "caches": {"tmdb": {"ttl": 5}}}')
    assert loaded.config.plugins["cache"].config == {"ttl": 300, "size": 2, "caches": {"tmdb": {"ttl": 5}}}
    assert loaded.origins["plugins.cache.config.size"] == "code"
    assert loaded.origins["plugins.cache.config.ttl"] == "environment PLUGHOST_PLUGINS__CACHE__CONFIG"


def test_text_where_a_table_belongs_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"plugins\.cache \(environment PLUGHOST_PLUGINS__CACHE\): expected"
    ):
        load(PLUGHOST_PLUGINS__CACHE="yes")


def test_the_host_s_own_prefix_wins() -> None:
    environ = {"PLUGHOST_HOST__LOAD_TIMEOUT": "1", "MY_SHOP_HOST__LOAD_TIMEOUT": "2", "PLUGHOST_STRICT": "1"}
    host = load_config({}, host_name="my-shop", environ=environ).config.host
    assert (host.load_timeout, host.strict) == (2, True)
    assert load_config({"host": {"name": "my-shop"}}, environ=environ).config.host.load_timeout == 2
    assert load_config({}, host_name="other", environ=environ).config.host.load_timeout == 1


def test_the_host_s_own_prefix_is_shared_with_its_application() -> None:
    environ = {"ACME_DATABASE__URL": "x", "ACME_SAFEMODE": "1", "ACME_DEBUG": "1"}
    assert not load_config({}, host_name="acme", environ=environ).config.host.safe_mode


def test_an_unknown_setting_of_a_section_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"host\.load_timeot \(environment PLUGHOST_HOST__LOAD_TIMEOT\).*timeout"
    ):
        load(PLUGHOST_HOST__LOAD_TIMEOT="1")
    with pytest.raises(ConfigError, match="unknown setting"):
        load_config({}, host_name="acme", environ={"ACME_HOST__LOAD_TIMEOT": "1"})


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("PLUGHOST_SAFEMODE", "Did you mean 'SAFE_MODE'"),
        ("PLUGHOST_LOAD_PLUGIN", "Did you mean 'LOAD_PLUGINS'"),
        ("PLUGHOST_PLUGIN__CACHE__ENABLED", "no section PLUGIN. Did you mean 'PLUGINS'"),
        ("PLUGHOST_LOAD_TIMEOUT", "write PLUGHOST_HOST__LOAD_TIMEOUT"),
    ],
)
def test_a_near_miss_is_told_rather_than_ignored(name: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=advice):
        load(**{name: "1"})


def test_a_variable_that_a_reference_names_is_no_near_miss() -> None:
    source = {
        "host": {"data_dir": {"$env": "PLUGHOST_DATA_DIR"}},
        "apps": {"shop": {"urls": [{"$env": "PLUGHOST_DB__URL"}]}},
    }
    loaded = load(source, PLUGHOST_DATA_DIR="/srv", PLUGHOST_DB__URL="x")
    assert str(loaded.config.host.data_dir) == "/srv"


def test_variables_that_have_nothing_to_do_with_it_are_left_alone() -> None:
    loaded = load(
        PLUGHOST_PORT="tcp://10.0.0.1:80",
        PLUGHOST_SERVICE_HOST="10.0.0.1",
        PLUGHOST_PORT_8000_TCP="x",
        PLUGHOST_ADMIN_SECRET="x",
        plughost_safe_mode="1",
        HOST__LOAD_TIMEOUT="1",
    )
    assert loaded.config == load().config
