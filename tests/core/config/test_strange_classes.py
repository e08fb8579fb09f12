"""A ``Config`` that raises when it is looked at fails its plugin, and nobody who asks for the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plughost import Host, Plugin, PluginContext
from plughost.exceptions import PluginConfigError

pytestmark = pytest.mark.anyio

RAISED = {
    "an error": RuntimeError("boom"),
    "the end of the program": SystemExit(3),
    "a type error": TypeError("boom"),
}
LOOKS = ("__getattribute__", "__getattr__", "__repr__", "__hash__", "__eq__", "__instancecheck__")


def config_class(look: str, raised: BaseException) -> Any:
    def raises(*_: object) -> Any:
        raise raised

    members = {look: raises} | ({"__hash__": type.__hash__} if look == "__eq__" else {})
    return type("Meta", (type,), members)("Config", (), {"__annotations__": {"size": int}})


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("look", LOOKS)
async def test_the_settings_of_a_plugin_whose_class_raises_are_shown(
    look: str, raised: str, tmp_path: Path
) -> None:
    class Strange(Plugin):
        name = "strange"
        Config = config_class(look, RAISED[raised])

        async def start(self, context: PluginContext) -> None: ...

    settings = {
        "host": {"allow": [], "data_dir": str(tmp_path)},
        "plugins": {"strange": {"config": {"size": 2}}},
    }
    async with Host("acme", config=settings, environ={}) as host:
        with pytest.raises(PluginConfigError):
            await host.load_plugin(Strange)
        assert host.plugin_settings("strange").values == {"size": 2}
        assert host.plugins["strange"].state == "failed"
