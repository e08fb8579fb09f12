"""A served host with secrets planted wherever strangers put them: none comes out again, with ``rich`` installed.

They stand in a configuration, in urls, in bodies and headers of requests, in local variables, and in the errors
that a plugin makes of all of these.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import httpx2
import pytest

from servers import end

PLANTED = {
    "configured": "Kx7-configured-9Q",
    "referenced": "Zw3-referenced-1P",
    "declared": "Vb5-declared-4T",
    "in a url": "Nm8-url-password-2R",
    "body": "Gh6-typed-password-7S",
    "header": "Jd4-bearer-credential-3U",
    "local": "Tr2-local-variable-8W",
}

PLUGIN = """
import shutil
from pathlib import Path
import msgspec
from starlette.responses import PlainTextResponse
from plughost import Plugin, hookimpl
from plughost.contracts import Artifact, BackupLocation, HealthCheck, Secret
from plughost.http import PUBLIC, Route

class LeakyConfig(msgspec.Struct):
    api_key: str
    dsn: str
    plain_name: Secret
    redis: str

class Leaky(Plugin):
    name = "leaky"
    Config = LeakyConfig

    async def start(self, context):
        self.context, config = context, context.config
        self.all = f"{config.api_key} {config.dsn} {config.plain_name.reveal()} {config.redis}"
        context.every(0.05, self.job, name="job")

    async def job(self):
        raise ValueError(f"the job knows {self.all}")

    def status(self):
        return {"seen": self.all}

    @hookimpl
    def health_check(self, app_name):
        return HealthCheck(name="leaky", status="warn", detail=self.all, figures={"with": self.all})

    @hookimpl
    def provide_backup_artifacts(self, plan):
        return [Artifact(name="notes.txt", stream=lambda: [b"nothing secret"])]

    @hookimpl
    def store_backup(self, archive):
        kept = Path("kept") / archive.path.name
        kept.parent.mkdir(exist_ok=True)
        shutil.copy(archive.path, kept)
        return BackupLocation(uri=f"https://someone:Nm8-url-password-2R@store.example/{kept.name}")

    @hookimpl
    def after_backup(self, result):
        self.context.log.info("stored", told=self.all)

    @hookimpl
    def register_routes(self):
        async def fail(request):
            body = (await request.body()).decode()
            local = "Tr2-local-variable-" + "8W"
            self.context.log.warning("about to fail", body=body, told=self.all)
            raise RuntimeError(f"cannot reach {self.all} for {body} of {request.headers['authorization']}")
        return [Route("/fail", fail, methods=["POST"], guard=PUBLIC)]

class Broken(Plugin):
    name = "broken"
    Config = LeakyConfig
    async def start(self, context):
        config = context.config
        raise ConnectionError(f"{config.redis}: {config.api_key} {config.dsn} {config.plain_name.reveal()}")
"""

CONFIG = """
[host]
allow = ["admin", "cache", "leaky", "broken"]
data_dir = "data"
[plugins.admin]
module = "plughost.plugins.admin:AdminPlugin"
[plugins.cache]
module = "plughost.plugins.cache:CachePlugin"
"""

TABLE = """
[plugins.{name}]
module = "leaky:{kind}"
[plugins.{name}.config]
api_key = "Kx7-configured-9Q"
dsn = {{"$env" = "LEAKY_DSN"}}
plain_name = "Vb5-declared-4T"
redis = "redis://someone:Nm8-url-password-2R@127.0.0.1:1/0"
"""


class Serve:
    """A running ``plughost serve``, and all it has said."""

    def __init__(self, folder: Path, *options: str) -> None:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PLUGHOST_")}
        environ |= {"PYTHONPATH": str(folder), "LEAKY_DSN": PLANTED["referenced"], "FORCE_COLOR": ""}
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "plughost", "serve", "--port", "0", "-v", *options],
                cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self.environ = environ

    def address(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("Admin page: "):
                return line.removeprefix("Admin page: ").partition("/admin")[0].strip()
        raise AssertionError(self.log.read_text())

    def end(self) -> str:
        end(self.process)
        return self.log.read_text()


def command(serve: Serve, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "plughost", *arguments],
        cwd=folder, env=serve.environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


def everything_in(folder: Path) -> str:
    """Return all bytes under a folder, those within archives too, as text."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            found.append(path.read_bytes())
            if tarfile.is_tarfile(path):
                with tarfile.open(path) as archive:
                    found += [
                        file.read() for each in archive if (file := archive.extractfile(each)) is not None
                    ]
    assert found, "there is a backup"
    return b"".join(found).decode("utf-8", "replace")


@pytest.fixture(params=["text", "json"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "leaky.py").write_text(PLUGIN)
    tables = TABLE.format(name="leaky", kind="Leaky") + TABLE.format(name="broken", kind="Broken")
    (tmp_path / "plughost.toml").write_text(CONFIG + tables)
    serve = Serve(tmp_path, "--log-format", request.param)
    try:
        base = serve.address()
        token = command(serve, tmp_path, "admin", "token", "create", "--name", "t", "--scope", "*")
        token = next(word for word in token.split() if word.startswith("phk_"))
        with httpx2.Client(base_url=base, timeout=30) as client:
            answer = client.post(
                "/fail",
                content=json.dumps({"password": PLANTED["body"]}),
                headers={"Authorization": f"Bearer {PLANTED['header']}"},
            )
            assert answer.status_code == 500
            told = {"error page": answer.text}
            admin = {"Authorization": f"Bearer {token}"}
            for path in (
                "/metrics", "/readyz?verbose", "/health/detailed", "/admin/api/stats/errors",
                "/admin/api/plugins", "/admin/api/plugins/broken", "/admin/api/plugins/leaky",
                "/admin/system", "/admin/system/plugins", "/admin/system/health",
            ):  # fmt: skip
                page = client.get(path, headers=admin)
                assert page.status_code in (200, 503), (path, page.text)
                told[path] = page.text
        told["log"] = serve.end() + token
    finally:
        serve.process.kill()
        serve.process.wait()
    told["log"] = told["log"].removesuffix(token)
    told["the token in the log"] = "leaked" if token in told["log"] else ""
    told["report"] = command(serve, tmp_path, "run", "--once")
    told["report as JSON"] = command(serve, tmp_path, "run", "--once", "--json")
    told["info"] = command(serve, tmp_path, "info", "broken")
    told["configuration"] = command(serve, tmp_path, "config", "show")
    told["configuration as JSON"] = command(serve, tmp_path, "config", "show", "--json")
    told["backup"] = command(serve, tmp_path, "backup", "run", "--json") + everything_in(tmp_path / "kept")
    return told


def test_no_planted_secret_comes_out_of_log_pages_reports_and_metrics(told):
    assert importlib.util.find_spec("rich") is not None, "the test is about what happens when it is there"
    leaks = {(place, name) for place in told for name, secret in PLANTED.items() if secret in told[place]}
    # A source line of a traceback may spell a secret that stands in the source itself; this one does not.
    assert leaks == set()
    assert told["the token in the log"] == ""
    assert "RuntimeError: cannot reach" in told["log"], "the traceback itself is there"
    assert "ConnectionError" in told["report"]
