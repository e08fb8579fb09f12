"""A running host reads its configuration again: what changed follows, all else goes on, and a wrong file is refused."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import anyio
import pytest

from plughost import Host, Plugin
from plughost.contracts import PluginState
from plughost.exceptions import ConfigError

pytestmark = pytest.mark.anyio

MODULE = """
import msgspec
from plughost import Plugin

class Config(msgspec.Struct):
    colour: str = "red"
    password: str = ""

class {name}(Plugin):
    name = "{low}"
    requires = {requires}
    Config = Config
    async def start(self, context):
        if context.config.colour == "none":
            raise ValueError("there is no such colour")
        self.colour, self.password = context.config.colour, context.config.password
    def status(self):
        return {{"colour": self.colour, "length": len(self.password)}}
"""

LAMP = '[plugins.follow-lamp]\nmodule = "follow_lamp:Lamp"\n'
DESK = '[plugins.follow-desk]\nmodule = "follow_desk:Desk"\n'
CHAIR = '[plugins.follow-chair]\nmodule = "follow_chair:Chair"\n'

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """``write(LAMP, DESK, host=...)`` writes the configuration file."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, requires in (("Lamp", ()), ("Desk", ()), ("Chair", ("follow-desk",))):
        text = MODULE.format(name=name, low=f"follow-{name.lower()}", requires=requires)
        (tmp_path / f"follow_{name.lower()}.py").write_text(text)

    def write_file(*tables: str, host: str = "") -> None:
        head = f'[host]\nallow = ["follow-lamp", "follow-desk", "follow-chair"]\ndata_dir = "data"\n{host}\n'
        (tmp_path / "plughost.toml").write_text(head + "\n".join(tables))

    yield write_file
    for name in [name for name in sys.modules if name.startswith("follow_")]:
        del sys.modules[name]


@pytest.fixture
async def host(write: Write, tmp_path: Path) -> AsyncIterator[Host]:
    write(LAMP, DESK)
    async with Host(config=tmp_path / "plughost.toml", environ={"COLOUR": "blue"}) as running:
        yield running


def generations(host: Host) -> dict[str, int]:
    return {name: record.generation for name, record in host.plugins.items() if record.running}


async def test_a_plugin_whose_settings_changed_is_reloaded_and_no_other(host, write) -> None:
    write(LAMP, DESK + '[plugins.follow-desk.config]\ncolour = "green"\n')
    report = await host.reload()
    assert (report.reloaded, report.started, report.stopped) == (("follow-desk",), (), ())
    assert generations(host) == {"follow-lamp": 1, "follow-desk": 2}
    assert host.plugin("follow-desk").status["colour"] == "green"


@pytest.mark.parametrize("bound", ["after", "requires"])
async def test_a_plugin_that_comes_after_another_new_one_waits_for_it(host, write, tmp_path, bound) -> None:
    """Its name comes first, and the other had not begun: both waited for ever."""
    place = tmp_path / "follow_chair.py"
    place.write_text(place.read_text().replace("requires = ('follow-desk',)", f"{bound} = ('follow-sofa',)"))
    text = MODULE.format(name="Sofa", low="follow-sofa", requires=())
    (tmp_path / "follow_sofa.py").write_text(text)
    file = tmp_path / "plughost.toml"
    write(LAMP, DESK)
    sofa = '[plugins.follow-sofa]\nmodule = "follow_sofa:Sofa"\n'
    file.write_text(file.read_text().replace("allow = [", 'allow = ["follow-sofa", ') + CHAIR + sofa)
    with anyio.fail_after(60):
        assert (await host.reload()).started == ("follow-chair", "follow-sofa")
    assert [*host.report.loaded][-2:] == ["follow-sofa", "follow-chair"]


async def test_nothing_is_reloaded_when_nothing_changed(host) -> None:
    report = await host.reload()
    assert report.ok
    assert (report.reloaded, report.started, report.stopped, report.pending) == ((), (), (), ())
    assert generations(host) == {"follow-lamp": 1, "follow-desk": 1}


async def test_a_plugin_whose_code_changed_is_reloaded(host, tmp_path) -> None:
    file = tmp_path / "follow_lamp.py"
    file.write_text(file.read_text().replace('"red"', '"crimson"'))
    assert (await host.reload()).reloaded == ("follow-lamp",)
    assert host.plugin("follow-lamp").status["colour"] == "crimson"


async def test_a_secret_that_was_exchanged_in_its_file_reloads_the_plugin_that_uses_it(
    write, tmp_path
) -> None:
    (tmp_path / "secret").write_text("long-and-secret")
    write(LAMP + '[plugins.follow-lamp.config]\npassword = { "$file" = "secret" }\n', DESK)
    async with Host(config=tmp_path / "plughost.toml", environ={}) as host:
        (tmp_path / "secret").write_text("another-that-is-longer")
        assert (await host.reload()).reloaded == ("follow-lamp",)
        assert host.plugin("follow-lamp").status["length"] == len("another-that-is-longer")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("[plugins.follow-lamp\n", "plughost.toml"),
        (LAMP + "colour = 1\n", "colour"),
        ("[host2]\nx = 1\n", "host2"),
    ],
    ids=["no TOML", "an unknown key", "an unknown table"],
)
async def test_a_wrong_file_changes_nothing_and_says_why(host, write, wrong, said) -> None:
    write(wrong)
    with pytest.raises(ConfigError, match=said):
        await host.reload()
    assert generations(host) == {"follow-lamp": 1, "follow-desk": 1}
    write(LAMP, DESK)
    assert (await host.reload()).ok, "a file that is right again is taken"


