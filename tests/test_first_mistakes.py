"""What a person gets wrong in the first three lines is answered with what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plughost import Host
from plughost.blocking import BlockingHost
from plughost.exceptions import ConfigError

HOSTS = pytest.mark.parametrize("made", [Host, BlockingHost])


@HOSTS
@pytest.mark.parametrize("name", ["plughost.toml", Path("plughost.toml"), {"host": {}}])
def test_a_configuration_in_the_place_of_the_name_is_told_where_it_goes(made: Any, name: Any) -> None:
    with pytest.raises(ConfigError, match="config=") as caught:
        made(name)
    assert caught.value.path == "host.name"


@HOSTS
@pytest.mark.parametrize("name", ["My App", "", "2fast", "ärger"])
def test_a_name_that_is_none_is_told_which_signs_one_has(made: Any, name: str) -> None:
    with pytest.raises(ConfigError, match="letters, digits, dashes and underscores, beginning with a letter"):
        made(name)


def test_who_wrote_such_a_name_into_a_file_is_not_told_of_arguments(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text('[host]\nname = "My App"\n')
    with pytest.raises(ConfigError, match="beginning with a letter") as caught:
        Host(config=tmp_path / "acme.toml")
    assert "config=" not in str(caught.value)


@HOSTS
@pytest.mark.parametrize("config", [3, ["plughost.toml"], object()])
def test_what_cannot_be_a_configuration_is_told_what_can(made: Any, config: Any) -> None:
    with pytest.raises(ConfigError, match="a file, a mapping or a HostConfig"):
        made(config=config)


def test_who_enters_a_host_without_async_is_told_of_both_ways() -> None:
    with pytest.raises(TypeError, match=r"`async with`.*BlockingHost"), Host(config={}, environ={}):
        pytest.fail("it was entered")
