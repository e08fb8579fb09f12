"""A setting that speaks of a hook or a plugin which is not there is told in the log, at the start and at a reload."""

import pytest

from plughost import Host, hookspec
from plughost.blocking import BlockingHost
from plughost.http import HttpSettings, create_app

pytestmark = pytest.mark.anyio


class Specs:
    @hookspec
    async def shines(self, colour): ...


@pytest.fixture
def told(caplog):
    caplog.set_level("WARNING", "plughost")
    return lambda: [(one.setting, one.reason) for one in caplog.records if "not there" in one.getMessage()]


@pytest.mark.parametrize(
    ("table", "setting", "said"),
    [
        ({"hooks": {"order": {"befor_auth": ["admin"]}}}, "hooks.order.befor_auth", "'before_auth'"),
        ({"hooks": {"order": {"shines": ["admni"]}}}, "hooks.order.shines", "'admin'"),
        ({"hooks": {"timeouts": {"shine": 2.0}}}, "hooks.timeouts.shine", "'shines'"),
        ({"hooks": {"timeouts": {"admni.shines": 2.0}}}, 'hooks.timeouts."admni.shines"', "'admin'"),
        ({"host": {"allow": ["admni"]}}, "host.allow", "'admin'"),
        ({"host": {"disabled": ["databse"]}}, "host.disabled", "'database'"),
        ({"plugins": {"databse": {"enabled": False}}}, "plugins.databse.enabled", "'database'"),
    ],
)
async def test_it_is_told_with_what_was_meant(tmp_path, told, table, setting, said):
    config = {**table, "host": {"data_dir": str(tmp_path), "allow": ["admin"], **table.get("host", {})}}
    async with Host("acme", config=config, environ={}, hookspecs=[Specs]):
        pass
    ((where, reason),) = told()
    assert where == setting
    assert said in reason


async def test_who_is_to_run_inside_by_a_wrong_name_is_told(tmp_path, told):
    config = {"host": {"data_dir": str(tmp_path), "allow": ["admin"]}}
    async with Host("acme", config=config, environ={"PLUGHOST_IN_PROCESS": "admni, admin"}):
        pass
    assert told() == [("PLUGHOST_IN_PROCESS", "no plugin 'admni' was found. Did you mean 'admin'?")]


async def test_who_is_kept_out_may_be_absent_or_brought_along(tmp_path, told):
    config = {
        "host": {"data_dir": str(tmp_path), "allow": ["admin"], "disabled": ["zebra", "Database"]},
        "plugins": {
            "quagga": {"enabled": False},
            "databse": {"enabled": False, "module": "elsewhere:Plugin"},
            "cache": {"enabled": False},
        },
    }
    async with Host("acme", config=config, environ={}):
        pass
    assert not told()


async def test_what_is_there_is_not_told(tmp_path, told):
    hooks = {"order": {"shines": ["Admin"]}, "timeouts": {"before_auth": 2.0, "admin.shines": 1.0}}
    config = {"host": {"data_dir": str(tmp_path), "allow": ["admin"]}, "hooks": hooks}
    async with Host("acme", config=config, environ={}, hookspecs=[Specs]):
        pass
    assert not told()


async def test_a_reload_tells_it_too(tmp_path, told):
    file = tmp_path / "plughost.toml"
    file.write_text('[host]\nallow = ["admin"]\n', "utf-8")
    environ = {"PLUGHOST_HOST__DATA_DIR": str(tmp_path / "data")}
    async with Host("acme", config=file, environ=environ) as host:
        file.write_text('[host]\nallow = ["admin", "sesions"]\n', "utf-8")
        assert not told()
        await host.reload()
    ((where, reason),) = told()
    assert where == "host.allow"
    assert "'sessions'" in reason


@pytest.mark.parametrize(("rates", "told_of"), [({"reed": 5}, ["http.rate_limits.reed"]), ({"read": 5}, [])])
async def test_a_rate_class_in_which_no_route_counts_is_told(tmp_path, caplog, rates, told_of):
    config = {"host": {"data_dir": str(tmp_path), "allow": ["admin"]}}
    async with Host("acme", config=config, environ={}) as host:
        create_app(host, settings=HttpSettings(rate_limits=rates)).close()
    found = [one for one in caplog.records if "rate class" in one.getMessage()]
    assert [one.setting for one in found] == told_of
    assert all("'read'" in one.advice for one in found)


def _by_for_pluggy(group, config):
    return Host.for_pluggy("greet", Specs, group=group, config=config, environ={})


def _by_groups(group, config):
    return Host("greet", project="greet", groups=(group, "plughost.plugins"), config=config, environ={})


def _by_the_file(group, config):
    return Host("greet", config=config | {"host": config["host"] | {"groups": [group]}}, environ={})


def _by_a_variable(group, config):
    return Host("greet", config=config, environ={"GREET_HOST__GROUPS": f'["{group}"]'})


GROUP_DOORS = [_by_for_pluggy, _by_groups, _by_the_file, _by_a_variable]


@pytest.fixture
def told_of_groups(caplog):
    caplog.set_level("INFO", "plughost")
    return lambda: [
        (one.levelname, one.getMessage())
        for one in caplog.records
        if getattr(one, "setting", "") == "host.groups"
    ]


@pytest.mark.parametrize("door", GROUP_DOORS)
@pytest.mark.parametrize(
    ("asked", "provided"),
    [
        ("greeting-texts", "greeting-texts.extensions"),
        ("greting.texts", "greeting.texts"),
        ("rows11", "rows"),
    ],
)
async def test_a_group_that_no_plugin_is_in_is_told_with_the_one_that_was_meant(
    tmp_path, make_plugin, told_of_groups, door, asked, provided
):
    make_plugin("polite", "", group=provided)
    async with door(asked, {"host": {"data_dir": str(tmp_path / "data"), "allow": []}}):
        pass
    said = f"no plugin is installed in the group of entry points {asked!r}. Did you mean {provided!r}?"
    assert told_of_groups() == [("WARNING", said)]


@pytest.mark.parametrize("door", GROUP_DOORS)
async def test_a_program_without_plugins_is_no_mistake(tmp_path, told_of_groups, door):
    async with door("qqxyz", {"host": {"data_dir": str(tmp_path), "allow": []}}):
        pass
    ((level, said),) = told_of_groups()
    assert level == "INFO"
    assert said == "no plugin is installed in the group of entry points 'qqxyz'."


@pytest.mark.parametrize("door", GROUP_DOORS)
@pytest.mark.parametrize("allowed", [["polite"], []])
async def test_a_group_that_a_plugin_is_in_is_not_told_though_it_may_not_load(
    tmp_path, make_plugin, told_of_groups, door, allowed
):
    make_plugin("polite", "", group="greeting-texts")
    make_plugin("other", "", group="greeting-texts.more")
    async with door("greeting-texts", {"host": {"data_dir": str(tmp_path / "data"), "allow": allowed}}):
        pass
    assert not told_of_groups()


def test_a_host_without_a_loop_tells_it_too(tmp_path, make_plugin, told_of_groups):
    make_plugin("polite", "", group="greeting.texts")
    config = {"host": {"data_dir": str(tmp_path / "data")}}
    with BlockingHost.for_pluggy("greeting", Specs, config=config, environ={}):
        assert "'greeting.texts'" in told_of_groups()[0][1]
