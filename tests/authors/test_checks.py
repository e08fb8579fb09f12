"""What `plughost check` sees in the code of a plugin, what it mends, and the grade it gives."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Literal, Protocol

import pytest

import plughost.checks
import plughost.cli.doctor
from plughost.checks import CHECKS
from plughost.checks.findings import Check
from plughost.cli.entry import run_program
from plughost.core.calls.annotations import is_within

from .rendered_plugins import make

MANIFEST = """
[project]
name = "acme-looked-at"
version = "1.0.0"
description = "is looked at"
requires-python = ">=3.11"
license = "MIT"

[project.entry-points."plughost.plugins"]
looked-at = "looked_at_code:P"
"""

HEAD = """
import os
import socket
import sqlite3
import subprocess
import time
import time as clock
import urllib.request
from collections.abc import Mapping
from time import sleep
from typing import Any

import anyio
import msgspec

from plughost import Plugin, hookimpl
from plughost.contracts import AuthAttempt, HealthCheck, Principal, Secret, User

class P(Plugin):
    host_api = ">=1,<2"
"""


@pytest.fixture(autouse=True)
def clean_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    path = sys.path[:]
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith(("looked_at_code", "plughost_"))]:
        del sys.modules[name]


@pytest.fixture
def look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Check a plugin with this body; returns what is said of it."""

    def look_at(body: str, *options: str, head: str = HEAD) -> dict[str, Any]:
        folder = tmp_path / "looked-at"
        (folder / "looked_at_code").mkdir(parents=True, exist_ok=True)
        (folder / "pyproject.toml").write_text(MANIFEST)
        text = head + "\n".join(f"    {line}" for line in body.splitlines()) + "\n"
        (folder / "looked_at_code" / "__init__.py").write_text(text)
        return check(capsys, folder, *options)

    return look_at


