"""``plughost admin token`` on a real file."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from plughost.cli.program import Program
from plughost.plugins.admin.commands import admin


@pytest.fixture
def command(tmp_path):
    def invoke(*words: str) -> Result:
        program = Program(environ={"PLUGHOST_HOST__DATA_DIR": str(tmp_path)})
        return CliRunner().invoke(admin, ["token", *words], obj=program)

    return invoke


def test_a_token_is_shown_once_and_listed_without_its_secret(command):
    made = command("create", "--name", "ci", "--scope", "cache:read", "--scope", "cache:write", "--json")
    token = json.loads(made.stdout)
    listed = command("list", "--json").stdout
    assert json.loads(listed)["tokens"][0]["id"] == token["id"]
    assert token["token"].split("_")[2] not in listed
    assert "ci  cache:read cache:write" in command("list").stdout


def test_a_token_is_revoked_once(command):
    identifier = json.loads(command("create", "--name", "ci", "--scope", "*", "--json").stdout)["id"]
    assert command("revoke", identifier).exit_code == 0
    again = command("revoke", identifier)
    assert again.exit_code == 1
    assert "no token" in again.output
    assert "revoked" in command("list").stdout


@pytest.mark.parametrize("words", [["--expires", "soon"], ["--expires", "0d"], ["--scope", "Not a scope"]])
def test_what_makes_no_sense_is_wrong_usage(command, words):
    assert command("create", "--name", "ci", "--scope", "*", *words).exit_code == 2


def test_without_tokens_it_says_how_to_make_one(command):
    assert "plughost admin token create" in command("list").stdout
