"""`plughost doctor`: each named check finds what it is for, without importing a plugin."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from plughost.core.processes import landlock
from plughost.testing import make_distribution

from .plugin_sources import ENDING, GOOD


def problems(ran, check):
    (row,) = [row for row in ran.document["checks"] if row["id"] == check]
    return row["status"], " ".join(problem["message"] for problem in row["problems"])


def test_a_healthy_installation_has_no_problem(cli, install) -> None:
    install("good", ENDING, card='hooks = ["after_auth"]')
    ran = cli("doctor", "--json")
    assert ran.code == 0
    assert {row["status"] for row in ran.document["checks"]} == {"pass"}
    assert ran.document["status"] == "pass"


def test_a_broken_configuration_is_a_finding_and_the_rest_is_still_looked_at(cli, configure, install) -> None:
    configure("[host]\nload_timeout = = 3\n")
    install("torn", ENDING, card="hooks = [")
    ran = cli("doctor", "--json")
    assert ran.code == 3
    status, said = problems(ran, "configuration")
    assert (status, "line 2" in said) == ("fail", True)
    assert problems(ran, "manifests")[0] == "fail"


@pytest.mark.parametrize(
    ("card", "check", "status", "said"),
    [
        ("hooks = [", "manifests", "fail", "cannot be read"),
        ('requires = ["absent"]', "dependencies", "fail", "'absent', which is not installed"),
        ('requires = ["ending"]', "dependencies", "fail", "circle"),
        ('host_api = ">=9"', "host-api", "fail", "this host has 1.0"),
        ('[extras]\nredis = ["no_such_module"]', "extras", "warn", "pip install 'acme-ending[redis]'"),
        (
            'commands = ["end", "list"]',
            "commands",
            "warn",
            "command 'list' of plugin 'ending' cannot be called",
        ),
        ('hooks = ["before_aut"]', "hooks", "warn", "Did you mean 'before_auth'?"),
    ],
)
def test_what_a_card_says_is_looked_at(card, check, status, said, cli, install) -> None:
    install("ending", ENDING, card=card)
    ran = cli("doctor", "--json")
    found, text = problems(ran, check)
    assert found == status
    assert said in text
    assert ran.code == (3 if status == "fail" else 0)


def test_two_cards_that_name_one_command_are_named(cli, install) -> None:
    install("ending", ENDING, card='commands = ["end"]')
    install("other", ENDING, card='commands = ["end"]')
    status, said = problems(cli("doctor", "--json"), "commands")
    assert (status, "'end' of plugin 'other' cannot be called: 'ending' has it" in said) == (
        "warn",
        True,
    )


def test_two_plugins_of_one_name_are_named_with_a_way_to_choose(cli, install) -> None:
    install("ending", ENDING)
    install("ending", ENDING, distribution="acme-other", group="plughost.plugins", attribute=":Q")
    status, said = problems(cli("doctor", "--json"), "duplicates")
    assert status == "fail"
    assert "acme-ending" in said
    assert "acme-other" in said
    assert "[plugins.ending] module" in said


def test_a_module_that_is_not_there_is_found_without_an_import(cli, install, tmp_path) -> None:
    install("ending", ENDING)
    (tmp_path / "site" / "ending_plugin" / "__init__.py").unlink()
    (tmp_path / "site" / "ending_plugin").rmdir()
    status, said = problems(cli("doctor", "--json"), "modules")
    assert (status, "ending_plugin" in said) == ("fail", True)


def test_a_plugin_that_is_configured_and_not_there_is_found(cli, configure, install) -> None:
    configure("[plugins.goood]\n")
    install("good", GOOD)
    status, said = problems(cli("doctor", "--json"), "unknown-plugins")
    assert status == "fail"
    assert "Did you mean 'good'?" in said


def test_a_required_plugin_that_is_switched_off_is_found(cli, configure, install) -> None:
    configure('[host]\nrequired = ["ending"]\n[plugins.ending]\nenabled = false\n')
    install("ending", ENDING)
    status, said = problems(cli("doctor", "--json"), "required")
    assert (status, "cannot become ready" in said) == ("fail", True)


def test_a_folder_of_plugins_with_a_broken_manifest_is_found(cli, configure, folder) -> None:
    configure('[host]\nplugin_dir = "plugins"\n')
    (folder / "plugins" / "torn").mkdir(parents=True)
    (folder / "plugins" / "torn" / "pyproject.toml").write_text("[project")
    status, said = problems(cli("doctor", "--json"), "manifests")
    assert (status, "torn" in said) == ("fail", True)


def test_a_data_folder_that_is_a_file_is_found(cli, configure, folder) -> None:
    configure('[host]\ndata_dir = "data"\n')
    (folder / "data").touch()
    status, said = problems(cli("doctor", "--json"), "data-dir")
    assert (status, "not a folder" in said) == ("fail", True)


@pytest.mark.parametrize("target", ["elsewhere", "data"])
def test_a_data_folder_that_is_a_link_to_nowhere_is_found(cli, configure, folder, target) -> None:
    configure('[host]\ndata_dir = "data"\n')
    (folder / "data").symlink_to(target)
    status, said = problems(cli("doctor", "--json"), "data-dir")
    assert (status, "not a folder" in said) == ("fail", True)


@pytest.mark.parametrize("make", [Path.touch, lambda place: place.symlink_to("elsewhere")])
def test_a_plugin_directory_that_is_a_file_is_not_made_but_told(cli, configure, folder, make) -> None:
    configure('[host]\nplugin_dir = "plugins"\n')
    make(folder / "plugins")
    for arguments in ((), ("--fix",)):
        status, said = problems(cli("doctor", "--json", *arguments), "plugin-dir")
        assert (status, "is not a folder" in said) == ("warn", True)


def test_a_data_folder_that_can_never_be_made_is_found(cli, configure, folder) -> None:
    configure('[host]\ndata_dir = "file/data"\n')
    (folder / "file").touch()
    assert problems(cli("doctor", "--json"), "data-dir")[0] == "fail"


@pytest.mark.parametrize("place", ["/proc", "/proc/acme/data"])
def test_a_data_folder_is_tried_for_rights_do_not_say_whether_a_file_can_be_made(
    cli, configure, place
) -> None:
    configure(f'[host]\ndata_dir = "{place}"\n')
    status, said = problems(cli("doctor", "--json"), "data-dir")
    assert (status, "No such file" in said or "not supported" in said) == ("fail", True), said


@pytest.mark.parametrize("missing", [True, False])
def test_a_data_folder_on_a_full_disk_is_found_and_nothing_is_left_in_it(
    cli, configure, folder, monkeypatch, missing
) -> None:
    configure('[host]\ndata_dir = "data"\n')
    if not missing:
        (folder / "data").mkdir()
    before = sorted(folder.rglob("*"))

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("plughost.cli.doctor.folders.os.fsync", full)
    status, said = problems(cli("doctor", "--json"), "data-dir")
    assert (status, "No space left on device" in said) == ("fail", True), said
    assert sorted(folder.rglob("*")) == before


def test_fix_makes_the_plugin_directory_and_says_so(cli, configure, folder) -> None:
    configure('[host]\nplugin_dir = "plugins"\n')
    assert problems(cli("doctor", "--json"), "plugin-dir")[0] == "warn"
    ran = cli("doctor", "--fix", "--json")
    assert problems(ran, "plugin-dir")[0] == "fixed"
    assert (folder / "plugins").is_dir()
    assert problems(cli("doctor", "--json"), "plugin-dir")[0] == "pass"


def test_fix_closes_a_file_with_secrets(cli, configure) -> None:
    path = configure('[plugins.good]\nenabled = false\n[plugins.good.config]\ntoken = "t0ps3cret"\n')
    path.chmod(0o644)
    ran = cli("doctor", "--json")
    assert problems(ran, "config-permissions")[0] == "warn"
    assert "t0ps3cret" not in ran.out
    assert cli("doctor", "--fix").code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_without_secrets_may_be_read_by_all(cli, configure) -> None:
    configure('[host]\nname = "acme"\n').chmod(0o644)
    assert problems(cli("doctor", "--json"), "config-permissions")[0] == "pass"


def test_fix_touches_nothing_a_person_must_decide(cli, configure, install) -> None:
    path = configure("[plugins.goood]\n")
    before = path.read_text()
    assert cli("doctor", "--fix").code == 3
    assert path.read_text() == before


def test_each_finding_says_what_it_means_and_what_to_do(cli, configure, folder) -> None:
    configure('[host]\ndata_dir = "data"\n')
    (folder / "data").touch()
    text = cli("doctor").out
    assert "plugins can keep their data" in text
    assert "-> move it away" in text


@pytest.mark.parametrize(("more", "level"), [("", "fail"), ("best_effort = true\n", "warn")])
def test_a_plugin_that_cannot_be_confined_here_is_told_of_before_the_start(
    more: str, level: str, cli, configure, install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("good", ENDING)
    configure(
        f'[plugins.good]\nisolation = "process"\n[plugins.good.process.confine]\nprograms = true\n{more}'
    )
    monkeypatch.setattr(landlock, "abi_of_kernel", lambda: 5)
    status, said = problems(cli("doctor", "--json"), "confinement")
    assert status == level
    assert "signals to other processes while programs = true: this needs Landlock ABI 6 (Linux 6.12)" in said


def test_an_environment_with_another_plughost_is_told_of(cli, configure, folder) -> None:
    site = folder / "env" / "lib" / "python3.11" / "site-packages"
    make_distribution(
        site, "acme-x", modules={"acme_x.py": ENDING}, entry_points={"plughost.plugins": {"x": "acme_x"}}
    )
    (site / "plughost-0.0.9.dist-info").mkdir()
    (folder / "env" / "bin").mkdir()
    (folder / "env" / "bin" / "python").symlink_to(sys.executable)
    (folder / "env" / "pyvenv.cfg").write_text("version = 3.11.4\n")
    configure('[plugins.x]\nisolation = "process"\nenvironment = "env"\n')
    ran = cli("doctor", "--json")
    status, said = problems(ran, "environments")
    assert (status, "has plughost 0.0.9, the host" in said) == ("warn", True)
    assert "`plughost env upgrade x`" in ran.out


def test_a_fleet_in_a_file_that_each_pod_has_for_itself_is_found(cli, configure, monkeypatch) -> None:
    configure('[host]\nname = "acme"\n')
    assert problems(cli("doctor", "--json"), "fleet-store")[0] == "pass"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    status, said = problems(cli("doctor", "--json"), "fleet-store")
    assert (status, "each pod has its own" in said) == ("warn", True)
    configure('[plugins.fleet.config]\nstore = "redis"\nredis_url = "redis://x"\n')
    assert problems(cli("doctor", "--json"), "fleet-store")[0] == "pass"
    configure("[plugins.fleet]\nenabled = false\n")
    assert problems(cli("doctor", "--json"), "fleet-store")[0] == "skipped"


@pytest.mark.parametrize("store", ["redis", "postgresql"])
def test_the_secret_of_a_fleet_is_looked_at(cli, configure, tmp_path, store) -> None:
    table = f'[plugins.fleet.config]\nstore = "{store}"\n{store}_url = "{store}://x"\n'
    configure(table)
    status, said = problems(cli("doctor", "--json"), "fleet-secret")
    assert (status, "cannot be steered" in said) == ("warn", True)
    secret = tmp_path / "fleet.secret"
    configure(table + f'secret_file = "{secret}"\n')
    assert "cannot be read" in problems(cli("doctor", "--json"), "fleet-secret")[1]
    secret.write_text("too short")
    secret.chmod(0o644)
    status, said = problems(cli("doctor", "--json"), "fleet-secret")
    assert (status, "read by others" in said, "has 9 signs" in said) == ("fail", True, True)
    secret.write_text("s" * 40)
    cli("doctor", "--fix")
    assert problems(cli("doctor", "--json"), "fleet-secret")[0] == "pass"


def test_a_switch_in_one_file_says_that_other_machines_do_not_follow(cli, configure, install) -> None:
    install("good", ENDING)
    configure('[host]\nname = "acme"\n')
    assert "this machine only" not in cli("disable", "good").err
    configure('[plugins.fleet.config]\nstore = "redis"\nredis_url = "redis://x"\n')
    assert "On this machine only: `plughost fleet disable good --now`" in cli("disable", "good").err
