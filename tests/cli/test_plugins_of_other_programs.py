"""Commands that are asked for a plugin of a program which embeds a host say what makes them find it, and it does."""

from __future__ import annotations

import re

import pluggy
import pytest

from plughost.blocking import BlockingHost

SOURCE = """
import pluggy
impl = pluggy.HookimplMarker({project!r})

@impl
def remark(name):
    return "how do you do?"
"""


def specs_of(project: str) -> type:
    spec = pluggy.HookspecMarker(project)

    class Specs:
        @spec
        def remark(self, name: str) -> str:
            """Return something to add."""

    return Specs


@pytest.fixture(params=[("greet", "greet"), ("rows", "rows.extensions")], ids=lambda each: each[1])
def program(request, make_plugin):
    project, group = request.param
    make_plugin("wordy", SOURCE.format(project=project), group=group, distribution=f"{project}-wordy")
    return project, group


def file_of(said: str) -> str:
    """Return the file that a message asks for, as somebody writes it who follows it."""
    wanted = ("name", "project", "groups", "catalogue")
    lines = [re.search(rf"{key} = (\[[^]]*\]|\"[^\"]*\")", said) for key in wanted]
    assert all(lines), said
    return "[host]\n" + "".join(f"{line[0]}\n" for line in lines)


COMMANDS = [
    (("info", "--no-import"), "wordy"),
    (("disable",), "Wordy"),
    (("enable",), "{project}-wordy"),
    (("check", "--only", "entry-point"), "{project}_wordy"),
]


@pytest.mark.parametrize(
    ("command", "spelled"), COMMANDS, ids=lambda each: each if isinstance(each, str) else each[0]
)
def test_a_command_says_which_file_makes_it_find_the_plugin_and_then_finds_it(
    cli, configure, program, command, spelled
):
    project, group = program
    asked = spelled.format(project=project)
    refused = cli(*command, asked)
    assert refused.code
    assert f"{project}-wordy has 'wordy' in the group '{group}', which is not read here" in refused.err
    configure(file_of(refused.err))
    if project in asked:
        assert f"The plugin of {project}-wordy is called 'wordy'" in cli(*command, asked).err
        asked = "wordy"
    found = cli(*command, asked)
    assert found.code == 0, found.err
    assert "wordy" in found.out


def test_what_the_command_switches_off_the_program_leaves_out(cli, configure, program):
    project, group = program
    configure(file_of(cli("disable", "wordy").err))
    with BlockingHost.for_pluggy(project, specs_of(project), group=group) as host:
        assert host.sync_hooks.remark(name="Ada") == ["how do you do?"]
    assert cli("disable", "wordy").code == 0
    with BlockingHost.for_pluggy(project, specs_of(project), group=group) as host:
        assert host.sync_hooks.remark(name="Ada") == []
        assert host.plugins["wordy"].state == "disabled"


def test_a_file_that_reads_other_groups_is_told_the_one_that_lacks(cli, configure, program):
    _, group = program
    configure('[host]\ngroups = ["plughost.plugins"]\n')
    said = cli("info", "wordy", "--no-import").err
    wider = f'groups = ["plughost.plugins", "{group}"]'
    assert f"write {wider} into [host] of plughost.toml" in said
    configure(f"[host]\n{wider}\n")
    assert cli("info", "wordy", "--no-import").code == 0


@pytest.mark.parametrize("name", ["wordz", "pytest"])
def test_a_name_that_nobody_has_or_that_is_a_command_line_is_not_looked_for_elsewhere(cli, program, name):
    refused = cli("info", name)
    assert f"there is no plugin '{name}'" in refused.err
    assert "console_scripts" not in refused.err
