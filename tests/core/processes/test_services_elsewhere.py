"""Services between processes: provided from one, used in another, called as if there were none between."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from housed import configuration, housed, process_of, until, write_plugin
from plughost import Plugin
from plughost.exceptions import AuthRefused, NotCrossableError, PluginError, RemoteError, ServiceError
from shared_services import Beam, Dim, Lamp, LampBox, Piped, Valued, Wide

pytestmark = pytest.mark.anyio

PROVIDER = """
import os

import anyio

from plughost import Plugin, hookimpl
from plughost.exceptions import AuthRefused
from shared_services import Beam


class Bulb:
    def __init__(self):
        self.secret = "glass"

    async def shine(self, ray, /, times=2, *, by="its owner"):
        await anyio.sleep(0)
        return [ray] * times + [Beam(os.getpid(), (by,))]

    async def fail(self, how):
        if how == "own":
            raise AuthRefused("not you")
        if how == "other":
            raise KeyError("no such lamp")
        if how == "exit":
            os._exit(3)
        await anyio.sleep(3600)


class Provider(Plugin):
    async def start(self, context):
        from shared_services import Lamp

        context.provide(Lamp, Bulb())
"""

USER = """
from plughost import Plugin, hookimpl
from shared_services import Beam, Lamp


class User(Plugin):
    requires = ("lamp",)

    async def start(self, context):
        self.lamp = context.use(Lamp)
        self.context = context

    @hookimpl
    async def misbehave(self, how):
        if how in ("own", "other"):
            await self.lamp.fail(how)
        beams = await self.lamp.shine(Beam(1, ("red",)), by=how)
        return [(beam.lumen, beam.colours) for beam in beams]
