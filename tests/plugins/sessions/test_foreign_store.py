"""A session store of somebody else: named by a reference or an entry point, and refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import unfit_stores
from plughost import Host
from plughost.contracts import SessionManager, StoreSetup
from plughost.exceptions import ConfigError, PluginError
from plughost.plugins.sessions.config import SessionsConfig
from plughost.plugins.sessions.plugin import SessionsPlugin
from plughost.plugins.sessions.stores.foreign import STORES
from plughost.testing.distributions import make_distribution

pytestmark = pytest.mark.anyio

SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"
SOURCE = """
import msgspec
from plughost.plugins.sessions.stores.memory import MemoryStore

class Settings(msgspec.Struct, forbid_unknown_fields=True):
    address: str
    patience: float = 2.0

class Shelf(MemoryStore):
    name = "shelf"
    Config = Settings
    made = []

    def __init__(self, setup):
        super().__init__(setup.now)
        self.setup = setup
        self.made.append(self)

def plain(setup):
    return MemoryStore(setup.now)
"""


@pytest.fixture(params=["shelf_store", "acme_rows"])
def module(request: pytest.FixtureRequest, write_module: Callable[[str, str], str]) -> str:
    return write_module(request.param, SOURCE + unfit_stores.SOURCE)


def host(tmp_path: Path) -> Host:
    return Host(
        "acme", config={"host": {"data_dir": str(tmp_path / "data")}}, environ={"PLUGHOST_LOAD_PLUGINS": ""}
    )


async def load(running: Host, **config: Any) -> Any:
    await running.load_plugin(SessionsPlugin, {"secret": SECRET, **config}, name="sessions")
    return running.use(SessionManager)


async def test_a_store_named_by_reference_keeps_the_sessions(module: str, tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        sessions = await load(running, store=f"{module}:Shelf", store_settings={"address": "there"})
        made = await sessions.create("7", fields={"views": 3})
        assert (await sessions.get(made.session_id)).fields == {"views": 3}
        assert (await sessions.stats()).store == "shelf"
        shelf = __import__(module).Shelf.made[-1]
        assert (shelf.setup.host_name, shelf.setup.settings.address) == ("acme", "there")
        assert shelf.setup.settings.patience == 2.0


async def test_a_function_can_make_it_and_gets_the_settings_as_they_are(module: str, tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        sessions = await load(running, store=f"{module}:plain", store_settings={"any": [1]})
        assert await sessions.create("7")


async def test_a_store_named_by_an_entry_point_keeps_the_sessions(module: str, tmp_path: Path) -> None:
    make_distribution(
        tmp_path / "site",
        "acme-stores",
        modules={},
        entry_points={STORES.group: {"shelf": f"{module}:Shelf"}},
    )
    async with host(tmp_path) as running:
        sessions = await load(running, store="shelf", store_settings={"address": "there"})
        assert (await sessions.stats()).store == "shelf"


async def test_two_distributions_with_one_name_are_refused(module: str, tmp_path: Path) -> None:
    make_distribution(
        tmp_path / "site",
        "acme-stores",
        modules={},
        entry_points={STORES.group: {"shelf": f"{module}:Shelf"}},
    )
    make_distribution(
        tmp_path / "site",
        "other-stores",
        modules={},
        entry_points={STORES.group: {"shelf": f"{module}:plain"}},
    )
    with pytest.raises(ConfigError, match=rf"2 installed distributions .*{module}:Shelf, {module}:plain"):
        STORES.maker("shelf", {})


async def test_a_reload_with_the_same_settings_keeps_the_store(module: str, tmp_path: Path) -> None:
    settings = {"store": f"{module}:Shelf", "store_settings": {"address": "there"}, "secret": SECRET}
    async with host(tmp_path) as running:
        sessions = await load(running, **settings)
        made = await sessions.create("7")
        await running.reload_plugin("sessions")
        assert await running.use(SessionManager).get(made.session_id) is not None


@pytest.mark.parametrize(
    ("store", "settings", "why"),
    [
        ("sqlit", {}, "Did you mean 'sqlite'"),
        (
            "{module}:Half",
            {},
            "neither a BytesStore, with commit, delete and find, nor a SessionStore: it has no",
        ),
        *((store, {}, why) for store, why in unfit_stores.REFUSED.items()),
        ("{module}:Shelf", {}, "address"),
        ("{module}:Shelf", {"address": "a", "pace": 1}, "pace"),
        ("{module}:Shelf", {"address": "a", "patience": "PASSWORD"}, "patience"),
        ("memory", {"address": "a"}, "has settings of its own"),
    ],
)
async def test_what_cannot_be_a_store_is_refused_in_words(
    module: str, tmp_path: Path, store: str, settings: dict[str, Any], why: str
) -> None:
    async with host(tmp_path) as running:
        with pytest.raises(PluginError) as refused:
            await load(running, store=store.format(module=module), store_settings=settings)
    assert why in str(refused.value)
    assert "PASSWORD" not in str(refused.value)


async def test_a_store_that_may_be_shared_needs_a_secret_of_its_own(module: str, tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        with pytest.raises(PluginError, match="must share a secret"):
            await running.load_plugin(SessionsPlugin, {"store": f"{module}:plain"}, name="sessions")


async def test_no_setting_of_a_store_is_shown(tmp_path: Path) -> None:
    config = SessionsConfig(store="a:B", store_settings={"dsn": "PASSWORD"}, redis_url="redis://:PASSWORD@h")
    setup = StoreSetup(host_name="acme", data_dir=tmp_path, now=float, settings={"dsn": "PASSWORD"})
    assert "PASSWORD" not in f"{config!r} {setup!r}"
