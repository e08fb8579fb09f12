"""A host that is started, or called, while a module is imported: plugins may import that module, as on pluggy."""

import contextlib
import importlib
import itertools
import sqlite3
import sys
import textwrap
import threading

import anyio
import anyio.lowlevel
import pluggy
import pytest

from plughost import Host
from plughost.blocking import BlockingHost
from plughost.exceptions import HostNotReadyError

NUMBERS = itertools.count()
SPECS = {
    "pluggy": "import pluggy\nspec, impl = pluggy.HookspecMarker('acme'), pluggy.HookimplMarker('acme')",
    "plughost": "from plughost import hookspec as spec, hookimpl as impl",
}
HOSTS = {
    "for_pluggy": "BlockingHost.for_pluggy('acme', Specs, backend={backend!r}, config=CONFIG, environ={{}})",
    "spelled out": "BlockingHost('acme', project='acme', groups=('acme',), hookspecs=[Specs], catalogue=(),"
    " backend={backend!r}, config=CONFIG, environ={{}})",
}
APPLICATION = """
from plughost.blocking import BlockingHost
{marks}

class Specs:
    @spec
    def transform(self, text):
        "Change a text."

CONFIG = {{"host": {{"load_timeout": 4, "data_dir": {data!r}}}, "plugins": {{"guest": {{"module": {guest!r}}}}}}}
host = {host}
{start}
FAILED = [str(row.error) for row in host.report.failed]
SAID = {call}
host.stop()
"""
IN_A_LOOP = """
import anyio
from plughost import Host
{marks}

class Specs:
    @spec
    def transform(self, text):
        "Change a text."

async def main():
    config = {{"host": {{"load_timeout": 4, "data_dir": {data!r}}}, "plugins": {{"guest": {{"module": {guest!r}}}}}}}
    async with Host.for_pluggy("acme", Specs, config=config, environ={{}}) as host:
        return [str(row.error) for row in host.report.failed], host.sync_hooks.transform(text="a")

FAILED, SAID = anyio.run(main, backend={host!r})
"""
GUEST = """
{at_once}
from {marks} import impl

@impl
def transform(text):
    import {application}
    return text.upper()
"""


def run_import(
    tmp_path, monkeypatch, *, marks, host, start="", call="", imports_at_once, backend, text=APPLICATION
):
    """Import an application that starts a host meanwhile; return its module."""
    number = next(NUMBERS)
    application, guest, shared = f"application{number}", f"guest{number}", f"marks{number}"
    monkeypatch.syspath_prepend(tmp_path)
    at_once = f"import {application}" if imports_at_once else ""
    written = {
        shared: SPECS[marks],
        guest: GUEST.format(at_once=at_once, marks=shared, application=application),
        application: text.format(
            marks=f"from {shared} import spec, impl",
            data=str(tmp_path / "data"),
            guest=guest,
            host=HOSTS[host].format(backend=backend) if host in HOSTS else backend,
            start=start,
            call=call,
        ),
    }
    for name, text in written.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text), "utf-8")
    importer = threading.Thread(target=importlib.import_module, args=(application,), daemon=True)
    importer.start()
    importer.join(30)
    assert not importer.is_alive(), "the import waits for a plugin that waits for the import"
    return sys.modules[application]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("marks", SPECS)
def test_a_plugin_may_import_the_module_whose_import_starts_the_host(
    tmp_path, monkeypatch, marks, host, backend
):
    module = run_import(
        tmp_path,
        monkeypatch,
        marks=marks,
        host=host,
        start="host.start()",
        call="host.sync_hooks.transform(text='a')",
        imports_at_once=True,
        backend=backend,
    )
    assert module.FAILED == []
    assert module.SAID == ["A"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("door", ["host.sync_hooks", "host.hooks"])
@pytest.mark.parametrize("marks", SPECS)
def test_a_hook_called_during_an_import_may_import_that_module(tmp_path, monkeypatch, marks, door, backend):
    module = run_import(
        tmp_path,
        monkeypatch,
        marks=marks,
        host="for_pluggy",
        start="host.start()",
        call=f"{door}.transform(text='a')",
        imports_at_once=False,
        backend=backend,
    )
    assert module.SAID == ["A"]


def test_a_plugin_loaded_by_hand_during_an_import_may_import_that_module(tmp_path, monkeypatch):
    module = run_import(
        tmp_path,
        monkeypatch,
        marks="pluggy",
        host="for_pluggy",
        start="CONFIG['plugins']['guest']['enabled'] = False\nhost.start()\nhost.enable_plugin('guest')",
        call="host.sync_hooks.transform(text='a')",
        imports_at_once=True,
        backend="asyncio",
    )
    assert module.SAID == ["A"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("marks", SPECS)
def test_so_may_one_whose_host_lives_in_an_event_loop_of_that_import(tmp_path, monkeypatch, marks, backend):
    module = run_import(
        tmp_path,
        monkeypatch,
        marks=marks,
        host="in a loop",
        imports_at_once=True,
        backend=backend,
        text=IN_A_LOOP,
    )
    assert module.FAILED == []
    assert module.SAID == ["A"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_host_for_threads_that_is_started_twice_says_so_and_goes_on(backend):
    with BlockingHost("acme", config={}, environ={}, catalogue=(), backend=backend) as host:
        with pytest.raises(HostNotReadyError, match="is running already, and a host can be entered once"):
            host.start()
        assert host.ready
    with pytest.raises(HostNotReadyError, match="was entered before"):
        host.start()


@pytest.mark.anyio
async def test_a_host_that_is_entered_twice_says_so_and_goes_on():
    host = Host("acme", config={}, environ={}, catalogue=())
    async with host:
        with pytest.raises(HostNotReadyError, match="is running already, and a host can be entered once"):
            await host.__aenter__()
        assert host.ready
    with pytest.raises(HostNotReadyError, match="was entered before"):
        await host.__aenter__()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_hooks_of_bare_pluggy_are_called_in_the_thread_that_calls_them(backend):
    spec, impl = pluggy.HookspecMarker("acme"), pluggy.HookimplMarker("acme")

    class Specs:
        @spec
        def count(self, connection):
            """Count rows."""

    class Counting:
        @impl
        def count(self, connection):
            return connection.execute("select 1").fetchone()[0]  # refuses every thread but its own

    class Waiting:
        @impl
        async def count(self, connection):
            await anyio.lowlevel.checkpoint()
            return threading.get_ident()

    with BlockingHost.for_pluggy("acme", Specs, config={}, environ={}, backend=backend) as host:
        host.load_plugin(Counting(), name="counting")
        host.load_plugin(Waiting(), name="waiting")
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            for hooks in (host.hooks, host.sync_hooks):
                waited_in, one = hooks.count(connection=connection)
                assert one == 1
                assert waited_in != threading.get_ident()
