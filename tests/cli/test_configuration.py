"""Commands about the configuration: clear errors, careful edits, honest effects."""

from __future__ import annotations

import json

import jsonschema
import pytest

from .plugin_sources import GOOD

BROKEN = '[host]\nname = "acme"\nload_timeout = = 3\n'


@pytest.mark.parametrize("command", [("list",), ("run", "--once"), ("config", "show"), ("disable", "good")])
def test_a_broken_file_is_an_error_that_names_file_and_line(command, cli, configure) -> None:
    configure(BROKEN)
    ran = cli(*command, "--json")
    assert (ran.code, ran.document["code"]) == (1, "config_error")
    assert "plughost.toml" in ran.document["message"]
    assert "line 3" in ran.document["message"]
    assert "line 3" in ran.err


def test_help_is_shown_whatever_the_configuration(cli, configure) -> None:
    configure(BROKEN)
    assert cli("--help").code == 0


def test_an_unknown_setting_is_named_with_a_suggestion_and_its_origin(cli, configure) -> None:
    configure("[host]\nload_timout = 3\n")
    (problem,) = cli("list", "--json").document["details"]["problems"]
    assert (problem["path"], problem["origin"]) == ("host.load_timout", "plughost.toml")
    assert "Did you mean 'load_timeout'?" in problem["message"]


def test_another_file_is_taken_before_and_after_the_command(cli, folder) -> None:
    (folder / "other.toml").write_text('[host]\nname = "other"\n')
    assert cli("list", "--config", "other.toml", "--json").document["host"] == "other"
    assert cli("-c", "other.toml", "list", "--json").document["host"] == "other"


def test_a_file_that_is_not_there_is_an_error(cli) -> None:
    ran = cli("list", "--config", "absent.toml")
    assert ran.code == 1
    assert "absent.toml" in ran.err


def test_show_tells_every_origin_and_no_secret(cli, configure, monkeypatch) -> None:
    configure('[plugins.good.config]\ntoken = "t0ps3cret"\nurl = "redis://me:pa55word@here"\n')
    monkeypatch.setenv("PLUGHOST_HOST__LOAD_TIMEOUT", "7")
    ran = cli("config", "show", "--json")
    rows = {row["path"]: row for row in ran.document["settings"]}
    assert rows["host.load_timeout"]["value"] == 7.0
    assert rows["host.load_timeout"]["origin"] == "environment PLUGHOST_HOST__LOAD_TIMEOUT"
    assert rows["plugins.good.config.token"]["origin"] == "plughost.toml"
    assert rows["host.strict"]["origin"] == "default"
    everything = ran.out + cli("config", "show").out
    assert "t0ps3cret" not in everything
    assert "pa55word" not in everything


def test_the_schema_holds_installed_plugins_and_judges_a_file(cli, install, only) -> None:
    only("good")
    install("good", GOOD)
    schema = cli("config", "schema").document
    jsonschema.validate({"plugins": {"good": {"config": {"greeting": "hi"}}}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"plugins": {"good": {"config": {"greting": "hi"}}}}, schema)


def test_the_schema_is_made_without_a_broken_plugin(cli, install, only) -> None:
    only("good", "broken")
    install("good", GOOD)
    install("broken", "raise RuntimeError('no licence')")
    ran = cli("config", "schema")
    assert ran.code == 0
    assert "no licence" in ran.err
    assert "good" in json.dumps(ran.document)


def test_check_names_every_wrong_setting_of_every_plugin(cli, install, configure, only) -> None:
    only("good", "more")
    configure('[plugins.good.config]\ngreting = "hi"\n[plugins.more.config]\ngreeting = 3\n')
    install("good", GOOD)
    install("more", GOOD)
    ran = cli("config", "check", "--json")
    assert ran.code == 3
    assert [problem["path"] for problem in ran.document["problems"]] == [
        "plugins.good.config.greting",
        "plugins.more.config.greeting",
    ]


@pytest.mark.parametrize(
    ("settings", "path", "said"),
    [
        ('url = ""', "apps.shop.url", "empty"),
        ('url = "sqlite://"\nmigrations = " "', "apps.shop.migrations", "empty"),
        ('ulr = "sqlite://"', "apps.shop.ulr", "Did you mean 'url'"),
        ('url = {"$env" = "NOBODY_SET_THIS"}', "apps.shop.url", "NOBODY_SET_THIS"),
    ],
)
def test_an_app_that_would_lose_its_database_is_told_by_check_and_by_a_run(
    cli, configure, only, settings: str, path: str, said: str
) -> None:
    only()
    configure(f"[apps.shop]\n{settings}\n")
    ran = cli("config", "check", "--json")
    assert (ran.code, [problem["path"] for problem in ran.document["problems"]]) == (3, [path])
    assert said in ran.document["problems"][0]["message"]
    ran = cli("run", "--once", "--json")
    assert ran.code == 3
    assert said in ran.document["app_errors"]["shop"]
    assert f"App 'shop' is not registered: {ran.document['app_errors']['shop']}" in cli("run", "--once").out


