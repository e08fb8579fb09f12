"""`plughost new`: what it makes, and what it refuses."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from plughost.cli.entry import run_program
from plughost.cli.scaffold.questions import TEMPLATE, read_template
from plughost.core.finding.cards import read_card

from .rendered_plugins import ALL, FEW, KINDS, install, make, name_of, run

FILES = {
    ".copier-answers.yml", ".github/workflows/ci.yml", ".github/workflows/publish.yml", ".gitignore",
    "CHANGELOG.md", "LICENSE", "README.md",
    "pyproject.toml", "src/plughost_hello/__init__.py", "src/plughost_hello/config.py",
    "src/plughost_hello/greetings.py", "src/plughost_hello/plugin.py", "src/plughost_hello/plugin.toml",
    "src/plughost_hello/py.typed", "tests/test_plugin.py", "tox.ini",
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run_program(["new", *arguments])
    return code, *capsys.readouterr()


def test_a_plugin_is_made_of_these_files(here: Path, capsys) -> None:
    code, out, _ = new(capsys, "hello", "--yes", "--json")
    assert code == 0
    said = json.loads(out)
    assert set(said["files"]) == FILES
    assert {
        str(path.relative_to(here / "hello"))
        for path in Path("hello").absolute().rglob("*")
        if path.is_file()
    } == FILES
    assert said["next"][0] == "plughost run --dev hello"


def test_nothing_is_asked_where_nobody_can_answer(here: Path, capsys) -> None:
    assert new(capsys, "hello")[0] == 0


def test_an_existing_folder_is_left_alone(here: Path, capsys) -> None:
    (here / "hello").mkdir()
    (here / "hello" / "mine.txt").write_text("mine")
    code, _, err = new(capsys, "hello", "--yes")
    assert code == 1
    assert "nothing is ever overwritten" in err
    assert [path.name for path in (here / "hello").iterdir()] == ["mine.txt"]
    assert [path.name for path in here.iterdir()] == ["hello"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Hello World", "Did you mean 'hello-world'?"),
        ("HelloWorld", "Did you mean 'hello-world'?"),
        ("2fast", "Did you mean 'fast'?"),
        ("hello_world", "Did you mean 'hello-world'?"),
        ("../evil", "not a name for a plugin"),
        ("-x", "no such option"),
        ("", "not a name for a plugin"),
        ("ü", "not a name for a plugin"),
        ("x" * 41, "at most 40"),
        ("cache", "comes with plughost"),
    ],
)
def test_a_bad_name_is_refused_with_a_better_one(here: Path, capsys, name: str, said: str) -> None:
    code, _, err = new(capsys, name, "--yes")
    assert code == 2
    assert said.lower() in err.lower()
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [["--kind", "hook"], ["--licence", "GPL"], ["--description", "two\nlines"], ["--author", ""]],
    ids=lambda options: options[0],
)
def test_a_bad_option_is_a_mistake_of_usage(here: Path, capsys, options: list[str]) -> None:
    code, _, err = new(capsys, "hello", "--yes", *options)
    assert code == 2
    assert err
    assert list(here.iterdir()) == []


def test_a_command_does_not_hide_one_of_plughost_s_own(here: Path, capsys) -> None:
    assert new(capsys, "doctor", "--yes", "--kind", "command")[0] == 2
    assert new(capsys, "doctor", "--yes", "--kind", "hooks")[0] == 0


def test_without_a_name_there_is_nothing_to_make(here: Path, capsys) -> None:
    code, _, err = new(capsys, "--yes")
    assert (code, "Missing argument 'NAME'" in err) == (2, True)


def test_odd_descriptions_and_authors_leave_valid_files(here: Path, capsys) -> None:
    description = 'Says "hi" \\ to <all> & 🙂 {{ 7 * 7 }}.'
    code, _, _ = new(capsys, "odd", "--yes", "--description", description, "--author", 'Ada "Countess" \\')
    assert code == 0
    project = tomllib.loads(Path("odd/pyproject.toml").read_text("utf-8"))["project"]
    assert (project["description"], project["authors"]) == (description, [{"name": 'Ada "Countess" \\'}])
    assert read_card("odd", Path("odd/src/plughost_odd/plugin.toml")).description == description
    run("ruff", "check", "--no-cache", "odd")


@pytest.mark.parametrize("licence", read_template().question("licence").choices)
def test_each_licence_has_its_text(here: Path, licence: str) -> None:
    folder = make(here, ["hooks"], licence=licence, author="Ada", year="1843")
    assert "Copyright (c) 1843 Ada" in (folder / "LICENSE").read_text("utf-8")
    assert tomllib.loads((folder / "pyproject.toml").read_text())["project"]["license"] == licence


def test_every_question_has_a_default_and_nothing_is_run() -> None:
    said = json.loads((TEMPLATE / "copier.yml").read_text("utf-8"))
    assert not {"_tasks", "_jinja_extensions", "_migrations"} & said.keys()
    assert all("default" in about for name, about in said.items() if not name.startswith("_"))


@pytest.mark.parametrize("kinds", [("hooks",), KINDS], ids=len)
def test_copier_makes_the_same_files(here: Path, kinds: tuple[str, ...]) -> None:
    import copier

    ours = make(here / "ours", kinds)
    theirs = here / "theirs"
    copier.run_copy(
        str(TEMPLATE), theirs, data={"name": name_of(kinds), "kinds": list(kinds)}, defaults=True, quiet=True
    )
    assert texts(ours) == texts(theirs)


def texts(folder: Path) -> dict[str, str]:
    """All files but the answers, which Copier writes with its own version and source."""
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".copier-answers.yml"
    }


def test_our_answers_are_copier_s(here: Path) -> None:
    import yaml

    folder = make(here, KINDS, description='a "quoted" one')
    answers = yaml.safe_load((folder / ".copier-answers.yml").read_text("utf-8"))
    assert answers["kinds"] == list(KINDS)
    assert answers["description"] == 'a "quoted" one'
    assert "package" not in answers


def test_copier_brings_a_plugin_up_to_date(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil
    import subprocess

    import copier

    for key in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{key}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{key}_EMAIL", "ada@example.com")

    def git(folder: Path, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)

    def commit(folder: Path, tag: str) -> None:
        for arguments in (["add", "-A"], ["commit", "-q", "-m", tag], ["tag", tag]):
            git(folder, *arguments)

    template, plugin = here / "template", here / "plugin"
    shutil.copytree(TEMPLATE, template, ignore=shutil.ignore_patterns("__pycache__"))
    git(here, "init", "-q", str(template))
    commit(template, "v1.0.0")
    copier.run_copy(str(template), plugin, data={"name": "hello"}, defaults=True, quiet=True)
    git(here, "init", "-q", str(plugin))
    (plugin / "README.md").write_text((plugin / "README.md").read_text() + "\nMine.\n")
    commit(plugin, "mine")

    ini = template / "project" / "tox.ini.jinja"
    ini.write_text(ini.read_text().replace("12,13}", "12,13,14}"))
    commit(template, "v1.1.0")
    copier.run_update(plugin, defaults=True, overwrite=True, quiet=True)
    assert "12,13,14}" in (plugin / "tox.ini").read_text()
    assert (plugin / "README.md").read_text().endswith("\nMine.\n")


# for an application of one's own

HOOKS = '''
from plughost import hookspec

@hookspec(mode="waterfall")
def transform(text: str) -> str:
    """Change a text, \\"quoted\\"."""

@hookspec
async def saved(text: str, path: str) -> None:
    ...
'''


@pytest.fixture
def application(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an application with a name and hooks of its own."""
    name = here.name.replace("-", "_")  # one that no other test has imported
    (here / f"kit_{name}.py").write_text(HOOKS)
    (here / "plughost.toml").write_text(f'[host]\nname = "textkit"\nhookspecs = ["kit_{name}"]\n')
    monkeypatch.syspath_prepend(here)
    return here


