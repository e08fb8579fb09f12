"""The configuration of the page "Serve behind nginx", word for word, in a real nginx with TLS."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from servers import end, free_port, nginx

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "serve-behind-nginx.md"
WHOLE, PREFIX = re.findall(r"```nginx\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout acme.key -out acme.pem -days 2 -subj /CN=acme.example"
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "plughost.toml").write_text(
        '[host]\nallow = ["admin"]\ndata_dir = "data"\n[plugins.admin]\nmodule = "plughost.plugins.admin:AdminPlugin"\n'
    )
    return tmp_path


@contextmanager
def served(folder: Path, page: str, *options: str) -> Iterator[tuple[str, str]]:
    """Yield the address of nginx and the printed sign-in link."""
    port = free_port()
    page = page.replace("/run/acme", str(folder)).replace("/etc/ssl", str(folder))
    page = page.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
    command = [
        sys.executable,
        "-m",
        "plughost",
        "serve",
        "--uds",
        str(folder / "host.sock"),
        "--link",
        *options,
    ]
    with (folder / "err").open("w") as err:
        host = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=err, text=True
        )
    try:
        assert host.stdout is not None
        link = next(
            (found[0] for line in host.stdout if (found := re.search(r"https://\S+code=\S+", line))), ""
        )
        assert link, (folder / "err").read_text()
        with nginx(folder, page):
            yield f"https://127.0.0.1:{port}", link
    finally:
        end(host)


def browser(address: str) -> httpx2.Client:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    headers = {"Host": "acme.example", "Origin": "https://acme.example"}
    return httpx2.Client(base_url=address, verify=trusting, headers=headers, timeout=30)


@pytest.mark.parametrize(
    ("prefix", "options"),
    [
        ("", ("--public-url", "https://acme.example", "--trust-proxy", "*")),
        (
            "/shop",
            ("--public-url", "https://acme.example/shop", "--trust-proxy", "*", "--root-path", "/shop"),
        ),
    ],
)
def test_the_printed_link_signs_in_through_nginx_and_actions_are_taken(folder, prefix, options):
    page = re.sub(r"    location / \{.*?\n    \}\n", PREFIX, WHOLE, flags=re.DOTALL) if prefix else WHOLE
    with served(folder, page, *options) as (address, link), browser(address) as client:
        assert link.startswith(f"https://acme.example{prefix}/admin/sign-in")
        code = link.partition("code=")[2]
        answer = client.get(f"{prefix}/admin/sign-in?code={code}")
        assert answer.status_code in (302, 303), answer.text
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert "Secure" in cookie
        signed_in = {"Cookie": cookie.partition(";")[0]}
        assert client.get(f"{prefix}/admin/system/plugins", headers=signed_in).status_code == 200
        reload = f"{prefix}/admin/api/plugins/admin/reload"
        assert client.post(reload, headers=signed_in).status_code == 200
        elsewhere = {**signed_in, "Origin": "https://evil.example"}
        assert client.post(reload, headers=elsewhere).status_code == 403
        with browser(address) as stranger:
            assert stranger.get(f"{prefix}/metrics").status_code == 401
