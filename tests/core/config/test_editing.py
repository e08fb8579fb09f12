"""Switching a plugin on or off changes one value of the file and nothing else."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plughost.core.config import load_config, set_plugin_enabled
from plughost.exceptions import ConfigError

ACME = """\
# Our host
[host]
name = "acme"   # a comment
required = [
    "sessions",   # why
]

[plugins.backup]   # the important one
module = 'plughost_backup:BackupPlugin'
enabled = true     # for now

[plugins.backup.config]
directory = "./backups"

[plugins.audit.config]
level = 3

[apps.shop]
url = "sqlite:///shop.db"
"""


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    file = tmp_path / "acme.toml"
    file.write_text(ACME)
    return file


def test_a_value_is_changed_in_its_place(acme: Path) -> None:
    assert set_plugin_enabled(acme, "backup", False)
    assert acme.read_text() == ACME.replace("enabled = true     #", "enabled = false     #")


def test_switching_back_gives_the_file_as_it_was(acme: Path) -> None:
    set_plugin_enabled(acme, "backup", False)
    set_plugin_enabled(acme, "backup", True)
    assert acme.read_text() == ACME


def test_what_is_so_already_is_left_alone(acme: Path) -> None:
    before = acme.stat()
    assert not set_plugin_enabled(acme, "backup", True)
    assert acme.stat().st_ino == before.st_ino
    assert acme.read_text() == ACME


def test_a_table_that_was_only_implied_is_written(acme: Path) -> None:
    set_plugin_enabled(acme, "audit", False)
    changed = acme.read_text()
    assert changed.replace("[plugins.audit]\nenabled = false\n\n", "") == ACME
    assert load_config(acme, environ={}).config.plugins["audit"].config == {"level": 3}


def test_a_missing_table_is_added(acme: Path) -> None:
    set_plugin_enabled(acme, "cache", False)
    assert not load_config(acme, environ={}).plugin("cache").enabled
    assert acme.read_text().replace("[plugins.cache]\nenabled = false\n", "").split() == ACME.split()


def test_a_missing_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "plughost.toml"
    assert set_plugin_enabled(file, "cache", False)
    assert file.read_text() == "[plugins.cache]\nenabled = false\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_table_of_another_spelling_is_the_plugin_s(acme: Path) -> None:
    acme.write_text("[plugins.query_cache]\nenabled = true\n")
    set_plugin_enabled(acme, "query-cache", False)
    assert acme.read_text() == "[plugins.query_cache]\nenabled = false\n"


@pytest.mark.parametrize("name", ["with space", "dotted.name", 'quo"ted', "ümlaut", "123"])
def test_any_name_can_be_written(acme: Path, name: str) -> None:
    set_plugin_enabled(acme, name, False)
    assert tomllib.loads(acme.read_text())["plugins"][name] == {"enabled": False}


@pytest.mark.parametrize(
    "text",
    [
        "plugins = {backup = {enabled = true, module = 'x'}}\n",
        "plugins.backup.module = 'x' # why\n[host]\nname = 'a'\n",
        "[plugins]\nbackup = {enabled = true, module = 'x'} # keep\n",
        "[plugins]\nbackup.module = 'x'\n[plugins.audit]\n",
        "[plugins.audit]\n[host]\nname = 'a'\n[plugins.backup]\nmodule = 'x'\n",
        "[plugins.audit]\n[host]\nname = 'a'\n[plugins.cache]\n",
        "[plugins.backup]\r\nmodule = 'x' # kept\r\n",
        "",
        "# nothing but a comment",
    ],
)
def test_however_the_file_is_laid_out_only_one_value_changes(acme: Path, text: str) -> None:
    acme.write_bytes(text.encode())
    expected = tomllib.loads(text)
    expected.setdefault("plugins", {}).setdefault("backup", {})["enabled"] = False
    set_plugin_enabled(acme, "backup", False)
    written = acme.read_bytes().decode()
    assert tomllib.loads(written) == expected
    comments = [line[line.index("#") :] for line in text.splitlines() if "#" in line]
    assert all(comment in written for comment in comments)
    assert ("\r\n" in text) == ("\r\n" in written)


NAMES = st.sampled_from(["a", "b", "query-cache", "query_cache", "x.y"])
SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "module": st.just("a:B"),
        "config": st.dictionaries(
            st.sampled_from(["k", "l m"]), st.one_of(st.integers(), st.text(max_size=3))
        ),
    },
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, SECTIONS, max_size=3), NAMES, st.booleans())
def test_whatever_the_file_holds_only_one_value_changes(
    tmp_path: Path, plugins: dict[str, dict[str, object]], name: str, enabled: bool
) -> None:
    file = tmp_path / "acme.toml"
    file.write_text(tomlkit.dumps({"plugins": plugins, "features": {"new": True}}))
    before = tomllib.loads(file.read_text())
    set_plugin_enabled(file, name, enabled)
    after = tomllib.loads(file.read_text())
    spelled = [key for key in after["plugins"] if key.replace("-", "_") == name.replace("-", "_")]
    changed = name if name in spelled else spelled[0]
    assert after["plugins"][changed].pop("enabled") is enabled
    before.get("plugins", {}).setdefault(changed, {}).pop("enabled", None)
    assert after == before


def test_the_mode_of_the_file_stays(acme: Path) -> None:
    acme.chmod(0o640)
    set_plugin_enabled(acme, "backup", False)
    assert stat.S_IMODE(acme.stat().st_mode) == 0o640


def test_a_link_stays_a_link(acme: Path) -> None:
    link = acme.parent / "link.toml"
    link.symlink_to(acme.name)
    set_plugin_enabled(link, "backup", False)
    assert link.is_symlink()
    assert "enabled = false" in acme.read_text()


def test_a_broken_file_is_left_as_it_is(acme: Path) -> None:
    acme.write_text("[host\n")
    with pytest.raises(ConfigError, match="is not TOML"):
        set_plugin_enabled(acme, "backup", False)
    assert acme.read_text() == "[host\n"


@pytest.mark.parametrize("text", ["plugins = 3\n", "[plugins]\nbackup = true\n", "[[plugins]]\nname = 'a'\n"])
def test_a_file_whose_plugins_are_no_tables_is_refused(acme: Path, text: str) -> None:
    acme.write_text(text)
    with pytest.raises(ConfigError, match=r"\[plugins\] in .* must hold one table for each plugin"):
        set_plugin_enabled(acme, "backup", False)
    assert acme.read_text() == text


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    acme: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        set_plugin_enabled(acme, "backup", False)
    assert acme.read_text() == ACME
    assert [entry.name for entry in acme.parent.iterdir()] == ["acme.toml"]