def test_in_the_folder_of_an_application_the_plugin_is_one_of_its_own(application: Path, capsys) -> None:
    assert new(capsys, "lamp", "--yes")[0] == 0
    project = tomllib.loads(Path("lamp/pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"textkit.plugins": {"lamp": "plughost_lamp:LampPlugin"}}
    assert f"kit_{application.name}".replace("-", "_") in project["dependencies"]
    card = read_card("lamp", Path("lamp/src/plughost_lamp/plugin.toml"))
    assert card.hooks == ("health_check", "saved", "transform")
    run("ruff", "check", "--no-cache", "lamp")
    run("ruff", "format", "--check", "--no-cache", "lamp")


def test_a_plugin_of_an_application_is_good_in_its_folder_and_outside(application: Path, capsys) -> None:
    assert new(capsys, "lamp", "--yes")[0] == 0
    for folder in (application, application.parent):
        where = str(application / "lamp")
        ran = run("plughost", "check", where, "--strict", "--json", folder=folder, site=application)
        (plugin,) = json.loads(ran.stdout)["plugins"]
        assert plugin["grade"] == "gold", plugin
    site = application / "site"
    install([application / "lamp"], site)
    for kit in application.glob("kit_*.py"):
        kit.rename(site / kit.name)
    own_tests("-k", "not IsAGoodPlugin", "lamp", folder=application, site=site)


def test_the_group_and_the_hooks_can_be_said(application: Path, capsys) -> None:
    assert new(capsys, "lamp", "--yes", "--group", "acme.plugins", "--hookspecs", "")[0] == 0
    manifest = Path("lamp/pyproject.toml").read_text()
    assert '[project.entry-points."acme.plugins"]' in manifest
    assert "after_auth" in Path("lamp/src/plughost_lamp/plugin.py").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--group", "a b"], "not a group"), (["--hookspecs", "nowhere.at_all"], "importing it raised")],
    ids=["group", "hookspecs"],
)
def test_a_group_or_hooks_that_cannot_be_are_refused(
    here: Path, capsys, options: list[str], said: str
) -> None:
    code, _, err = new(capsys, "lamp", "--yes", *options)
    assert code > 0
    assert said in err
    assert list(here.iterdir()) == []


# what was made is good


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few combinations, and what is installed from them in ``site``."""
    return installed(tmp_path_factory.mktemp("few"), FEW)


def installed(folder: Path, chosen: tuple[tuple[str, ...], ...]) -> Path:
    install([make(folder, kinds) for kinds in chosen], folder / "site")
    return folder


def all_folders(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.iterdir()) if path.name.startswith("with-")]


def test_all_combinations_are_clean(here: Path) -> None:
    for kinds in ALL:
        make(here, kinds)
    make(here, ["hooks", "routes"], name="a-rather-long-name-for-such-a-plugin")
    make(here, KINDS, name="of-acme", group="acme.plugins", hookspecs="acme.hooks,acme.more:Specs")
    run("ruff", "check", "--no-cache", ".", folder=here)
    run("ruff", "format", "--check", "--no-cache", ".", folder=here)


def test_types_are_right(few: Path) -> None:
    run(
        "mypy",
        "--no-incremental",
        "--config-file",
        "pyproject.toml",
        folder=few / name_of(KINDS),
        site=few / "site",
    )


def test_their_own_tests_pass(few: Path) -> None:
    tests = [f"{name}/tests" for name in all_folders(few)]
    own_tests("-k", "not IsAGoodPlugin", *tests, folder=few)  # the richest is put through the suite below


def test_the_tests_of_the_richest_pass_on_both_event_loops(few: Path) -> None:
    own_tests(".", folder=few / name_of(KINDS), site=few / "site")


def own_tests(*arguments: str, folder: Path, site: Path | None = None, timeout: float = 115) -> None:
    run(
        "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider",
        "--rootdir=.", *arguments,
        folder=folder, site=site or folder / "site", timeout=timeout,
    )  # fmt: skip


def test_all_are_ready_in_one_host(few: Path) -> None:
    assert_ready(few)


def assert_ready(folder: Path) -> None:
    names = all_folders(folder)
    environ = f"--config={folder / 'plughost.toml'}"
    (folder / "plughost.toml").write_text(
        f"[host]\nallow = {json.dumps([*names, 'cache'])}\ndata_dir = 'data'\n"
    )
    ran = run("plughost", "run", "--once", "--json", environ, folder=folder, site=folder / "site")
    report = json.loads(ran.stdout)
    assert sorted(report["loaded"]) == ["cache", *names]


def test_they_pass_their_checks_with_the_best_grade(few: Path) -> None:
    for kinds in (("hooks",), KINDS):
        ran = run("plughost", "check", str(few / name_of(kinds)), "--strict", "--json", folder=few)
        (plugin,) = json.loads(ran.stdout)["plugins"]
        assert plugin["grade"] == "gold", plugin


def test_the_wheel_carries_everything(few: Path) -> None:
    package = few / "site" / "plughost_with_hooks"
    assert {path.name for path in package.iterdir()} - {"__pycache__"} == {
        "__init__.py", "config.py", "greetings.py", "plugin.py", "plugin.toml", "py.typed",
    }  # fmt: skip


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_all_combinations_are_installed_tested_and_ready(tmp_path: Path) -> None:
    folder = installed(tmp_path, ALL)
    for name in all_folders(folder):
        own_tests(f"{name}/tests", folder=folder)
    assert_ready(folder)
