"""``plughost admin token`` on a real file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from plughost import Host
from plughost.plugins.admin.commands import admin


class Line:
    """The command line as far as the commands use it."""

    def __init__(self, folder: Path, as_json: bool = False) -> None:
        self.folder = folder
        self.as_json = as_json

    def host(self) -> Host:
        return Host(config={"host": {"data_dir": str(self.folder)}}, environ={})

    def show(self, document: Any, text: str | None = None, *, as_json: bool | None = None) -> None:
        import click

        click.echo(json.dumps(document) if as_json or text is None else text)

    def talk(self, message: str) -> None:
        import click

        click.echo(message, err=True)


@pytest.fixture
def command(tmp_path):
    def invoke(*words: str) -> Result:
        return CliRunner().invoke(admin, ["token", *words], obj=Line(tmp_path))

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
