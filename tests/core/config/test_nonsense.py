"""A setting that cannot mean anything is refused at once, by its name and with what to write."""

import tomllib

import pytest

from plughost import Host
from plughost.contracts import HostConfig, HttpSettings
from plughost.core.config import load_config
from plughost.exceptions import ConfigError
from plughost.http import create_app

DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

NONSENSE = [
    # where it stands, what was written, the setting that the answer names, what it says to do
    ("host", r'name = "acme\n"', "host.name", "'acme'"),
    ("host", 'plugin_dir = ""', "host.plugin_dir", "take the setting out"),
    ("host", 'data_dir = ""', "host.data_dir", "take the setting out"),
    ("host", 'project = "two words"', "host.project", "'acme'"),
    ("host", 'groups = ["two words"]', "host.groups[0]", "'acme.plugins'"),
    ("host", 'required = [""]', "host.required[0]", "'sessions'"),
    ("host", 'allow = [" "]', "host.allow[0]", "'sessions'"),
    ("host", 'disabled = ["cache "]', "host.disabled[0]", "'sessions'"),
    ("host", "restart_pause = 60.0", "restart_pause", "raise the limit"),
    ("host", "restart_pause = inf", "restart_pause", "raise the limit"),
    ("host", r'hookspecs = ["textkit.hooks\n"]', "host.hookspecs[0]", "'acme.lamp:Lamp'"),
    ("hooks", 'order = { before_auth = ["a", "b", "a"] }', "order.before_auth", "leave one of them out"),
    ("hooks", 'order = { before_auth = [""] }', "before_auth[0]", "'sessions'"),
    ("plugins.lamp", 'distribution = ""', "plugins.lamp.distribution", "'acme-lamp'"),
    ("plugins.lamp", 'path = ""', "plugins.lamp.path", "take the setting out"),
    ("plugins.lamp", 'path = "lamp.whl"\nsha256 = "abc"', "plugins.lamp.sha256", "e3b0c442"),
    ("plugins.lamp", f'sha256 = "{DIGEST}"', "sha256", "path or url"),
    ("plugins.lamp", 'process = { memory = "256MB" }', "process", 'isolation = "process"'),
    ("plugins.lamp", "process = { confine = {} }", "process", 'isolation = "process"'),
    ("plugins.lamp", 'isolation = "process"\nprocess = { memory = "0MB" }', "memory", "'256MB'"),
    ("plugins.lamp", 'isolation = "process"\nprocess = { cpu = inf }', "process.cpu", "<= 4096"),
    ("plugins", '"" = { enabled = true }', "plugins", "'sessions'"),
    ("apps", '" " = { url = "sqlite://" }', "apps", "'sessions'"),
    ("http", 'public_url = "x"', "http.public_url", "'https://acme.example/shop'"),
    ("http", 'public_url = "https://"', "http.public_url", "'https://acme.example/shop'"),
    ("http", 'public_url = "https://acme.example/?next=1"', "http.public_url", "https://"),
    ("http", 'public_url = "ftp://acme.example"', "http.public_url", "https://"),
    ("http", 'trusted_origins = ["https://acme.example:port"]', "http.trusted_origins[0]", "https://"),
    ("http", 'trusted_origins = ["https://acme.example/"]', "http.trusted_origins[0]", "https://"),
    ("http", "link_lifetime = inf", "http.link_lifetime", "604800"),
    ("http", "browser_lifetime = inf", "http.browser_lifetime", "31536000"),
    ("http", "max_depth = 100000", "http.max_depth", "1000"),
    ("http", "max_streams = 2\nmax_streams_each = 3", "max_streams_each", "max_streams, 2"),
    ("http", 'role_scopes = { admin = ["cache read"] }', "role_scopes.admin[0]", "'cache:read'"),
    ("http", 'role_scopes = { "" = ["cache:read"] }', "role_scopes", "'sessions'"),
]


