"""What operators ask of ``plughost serve``: sockets, signals, workers, limits; each in a process of its own."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

CONFIG = """
[host]
allow = ["probe"]
data_dir = "data"
[plugins.probe]
module = "probe:Probe"
"""

PROBE = """
import asyncio, os
from pathlib import Path
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import WebSocketRoute
from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, Route

WORD = "one"

class Probe(Plugin):
    async def start(self, context):
        context.every(0.2, self.count, name="count")
        context.every(0.2, self.count_each, name="count each", scope="process")

    def count(self):
        with Path("counted").open("a") as file:
            file.write(f"{os.getpid()}\\n")

    def count_each(self):
        with Path("counted-each").open("a") as file:
            file.write(f"{os.getpid()}\\n")

    @hookimpl
    def register_routes(self):
        async def word(request):
            return PlainTextResponse(WORD)
        async def about(request):
            loop = type(asyncio.get_running_loop()).__module__
            return JSONResponse({"loop": loop, "pid": os.getpid(), "url": str(request.url)})
        async def slow(request):
            await asyncio.sleep(1)
            return PlainTextResponse("done")
        return [
            Route("/word", word, guard=PUBLIC),
            Route("/about", about, guard=PUBLIC),
            Route("/slow", slow, guard=PUBLIC),
        ]
"""


class Served:
    """A running ``plughost serve`` in a folder with the plugin ``probe``."""

    def __init__(self, folder: Path, *options: str, command: list[str] | None = None, **more: object) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
        environ |= {"PYTHONPATH": str(folder), **more.pop("environ", {})}  # type: ignore[dict-item]
        self.err_file = folder / f"err-{time.monotonic_ns()}"
        with self.err_file.open("w") as err:
            self.process = subprocess.Popen(  # type: ignore[call-overload]
                [*(command or [sys.executable, "-m", "plughost", "serve"]), *options],
                cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=err, text=True, **more,
            )  # fmt: skip

    @property
    def err(self) -> str:
        return self.err_file.read_text()

    def started(self) -> str:
        """Wait for the address and return it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"is listening on (\S+)", line):
                return found[1]
        raise AssertionError(self.err)

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        self.process.send_signal(with_signal)
        return self.process.wait(40)


Start = Callable[..., Served]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "plughost.toml").write_text(CONFIG)
    (tmp_path / "probe.py").write_text(PROBE)
    started: list[Served] = []

    def begin(*options: str, **more: object) -> Served:
        listens = {"--uds", "--fd", "--port"} & set(options) or "command" in more
        started.append(Served(tmp_path, *(() if listens else ("--port", "0")), *options, **more))
        return started[-1]

    yield begin
    for served in started:
        served.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            served.process.wait(20)
        served.process.kill()
        served.process.communicate()


def eventually(true: Callable[[], object], within: float = 30.0) -> None:
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_answers_on_a_kept_connection_do_not_wait_for_the_clients_acknowledgement(start):
    address = start().started()
    took = []
    with httpx2.Client(base_url=address) as client:
        for _ in range(30):
            began = time.perf_counter()
            client.get("/word")
            took.append(time.perf_counter() - began)
    assert min(took[1:]) < 0.035, (
        "every answer came 40 ms late, which is what a delayed acknowledgement takes"
    )


def test_an_answer_arrives_in_one_piece(start):
    host, port = start().started().removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"GET /word HTTP/1.1\r\nhost: x\r\n\r\n")
        head, _, body = connection.recv(65_536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body != b""


LEAVING = """
import gc, sys, weakref
from starlette.responses import JSONResponse
from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, Route

class Probe(Plugin):
    def __init__(self):
        self.itself = self  # so that only a collection finds it
        sys.__dict__.setdefault("probes", []).append(weakref.ref(self))

    @hookimpl
    def register_routes(self):
        return [Route("/spared", self.spared, guard=PUBLIC)]

    async def spared(self, request):
        found = {"made": len(sys.probes), "alive": sum(each() is not None for each in sys.probes)}
        return JSONResponse(found | {"frozen": gc.get_freeze_count()})
"""


def test_the_collector_is_spared_what_stays_and_finds_a_plugin_that_left(start, tmp_path):
    (tmp_path / "probe.py").write_text(LEAVING)
    served = start()
    address = served.started()

    def found(**wanted: int) -> bool:
        seen = httpx2.get(f"{address}/spared").json()
        return seen["frozen"] > 10_000 and all(seen[name] == value for name, value in wanted.items())

    eventually(lambda: found(made=1, alive=1))
    (tmp_path / "probe.py").write_text(LEAVING + "\n# changed\n")
    served.process.send_signal(signal.SIGHUP)
    eventually(lambda: found(made=2, alive=1))


def test_the_fast_event_loop_and_parser_are_used_where_they_are_installed(start):
    served = start()
    assert httpx2.get(f"{served.started()}/about").json()["loop"].startswith("uvloop")
    assert "httptools" in Path(f"/proc/{served.process.pid}/maps").read_text()


def test_a_unix_socket_is_served_and_gone_afterwards(start, tmp_path):
    path = tmp_path / "host.sock"
    path_before = socket.socket(socket.AF_UNIX)
    path_before.bind(str(path))  # what a killed program leaves behind
    path_before.close()
    served = start("--uds", str(path))
    assert served.started() == f"unix:{path}"
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path)), base_url="http://host") as client:
        assert client.get("/word").text == "one"
    second = start("--uds", str(path))
    assert second.process.wait(30) == 1
    assert "another program listens there" in second.err
    assert served.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("prefix", ["", "/shop"])