def check(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> dict[str, Any]:
    run_program(["check", str(folder), "--json", *options])
    (plugin,) = json.loads(capsys.readouterr().out)["plugins"]
    return plugin


def said(plugin: dict[str, Any], check_id: str) -> list[str]:
    (found,) = (one for one in plugin["checks"] if one["id"] == check_id)
    return [problem["message"] for problem in found["problems"]]


# requirements


@pytest.fixture
def imports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """What is said of a plugin that holds ``code`` and requires these distributions."""

    def said_of(code: str, requires: str = 'dependencies = ["plughost", "anyio", "msgspec"]') -> list[str]:
        folder = tmp_path / "looked-at"
        (folder / "looked_at_code").mkdir(parents=True)
        (folder / "pyproject.toml").write_text(MANIFEST.replace('"MIT"\n', f'"MIT"\n{requires}\n'))
        (folder / "looked_at_code" / "more.py").write_text(code)
        (folder / "looked_at_code" / "__init__.py").write_text(f"{HEAD}    pass\n")
        (folder / "looked_at_beside").mkdir()
        return said(check(capsys, folder, "--only", "requirements"), "requirements")

    return said_of


@pytest.mark.parametrize(
    "code",
    [
        "import yaml", "import yaml.nodes as n", "from yaml import nodes", "def later():\n    import yaml",
        "try:\n    import yaml\nfinally:\n    pass", "try:\n    import yaml\nexcept OSError:\n    pass",
        "if True:\n    import yaml",
    ],
)  # fmt: skip
def test_a_module_that_the_requirements_do_not_name_is_seen(imports, code: str) -> None:
    assert imports(code) == ["more.py imports yaml, which its requirements do not name: it is here by chance"]


@pytest.mark.parametrize(
    "code",
    [
        "import json", "from . import config", "import looked_at_code", "import looked_at_beside",
        "try:\n    import yaml\nexcept ImportError:\n    yaml = None",
        "try:\n    import yaml\nexcept (OSError, ModuleNotFoundError):\n    yaml = None",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import yaml",
    ],
)  # fmt: skip
def test_what_is_its_own_or_python_s_or_can_be_missing_needs_no_requirement(imports, code: str) -> None:
    assert imports(code) == []


@pytest.mark.parametrize(
    "requires",
    [
        'dependencies = ["plughost", "anyio", "msgspec", "pyyaml"]',
        'dependencies = ["plughost[http]>=0.1", "anyio", "msgspec", "PyYAML>=6; python_version > \'3\'"]',
        'dependencies = ["plughost", "anyio", "msgspec"]\noptional-dependencies = { more = ["pyyaml"] }',
        'dynamic = ["dependencies"]',
    ],
)
def test_a_module_is_known_by_the_distribution_that_brings_it(imports, requires: str) -> None:
    assert imports("import yaml", requires) == []


def test_a_plugin_without_any_requirement_is_told_of_all(imports) -> None:
    assert [message.split()[2] for message in imports("", "")] == ["anyio,", "msgspec,", "plughost,"]


def test_what_is_installed_nowhere_is_seen_unless_it_may_be_what_is_required(imports) -> None:
    assert len(imports("def later():\n    import nowhere_at_all")) == 1


def test_a_requirement_that_is_not_installed_may_bring_any_module(imports) -> None:
    requires = 'dependencies = ["plughost", "anyio", "msgspec", "not-here"]'
    assert imports("def later():\n    import called_otherwise", requires) == []


# blocking calls


@pytest.mark.parametrize(
    "call",
    [
        "time.sleep(1)", "sleep(1)", "clock.sleep(1)", "os.system('x')", "subprocess.run(['x'], timeout=1)",
        "urllib.request.urlopen('x', timeout=1)", "sqlite3.connect('x')", "input()",
        "socket.create_connection(('x', 1), timeout=1)",
    ],
)  # fmt: skip
def test_a_call_that_stops_the_loop_is_seen(look, call: str) -> None:
    (message,) = said(
        look(f"async def start(self, context):\n    if context:\n        {call}"), "blocking-calls"
    )
    assert "stops the whole host" in message
    assert "async start()" in message


@pytest.mark.parametrize(
    "body",
    [
        "def start(self, context):\n    time.sleep(1)",
        "async def start(self, context):\n    def work():\n        time.sleep(1)\n    await anyio.to_thread.run_sync(work)",  # noqa: E501
        "async def start(self, context):\n    await anyio.to_thread.run_sync(time.sleep, 1)",
        "async def start(self, context):\n    time = context\n    context.time.sleep(1)",
        "async def start(self, context):\n    await anyio.sleep(1)",
    ],
)
def test_what_runs_in_a_thread_may_wait(look, body: str) -> None:
    assert said(look(body), "blocking-calls") == []


# waits without a limit


@pytest.mark.parametrize(
    "body",
    [
        "def start(self, context):\n    urllib.request.urlopen('x')",
        "def start(self, context):\n    subprocess.run(['x'])",
        "async def start(self, context):\n    await context.fetch('x', timeout=None)",
        "async def start(self, context):\n    await anyio.sleep_forever()",
        "@hookimpl\nasync def after_auth(self):\n    await anyio.sleep_forever()",
        "from plughost import hookimpl as impl\n@impl\nasync def after_auth(self):\n    await anyio.sleep_forever()",
        "import plughost as p\nhook_impl = p.hookimpl\n@hook_impl(priority=1)\nasync def after_auth(self):\n    await anyio.sleep_forever()",  # noqa: E501
    ],
)
def test_a_wait_without_a_limit_is_seen(look, body: str) -> None:
    assert len(said(look(body), "unbounded-waits")) == 1


@pytest.mark.parametrize(
    "body",
    [
        "def start(self, context):\n    urllib.request.urlopen('x', timeout=5)",
        "def start(self, context):\n    subprocess.run(['x'], **context)",
        "async def work(self): await anyio.sleep_forever()\nasync def start(self, context): context.spawn(self.work)",
        "async def start(self, context):\n    async def work(): await anyio.sleep_forever()\n    context.spawn(work)",
    ],
)
def test_a_wait_with_a_limit_or_in_the_background_is_fine(look, body: str) -> None:
    assert said(look(body), "unbounded-waits") == []


# types


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("@hookimpl\nasync def after_auth(self, attempt: str): ...", "argument 'attempt' is declared as str"),
        ("@hookimpl\nasync def find_user(self, user_id: str): ...", "may be any str | None"),
        ("@hookimpl\nasync def find_user(self) -> Principal: ...", "its spec says"),
        ("@hookimpl\nasync def delete_user(self, user: User) -> str: ...", "declared to return str"),
        ("@hookimpl\nasync def authenticate(self, attempt) -> bool: ...", "declared to return bool"),
    ],
)
def test_types_that_do_not_fit_the_spec_are_seen(look, body: str, words: str) -> None:
    (message,) = said(look(body), "hook-types")
    assert words in message


