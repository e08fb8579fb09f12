"""Who is of this machine: a program that asks directly, and nobody who comes through a proxy."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from plughost.http import HttpSettings
from plughost.http.loopback import TRUST, from_loopback
from plughost.http.peers import is_of_this_user
from plughost.plugins.sessions.cookies import CookiePolicy
from servers import end, free_port, nginx

needs_proc = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the kernel does not tell here")


def connected(
    family: socket.AddressFamily, address: str
) -> tuple[socket.socket, socket.socket, socket.socket]:
    listener = socket.socket(family)
    listener.bind((address, 0))
    listener.listen()
    client = socket.create_connection(listener.getsockname()[:2])
    return listener, client, listener.accept()[0]


def scope(client: Any, server: Any, host: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "http", "http_version": "1.1", "scheme": "http", "client": client, "server": server,
        "headers": [(b"host", host.encode())], **more,
    }  # fmt: skip


def families() -> list[tuple[socket.AddressFamily, str]]:
    """Return the loopback addresses that this machine has."""
    found = [(socket.AF_INET, "127.0.0.1")]
    with suppress(OSError), socket.socket(socket.AF_INET6) as tried:
        tried.bind(("::1", 0))
        found.append((socket.AF_INET6, "::1"))
    return found


@needs_proc
@pytest.mark.parametrize(("family", "address"), families())
def test_the_kernel_tells_whose_a_connection_is(monkeypatch, family, address):
    sockets = connected(family, address)
    listener, client, _ = sockets
    try:
        ends = client.getsockname()[:2], listener.getsockname()[:2]
        assert is_of_this_user(*ends)
        assert not is_of_this_user((address, ends[0][1] ^ 1), ends[1]), "not that connection"
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
        assert not is_of_this_user(*ends), "somebody else's: a proxy's"
    finally:
        for each in sockets:
            each.close()


@needs_proc
def test_a_direct_program_of_another_user_and_a_wrong_port_are_not_trusted(monkeypatch):
    sockets = connected(socket.AF_INET, "127.0.0.1")
    listener, client, _ = sockets
    try:
        ends = client.getsockname(), listener.getsockname()
        right = f"127.0.0.1:{ends[1][1]}"
        assert from_loopback(scope(*ends, right))
        for host in (
            "127.0.0.1",
            "127.0.0.1:1",
            "backend",
            f"backend:{ends[1][1]}",
            f"shop.example:{ends[1][1]}",
            "",
        ):
            assert not from_loopback(scope(*ends, host)), host
            assert CookiePolicy(name="id").is_secure(scope(*ends, host)), "one rule for cookies too"
        assert not CookiePolicy(name="id").is_secure(scope(*ends, right))
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
        assert not from_loopback(scope(*ends, right))
        assert CookiePolicy(name="id").is_secure(scope(*ends, right))
        assert from_loopback(scope(*ends, right, **{TRUST: True})), "the deployer vouches for it"
        assert not from_loopback(scope(("203.0.113.7", 5), ends[1], right, **{TRUST: True}))
    finally:
        for each in sockets:
            each.close()


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({}, 200),
        ({"trust_loopback": False}, 401),
        ({"trust_loopback": True}, 200),
        ({"public_url": "https://shop.example"}, 401),
    ],
)
def test_figures_are_shown_to_who_asks_directly_unless_a_proxy_is_known(live_server, settings, status):
    server = live_server(settings=HttpSettings(**settings))
    with server.client() as client:
        assert client.get("/metrics").status_code == status


def test_the_system_that_tells_nothing_proves_nothing(live_server, monkeypatch):
    monkeypatch.setattr("plughost.http.peers._TABLES", (Path("/nowhere"),))
    server = live_server()
    with server.client() as client:
        assert client.get("/metrics").status_code == 401


PROXY = """
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_http_version 1.1; proxy_pass http://127.0.0.1:{upstream}; {more} }}
    }}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a proxy of another user is to be started")
@pytest.mark.parametrize(
    "more", ["", "proxy_set_header Host 127.0.0.1:$proxy_port;", 'proxy_set_header Connection "";']
)
def test_nginx_that_forwards_no_header_over_http_1_1_is_not_this_machine(live_server, tmp_path, more):
    server, port = live_server(), free_port()
    tmp_path.chmod(0o755)
    proxy = PROXY.format(port=port, upstream=server.port, more=more)
    with (
        nginx(tmp_path, proxy, user="nobody nogroup"),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert client.get("/livez", timeout=30).status_code == 200
        assert client.get("/metrics").status_code == 401
        assert "duration" not in client.get("/health/detailed").text
        with server.client() as direct:
            assert direct.get("/metrics").status_code == 200


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ((), 200),
        (("--trust-proxy", "10.0.0.1"), 401),
        (("--root-path", "/shop"), 401),
        (("--public-url", "https://shop.example"), 401),
    ],
)
def test_serve_used_directly_shows_figures_and_with_an_option_for_a_proxy_does_not(tmp_path, options, status):
    port = free_port()
    (tmp_path / "plughost.toml").write_text('[host]\nallow = []\ndata_dir = "data"\n')
    command = [sys.executable, "-m", "plughost", "serve", "--port", str(port), *options]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PLUGHOST_")}
    host = subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert host.stdout is not None
        while b"Admin page" not in (line := host.stdout.readline()):
            assert line, "it ended"
        assert httpx2.get(f"http://localhost:{port}/metrics", timeout=30).status_code == status
    finally:
        end(host)