def test_a_socket_that_browsers_cannot_reach_has_paths_for_links(start, tmp_path, prefix):
    served = start("--uds", str(tmp_path / "host.sock"), "--root-path", prefix)
    served.started()
    assert served.process.stdout is not None
    page, link, advice = [served.process.stdout.readline().strip() for _ in range(3)]
    assert page == f"Admin page: {prefix}/admin/system"
    assert re.search(rf": {prefix}/admin/sign-in\?code=\S+$", link)
    assert "--public-url" in advice


def test_an_inherited_socket_is_served(start):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = start("--fd", str(listener.fileno()), pass_fds=[listener.fileno()])
        served.started()
        assert httpx2.get(f"http://127.0.0.1:{listener.getsockname()[1]}/word").text == "one"


def test_sockets_handed_over_by_a_service_manager_are_served_as_they_are(start):
    handing_over = (
        "import os, sys; fd = int(sys.argv[1]); os.dup2(fd, 3); os.set_inheritable(3, True);"
        " os.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())};"
        " os.execv(sys.executable, [sys.executable, '-m', 'plughost', 'serve'])"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-c", handing_over, str(listener.fileno())]
        served = start(command=command, pass_fds=[listener.fileno()])
        address = served.started()
        assert address.endswith(f":{listener.getsockname()[1]}")
        assert httpx2.get(f"{address}/word").text == "one"


def test_a_service_manager_is_told_of_the_start_each_reload_and_the_end(start, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(30)
        manager.bind(str(tmp_path / "notify"))
        served = start(environ={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(4096).startswith(b"READY=1")
        served.process.send_signal(signal.SIGHUP)
        assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(4096).startswith(b"READY=1")
        served.process.send_signal(signal.SIGTERM)
        assert manager.recv(4096).startswith(b"STOPPING=1")


def test_a_hangup_reloads_the_code_of_plugins(start, tmp_path):
    served = start()
    address = served.started()
    assert httpx2.get(f"{address}/word").text == "one"
    (tmp_path / "probe.py").write_text(PROBE.replace('WORD = "one"', 'WORD = "another"'))
    served.process.send_signal(signal.SIGHUP)
    eventually(lambda: httpx2.get(f"{address}/word").text == "another")


def test_a_hangup_reads_the_configuration_again_and_a_wrong_one_changes_nothing(start, tmp_path):
    served = start()
    address = served.started()
    (tmp_path / "plughost.toml").write_text(CONFIG + "colour = 1\n")
    served.process.send_signal(signal.SIGHUP)
    eventually(lambda: "Nothing was changed, because the configuration is wrong" in served.err)
    assert "plugins.probe.colour" in served.err
    assert httpx2.get(f"{address}/word").text == "one"
    (tmp_path / "plughost.toml").write_text(CONFIG + "enabled = false\n")
    served.process.send_signal(signal.SIGHUP)
    eventually(lambda: "Stopped: probe." in served.err)
    assert httpx2.get(f"{address}/word").status_code == 404


def test_a_host_without_http_reads_its_configuration_again_at_a_hangup(start, tmp_path):
    served = start(command=[sys.executable, "-m", "plughost", "run"])
    eventually(lambda: "probe" in served.process.stdout.readline())
    (tmp_path / "plughost.toml").write_text(CONFIG + "enabled = false\n")
    served.process.send_signal(signal.SIGHUP)
    eventually(lambda: "Stopped: probe." in served.err)
    assert served.stop() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--drain", "-1"), "--drain"),
        (("--header-timeout", "nan"), "is not a number of seconds"),
        (("--drain-notice", "nan"), "is not a number of seconds"),
        (("--trust-proxy", "my-proxy"), "is not an address or network"),
        (("--root-path", "shop/"), "must begin with /"),
        (("--public-url", "example.org"), "is not the address of a site"),
        (("--tls-key", "plughost.toml"), "--tls-key needs --tls-certificate"),
        (("--tls-certificate", "plughost.toml"), "cannot be used for TLS"),
        (("--uds", "a", "--fd", "3"), "give one of them"),
        (("--uds", "a", "--port", "8000"), "--uds and --port both say where to listen: give one of them"),
        (("--fd", "3", "--host", "::", "--port", "1"), "--fd and --host --port both say where to listen"),
        (("--workers", "0"), "--workers"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line_before_anything_starts(start, options, said):
    served = start(*options)
    assert served.process.wait(30) == 2
    assert said in served.err
    assert "Traceback" not in served.err
    assert "ready" not in served.err


@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "0<&- 1>&- 2>&-"])
def test_it_runs_without_the_streams_that_were_closed_to_it(start, tmp_path, closed):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shell = f'exec "$0" -m plughost serve --fd {listener.fileno()} {closed}'
        served = start(command=["sh", "-c", shell, sys.executable], pass_fds=[listener.fileno()])
        assert httpx2.get(f"http://127.0.0.1:{listener.getsockname()[1]}/word", timeout=30).text == "one"
    streams = [Path(f"/proc/{served.process.pid}/fd/{number}").readlink() for number in range(3)]
    own = [str(where) for where in streams if where.is_relative_to(tmp_path) and where != served.err_file]
    assert own == []  # no file of the program took the number of a stream
    assert served.stop() == 0


def test_an_encrypted_key_is_refused_without_asking_for_its_password(start, tmp_path):
    make = (
        "openssl req -x509 -newkey rsa:2048 -keyout k.pem -out c.pem -days 2 -subj /CN=x -passout pass:secret"
    )
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    served = start("--tls-certificate", "c.pem", "--tls-key", "k.pem")
    assert served.process.wait(30) == 2
    assert "is encrypted" in served.err


@pytest.mark.parametrize("sent", [b"", b"GET /wo", b"GET /word HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_a_connection_that_does_not_send_a_request_ends(start, sent):
    address = start("--header-timeout", "0.5").started()
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as silent:
        silent.sendall(sent)
        assert silent.recv(100).startswith(b"HTTP/1.1 408")
    with httpx2.Client(base_url=address) as client:
        assert client.get("/word").text == "one"


def test_a_request_that_was_sent_in_time_may_take_longer_than_its_head(start):
    address = start("--header-timeout", "0.5").started()
    with httpx2.Client(base_url=address) as client:
        assert [client.get("/slow").text for _ in range(2)] == ["done", "done"]


def test_connections_over_the_bound_are_turned_away_with_one_line_and_others_served(start):
    served = start("--limit-connections", "5", "--header-timeout", "60")
    host, port = served.started().removeprefix("http://").split(":")
    held = [socket.create_connection((host, int(port)), timeout=30) for _ in range(40)]
    eventually(lambda: "turned away" in served.err)
    assert held[-1].recv(100).startswith(b"HTTP/1.1 503")
    for connection in held:
        connection.close()

    def answered() -> bool:
        return httpx2.get(f"http://{host}:{port}/word").status_code == 200

    eventually(answered)
    assert served.err.count("turned away") <= 2


@pytest.fixture
def tls(tmp_path: Path) -> tuple[str, ...]:
    """The options for TLS."""
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 2 -subj /CN=x"
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    return "--tls-certificate", "c.pem", "--tls-key", "k.pem"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_clients_that_do_not_get_on_with_tls_count_as_connections(start, tls, workers):
    served = start("--limit-connections", "5", "--header-timeout", "60", "--workers", workers, *tls)
    address = served.started()
    host, port = address.removeprefix("https://").split(":")
    held = [socket.create_connection((host, int(port)), timeout=30) for _ in range(40)]
    eventually(lambda: "turned away" in served.err)
    turned_away = [one for one in held if select.select([one], [], [], 0.5)[0]]
    assert len(turned_away) >= 40 - 5 * int(workers)
    assert {one.recv(100) for one in turned_away} == {b""}
    for connection in held:
        connection.close()
    with httpx2.Client(base_url=address, verify=False) as client:
        eventually(lambda: client.get("/word").text == "one")
    assert served.stop() == 0


def test_a_client_has_as_long_for_tls_as_for_a_request(start, tls):
    host, port = start("--header-timeout", "0.5", *tls).started().removeprefix("https://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as silent:
        assert silent.recv(100) == b""


def test_few_descriptors_do_not_fill_the_log_and_the_server_recovers(start):
    limited = [sys.executable, "-c", (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120));"
        " os.execv(sys.executable, [sys.executable, '-m', 'plughost', 'serve', '--port', '0'])"
    )]  # fmt: skip
    served = start(command=limited)
    host, port = served.started().removeprefix("http://").split(":")
    held = [socket.create_connection((host, int(port)), timeout=30) for _ in range(300)]
    eventually(lambda: "turned away" in served.err)
    for connection in held:
        connection.close()
    eventually(lambda: httpx2.get(f"http://{host}:{port}/word").status_code == 200)
    assert len(served.err.splitlines()) < 100


def test_websockets_are_served(start, tmp_path):
    from websockets.sync import client as websockets

    (tmp_path / "probe.py").write_text(
        PROBE.replace("        return [\n", "        return [\n            Echo('/echo', echo, guard=PUBLIC),\n")
        .replace("PUBLIC, Route\n", "PUBLIC, Route, WebSocketRoute as Echo\n")
        .replace("class Probe", (
            "async def echo(websocket):\n    await websocket.accept()\n"
            "    await websocket.send_text(await websocket.receive_text())\n    await websocket.close()\n\nclass Probe"
        ))
    )  # fmt: skip
    address = start().started()
    with websockets.connect(f"{address.replace('http', 'ws')}/echo") as connection:
        connection.send("hello")
        assert connection.recv() == "hello"


def test_a_start_without_a_library_for_websockets_names_the_routes_that_need_one(start, tmp_path):
    route = "        return [\n            Echo('/echo', lambda _: None, guard=PUBLIC),\n"
    (tmp_path / "probe.py").write_text(
        PROBE.replace("        return [\n", route).replace(
            "PUBLIC, Route\n", "PUBLIC, Route, WebSocketRoute as Echo\n"
        )
    )
    served = start()
    served.started()
    assert "WebSocket" not in served.err
    for library in ("websockets", "wsproto"):
        (tmp_path / f"{library}.py").write_text("raise ImportError")
    served = start()
    served.started()
    (said,) = [line for line in served.err.splitlines() if "WebSocket" in line]
    assert "path=/echo plugin=probe" in said
    assert "pip install 'plughost[standard]'" in said


def test_readiness_fails_before_connections_are_refused(start):
    served = start("--drain-notice", "5")
    address = served.started()
    assert httpx2.get(f"{address}/readyz").status_code == 200
    served.process.send_signal(signal.SIGTERM)
    eventually(lambda: httpx2.get(f"{address}/readyz").status_code == 503, within=4)
    assert served.process.wait(30) == 0


def test_links_are_those_of_the_public_url(start):
    served = start("--public-url", "https://acme.example/shop")
    assert served.process.stdout is not None
    lines = [served.process.stdout.readline() for _ in range(3)]
    assert lines[1] == "Admin page: https://acme.example/shop/admin/system\n"
    assert "https://acme.example/shop/admin/sign-in?code=" in lines[2]


def test_requests_of_the_public_url_are_those_of_its_scheme(start):
    address = start("--public-url", "https://acme.example").started()
    there = httpx2.get(f"{address}/about", headers={"Host": "acme.example"}).json()["url"]
    assert there == "https://acme.example/about"
    assert httpx2.get(f"{address}/about").json()["url"] == f"{address}/about"


def test_a_prefix_that_the_proxy_took_off_is_part_of_what_plugins_see(start):
    address = start("--root-path", "/shop").started()
    assert httpx2.get(f"{address}/about").json()["url"] == f"{address}/shop/about"


def test_requests_are_logged_unless_told_otherwise(start):
    for options, logged in (((), True), (("--no-access-log",), False)):
        served = start(*options)
        httpx2.get(f"{served.started()}/word")
        served.stop()
        assert ("GET /word 200" in served.err) is logged


def test_a_folder_that_is_worked_on_is_loaded_again_when_saved(start, tmp_path):
    folder = tmp_path / "lamp"
    folder.mkdir()
    group = '[project.entry-points."plughost.plugins"]\nlamp = "lamp_code:Probe"\n'
    (folder / "pyproject.toml").write_text(f'[project]\nname = "lamp"\nversion = "1"\n{group}')
    (folder / "lamp_code.py").write_text(PROBE.replace("/word", "/lamp"))
    (tmp_path / "plughost.toml").write_text('[host]\nallow = ["lamp"]\ndata_dir = "data"\n')
    address = start("--dev", str(folder)).started()
    assert httpx2.get(f"{address}/lamp").text == "one"
    (folder / "lamp_code.py").write_text(PROBE.replace("/word", "/lamp").replace('"one"', '"saved"'))
    eventually(lambda: httpx2.get(f"{address}/lamp").text == "saved")


def get(address: str, path: str) -> bytes:
    """Return the body of an answer on a connection of its own."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return answer.partition(b"\r\n\r\n")[2]


def pids(address: str) -> set[int]:
    """Return who answers, asked on new connections."""
    found = set()
    for _ in range(40):
        with suppress(OSError):
            found.add(json.loads(get(address, "/about"))["pid"])
    return found


def test_workers_share_the_address_and_one_that_dies_is_started_again(start, tmp_path):
    served = start("--workers", "2")
    address = served.started()
    eventually(lambda: len(pids(address)) == 2)
    before = pids(address)
    victim = max(before)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(pids(address) - {victim}) == 2)
    assert "worker ended" in served.err
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0


@pytest.mark.parametrize("life", [1, 2], ids=["the first", "the second"])
def test_a_worker_that_is_killed_while_it_starts_is_started_again(start, tmp_path, life):
    killed = f"""
lives = Path("lives")
lives.write_text(lives.read_text() + "x" if lives.exists() else "x")
if len(lives.read_text()) == {life}:
    os.kill(os.getpid(), 9)

class Probe"""
    (tmp_path / "probe.py").write_text(PROBE.replace("class Probe", killed))
    served = start("--workers", "2")
    address = served.started()
    eventually(lambda: len(pids(address)) == 2)
    assert "worker ended" in served.err
    assert served.stop() == 0


@pytest.mark.parametrize("place", ["--uds", "--fd"])
def test_workers_share_any_socket_and_let_go_of_what_does_not_speak_tls(start, tmp_path, place, tls):
    path = str(tmp_path / "host.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        if place == "--fd":
            listener.bind(path)
            listener.listen()
        at = {"--uds": path, "--fd": str(listener.fileno())}[place]
        served = start(place, at, "--workers", "2", *tls, pass_fds=[listener.fileno()])
        served.started()
        for _ in range(8):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.sendall(b"GET /word HTTP/1.1\r\n\r\n")
                with suppress(ConnectionError):
                    assert b"200" not in client.recv(100)
        transport = httpx2.HTTPTransport(uds=path, verify=False)
        with httpx2.Client(transport=transport, base_url="https://host") as client:
            eventually(lambda: client.get("/word").text == "one")
        assert "Traceback" not in served.err


def test_a_job_of_the_host_runs_in_one_worker_and_one_of_the_process_in_each(start, tmp_path):
    served = start("--workers", "2")
    served.started()
    each = tmp_path / "counted-each"
    eventually(lambda: each.exists() and len(set(each.read_text().split())) == 2)
    assert len(set((tmp_path / "counted").read_text().split())) == 1


def test_workers_are_reloaded_one_after_the_other_without_a_refused_request(start, tmp_path):
    served = start("--workers", "2")
    address = served.started()
    eventually(lambda: len(pids(address)) == 2)
    (tmp_path / "probe.py").write_text(PROBE.replace('WORD = "one"', 'WORD = "another"'))
    served.process.send_signal(signal.SIGHUP)
    eventually(lambda: {get(address, "/word") for _ in range(50)} == {b"another"})


def test_workers_end_when_the_process_that_looks_after_them_is_killed(start):
    served = start("--workers", "2")
    address = served.started()
    eventually(lambda: len(pids(address)) == 2)
    served.process.kill()

    def refused() -> bool:
        with suppress(OSError):
            get(address, "/word")
            return False
        return True

    eventually(refused)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_at_once_ends_no_request(start, number):
    served = start("--workers", "2", "--drain-notice", "0", start_new_session=True)
    address = served.started()
    eventually(lambda: len(pids(address)) == 2)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(get, address, "/slow") for _ in range(6)]
        time.sleep(0.5)  # other processes: nothing tells when they have the requests
        os.killpg(served.process.pid, number)
        assert [each.result() for each in asked] == [b"done"] * 6
    assert served.process.wait(60) == 0


def test_a_second_signal_ends_all_workers_at_once(start, tmp_path):
    (tmp_path / "probe.py").write_text(PROBE.replace("sleep(1)", "sleep(120)"))
    served = start("--workers", "2", "--drain-notice", "0", "--drain", "100", start_new_session=True)
    address = served.started()
    eventually(lambda: len(pids(address)) == 2)
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=60) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)
        os.killpg(served.process.pid, signal.SIGINT)
        time.sleep(0.5)
        os.killpg(served.process.pid, signal.SIGINT)
        with suppress(ConnectionError):
            assert client.recv(1) == b""


def test_whichever_worker_is_asked_tells_the_figures_of_all_and_which_did_not_tell_theirs(start):
    address = start("--workers", "2").started()
    told: dict[str, str] = {}

    def whose() -> set[str]:
        text = httpx2.get(f"{address}/metrics", timeout=30).raise_for_status().text
        families = list(text_string_to_metric_families(text))
        assert len({one.name for one in families}) == len(families)
        told.update({one.labels["worker"]: one.value for one in samples_of(families, "plughost_worker_up")})
        return {one.labels["worker"] for one in samples_of(families, "plughost_ready")}

    eventually(lambda: whose() == {"0", "1"})
    assert told == {"0": 1, "1": 1}
    pid = pids(address).pop()
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: len(whose()) == 1)
        assert sorted(told.values()) == [0, 1]
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: whose() == {"0", "1"})


def samples_of(families, name):
    return [sample for family in families if family.name == name for sample in family.samples]


def test_a_host_that_lacks_what_is_required_ends_and_says_what(start, tmp_path):
    required = 'required = ["nowhere", "shop"]\n[apps.shop]\ncolour = {"$env" = "NOBODY_SET_THIS"}\n'
    (tmp_path / "plughost.toml").write_text(CONFIG.replace("[plugins.probe]", f"{required}[plugins.probe]"))
    served = start()
    assert served.process.wait(60) == 1
    assert "; required and missing: nowhere, app shop\n" in served.err


def test_workers_that_cannot_start_end_the_program(start, tmp_path):
    (tmp_path / "plughost.toml").write_text(
        CONFIG.replace("[plugins.probe]", 'required = ["nowhere"]\n[plugins.probe]')
    )
    served = start("--workers", "2")
    assert served.process.wait(60) == 1


@pytest.mark.parametrize(
    "piece",
    [b"a" * 4096, b"a: b\r\n" * 1000, b"x" * 300_000],
    ids=["one endless header", "many", "large reads"],
)
def test_an_endless_head_of_a_request_ends_at_a_limit_in_bytes(start, piece):
    address = start("--header-timeout", "60").started()
    host, _, port = address.removeprefix("http://").partition(":")
    sent = 0
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        answer = b""
        with suppress(ConnectionError):
            while sent < 20_000_000:
                client.sendall(piece)
                sent += len(piece)
        with suppress(ConnectionError):
            answer = client.recv(4096)
    assert sent < 20_000_000
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431")


def test_heads_up_to_the_limit_are_taken_and_those_above_are_told_so(start):
    address = start().started()
    with httpx2.Client(base_url=address, timeout=30) as client:
        for size, status in [(60_000, 200), (70_000, 431), (60_000, 200)]:
            assert client.get("/livez", headers={"X-Long": "a" * size}).status_code == status
        # A body before it does not count.
        assert client.post("/livez", content=b"x" * 500_000).status_code == 405
        assert client.get("/livez", headers={"X-Long": "a" * 60_000}).status_code == 200


def test_a_file_that_a_plugin_never_closed_is_written_to_its_end(start, tmp_path):
    (tmp_path / "probe.py").write_text("""
import gc
from pathlib import Path
import anyio
from plughost import Plugin

class Probe(Plugin):
    async def start(self, context):
        self.itself = self  # a circle: only the collector of the interpreter ends it
        self.file = Path("written").open("w")
        self.file.write("to the end")
        context.spawn(self.wait_until_spared)

    async def wait_until_spared(self):
        while not gc.get_freeze_count():
            await anyio.sleep(0.05)
        Path("spared").touch()
""")
    served = start()
    served.started()
    eventually((tmp_path / "spared").exists)
    assert served.stop() == 0
    assert (tmp_path / "written").read_text() == "to the end"
