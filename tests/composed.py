"""The services of the compose file as processes of this machine, with its own commands and variables."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = (ROOT / "compose.yaml").read_text()
SERVICES: Mapping[str, Any] = yaml.safe_load(COMPOSE)["services"]
FIRST: Sequence[str] = shlex.split(COMPOSE.partition("run --rm host ")[2].partition("\n")[0])
"""What the file says to type before the first start."""


def command() -> Sequence[str]:
    """Return the words by which the image starts a host."""
    found = re.search(r"^CMD (.+)", DOCKERFILE, re.MULTILINE)
    assert found is not None
    words: Sequence[str] = json.loads(found[1])
    return words


def make_secrets(folder: Path) -> None:
    """Run the service that makes what hosts share, with a folder for its volume."""
    folder.mkdir(exist_ok=True)
    (make,) = SERVICES["secret"]["command"]
    made = [sys.executable, "-c", make.replace("/secrets/", f"{folder}/")]
    assert subprocess.run(made, capture_output=True, text=True).stderr == ""


def environment(service: str, *, data: Path, secrets: Path, port: int) -> dict[str, str]:
    """Return the variables of a service, with folders for its volumes and a port for its Valkey."""
    places = {"valkey:6379": f"127.0.0.1:{port}", "/data": str(data), "/secrets": str(secrets)}
    # The first is the image's.
    found = {
        "PLUGHOST_HOST__DATA_DIR": "/data",
        **SERVICES[service]["environment"],
    }
    for name, value in found.items():
        for written, here in places.items():
            value = value.replace(written, here)
        found[name] = value
    return found
