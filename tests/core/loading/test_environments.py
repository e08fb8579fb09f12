"""A plugin in a virtual environment of its own is found by that environment's files, and nothing in it is run."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
import pytest

from plughost import Host
from plughost.contracts import PluginState
from plughost.core.config import load_config
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.finding.survey import survey
from plughost.core.finding.virtual_environment import VirtualEnvironment
from plughost.exceptions import ConfigError, PluginSourceError
from plughost.testing import make_distribution

GROUP = "plughost.plugins"
ENDS = "raise SystemExit('nothing of it may be run')\n"


def make_environment(folder: Path, *, python: str = "3.11.9", with_plughost: bool = True) -> Path:
    """A virtual environment as far as its files tell; returns its ``site-packages``."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {python}\n"
    )
    site = folder / "lib" / f"python{'.'.join(python.split('.')[:2])}" / "site-packages"
    site.mkdir(parents=True)
    if with_plughost:
        (site / "plughost-0.1.0.dist-info").mkdir()
    return site


def found(tmp_path: Path, **about: Any) -> PluginCandidate:
    config = {"host": {"allow": ["x"]}, "plugins": {"x": {"isolation": "process", **about}}}
    file = tmp_path / "plughost.toml"
    file.write_text(_toml(config))
    return next(one for one in survey(load_config(file, environ={})) if one.name == "x")


def _toml(values: dict[str, Any]) -> str:
    import tomlkit

    return tomlkit.dumps(values)


def install(
    site: Path, name: str = "x", *, distribution: str = "acme-x", version: str = "1.2", card: str = ""
) -> None:
    modules = {"acme_x/__init__.py": ENDS} | ({"acme_x/plugin.toml": card} if card else {})
    make_distribution(
        site, distribution, version=version, modules=modules, entry_points={GROUP: {name: "acme_x:X"}}
    )


def test_its_entry_point_version_and_card_are_read_without_running_anything(tmp_path: Path) -> None:
    site = make_environment(tmp_path / ".venvs" / "x")
    install(site, card='description = "from there"\nrequires = ["cache"]\n')
    candidate = found(tmp_path, environment=".venvs/x")
    assert (candidate.verdict, candidate.reason) == (PluginState.DISCOVERED, "")
    assert (candidate.finding.reference, candidate.finding.version) == ("acme_x:X", "1.2")
    assert (candidate.finding.source, candidate.finding.origin) == ("environment", ".venvs/x")
    assert (candidate.card.description, candidate.card.requires) == ("from there", ("cache",))
    assert "acme_x" not in sys.modules


def test_the_environment_counts_and_not_a_plugin_of_that_name_beside_the_host(
    tmp_path: Path, monkeypatch: Any
) -> None:
    here = tmp_path / "here"
    install(here, distribution="acme-other", version="9")
    monkeypatch.syspath_prepend(str(here))
    install(make_environment(tmp_path / "env"))
    candidate = found(tmp_path, environment="env")
    assert (candidate.finding.distribution, candidate.finding.version) == ("acme-x", "1.2")


def test_other_plugins_of_the_environment_are_not_the_hosts(tmp_path: Path) -> None:
    site = make_environment(tmp_path / "env")
    install(site)
    install(site, name="stray", distribution="acme-stray")
    (tmp_path / "plughost.toml").write_text('[plugins.x]\nisolation = "process"\nenvironment = "env"\n')
    names = [one.name for one in survey(load_config(tmp_path / "plughost.toml", environ={}))]
    assert ("x" in names, "stray" in names) == (True, False)


def test_an_editable_installation_is_followed_by_its_pth_file_whose_code_is_not_run(tmp_path: Path) -> None:
    site = make_environment(tmp_path / "env")
    source = tmp_path / "project" / "src"
    install(source, card='description = "edited"\n')
    (source / "acme_x-1.2.dist-info").rename(site / "acme_x-1.2.dist-info")
    (site / "_acme.pth").write_text(f"# a comment\nimport os; os._exit(9)\n{source}\nnowhere\n")
    candidate = found(tmp_path, environment="env")
    assert (candidate.finding.reference, candidate.card.description) == ("acme_x:X", "edited")


def test_a_module_that_the_table_names_needs_no_entry_point(tmp_path: Path) -> None:
    site = make_environment(tmp_path / "env")
    (site / "loose.py").write_text(ENDS)
    candidate = found(tmp_path, environment="env", module="loose:Plugin")
    assert (candidate.verdict, candidate.finding.reference) == (PluginState.DISCOVERED, "loose:Plugin")


def test_extras_that_a_card_names_are_looked_for_in_the_environment(tmp_path: Path) -> None:
    site = make_environment(tmp_path / "env")
    install(site, card='[extras]\npictures = ["acme_pictures"]\ntext = ["msgspec"]\n')
    assert "acme-x[pictures,text]" in found(tmp_path, environment="env").reason
    for name in ("acme_pictures", "msgspec"):
        (site / f"{name}.py").write_text(ENDS)
    assert found(tmp_path, environment="env").verdict is PluginState.DISCOVERED


