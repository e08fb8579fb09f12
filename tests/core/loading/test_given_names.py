"""A name that code gives to a plugin or an app is held to what a configuration may give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plughost import Host, Plugin
from plughost.exceptions import ConfigError, PluginInvalidError

pytestmark = pytest.mark.anyio


class Lamp(Plugin):
    name = "lamp"


@pytest.mark.parametrize("name", [" ", "a\nb", " lamp", "lamp\n", 7])
async def test_a_name_that_no_configuration_could_say_is_refused(tmp_path: Path, name: Any) -> None:
    async with Host("acme", config={"host": {"data_dir": str(tmp_path), "allow": []}}, environ={}) as host:
        with pytest.raises(PluginInvalidError, match="a plugin is called by text like 'sessions'"):
            await host.load_plugin(Lamp, name=name)
        with pytest.raises(ConfigError, match="an app is called by text like 'shop'"):
            await host.apps.register(name, {})
        with pytest.raises(ConfigError, match="an app is called by text like 'shop', not ''"):
            await host.apps.register("", {})
        assert (host.plugin("lamp"), len(host.apps)) == (None, 0)
        assert (await host.load_plugin(Lamp, name="a lamp")).name == "a lamp"