@pytest.mark.parametrize(
    "body",
    [
        "@hookimpl\nasync def after_auth(self, attempt: AuthAttempt, principal: Principal) -> None: ...",
        "@hookimpl\nasync def after_auth(self, attempt: object, principal: Any) -> int: ...",
        "@hookimpl\nasync def find_user(self, user_id: str | None) -> User | None: ...",
        "@hookimpl\nasync def find_user(self, user_id: str | int | None) -> User: ...",
        "@hookimpl\nasync def health_check(self) -> HealthCheck | None: ...",
        "@hookimpl\nasync def health_check(self) -> dict[str, int]: ...",
        "@hookimpl\nasync def health_check(self): ...",
        "@hookimpl\nasync def after_auth(self, attempt: 'Nowhere'): ...",
    ],
)
def test_types_that_fit_are_left_alone(look, body: str) -> None:
    assert said(look(body), "hook-types") == []


class Quacks(Protocol):
    def quack(self) -> None: ...


@pytest.mark.parametrize(
    ("inner", "outer", "fits"),
    [
        (bool, int, True), (int, float, True), (float, int, False), (None, str | None, True), (str | None, str, False),
        (list[int], list[str], False), (tuple[int, ...], tuple[int, ...], True), (Literal["a"], str, True),
        (int, Quacks, True), (Any, str, True), (str, Any, True),
    ],
)  # fmt: skip
def test_which_types_are_within_which(inner: Any, outer: Any, fits: bool) -> None:
    assert is_within(inner, outer) is fits


# secrets


@pytest.mark.parametrize(
    ("field", "is_seen"),
    [
        ("api_key: str = ''", True), ("password: str | None = None", True), ("api_key: Secret | None = None", False),
        ("token_ttl: int = 3", False), ("key_header: str = ''", False), ("greeting: str = ''", False),
        ("keys: int = 3", False),
    ],
)  # fmt: skip
def test_a_secret_that_is_a_plain_text_is_seen(look, field: str, is_seen: bool) -> None:
    body = f"class Config(msgspec.Struct):\n    {field}"
    assert bool(said(look(body), "secrets")) is is_seen


def test_a_secret_inside_a_record_is_seen(look) -> None:
    head = HEAD.replace("class P", "class Inner(msgspec.Struct):\n    api_key: str = ''\n\nclass P")
    body = "class Config(msgspec.Struct):\n    server: Inner | None = None"
    (message,) = said(look(body, head=head), "secrets")
    assert "'server.api_key'" in message


# mending


def test_a_card_is_mended_and_its_comments_stay(tmp_path: Path, capsys) -> None:
    folder = make(tmp_path, ("hooks",))
    card = folder / "src" / "plughost_with_hooks" / "plugin.toml"
    card.write_text('# mine\ndescription = "greets"\nhooks = ["after_logout"] # old\n')
    assert check(capsys, folder)["status"] == "fail"
    mended = check(capsys, folder, "--fix")
    assert {one["id"] for one in mended["checks"] if one["status"] == "fixed"} == {"card", "host-api"}
    assert check(capsys, folder)["status"] == "pass"
    text = card.read_text()
    assert text.startswith("# mine\n")
    assert 'hooks = ["after_auth", "health_check"] # old' in text
    assert 'host_api = ">=1,<2"' in text


