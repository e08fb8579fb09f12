"""A browser's tab and a wait, over real HTTP to servers that listen on unix sockets."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)  # closed with the connection, also when nobody listens
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Tab:
    """A browser's tab: keeps cookies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, address: str, body: object = None) -> tuple[int, str, dict[str, str]]:
        connection = Connection(self.path)
        headers = {"Content-Type": "application/json"}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        with closing(connection):
            connection.request(method, address, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            text = response.read().decode()
            for line in response.headers.get_all("Set-Cookie", []):
                name, _, value = line.split(";")[0].partition("=")
                self.cookies[name] = value
                if "Max-Age=0" in line:
                    del self.cookies[name]
        return response.status, text, dict(response.headers)

    def views(self) -> int | None:
        status, text, _ = self.ask("GET", "/view")
        return json.loads(text)["views"] if status == 200 else None


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended before it answered"
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server did not answer within 60 s")
