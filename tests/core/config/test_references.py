"""References stand for values that are elsewhere, and are followed only when they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plughost.contracts.secret import Secret
from plughost.core.config import Reading, decode_plugin_config, load_config
from plughost.core.config.paths import dotted
from plughost.core.config.references import Resolver, is_reference
from plughost.exceptions import ConfigError, PluginConfigError


class BackupConfig(msgspec.Struct):
    password: Secret = Secret("")
    port: int = 0
    hosts: list[str] = []
    ports: list[int] = []


def decoded(
    raw: Mapping[str, Any], environ: Mapping[str, str], directory: Path | None = None
) -> BackupConfig:
    config: BackupConfig = decode_plugin_config(
        "backup", BackupConfig, raw, Reading(environ=environ, directory=directory or Path())
    )
    return config


def problem_of(raw: Mapping[str, Any], environ: Mapping[str, str], directory: Path | None = None) -> str:
    with pytest.raises(PluginConfigError) as caught:
        decoded(raw, environ, directory)
    return str(caught.value)


def test_a_value_comes_from_the_environment() -> None:
    config = decoded({"password": {"$env": "PW"}, "port": {"$env": "PORT"}}, {"PW": "hunter2", "PORT": "99"})
    assert config.password.reveal() == "hunter2"
    assert config.port == 99


def test_a_value_comes_from_a_file_without_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"two\r\nlines\r\n")
    assert decoded({"password": {"$file": "secret"}}, {}, tmp_path).password.reveal() == "two\r\nlines"
    (tmp_path / "secret").write_bytes(b"x\n\n")
    assert decoded({"password": {"$file": str(tmp_path / "secret")}}, {}).password.reveal() == "x\n"


def test_a_relative_file_is_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    (tmp_path / "acme.toml").write_text('[plugins.backup.config]\npassword = {"$file" = "secret"}\n')
    loaded = load_config(tmp_path / "acme.toml", environ={})
    assert loaded.decode_plugin("backup", BackupConfig).password == Secret("hunter2")


def test_references_are_followed_inside_lists_and_tables() -> None:
    assert decoded({"hosts": ["a", {"$env": "B"}]}, {"B": "b"}).hosts == ["a", "b"]
    raw = {"a": {"b": [{"c": {"$env": "C"}}]}}
    assert decode_plugin_config("x", None, raw, Reading(environ={"C": "c"})) == {"a": {"b": [{"c": "c"}]}}


def test_a_number_in_a_list_may_be_elsewhere() -> None:
    assert decoded({"ports": [1, {"$env": "PORT"}]}, {"PORT": "2"}).ports == [1, 2]


def test_a_reference_of_a_plugin_that_is_not_loaded_leads_nowhere_and_hurts_nobody() -> None:
    loaded = load_config({"plugins": {"backup": {"config": {"password": {"$env": "PW"}}}}}, environ={})
    assert loaded.config.plugins["backup"].config == {"password": {"$env": "PW"}}
    with pytest.raises(PluginConfigError):
        loaded.decode_plugin("backup", BackupConfig)


def test_the_host_s_own_references_are_followed_at_once() -> None:
    source = {"host": {"data_dir": {"$env": "DATA"}, "load_timeout": {"$env": "T"}}}
    host = load_config(source, environ={"DATA": "/srv", "T": "3"}).config.host
    assert (host.data_dir, host.load_timeout) == (Path("/srv"), 3.0)
    with pytest.raises(ConfigError, match=r"host\.data_dir \(code\): environment variable DATA is not set"):
        load_config(source, environ={"T": "3"})
    source = {"plugins": {"backup": {"module": {"$env": "MODULE"}}}}
    assert load_config(source, environ={"MODULE": "a:B"}).config.plugins["backup"].module == "a:B"


def test_a_missing_variable_is_named_with_the_setting() -> None:
    assert problem_of({"password": {"$env": "PW"}}, {}) == (
        "plugins.backup.config.password: environment variable PW is not set: set it, or remove the reference"
    )


def test_an_empty_variable_is_an_empty_value() -> None:
    assert decoded({"password": {"$env": "PW"}}, {"PW": ""}).password == Secret("")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = problem_of({"password": {"$file": "secret"}}, {}, tmp_path)
    assert f"file {tmp_path / 'secret'} cannot be read: No such file or directory" in missing
    (tmp_path / "binary").write_bytes(b"\xff")
    assert "not UTF-8 text" in problem_of({"password": {"$file": "binary"}}, {}, tmp_path)
    (tmp_path / "large").write_bytes(b"x" * ((1 << 20) + 1))
    assert "larger than" in problem_of({"password": {"$file": "large"}}, {}, tmp_path)


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ({"$env": 3}, "$env must name a variable"),
        ({"$env": ""}, "$env must name a variable"),
        ({"$file": ["x"]}, "$file must name a file"),
        ({"$env": "PW", "default": "x"}, "$env must be the only key of its table"),
        ({"$env": "PW", "$file": "x"}, "$env must be the only key of its table"),
    ],
)
def test_a_malformed_reference_is_refused(reference: dict[str, Any], problem: str) -> None:
    assert problem in problem_of({"password": reference}, {"PW": "hunter2"})


def test_all_references_that_lead_nowhere_are_named_at_once_with_other_problems() -> None:
    with pytest.raises(PluginConfigError) as caught:
        decoded({"password": {"$env": "A"}, "hosts": [{"$env": "B"}], "prt": 1}, {})
    assert {problem.path for problem in caught.value.problems} == {
        "plugins.backup.config.password",
        "plugins.backup.config.hosts[0]",
        "plugins.backup.config.prt",
    }


def test_what_a_reference_stands_for_is_in_no_message() -> None:
    class Picky(msgspec.Struct):
        password: str = ""
        port: int = 0

        def __post_init__(self) -> None:
            raise ValueError(f"cannot use {self.password!r}")

    for raw in ({"password": {"$env": "PW"}}, {"port": {"$env": "PW"}}):
        with pytest.raises(PluginConfigError) as caught:
            decode_plugin_config("x", Picky, raw, Reading(environ={"PW": "hunter2"}))
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in repr(caught.value.problems)


KEYS = st.sampled_from(["a", "b", "$env", "$file", "$other"])
NAMES = st.sampled_from(["SET", "UNSET", ""])
REFERENCES = st.builds(lambda name: {"$env": name}, NAMES)
TREES = st.recursive(
    st.one_of(st.integers(0, 9), st.sampled_from(["x", "SET"]), REFERENCES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


def references(value: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    """Find the references in a tree in the plainest words."""
    if is_reference(value):
        return {path: value}
    children: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    return {at: one for key, inner in children for at, one in references(inner, (*path, key)).items()}


def replaced(value: Any) -> Any:
    if is_reference(value):
        return "found"
    if isinstance(value, dict):
        return {key: replaced(inner) for key, inner in value.items()}
    return [replaced(inner) for inner in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(TREES)
def test_every_reference_is_either_followed_or_a_problem(tree: Any) -> None:
    resolver = Resolver(environ={"SET": "found"})
    before = repr(tree)
    result = resolver.resolve(tree, ())
    assert repr(tree) == before
    found = references(tree)
    assert set(resolver.resolved) == {dotted(path) for path in found}
    broken = {dotted(path) for path, one in found.items() if one != {"$env": "SET"}}
    told = {problem.path for problem in resolver.problems if "only key" not in problem.message}
    assert told == broken
    if not broken:
        assert result == replaced(tree)
