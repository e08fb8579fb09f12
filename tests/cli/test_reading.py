"""Commands that only look: they survive every plugin, and say the same to people and to programs."""

from __future__ import annotations

import json

import pytest

from .plugin_sources import COMMANDS, ENDING, EXITING, FAILING, GOOD


def rows_of(document, name):
    (row,) = [row for row in document["plugins"] if row["name"] == name]
    return row


@pytest.mark.parametrize("command", [("list",), ("doctor",), ("info", "--no-import", "ending"), ("--help",)])
def test_no_plugin_is_imported_by(command, cli, install) -> None:
    install("ending", ENDING)
    assert cli(*command).code == 0


def test_a_plugin_that_ends_every_process_can_be_switched_off(cli, install, folder) -> None:
    install("ending", ENDING)
    assert cli("disable", "ending", "--json").document["effective"] is True
    assert rows_of(cli("list", "--json").document, "ending")["state"] == "disabled"


def test_list_says_where_a_plugin_comes_from_and_what_its_card_says(cli, install) -> None:
    install("good", GOOD, card='description = "Greets"\nrequires = ["cache"]', version="2.1.0")
    row = rows_of(cli("list", "--json").document, "good")
    assert (row["version"], row["distribution"], row["source"]) == ("2.1.0", "acme-good", "entry point")
    assert (row["description"], row["requires"]) == ("Greets", ["cache"])
    assert "Greets" in cli("list").out


def test_list_shows_a_broken_card_and_goes_on(cli, install) -> None:
    install("good", GOOD)
    install("torn", GOOD, card="requires = [")
    rows = cli("list", "--json").document
    assert rows_of(rows, "torn")["state"] == "failed"
    assert rows_of(rows, "good")["state"] == "discovered"


def test_info_tells_hooks_configuration_and_origins_and_hides_secrets(cli, install, configure) -> None:
    configure('[plugins.good.config]\ngreeting = "hi"\napi_key = "sk-1234567"\n')
    install("good", GOOD)
    ran = cli("info", "good", "--json")
    document = ran.document
    assert document["hooks"] == ["after_auth"]
    assert document["effective_config"]["greeting"] == "hi"
    origins = {entry["path"]: entry["origin"] for entry in document["config"]}
    assert origins["plugins.good.config.greeting"] == "plughost.toml"
    assert "sk-1234567" not in ran.out + cli("info", "good").out


def test_info_shows_the_traceback_of_a_plugin_that_cannot_be_imported(cli, install) -> None:
    install("broken", "raise RuntimeError('no licence')")
    assert "RuntimeError: no licence" in cli("info", "broken", "--json").document["error"]["traceback"]
    assert 'broken_plugin/__init__.py", line 1' in cli("info", "broken").out


def test_info_survives_a_plugin_that_calls_exit(cli, install) -> None:
    install("leaving", EXITING)
    ran = cli("info", "leaving", "--json")
    assert ran.code == 0
    assert "sys.exit" in ran.document["error"]["message"]


def test_info_of_an_unknown_plugin_suggests_a_known_one(cli, install) -> None:
    install("good", GOOD)
    ran = cli("info", "goood", "--json")
    assert (ran.code, ran.document["code"]) == (1, "plugin_not_found_error")
    assert "Did you mean 'good'?" in ran.document["message"]
    assert ran.document["details"]["plugin"] == "goood"


def test_hooks_lists_the_catalogue_with_what_cards_say(cli, install) -> None:
    install("good", GOOD, card='hooks = ["after_auth"]')
    hooks = {row["name"]: row for row in cli("hooks", "--json").document["hooks"]}
    assert hooks["after_auth"]["implemented_by"] == ["good"]
    assert (hooks["authenticate"]["mode"], hooks["authenticate"]["on_error"]) == ("decide", "deny")


def test_hooks_of_a_started_host_tell_plugins_own_hooks_and_who_implements(cli, install, only) -> None:
    only("own", "other")
    own = """
    from plughost import Plugin, hookspec

    class Specs:
        @hookspec(mode="collect")
        def colour(self, shade): "Called for colours."

    class P(Plugin):
        async def start(self, context):
            context.register_hookspecs(Specs)
    """
    other = """
    from plughost import Plugin, hookimpl

    class P(Plugin):
        requires = ("own",)
        @hookimpl
        def colour(self, shade):
            return "red"
    """
    install("own", own)
    install("other", other)
    document = cli("hooks", "colour", "--started", "--json").document
    assert (document["arguments"], document["implemented_by"]) == (["shade"], ["other"])


