"""The container files, as far as they can be tested without an engine: their shape, and the same steps by hand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib

import httpx2
import pytest

from composed import COMPOSE, DOCKERFILE, FIRST, ROOT, SERVICES, command, environment, make_secrets
from servers import end, free_port, server


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_is_built_in_two_stages_and_runs_without_rights():
    words = [word for word, _ in instructions()]
    assert words.count("FROM") == 2
    last = instructions()[len(words) - 1 - words[::-1].index("FROM") :]
    assert ("USER", "plughost") in last
    assert not any("pip" in rest for word, rest in last if word == "RUN")
    assert words.index("USER") < words.index("ENTRYPOINT")


def test_everything_that_is_copied_is_there_and_let_through():
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                name = source.removeprefix("./")
                assert (ROOT / name).exists()
                assert name in let_through


def test_the_extra_that_is_installed_exists():
    extra = re.search(r'"\.\[(\w+)\]"', DOCKERFILE)
    assert extra is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extra[1] in project["optional-dependencies"]


def test_the_command_of_the_image_is_one_that_the_program_takes(tmp_path):
    entry, command = (json.loads(rest) for word, rest in instructions() if word in ("ENTRYPOINT", "CMD"))
    assert entry == ["plughost"]
    environ = {**os.environ, "PLUGHOST_HOST__DATA_DIR": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-m", "plughost", *command, "--help"], capture_output=True, text=True, env=environ
    )
    assert told.returncode == 0, told.stderr


def test_the_health_check_of_the_image_asks_for_readiness():
    check = next(rest for word, rest in instructions() if word == "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    compile(command[2], "HEALTHCHECK", "exec")
    assert "/readyz" in command[2]


@pytest.mark.parametrize(("service", "variables"), [("host", 5), ("north", 10), ("south", 10)])
def test_the_variables_of_the_compose_file_are_settings(tmp_path, service, variables):
    from plughost import Host

    found = SERVICES[service]["environment"]
    assert len(found) == variables
    config = Host(config={"host": {"data_dir": str(tmp_path)}}, environ=found).config
    assert config.plugins["cache"].config["redis_url"] == "redis://valkey:6379/0"
    assert config.plugins["sessions"].config["store"] == "redis"


def test_every_volume_that_is_mounted_belongs_to_the_user_of_the_image():
    # A new volume takes the owner of the folder that the image has there.
    made = next(rest for word, rest in instructions() if word == "RUN" and "install -d" in rest)
    mounts = {mount.split(":")[1] for one in ("host", "north", "south") for mount in SERVICES[one]["volumes"]}
    assert mounts <= set(made.partition("install -d ")[2].split())


def test_the_services_work_as_they_are_shipped(tmp_path):
    """The commands and variables of both files, as processes: sessions and cache are ready."""
    assert SERVICES["host"]["depends_on"]["secret"] == {"condition": "service_completed_successfully"}
    secret = tmp_path / "secrets/sessions.secret"
    make_secrets(tmp_path / "secrets")
    first = secret.read_text()
    make_secrets(tmp_path / "secrets")  # a second start keeps it
    assert secret.read_text() == first
    assert secret.stat().st_mode & 0o077 == 0
    port = free_port()
    with server(port=port):
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
        environ |= environment("host", data=tmp_path, secrets=tmp_path / "secrets", port=port)
        plughost = [sys.executable, "-m", "plughost"]
        subprocess.run([*plughost, *FIRST], cwd=tmp_path, env=environ, check=True, capture_output=True)
        process = subprocess.Popen(
            [*plughost, *command(), "--port", "0", "--drain-notice", "0"],
            cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            where = re.search(r"listening on http://0\.0\.0\.0:(\d+)", process.stdout.readline())
            assert where is not None, process.communicate()[1]
            # Both are required: the host is ready only where sessions and cache are.
            assert SERVICES["host"]["environment"]["PLUGHOST_HOST__REQUIRED"] == "sessions,cache"
            assert httpx2.get(f"http://127.0.0.1:{where[1]}/readyz").status_code == 200
        finally:
            _, err = end(process)
    assert all(json.loads(line) for line in err.splitlines())


@pytest.mark.parametrize("service", ["host", "valkey"])
def test_every_service_is_checked_and_started_again(service):
    block = COMPOSE.split(f"  {service}:\n")[1].split("\n  ", 1)
    text = COMPOSE[COMPOSE.index(f"  {service}:\n") :]
    assert block
    assert "restart: unless-stopped" in text
    assert "condition: service_healthy" in COMPOSE
    assert "healthcheck:" in text or "HEALTHCHECK" in DOCKERFILE


def test_what_the_compose_file_says_to_do_first_is_a_command():
    told = subprocess.run(
        [sys.executable, "-m", "plughost", *FIRST[:3], "--help"], capture_output=True, text=True
    )
    assert told.returncode == 0
    assert "--scope" in told.stdout
