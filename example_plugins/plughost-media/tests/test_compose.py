"""The configuration in the compose file is one that the plugins take."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import yaml

COMPOSE = Path(__file__).parent.parent / "compose.yaml"


def test_the_configuration_fits_the_plugins(tmp_path: Path) -> None:
    compose = yaml.safe_load(COMPOSE.read_text("utf-8"))
    file = tmp_path / "plughost.toml"
    file.write_text(compose["configs"]["plughost"]["content"].replace("$$", "$"), "utf-8")
    names = [name for name in compose["services"]["media"]["environment"] if name != "PLUGHOST_CONFIG"]
    environ = (
        os.environ | {name: secrets.token_urlsafe(48) for name in names} | {"PLUGHOST_CONFIG": str(file)}
    )
    ran = subprocess.run(
        [sys.executable, "-m", "plughost", "config", "check"],
        env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not any(environ[name] in ran.stdout + ran.stderr for name in names)