def test_a_manifest_is_mended_as_far_as_it_is_no_matter_of_opinion(tmp_path: Path, capsys) -> None:
    folder = make(tmp_path, ("hooks",))
    manifest = folder / "pyproject.toml"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(one for one in lines if not one.startswith(("requires-python", "license ="))))
    found = check(capsys, folder, "--fix")
    assert said(found, "distribution") == ["its metadata have no license"]
    assert 'requires-python = ">=3.11"' in manifest.read_text()


# grades


def grade_without(tmp_path: Path, capsys, *names: str) -> tuple[str, list[str]]:
    folder = make(tmp_path, ("hooks",))
    for name in names:
        for file in folder.glob(name):
            file.unlink()
    found = check(capsys, folder)
    return found["grade"], found["missing"]


def test_what_is_made_from_the_template_is_gold(tmp_path: Path, capsys) -> None:
    assert grade_without(tmp_path, capsys) == ("gold", [])


@pytest.mark.parametrize(
    ("name", "grade", "words"),
    [
        ("tests/test_plugin.py", "bronze", "no tests"),
        ("src/*/plugin.toml", "bronze", "no card"),
        ("src/*/py.typed", "silver", "py.typed"),
        ("README.md", "silver", "README"),
        ("CHANGELOG.md", "silver", "changelog"),
        ("LICENSE", "silver", "licence text"),
    ],
)
def test_a_missing_part_costs_a_grade_and_is_named(
    tmp_path: Path, capsys, name: str, grade: str, words: str
) -> None:
    found, missing = grade_without(tmp_path, capsys, name)
    assert found == grade
    assert any(words in reason for reason in missing)


def test_the_contract_suite_and_types_make_gold(tmp_path: Path, capsys) -> None:
    folder = make(tmp_path, ("hooks",))
    tests = folder / "tests" / "test_plugin.py"
    tests.write_text(tests.read_text().replace("(PluginSuite)", ""))
    code = folder / "src" / "plughost_with_hooks" / "plugin.py"
    code.write_text(code.read_text().replace("principal: Principal", "principal"))
    found = check(capsys, folder)
    assert found["grade"] == "silver"
    assert len(found["missing"]) == 2


def test_a_warning_keeps_it_at_bronze_and_an_error_below(look) -> None:
    assert look("async def start(self, context):\n    await anyio.sleep_forever()")["grade"] == "bronze"
    found = look("async def start(self, context):\n    time.sleep(1)")
    assert found["grade"] == "none"
    assert any("blocking-calls" in reason for reason in found["missing"])


def test_some_checks_alone_give_no_grade(look) -> None:
    assert look("pass", "--only", "hooks")["grade"] is None


def test_people_see_the_grade_and_what_is_missing(tmp_path: Path, capsys) -> None:
    folder = make(tmp_path, ("hooks",))
    (folder / "LICENSE").unlink()
    run_program(["check", str(folder)])
    out = capsys.readouterr().out
    assert "Grade: silver" in out
    assert "for the next one: it has no licence text" in out


# catalogue


@pytest.mark.parametrize(
    ("rooms", "listed"),
    [(plughost.checks, CHECKS), (plughost.cli.doctor, plughost.cli.doctor.CHECKS)],
    ids=["check", "doctor"],
)
def test_no_check_is_left_out_of_the_list(rooms: ModuleType, listed: Sequence[Check[Any]]) -> None:
    files = [
        importlib.import_module(f"{rooms.__name__}.{found.name}") for found in iter_modules(rooms.__path__)
    ]
    written = {value.id for file in files for value in vars(file).values() if isinstance(value, Check)}
    assert written == {one.id for one in listed}


def test_the_page_about_checks_has_a_row_for_each() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "develop-plugins.md").read_text("utf-8")
    rows = page.partition("| check | finds |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    named = [name for row in rows for name in re.findall(r"`([\w-]+)`", row.split("|")[1])]
    assert sorted(named) == sorted(one.id for one in CHECKS)
