"""The secrets of the suite, planted in a host as one serves it: none is on a page, in a log, in a file, in a backup."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import zstandard
from served_suite import Instance, instance

from plughost_media.demo import DemoFakes, settings
from plughost_media.demo_service import lose_tables
from plughost_media.fakes import FakeTmdb, serving

SHARED, OWN = "canary-shared-Kx7-9Qm2", "canary-own-Zw3-1Pb8"
VAULT = "canary-vault-Vb5_4TnJ8_wRy2Lk6Hs0_dGf3QzXc"
SESSIONS = "canary-sessions-Tr2_8WqN4_vBm7Yp1Uj5_kEa9SxDf"
PAGES = (
    "/media/", "/api/media/state", "/api/media/usage", "/api/media/settings", "/api/auth/session",
    "/api/plex/servers", "/api/plex/libraries", "/api/plex/library/1/all", "/api/plex/metadata/101",
    "/api/plex/ondeck", "/api/plex/continue", "/api/plex/activities", "/api/plex/sessions",
    "/api/plex/watch-history", "/api/plex/stats", "/api/plex/stats/live", "/api/plex/stats/dashboard",
    "/api/tmdb/usage", "/api/tmdb/movie/101", "/api/tmdb/trending/movie/week",
)  # fmt: skip
FOR_ADMINISTRATORS = (
    "/metrics", "/health/detailed", "/admin/api/stats/errors", "/admin/api/stats/usage", "/admin/api/plugins",
    *(f"/admin/api/plugins/{name}" for name in ("vault", "upstream", "tmdb", "plex", "sessions")),
    *(f"/admin/system/{tab}" for tab in ("plugins", "health", "tmdb", "plex", "media-usage", "pictures")),
    "/api/cache/keys", "/api/plex/cache/stats",
)  # fmt: skip
IN_TROUBLE = ("/api/plex/metadata/10{}", "/api/tmdb/movie/10{}", "/api/plex/search?query=film{}", "/media/")


def configured(folder: Path, served: Any, fakes: DemoFakes) -> dict[str, Any]:
    config = settings(served, fakes, folder / "data")
    config["plugins"]["tmdb"]["config"]["shared_key"] = {"$env": "CANARY_SHARED"}
    config["plugins"]["vault"] = {"config": {"keys": [{"$env": "CANARY_VAULT"}]}}
    config["plugins"]["sessions"]["config"]["secret"] = {"$env": "CANARY_SESSIONS"}
    return config


class Heard:
    """All that a host has answered, by what it was asked."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client
        self.answers: dict[str, bytes] = {}

    def ask(self, method: str, path: str, *wanted: int, **options: Any) -> httpx2.Response:
        answer = self.client.request(method, path, **options)
        assert not wanted or answer.status_code in wanted, (path, answer.status_code, answer.text)
        shown = [f"{name}: {value}" for name, value in answer.headers.items() if name != "set-cookie"]
        self.answers[f"{method} {path} {len(self.answers)}"] = "\n".join(shown).encode() + answer.content
        return answer


def use(heard: Heard, fakes: DemoFakes, host: Instance) -> None:
    """Do what people and administrators do, while all is well and while it is not."""
    heard.ask("PUT", "/api/tmdb/key", 200, json={"key": OWN})
    item = heard.ask("GET", "/api/plex/metadata/101", 200).json()["MediaContainer"]["Metadata"][0]
    stream = heard.ask("POST", "/api/plex/playback/101", 200, json={}).json()["stream"]
    for path in (*PAGES, stream, f"/api/images/plex{item['thumb']}?w=92"):
        heard.ask("GET", path, 200)
    token = host.run("admin", "token", "create", "--name", "t", "--scope", "*")
    token = next(word for word in token.split() if word.startswith("phk_"))
    upkeep = {"name": "plex tokens"}
    heard.ask("POST", "/admin/api/jobs/run", 200, json=upkeep, headers={"Authorization": f"Bearer {token}"})
    for path in FOR_ADMINISTRATORS:
        heard.ask("GET", path, 200, 503, headers={"Authorization": f"Bearer {token}"}, follow_redirects=True)
    for number, kind in enumerate(("garbage", "500", "401"), start=2):
        for fake in fakes.all:
            if (kind, fake.name) != ("401", "plextv"):  # which would mean that Ada has to sign in again
                fake.begin(kind, seconds=30.0)  # type: ignore[arg-type]
        for path in IN_TROUBLE:
            heard.ask("GET", path.format(number))
    heard.ask("PUT", "/api/tmdb/key", json={"key": OWN})
    for fake in fakes.all:
        fake.end()
    host.run("backup", "run")
    for part in ("plex", "tmdb"):
        lose_tables(host.folder / "data" / part)  # so that what is unexpected is logged, too
    assert heard.ask("GET", "/api/plex/servers").status_code == 500


def bytes_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Give every file under a folder, and what is in archives."""
    for path in folder.rglob("*"):
        if path.name.endswith(".tar.zst"):
            with (
                path.open("rb") as raw,
                zstandard.ZstdDecompressor().stream_reader(raw) as stream,
                tarfile.open(fileobj=stream, mode="r|") as tar,
            ):
                for member in tar:
                    file = tar.extractfile(member)
                    yield f"{path.name}/{member.name}", b"" if file is None else file.read()
        elif path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_is_on_a_page_in_the_log_in_a_file_or_in_a_backup(tmp_path: Path, log_format: str) -> None:
    fakes, folder = DemoFakes(), tmp_path / "host"
    fakes.tmdb = FakeTmdb(keys=[SHARED, OWN])
    environ = {"CANARY_SHARED": SHARED, "CANARY_VAULT": VAULT, "CANARY_SESSIONS": SESSIONS}
    with serving(*fakes.all) as served:
        fakes.furnish(served)
        config = configured(folder, served, fakes)
        with instance(folder, config, fakes, "-vv", "--log-format", log_format, **environ) as host:
            heard = Heard(host.sign_in())
            use(heard, fakes, host)
            cookies = [cookie.value for cookie in heard.client.cookies.jar if cookie.value]
            log = host.end()
    secrets = {
        "shared key": SHARED,
        "own key": OWN,
        "vault": VAULT,
        "sessions": SESSIONS,
        "account": fakes.plex_tv.accounts[0].token,
        **{f"device {number}": given for number, given in enumerate(fakes.plex_tv.devices.tokens)},
        **{token: token for server in (fakes.home, fakes.far) for token in server.accounts},
    }
    used = {call.headers.get("authorization") for call in fakes.tmdb.calls}
    assert f"Bearer {OWN}" in used  # each of them was needed, and is known by its own words
    assert fakes.plex_tv.devices.tokens
    kept = dict(bytes_in(folder))
    assert any("plex/plex.db" in name and ".tar.zst" in name for name in kept), kept.keys()
    assert "Traceback" in log
    places = {**heard.answers, **kept, "log": log.encode()}
    found = {(place, name) for place, text in places.items() for name, secret in secrets.items()
             if secret.encode() in text}  # fmt: skip
    assert found == set()
    assert cookies
    assert not any(cookie in log for cookie in cookies)