"""


class Torch:
    """A service of a plugin inside the host."""

    async def shine(self, beam: Beam, /, times: int = 3, *, by: str = "the host") -> list[Beam]:
        return [beam] * times + [Beam(0, (by,))]

    async def fail(self, how: str) -> None:
        raise AuthRefused("not here") if how == "own" else KeyError(how)


class LampInside(Plugin):
    async def start(self, context: Any) -> None:
        context.provide(Lamp, Torch())


class EveryLampInside(Plugin):
    async def start(self, context: Any) -> None:
        for service in (Dim, Valued, Piped, Wide, LampBox):
            context.provide(service, LampBox())


def of(folder: Path, *names: str) -> dict[str, Any]:
    """A host with plugins in processes of their own."""
    table = configuration(folder, names[0])
    table["host"] |= {"allow": [*names, "inside"], "restart_pause": 0.0, "max_restarts": 100}
    table["plugins"] = {name: {"isolation": "process"} for name in names}
    return table


async def test_a_service_of_a_process_is_used_in_the_host(tmp_path: Path) -> None:
    write_plugin(tmp_path, PROVIDER, "lamp")
    async with housed(of(tmp_path, "lamp")) as host:
        lamp = host.use(Lamp)
        assert isinstance(lamp, Lamp)
        pid = process_of(host, "lamp").pid
        red = Beam(1, ("red",))
        assert await lamp.shine(red) == [red, red, Beam(pid or 0, ("its owner",))]
        assert await lamp.shine(red, 1, by="me") == [red, Beam(pid or 0, ("me",))]
        with pytest.raises(TypeError, match="tims"):
            await lamp.shine(red, tims=1)  # type: ignore[call-arg]
        with pytest.raises(AuthRefused, match="not you"):
            await lamp.fail("own")
        with pytest.raises(RemoteError, match="KeyError"):
            await lamp.fail("other")


@pytest.mark.parametrize("inside", [True, False])
async def test_a_service_is_used_in_a_process_wherever_it_is_provided(tmp_path: Path, inside: bool) -> None:
    write_plugin(tmp_path, USER.replace('"lamp"', '"inside"') if inside else USER, "user")
    if not inside:
        write_plugin(tmp_path, PROVIDER, "lamp")
    async with housed(of(tmp_path, "user", *(() if inside else ("lamp",)))) as host:
        if inside:
            assert "'inside'" in host.plugins["user"].reason
            await host.load_plugin(LampInside, name="inside")
            await host.load_plugin("user")
        lumen = 0 if inside else process_of(host, "lamp").pid
        shone = await host.hooks.misbehave(how="you")
        assert shone == [(1, ("red",))] * (3 if inside else 2) + [(lumen, ("you",))]
        with pytest.raises(AuthRefused, match="not"):
            await host.hooks.misbehave(how="own")
        report = await host.hooks.misbehave.report(how="other")
        assert "KeyError" in str(report.outcomes[0].error)


async def test_the_host_need_not_know_the_types_of_what_two_processes_say_to_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = inspect.getsource(sys.modules["shared_services"])
    (tmp_path / "lamp_contracts.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in {"lamp": PROVIDER, "user": USER}.items():
        write_plugin(tmp_path, text.replace("shared_services", "lamp_contracts"), name)
    async with housed(of(tmp_path, "lamp", "user")) as host:
        shone = await host.hooks.misbehave(how="you")
        assert shone == [(1, ("red",)), (1, ("red",)), (process_of(host, "lamp").pid, ("you",))]
        assert "lamp_contracts" not in sys.modules


REFUSED = {
    "Dim": "the member 'is_on' cannot be called from one process in another: it is no `async def`",
    "Valued": "the member 'lumen'",
    "Piped": "the member 'pipe' cannot be called from one process in another: its answer cannot leave",
    "Wide": "it takes any number of arguments as 'everything'",
    "LampBox": "it is a class, and no Protocol",
}


async def test_a_service_that_cannot_be_called_from_elsewhere_is_refused_by_its_member(
    tmp_path: Path,
) -> None:
    plugins = [(f"{verb}_{name.lower()}", verb, name) for name in REFUSED for verb in ("provide", "use")]
    for plugin, verb, name in plugins:
        value = "" if verb == "use" else f", {name}()" if name == "LampBox" else ", object()"
        source = (
            "from plughost import Plugin\nfrom shared_services import *\nclass P(Plugin):\n"
            f"    async def start(self, context): context.{verb}({name}{value})\n"
        )
        write_plugin(tmp_path, source, plugin)
    async with housed(of(tmp_path, *(plugin for plugin, _, _ in plugins))) as host:
        for plugin, verb, _ in plugins:
            said = "no running plugin provides" if verb == "use" else NotCrossableError.__name__
            assert said in host.plugins[plugin].reason
        await host.load_plugin(EveryLampInside, name="inside")
        for plugin, verb, name in plugins:
            if verb == "use":
                with pytest.raises(PluginError):
                    await host.load_plugin(plugin)
            reason = host.plugins[plugin].reason
            assert f"raised {NotCrossableError.__name__}" in reason
            assert REFUSED[name] in reason
            assert f"out of [plugins.{plugin}]" in reason


async def test_what_nobody_provides_is_said_to_a_process_too(tmp_path: Path) -> None:
    write_plugin(tmp_path, USER.replace('requires = ("lamp",)', ""), "user")
    async with housed(of(tmp_path, "user")) as host:
        assert "no running plugin provides Lamp. Install and enable" in host.plugins["user"].reason
        with pytest.raises(ServiceError, match="no running plugin provides Lamp"):
            host.use(Lamp)


@pytest.mark.parametrize("how", ["crash", "reload"])
async def test_who_holds_a_service_goes_on_when_its_process_is_another_one(tmp_path: Path, how: str) -> None:
    write_plugin(tmp_path, PROVIDER, "lamp")
    async with housed(of(tmp_path, "lamp")) as host:
        lamp = host.use(Lamp)
        before = process_of(host, "lamp").pid
        if how == "crash":
            with pytest.raises(Exception, match="is gone during service"):
                await lamp.fail("exit")
        else:
            await host.reload_plugin("lamp")
        with anyio.fail_after(30):
            *_, told = await lamp.shine(Beam(1))
        assert told.lumen not in (before, 0)
        await until(lambda: process_of(host, "lamp").pid == told.lumen)
        assert host.use(Lamp) is not lamp
        await host.unload_plugin("lamp")
        with pytest.raises(ServiceError, match="'lamp' provided it and no longer runs"):
            host.use(Lamp)
        with pytest.raises(Exception, match="was ended"):
            await lamp.shine(Beam(1))


async def test_only_what_the_protocol_declares_is_called(tmp_path: Path) -> None:
    source = """
from plughost import Plugin, hookimpl
from plughost.core.wire.protocol import Member, crossing_of
from plughost.core.wire.services import ServiceCall


class Curious(Plugin):
    async def start(self, context):
        self.calls = context._calls

    @hookimpl
    async def misbehave(self, how):
        call = ServiceCall(service="shared_services.Lamp", member=how, positional=0, keywords=(), arguments=b"\\x90")
        await self.calls.call(Member.USE, (call,), crossing_of(Member.USE))
"""
    write_plugin(tmp_path, source, "curious")
    async with housed(of(tmp_path, "curious")) as host:
        await host.load_plugin(LampInside, name="inside")
        for member in ("__class__", "__init__", "nothing", "__reduce__"):
            report = await host.hooks.misbehave.report(how=member)
            assert f"shared_services.Lamp has no member '{member}'" in str(report.outcomes[0].error)


async def test_a_service_that_lies_about_its_name_does_not_hide_the_real_one(tmp_path: Path) -> None:
    write_plugin(
        tmp_path,
        PROVIDER.replace("import Lamp\n", "import Lamp\n        Lamp.__qualname__ = 'Dim'\n"),
        "lamp",
    )

    class Inside(Plugin):
        async def start(self, context: Any) -> None:
            context.provide(Dim, REAL)

    async with housed(of(tmp_path, "lamp")) as host:
        await host.load_plugin(Inside, name="inside")
        await host.reload_plugin("lamp")
        assert host.use(Dim) is REAL


REAL = object()
