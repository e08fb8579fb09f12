"""Settings that would register an app without its database are refused, and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from plughost import Host
from plughost.contracts.secret import Secret
from plughost.exceptions import ConfigError

pytestmark = pytest.mark.anyio

NOBODY = {"allow": []}


@pytest.mark.parametrize("key", ["url", "migrations", "seeds", "models"])
@pytest.mark.parametrize("value", ["", "  ", Secret("")])
async def test_an_empty_setting_is_refused_when_an_app_is_registered_by_hand(key: str, value: object) -> None:
    async with Host(config={"host": NOBODY}, environ={}) as host:
        with pytest.raises(ConfigError, match=rf"apps\.shop\.{key} is empty"):
            await host.apps.register("shop", {key: value})
        assert "shop" not in host.apps


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ulr", "url"),
        ("urll", "url"),
        ("ur", "url"),
        ("URL", "url"),
        ("migratoins", "migrations"),
        ("seed", "seeds"),
    ],
)
@pytest.mark.parametrize("door", ["configuration", "by hand"])
async def test_a_misspelt_setting_is_refused_with_what_was_meant(door: str, written: str, meant: str) -> None:
    settings = {written: "sqlite:///shop.db"}
    config = {"host": NOBODY, "apps": {"shop": settings} if door == "configuration" else {}}
    async with Host(config=config, environ={}) as host:
        if door == "by hand":
            with pytest.raises(ConfigError) as caught:
                await host.apps.register("shop", settings)
            error: Exception = caught.value
        else:
            error = host.app_errors["shop"]
        assert f"apps.shop.{written}" in str(error)
        assert f"Did you mean '{meant}'?" in str(error)


async def test_a_setting_that_plugins_of_ones_own_read_is_nobodys_mistake() -> None:
    async with Host(
        config={"host": NOBODY, "apps": {"shop": {"colour": "", "users": 3}}}, environ={}
    ) as host:
        assert "shop" in host.apps


@pytest.mark.parametrize("kind", ["$env", "$file"])
async def test_a_reference_to_nothing_is_refused_and_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "empty").write_text("\n", "utf-8")
    source = {"$env": "SHOP_URL", "$file": str(tmp_path / "empty")}[kind]
    config = {"host": NOBODY, "apps": {"shop": {"url": {kind: source}}}}
    async with Host(config=config, environ={"SHOP_URL": ""}) as host:
        assert "shop" not in host.apps
        error = str(host.app_errors["shop"])
        assert "apps.shop.url" in error
        assert f"{source} is empty" in error
