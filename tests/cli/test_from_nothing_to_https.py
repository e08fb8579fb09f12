"""The tutorial "From an empty folder to HTTPS", word for word: its files, its unit, its nginx, its sign-in link."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cli.test_behind_nginx import browser
from servers import end, free_port, nginx

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial" / "from-nothing-to-https.md").read_text("utf-8")
FILES = dict(re.findall(r"```\{code-block\} \w+\n:caption: (\S+)\n\n(.*?)```", PAGE, re.DOTALL))
BLOCKS = re.findall(r"```[^\n]*\n(?::caption:[^\n]*\n)?(.*?)```", PAGE, re.DOTALL)

ACTIVATED = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"
"""What systemd does last: the variable names the process that it becomes."""


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("PLUGHOST_")}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Iterator[tuple[Path, str]]:
    """The folder in which all of it runs, and where nginx listens."""
    folder = tmp_path_factory.mktemp("shop")
    for name, text in FILES.items():
        if not name.startswith("/"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout shop.key -out shop.pem -days 2 -subj /CN=shop.example"
    subprocess.run(make.split(), cwd=folder, check=True, capture_output=True)
    with socket.socket(socket.AF_UNIX) as listener, (folder / "log").open("w") as log:
        listener.bind(str(folder / "shop.sock"))
        listener.listen()
        unit = FILES["/etc/systemd/system/shop.service"]
        command = shlex.split(re.search(r"ExecStart=(.*)", unit)[1])
        command[0] = str(Path(sys.executable).with_name("uvicorn"))
        application = subprocess.Popen(
            [sys.executable, "-c", ACTIVATED, *command], cwd=folder, env=environ | {"LISTEN_FDS": "1"},
            stderr=log, pass_fds=[3], preexec_fn=lambda: os.dup2(listener.fileno(), 3),
        )  # fmt: skip
    port = free_port()
    page = (
        FILES["/etc/nginx/conf.d/shop.conf"].replace("/run/", f"{folder}/").replace("/etc/ssl", str(folder))
    )
    page = page.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    try:
        with nginx(folder, page):
            while "running on socket" not in (folder / "log").read_text():
                assert application.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
            yield folder, f"https://127.0.0.1:{port}"
    finally:
        end(application)


@pytest.fixture
def visitor(shop: tuple[Path, str]) -> Iterator[httpx2.Client]:
    with browser(shop[1]) as client:
        client.headers |= {"Host": "shop.example", "Origin": "https://shop.example"}
        yield client


def test_the_page_has_at_most_sixty_lines() -> None:
    assert len([line for block in BLOCKS for line in block.splitlines() if line.strip()]) <= 60


def test_its_routes_have_sessions(visitor: httpx2.Client) -> None:
    first = visitor.post("/visits")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert "Secure" in cookie
    again = visitor.post("/visits", headers={"Cookie": cookie.partition(";")[0]})
    assert (first.json(), again.json()) == (1, 2)


def test_a_broken_plugin_is_nobody_s_trouble_and_is_logged(
    shop: tuple[Path, str], visitor: httpx2.Client
) -> None:
    assert visitor.get("/discounts/ada").json() == [10]
    assert "a_module_that_nobody_has" in (shop[0] / "log").read_text()


def test_the_link_of_the_page_signs_in_and_the_admin_page_shows_both_plugins(
    shop: tuple[Path, str], visitor: httpx2.Client, environ: dict[str, str]
) -> None:
    _, asking = re.findall(r"^\$ (.*)$", BLOCKS[-1], re.MULTILINE)
    # Behind the socket nothing runs until it is asked, and a host that does not run has no page to sign in to.
    first = re.match(r"curl https://shop\.example(\S+) && ", asking)
    assert first is not None
    assert visitor.get(first[1]).json() == [10]
    arguments = shlex.split(asking.partition("plughost ")[2])
    ran = subprocess.run(
        [Path(sys.executable).with_name("plughost"), *arguments],  # the installed command, as on the page
        cwd=shop[0],
        env=environ,
        capture_output=True,
        text=True,
    )
    link = ran.stdout.strip()
    assert link.startswith("https://shop.example/admin/sign-in?code="), ran.stderr
    signed_in = visitor.get(link.removeprefix("https://shop.example"))
    assert signed_in.status_code == 303
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    page = visitor.get(
        signed_in.url.join(signed_in.headers["location"]), headers={"Cookie": cookie}, follow_redirects=True
    )
    plugins = visitor.get("/admin/system/plugins", headers={"Cookie": cookie})
    assert (page.status_code, plugins.status_code) == (200, 200)
    assert "autumn" in plugins.text
    assert "a_module_that_nobody_has" in plugins.text