def test_check_is_content_with_a_good_configuration(cli, install, configure, only) -> None:
    only("good")
    configure('[plugins.good.config]\ngreeting = "hi"\n')
    install("good", GOOD)
    ran = cli("config", "check", "--json")
    assert (ran.code, ran.document["problems"]) == (0, [])


def test_check_of_a_broken_file_is_a_problem_and_not_a_failure(cli, configure) -> None:
    configure(BROKEN)
    ran = cli("config", "check", "--json")
    assert ran.code == 3
    assert "line 3" in ran.document["problems"][0]["message"]


def test_switching_keeps_comments_and_layout(cli, install, configure) -> None:
    path = configure('# mine\n[plugins.good]  # nice\nenabled = true\n\n[host]\nname = "acme"  # ours\n')
    install("good", GOOD)
    assert cli("disable", "good").code == 0
    assert (
        path.read_text()
        == '# mine\n[plugins.good]  # nice\nenabled = false\n\n[host]\nname = "acme"  # ours\n'
    )
    assert cli("enable", "good").code == 0
    assert "enabled = true" in path.read_text()


def test_switching_makes_the_file_when_there_is_none(cli, install, folder) -> None:
    install("good", GOOD)
    document = cli("disable", "good", "--json").document
    assert (document["changed"], document["effective"]) == (True, True)
    assert "enabled = false" in (folder / "plughost.toml").read_text()
    assert cli("disable", "good", "--json").document["changed"] is False


def test_switching_off_names_who_requires_it(cli, install) -> None:
    install("good", GOOD)
    install("child", GOOD, card='requires = ["good"]')
    assert cli("disable", "good", "--json").document["dependents"] == ["child"]
    assert "child" in cli("disable", "good").out


def test_a_switch_without_effect_says_who_decides(cli, install, monkeypatch) -> None:
    install("good", GOOD)
    monkeypatch.setenv("PLUGHOST_PLUGINS__GOOD__ENABLED", "true")
    ran = cli("disable", "good", "--json")
    assert (ran.code, ran.document["effective"]) == (3, False)
    assert "PLUGHOST_PLUGINS__GOOD__ENABLED" in ran.err


def test_a_list_that_names_the_plugin_decides_over_the_switch(cli, install, configure) -> None:
    configure('[host]\ndisabled = ["good"]\n')
    install("good", GOOD)
    ran = cli("enable", "good")
    assert ran.code == 3
    assert "host.disabled" in ran.err


def test_an_unknown_plugin_is_not_written_into_the_file(cli, install, folder) -> None:
    install("good", GOOD)
    ran = cli("disable", "godo")
    assert ran.code == 1
    assert "Did you mean 'good'?" in ran.err
    assert not (folder / "plughost.toml").exists()


def test_a_plugin_is_found_whatever_its_dashes(cli, install, folder) -> None:
    install("long-name", GOOD)
    assert cli("disable", "Long_Name", "--json").document["plugin"] == "long-name"


def test_strict_mode_by_option_wins_over_the_environment(cli, install, configure, monkeypatch, only) -> None:
    only("broken")
    configure('[host]\nname = "acme"\n')
    monkeypatch.setenv("ACME_STRICT", "0")
    install("broken", "raise RuntimeError('no licence')")
    ran = cli("run", "--once", "--strict", "--json")
    assert (ran.code, ran.document["code"]) == (1, "host_not_ready_error")
    assert ran.document["details"]["report"]["failed"][0]["name"] == "broken"


def test_safe_mode_loads_first_party_plugins_only(cli, install) -> None:
    install("good", GOOD)
    document = cli("run", "--once", "--safe-mode", "--json").document
    assert "good" in [row["name"] for row in document["skipped"]]
    assert "good" not in document["loaded"]


@pytest.mark.parametrize(
    "url", ["redis://me:{}@h:1/0", "postgresql://me:{}@h/db", "https://x:{}@h/", "amqp://u:{}@[::1]:5672"]
)
@pytest.mark.parametrize("password", ["pa55 word", "a pa55 word b", "pa55@ word"])
def test_a_password_with_spaces_in_a_url_is_not_shown(cli, configure, url, password) -> None:
    configure(f'[plugins.some.config]\naddress = "{url.format(password)}"\n')
    shown = cli("config", "show").out + cli("config", "show", "--json").out
    assert "plugins.some.config.address" in shown
    for piece in ("pa55", "word"):
        assert piece not in shown


def test_show_hides_what_a_plugin_declares_secret_under_a_harmless_name(cli, configure, folder) -> None:
    (folder / "own").mkdir()
    (folder / "own" / "declaring.py").write_text(
        "import msgspec\nfrom plughost import Plugin\nfrom plughost.contracts import Secret\n"
        "class Settings(msgspec.Struct):\n    motto: Secret\n    colour: str\n"
        "class Declaring(Plugin):\n    name = 'declaring'\n    Config = Settings\n"
    )
    configure(
        '[host]\nplugin_dir = "own"\n[plugins.declaring.config]\nmotto = "open sesame"\ncolour = "green"\n'
    )
    for ran in (cli("config", "show"), cli("config", "show", "--json")):
        assert "green" in ran.out, ran.err
        assert "open sesame" not in ran.out + ran.err
