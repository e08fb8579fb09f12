"""Settings of apps that would silently lose the database are refused; required apps count for readiness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from plughost import Host
from plughost.exceptions import BackupError, ConfigError
from plughost.flows.registration import check_settings
from plughost.http import create_app

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def made(tmp_path: Path, apps: dict[str, Any], **host: Any) -> Host:
    config = {"host": {"data_dir": str(tmp_path / "data"), "allow": ["database"], **host}, "apps": apps}
    (tmp_path / "empty").write_text("")
    return Host(config=config, environ={"NOTHING": ""})


@pytest.mark.parametrize("key", ["url", "migrations", "seeds", "models"])
@pytest.mark.parametrize("value", ["", "  ", {"$env": "NOTHING"}, {"$file": "empty"}])
async def test_an_empty_setting_is_refused_and_named(
    tmp_path: Path, key: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with made(tmp_path, {"shop": {"url": f"sqlite:///{tmp_path / 'x.db'}", key: value}}) as host:
        assert "shop" not in host.apps
        assert f"apps.shop.{key}" in str(host.app_errors["shop"])


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("ulr", "url"), ("utl", "url"), ("urll", "url"), ("ur", "url"), ("Url", "url"), ("migration", "migrations"),
     ("seed", "seeds"), ("requierd", "required"), ("versiontable", "version_table")],
)  # fmt: skip
async def test_a_misspelt_setting_is_refused_with_what_was_meant(
    tmp_path: Path, slip: str, meant: str
) -> None:
    async with made(tmp_path, {"shop": {slip: "sqlite://"}}) as host:
        assert "shop" not in host.apps
        with pytest.raises(ConfigError, match=rf"apps\.mail\.{slip} .*Did you mean '{meant}'"):
            await host.apps.register("mail", {slip: "x"})


def test_settings_of_other_plugins_are_let_through() -> None:
    check_settings(
        "shop", {"url": "sqlite://", "colour": "red", "mode": "fast", "urls": ["a"], "uri": "x", "table": 1}
    )


@pytest.mark.parametrize("by", ["the app", "the host"])
async def test_a_required_app_that_failed_keeps_the_host_from_being_ready(tmp_path: Path, by: str) -> None:
    app: dict[str, Any] = {"url": "", **({"required": True} if by == "the app" else {})}
    async with made(tmp_path, {"shop": app}, required=["shop"] if by == "the host" else []) as host:
        assert not host.ready
        assert host.missing_apps == ("shop",)
        assert "shop" not in host.plugins
        assert await answer(host) == (503, "fail")
        await host.apps.register("shop")
        assert host.ready
        assert (await answer(host))[0] == 200


async def test_another_app_that_failed_is_a_warning(tmp_path: Path) -> None:
    async with made(tmp_path, {"shop": {"url": ""}}) as host:
        assert host.ready
        assert await answer(host) == (200, "warn")


async def answer(host: Host) -> tuple[int, str]:
    application = create_app(host)
    transport = httpx2.ASGITransport(application)
    async with httpx2.AsyncClient(transport=transport, base_url="http://host") as client:
        told = await client.get("/readyz?verbose")
    application.close()
    status = told.json()["checks"]["app:shop"][0]["status"]
    assert status == told.json()["status"] or told.status_code == 200
    return told.status_code, told.json()["status"]


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///file:{folder}/x.db?uri=true", "sqlite:////proc/none/x.db"]
)
async def test_a_backup_that_would_lack_an_app_fails_and_names_it(tmp_path: Path, url: str) -> None:
    apps = {
        "kept": {"url": f"sqlite:///{tmp_path / 'kept.db'}"},
        "odd": {"url": url.format(folder=tmp_path)},
    }
    async with made(tmp_path, apps) as host:
        with pytest.raises(BackupError, match=r"odd.* cannot be saved"):
            await host.backups.run(reason="scheduled")
        assert await host.backups.list() == ()
        assert len((await host.backups.run(apps=["kept"])).entries) == 1


async def test_an_app_that_says_so_is_left_out_of_backups(tmp_path: Path) -> None:
    apps = {
        "kept": {"url": f"sqlite:///{tmp_path / 'kept.db'}"},
        "memory": {"url": "sqlite://", "backup": False},
        "away": {"url": "sqlite:////proc/none/x.db", "backup": False},
    }
    async with made(tmp_path, apps) as host:
        assert [entry.app_name for entry in (await host.backups.run()).entries] == ["kept"]