def test_one_hook_is_described_by_its_docstring(cli) -> None:
    ran = cli("hooks", "before_auth")
    assert "waterfall" in ran.out
    assert "Called" in ran.out


def test_an_unknown_hook_is_a_failure_with_a_suggestion(cli) -> None:
    ran = cli("hooks", "before_aut", "--json")
    assert (ran.code, ran.document["code"], ran.document["details"]["hook"]) == (
        1,
        "unknown_hook_error",
        "before_aut",
    )
    assert "Did you mean 'before_auth'?" in ran.document["message"]


def test_version_tells_the_host_api(cli) -> None:
    assert cli("version", "--json").document["host_api"].startswith("1.")


def test_json_keys_are_sorted_and_there_is_one_document(cli, install) -> None:
    install("good", GOOD)
    ran = cli("list", "--json")
    assert ran.out == json.dumps(json.loads(ran.out), sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def test_a_profile_tells_import_and_start_of_each_plugin(cli, install, only) -> None:
    only("good", "bad")
    install("good", GOOD)
    install("bad", FAILING)
    ran = cli("profile", "--json")
    assert ran.code == 0
    good = rows_of(ran.document, "good")
    assert good["total"] == pytest.approx(good["import"] + good["start"], abs=2e-4)
    assert good["import_began"] <= good["start_began"]
    assert rows_of(ran.document, "bad")["state"] == "failed"


def test_a_profile_fails_when_a_plugin_is_slower_than_asked(cli, install, only) -> None:
    only("slow")
    install("slow", "import time\ntime.sleep(0.05)\n" + GOOD)
    ran = cli("profile", "--fail-over", "20ms", "--json")
    assert (ran.code, ran.document["slow"]) == (3, ["slow"])
    assert cli("profile", "--fail-over", "1000s").code == 0


def test_a_time_that_is_none_is_wrong_usage(cli) -> None:
    ran = cli("profile", "--fail-over", "soon")
    assert ran.code == 2
    assert "200ms" in ran.err


def test_commands_of_plugins_run(cli, install, only) -> None:
    only("greeter")
    install("greeter", COMMANDS)
    assert cli("greet", "hello", "Ada").out == "Hello, Ada!\n"


def test_a_command_that_would_have_to_be_awaited_does_not_end_well(cli, install, only) -> None:
    only("greeter")
    install("greeter", COMMANDS.replace("def hello", "async def hello"))
    ran = cli("greet", "hello", "Ada")
    assert (ran.code, ran.out) == (1, "")
    assert "command 'greet' did nothing: it is `async def hello`" in ran.err


def test_a_command_of_a_plugin_is_given_a_running_host_when_it_asks(cli, install, only) -> None:
    only("greeter")
    install("greeter", COMMANDS)
    assert cli("greet", "loaded").out == "1 loaded\n"
    assert cli("--json", "greet", "loaded").document == {"loaded": 1}


def test_help_names_the_commands_on_cards_and_imports_nobody(cli, install) -> None:
    install("greeter", ENDING, card='commands = ["greet"]')
    assert "greet of plugin greeter" in " ".join(cli("--help").out.split())


def test_a_plugin_whose_card_names_other_commands_is_not_imported_for_an_unknown_one(cli, install) -> None:
    install("other", ENDING, card='commands = ["else"]')
    install("hooked", ENDING, card='hooks = ["after_auth"]')
    assert cli("greet").code == 2


def test_the_search_for_a_command_goes_on_past_a_broken_plugin(cli, install, only) -> None:
    only("abroken", "greeter")
    install("abroken", "raise RuntimeError('no licence')")
    install("greeter", COMMANDS)
    ran = cli("greet", "hello", "Ada")
    assert (ran.code, ran.out) == (0, "Hello, Ada!\n")
    assert "Commands of plugin 'abroken' are missing" in ran.err


def test_for_a_command_that_no_card_names_it_is_said_who_was_imported(cli, install, only) -> None:
    only("good", "greeter")
    install("good", GOOD)
    install("greeter", COMMANDS)
    ran = cli("greet", "hello", "Ada")
    assert (ran.code, ran.out) == (0, "Hello, Ada!\n")
    assert (
        "No card names command 'greet', so it was looked for in good, greeter, which were imported."
        in ran.err
    )
    assert "commands = ['greet'] in the plugin.toml of greeter spares that" in ran.err
    missed = cli("gret")
    assert (missed.code, "looked for in good, greeter" in missed.err) == (2, True)


def test_all_plugins_without_a_card_have_as_long_as_one_for_their_import(
    cli, install, only, configure
) -> None:
    only("aslow", "slow", "zlate")
    for name in ("aslow", "slow", "zlate"):
        install(name, "import time\ntime.sleep(2)\n" + GOOD)
    configure("[host]\nload_timeout = 1\n")
    ran = cli("greet")
    assert ran.code == 2
    assert "Not looked at within host.load_timeout: slow, zlate." in ran.err


def test_two_plugins_with_one_command_are_named(cli, install, only) -> None:
    only("first", "second")
    install("first", COMMANDS, card='commands = ["greet"]')
    install("second", COMMANDS, card='commands = ["greet"]')
    ran = cli("greet", "hello", "Ada")
    assert ran.out == "Hello, Ada!\n"
    assert "'first'" in ran.err
    assert "'second'" in ran.err


def test_two_plugins_with_one_command_are_named_without_cards_too(cli, install, only) -> None:
    only("first", "second", "third")
    for name in ("first", "second"):
        install(name, COMMANDS)
    install("third", COMMANDS.replace('group("greet")', 'group("other")'))
    ran = cli("greet", "hello", "Ada")
    assert ran.out == "Hello, Ada!\n"
    assert "Command 'greet' is that of plugin 'first'; 'second' has one of that name too" in ran.err
    assert "'third'" not in ran.err


def test_a_plugin_that_gives_one_name_to_two_commands_is_named(cli, install, only) -> None:
    only("first")
    install("first", COMMANDS.replace("return [greet]", "return [greet, greet]"))
    ran = cli("greet", "hello", "Ada")
    assert ran.out == "Hello, Ada!\n"
    assert "'first' has one of that name too" in ran.err
    assert "Rename one of them" in ran.err


def test_a_core_command_wins_over_that_of_a_plugin(cli, install) -> None:
    install("thief", ENDING, card='commands = ["list"]')
    assert cli("list").code == 0
    assert "of plugin thief" not in cli("--help").out


def test_an_unknown_command_suggests_a_known_one(cli, only) -> None:
    only("")
    ran = cli("lst", "--json")
    assert (ran.code, ran.document["code"]) == (2, "usage_error")
    assert "Did you mean 'list'?" in ran.err


def test_no_arguments_show_the_help_as_wrong_usage(cli) -> None:
    assert cli().code == 2


@pytest.mark.parametrize(
    ("environ", "arguments", "coloured"),
    [
        ({"FORCE_COLOR": "1"}, (), True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, (), False),
        ({"FORCE_COLOR": "1"}, ("--no-color",), False),
        ({}, (), False),
    ],
)
def test_colours_follow_the_environment(environ, arguments, coloured, cli, install, monkeypatch) -> None:
    install("good", GOOD)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in cli(*arguments, "list").out) is coloured


def test_a_hook_that_no_card_tells_of_is_not_said_to_be_nobody_s(cli, configure, folder) -> None:
    (folder / "shelf").mkdir()
    (folder / "shelf" / "greeter.py").write_text(
        "from plughost import hookimpl\n\n\n@hookimpl\nasync def after_auth(attempt, principal):\n    pass\n"
    )
    configure('[host]\nplugin_dir = "shelf"\nallow = ["greeter"]\ndata_dir = "data"\n')
    assert "nobody whose card tells it; --started asks" in cli("hooks", "after_auth").out
    assert "implemented by greeter\n" in cli("hooks", "after_auth", "--started").out
    assert "implemented by nobody\n" in cli("hooks", "before_auth", "--started").out
