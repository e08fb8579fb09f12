"""The suite as one serves it: `plughost serve` in a process of its own, in front of the fakes; for the tests here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import tomlkit

from plughost_media.demo import DemoFakes
from plughost_media.fakes import listening


class Instance:
    """A running host, and somebody's browser at it."""

    def __init__(
        self, folder: Path, client: httpx2.Client, fakes: DemoFakes, environ: Mapping[str, str]
    ) -> None:
        self.folder, self.client, self.environ = folder, client, environ
        self._fakes, self._log = fakes, folder / "log"

    def start(self, *options: str) -> None:
        """Begin to serve."""
        command = [sys.executable, "-m", "plughost", "serve", *options]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environ, stdout=log, stderr=log
            )

    def run(self, *arguments: str) -> str:
        """Run a command beside the host; what it said."""
        return subprocess.run(
            [sys.executable, "-m", "plughost", *arguments],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    def end(self) -> str:
        """Stop serving; what was logged."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return self._log.read_text("utf-8")

    def sign_in(self) -> httpx2.Client:
        """Wait until the host answers, and sign Ada in; what it said is the failure when it ends before."""
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self.process.poll() is None, self._log.read_text("utf-8")
            assert time.monotonic() < deadline, self._log.read_text("utf-8")
            time.sleep(0.05)
        begun = self.client.post("/api/auth/plex", json={}).json()
        code = begun["address"].partition("code=")[2].partition("&")[0]
        assert self._fakes.plex_tv.allow(code, self._fakes.plex_tv.accounts[0])
        assert self.client.get(f"/api/auth/plex/{begun['handle']}").status_code == 200
        return self.client

    def _answers(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def instance(
    folder: Path, config: dict[str, Any], fakes: DemoFakes, *options: str, **environ: str
) -> Iterator[Instance]:
    """Serve for the time of the block.

    Args:
        folder: Where the host's files are.
        config: Its configuration.
        fakes: What it stands in front of.
        options: More of the command line.
        environ: More of the environment.
    """
    folder.mkdir()
    (folder / "plughost.toml").write_text(tomlkit.dumps(config), "utf-8")
    with listening() as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PLUGHOST_")}
    with httpx2.Client(base_url=address, headers={"Origin": address}, timeout=60) as client:
        started = Instance(folder, client, fakes, inherited | environ)
        started.start("--port", address.rpartition(":")[2], "--no-link", *options)
        try:
            yield started
        finally:
            started.end()
