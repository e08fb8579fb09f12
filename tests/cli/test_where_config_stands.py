"""``--config FILE`` is heeded wherever it stands: first of all, behind a group's name, behind the command's."""

from __future__ import annotations

import click
import pytest

from plughost.cli.program import with_config

GREETING = """
import click
from plughost import Plugin, hookimpl
from plughost.contracts.commands import json_option

async def name_of(host):
    return host.name

@click.group("greet")
def greet(): ...

@greet.group("twice")
def twice(): ...

@greet.command("host")
@click.pass_obj
def hail(line):
    line.talk("hello " + line.run(name_of))

twice.add_command(hail)

class P(Plugin):
    async def start(self, context): ...

    @hookimpl
    def register_commands(self):
        return [greet]
"""


def places(command: tuple[str, ...], option: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(*command[:before], *option, *command[before:]) for before in range(len(command) + 1)]


@pytest.mark.parametrize(
    "option", [("-c", "other.toml"), ("--config", "other.toml"), ("--config=other.toml",)]
)
@pytest.mark.parametrize("command", [("greet", "host"), ("greet", "twice", "host")])
def test_a_plugins_command_takes_the_configuration_at_every_place(
    cli, install, only, folder, command, option
) -> None:
    only("greeter")
    install("greeter", GREETING)
    (folder / "other.toml").write_text('[host]\nname = "elsewhere"\n', encoding="utf-8")
    for arguments in places(command, option):
        ran = cli(*arguments)
        assert (ran.code, "hello elsewhere" in ran.err) == (0, True), (arguments, ran.err)


@pytest.mark.parametrize("command", [("config", "show", "--json"), ("list", "--json"), ("version", "--json")])
def test_our_own_commands_take_it_at_every_place_before_their_options(cli, folder, command) -> None:
    (folder / "other.toml").write_text('[host]\nname = "elsewhere"\n', encoding="utf-8")
    for arguments in places(command, ("-c", "other.toml")):
        ran = cli(*arguments)
        assert ran.code == 0, (arguments, ran.err)
        assert command[0] != "config" or "elsewhere" in ran.out


def test_a_plugin_that_only_the_named_file_knows_has_its_commands(cli, folder) -> None:
    (folder / "plugins").mkdir()
    (folder / "plugins" / "known_to_one_file.py").write_text(GREETING, encoding="utf-8")
    (folder / "other.toml").write_text('[host]\nplugin_dir = "plugins"\n', encoding="utf-8")
    for arguments in places(("greet", "host"), ("-c", "other.toml")):
        assert "hello" in cli(*arguments).err, arguments


def test_a_broken_file_that_is_not_named_does_not_stand_in_the_way(
    cli, install, only, configure, folder
) -> None:
    only("greeter")
    install("greeter", GREETING)
    configure("[host\n")
    (folder / "other.toml").write_text('[host]\nname = "elsewhere"\n', encoding="utf-8")
    for arguments in places(("greet", "host"), ("--config", "other.toml")):
        assert "hello elsewhere" in cli(*arguments).err, arguments
    assert "plughost.toml" in cli("greet", "host").err


@pytest.mark.parametrize(
    "arguments", [("sesions", "-c", "other.toml"), ("sesions", "list", "--config=other.toml")]
)
def test_a_misspelt_command_is_still_told_as_one(cli, configure, folder, arguments) -> None:
    (folder / "other.toml").write_text("", encoding="utf-8")
    ran = cli(*arguments)
    assert ran.code == 2
    assert "No such command 'sesions'. Did you mean 'sessions'?" in ran.err


@pytest.mark.parametrize(
    ("own", "left"),
    [(["-c", "--count"], ["--config"]), (["--config"], []), (["-x", "config"], ["-c", "--config"])],
)
def test_a_commands_own_option_keeps_its_flags(own, left) -> None:
    command = with_config(with_config(click.Command("one", params=[click.Option(own)])))
    flags = [flag for parameter in command.params for flag in parameter.opts]
    assert sorted(flags) == sorted([*(flag for flag in own if flag.startswith("-")), *left])