async def test_settings_that_a_plugin_refuses_leave_the_running_one_as_it_was(host, write) -> None:
    write(LAMP + '[plugins.follow-lamp.config]\ncolour = "none"\n', DESK)
    report = await host.reload()
    assert [row.name for row in report.failed] == ["follow-lamp"]
    assert "there is no such colour" in report.failed[0].error.message
    assert host.plugin("follow-lamp").running
    assert host.plugin("follow-lamp").status["colour"] == "red"
    write(LAMP + '[plugins.follow-lamp.config]\ncolour = "white"\n', DESK)
    assert (await host.reload()).reloaded == ("follow-lamp",)


async def test_new_plugins_start_and_those_that_are_gone_stop(host, write) -> None:
    write(DESK, CHAIR)
    report = await host.reload()
    assert (report.started, report.stopped, report.reloaded) == (("follow-chair",), ("follow-lamp",), ())
    assert generations(host) == {"follow-chair": 1, "follow-desk": 1}
    assert host.plugin("follow-lamp") is None


@pytest.mark.parametrize(
    ("table", "setting"),
    [("enabled = false\n", ""), ("", 'disabled = ["follow-desk"]'), ("", "safe_mode = true")],
    ids=["its own switch", "host.disabled", "safe mode"],
)
async def test_what_the_file_keeps_out_stops_and_comes_back_with_those_that_require_it(
    host, write, table, setting
) -> None:
    write(DESK, CHAIR)
    await host.reload()
    write(DESK + table, CHAIR, host=setting)
    report = await host.reload()
    assert report.stopped == ("follow-chair", "follow-desk")
    assert host.plugin("follow-desk").state in {PluginState.DISABLED, PluginState.BLOCKED}
    write(DESK, CHAIR)
    assert (await host.reload()).started == ("follow-chair", "follow-desk")


async def test_a_plugin_that_failed_is_tried_again(host, write, tmp_path) -> None:
    (tmp_path / "follow_chair.py").write_text("1 / 0")
    write(LAMP, DESK, CHAIR)
    report = await host.reload()
    assert [row.name for row in report.failed] == ["follow-chair"]
    assert host.plugin("follow-chair").state is PluginState.FAILED
    assert "ZeroDivisionError" in host.plugin("follow-chair").reason
    text = MODULE.format(name="Chair", low="follow-chair", requires=("follow-desk",))
    (tmp_path / "follow_chair.py").write_text(text)
    assert (await host.reload()).started == ("follow-chair",)


async def test_a_plugin_that_was_stopped_by_hand_stays_stopped(host) -> None:
    await host.unload_plugin("follow-lamp")
    assert (await host.reload()).started == ()
    assert host.plugin("follow-lamp").state is PluginState.STOPPED


async def test_a_switch_turned_at_run_time_holds_until_the_file_says_otherwise(host, write) -> None:
    await host.disable_plugin("follow-lamp")
    assert (await host.reload()).started == ()
    assert host.plugin("follow-lamp").state is PluginState.DISABLED
    write(LAMP + "enabled = false\n", DESK)
    await host.reload()
    write(LAMP, DESK)
    assert (await host.reload()).started == ("follow-lamp",)


async def test_a_plugin_that_code_handed_over_goes_on_and_its_table_counts(host, write) -> None:
    class Given(Plugin):
        name = "given"

    await host.load_plugin(Given)
    assert (await host.reload()).stopped == ()
    write(LAMP, DESK, "[plugins.given]\nenabled = false\n")
    assert (await host.reload()).stopped == ("given",)
    write(LAMP, DESK, "[plugins.given]\n")
    assert (await host.reload()).started == ("given",)


async def test_settings_that_hold_from_the_next_start_only_are_named(host, write) -> None:
    write(LAMP, DESK, '[http]\nadmin_path = "/other"\n[apps.shop]\nx = 1\n', host="load_timeout = 7.0")
    report = await host.reload()
    assert set(report.pending) == {"host.load_timeout", "http.admin_path", "apps.shop"}
    assert host.config.host.load_timeout == 30, "what does not hold yet is not shown as if it did"
    assert (await host.reload()).pending == report.pending


async def test_required_follows_the_file(host, write) -> None:
    write(LAMP, DESK, host='required = ["follow-chair"]')
    await host.reload()
    assert not host.ready
    write(LAMP, DESK, CHAIR, host='required = ["follow-chair"]')
    await host.reload()
    assert host.ready


async def test_two_reloads_at_once_happen_one_after_the_other(host, write) -> None:
    write(LAMP, DESK + '[plugins.follow-desk.config]\ncolour = "green"\n', CHAIR)
    async with anyio.create_task_group() as both:
        both.start_soon(host.reload)
        both.start_soon(host.reload)
    assert generations(host) == {"follow-lamp": 1, "follow-desk": 2, "follow-chair": 1}