@pytest.mark.parametrize(("table", "text", "setting", "advice"), NONSENSE)
def test_it_is_refused_by_its_name_and_with_what_to_write(table, text, setting, advice):
    with pytest.raises(ConfigError) as caught:
        load_config(tomllib.loads(f"[{table}]\n{text}\n"), environ={})
    assert setting in str(caught.value)
    assert advice in str(caught.value)
    assert "regex" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        'public_url = ""',
        'public_url = "https://acme.example"',
        'public_url = "http://localhost:8080/shop"',
        'public_url = "https://[::1]:8443/"',
        'trusted_origins = ["https://app.acme.example", "http://[::1]:3000"]',
        'role_scopes = { admin = ["*"], clerk = ["cache:*", "metrics"] }',
        "request_timeout = inf",
    ],
)
def test_what_means_something_is_accepted(text):
    load_config(tomllib.loads(f"[http]\n{text}\n"), environ={})


@pytest.mark.parametrize(
    ("variable", "value", "setting"),
    [
        ("PLUGHOST_HTTP__PUBLIC_URL", "acme.example", "http.public_url"),
        ("PLUGHOST_HOST__PLUGIN_DIR", "", "host.plugin_dir"),
        ("PLUGHOST_HTTP__TRUSTED_ORIGINS", "https://acme.example,localhost", "http.trusted_origins[1]"),
    ],
)
def test_the_environment_is_no_way_around(variable, value, setting):
    with pytest.raises(ConfigError, match="expected") as caught:
        load_config({}, environ={variable: value})
    assert caught.value.path == setting
    assert variable in str(caught.value)


def test_code_is_no_way_around():
    wrong = HttpSettings(public_url="x")
    with pytest.raises(ConfigError, match="public_url"):
        Host("acme", config=HostConfig(http=wrong))
    with pytest.raises(ConfigError, match="public_url"):
        create_app(Host("acme", config={}), settings=wrong)


PLUGINS = [
    ("cache", 'redis_url = "localhost:6379"', "redis_url begins with redis://"),
    ("cache", "journal = -1", "journal"),
    ("cache", "warm_concurrency = 0", "warm_concurrency"),
    ("cache", "cleanup_interval = 0.0", "cleanup_interval"),
    ("cache", "event_interval = -1.0", "event_interval"),
    ("cache", "backoff = 5.0", "backoff cannot be above backoff_cap"),
    ("cache", "limits = { api = { limit = 0, window = 1.0 } }", "limits.api.limit"),
    ("cache", "limits = { api = { limit = 1, window = 0.0 } }", "limits.api.window"),
    ("cache", 'limits = { "a b" = { limit = 1, window = 1.0 } }', "a b"),
    ("cache", 'policy = "lru2"', "lru"),
    ("cache", 'caches = { a = { policy = "nowhere:Policy" } }', "nowhere"),
    ("sessions", 'cookie_domain = "https://shop.example"', "cookie_domain"),
    ("sessions", 'cookie_domain = ""', "cookie_domain"),
    ("sessions", 'cookie_path = "shop"', "cookie_path"),
    ("sessions", 'trusted_origins = ["acme.example"]', "'https://acme.example'"),
    ("sessions", 'csrf_exempt_paths = ["webhook"]', "/webhook"),
    ("sessions", 'redis_url = "redis://localhost"', "store = 'redis'"),
    ("fleet", 'redis_url = "redis://localhost"', "store = 'redis'"),
    ("admin", "refresh = inf", "refresh"),
    ("admin", "panel_timeout = inf", "panel_timeout"),
    ("database", 'pg_dump = ""', "pg_dump"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("plugin", "text", "said"), PLUGINS)
async def test_plughost_s_own_plugins_refuse_theirs_before_they_start(tmp_path, plugin, text, said):
    config = tomllib.loads(f"[plugins.{plugin}.config]\n{text}\n")
    config["host"] = {"allow": [plugin], "data_dir": str(tmp_path)}
    async with Host("acme", config=config, environ={}) as host:
        (failed,) = host.report.failed
    assert failed.error.phase == "validation"
    assert said in failed.error.message


@pytest.mark.anyio
async def test_an_address_of_redis_is_not_repeated_for_it_may_hold_a_password(tmp_path):
    config = {
        "host": {"allow": ["cache"], "data_dir": str(tmp_path)},
        "plugins": {"cache": {"config": {"redis_url": ":hunter2@localhost:6379"}}},
    }
    async with Host("acme", config=config, environ={}) as host:
        (failed,) = host.report.failed
    assert "hunter2" not in failed.error.message