def _gone(folder: Path) -> None:
    pass


def _no_environment(folder: Path) -> None:
    folder.mkdir()


def _no_interpreter(folder: Path) -> None:
    install(make_environment(folder))
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to("/nowhere/python3.9")


def _no_plughost(folder: Path) -> None:
    install(make_environment(folder, with_plughost=False))


def _another_plugin(folder: Path) -> None:
    install(make_environment(folder), name="y")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_gone, "the environment env is not there. Make it with `plughost env create x --for DISTRIBUTION`"),
        (_no_environment, "the environment env is not a virtual environment (it has no pyvenv.cfg)"),
        (_no_interpreter, "the environment env has lost its interpreter"),
        (_no_plughost, "the environment env has no plughost in it"),
        (_another_plugin, "the environment env declares no plugin of that name, but 'y'"),
    ],
)
def test_an_environment_that_cannot_serve_is_told_of_with_what_to_do(
    make: Any, words: str, tmp_path: Path
) -> None:
    make(tmp_path / "env")
    candidate = found(tmp_path, environment="env")
    assert candidate.verdict is PluginState.FAILED
    assert isinstance(candidate.error, PluginSourceError)
    assert words in candidate.reason


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"isolation": "none"}, 'isolation = "process"'),
        ({"path": "x.whl"}, "not both"),
        ({"url": "https://example.org/x.whl", "sha256": "0" * 64}, "not both"),
    ],
)
def test_an_environment_goes_only_with_a_process_and_without_another_place(
    about: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        found(tmp_path, environment="env", **about)


def test_a_link_to_an_environment_means_the_one_it_points_to_now(tmp_path: Path) -> None:
    for number in ("1", "2"):
        install(make_environment(tmp_path / f".env-{number}"), version=number)
    link = tmp_path / "env"
    link.symlink_to(".env-1")
    before = found(tmp_path, environment="env").finding
    link.unlink()
    link.symlink_to(".env-2")
    after = found(tmp_path, environment="env").finding
    assert (before.version, after.version) == ("1", "2")
    assert before.environment is not None
    assert before.environment.python == tmp_path / ".env-1" / "bin" / "python"


def test_of_two_pythons_in_one_folder_the_one_that_runs_counts(tmp_path: Path) -> None:
    site = make_environment(tmp_path / "env", python="3.12.1")
    (tmp_path / "env" / "lib" / "python3.9" / "site-packages").mkdir(parents=True)
    assert VirtualEnvironment.at(tmp_path / "env").import_path == (str(site),)


def test_metadata_of_a_plugin_elsewhere_is_no_first_party_plugin_whatever_it_calls_itself(
    tmp_path: Path,
) -> None:
    site = make_environment(tmp_path / "env")
    make_distribution(
        site, "plughost", version="0.1.0", modules={}, entry_points={GROUP: {"x": "plughost.plugins.cache:CachePlugin"}}
    )  # fmt: skip
    (tmp_path / "plughost.toml").write_text(
        '[host]\nsafe_mode = true\n[plugins.x]\nisolation = "process"\nenvironment = "env"\n'
    )
    (candidate,) = [
        one for one in survey(load_config(tmp_path / "plughost.toml", environ={})) if one.name == "x"
    ]
    assert candidate.setting == "host.safe_mode"


@pytest.mark.anyio
async def test_it_is_never_imported_by_the_host_itself(tmp_path: Path) -> None:
    install(make_environment(tmp_path / "env"))
    file = tmp_path / "plughost.toml"
    file.write_text('[host]\nallow = ["x"]\n[plugins.x]\nisolation = "process"\nenvironment = "env"\n')
    async with Host(config=file, environ={"PLUGHOST_IN_PROCESS": "x"}) as host:
        record = host.plugin("x")
        assert record is not None
        assert record.state is PluginState.FAILED
    assert "acme_x" not in sys.modules


@pytest.mark.anyio
async def test_a_plughost_that_the_host_cannot_speak_with_is_told_with_both_versions(tmp_path: Path) -> None:
    await anyio.run_process([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")])
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (site / "plughost-0.0.9.dist-info").mkdir()  # so old that it knows nothing of processes
    install(site)
    file = tmp_path / "plughost.toml"
    file.write_text('[host]\nallow = ["x"]\n[plugins.x]\nisolation = "process"\nenvironment = "env"\n')
    async with Host(config=file, environ={}) as host:
        reason = host.plugins["x"].reason
    assert f"Its environment has plughost 0.0.9, the host {version('plughost')}. Install the same" in reason
    assert "`plughost env upgrade x` does" in reason
