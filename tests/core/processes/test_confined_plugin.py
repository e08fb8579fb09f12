"""A plugin that a host loads is confined as its table says: forked or begun afresh, and again after a crash."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import attempts
from housed import configuration, housed, write_plugin
from plughost import Host
from plughost.contracts import Confinement
from plughost.core.processes.confine import lacking
from plughost.exceptions import HookCallError

pytestmark = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""What is confined is the process, whichever library its event loop is of."""

TRIES = """
import os
from pathlib import Path

import attempts
from plughost import Plugin, hookimpl

AT_IMPORT = attempts.tried(["read the users of the machine"], None)


class Tries(Plugin):
    async def start(self, context):
        self.data_dir = context.data_dir
        self.at_start = attempts.tried(["read the users of the machine"], None)

    @hookimpl(blocking=True)
    def open_connection(self, app_name, config):
        if app_name == "crash":
            os._exit(3)
        if app_name == "files":
            return attempts.open_files()
        if app_name == "early":
            return {"import": AT_IMPORT, "start": self.at_start}
        ground = attempts.Ground(Path(config["folder"]), config["host"], config["port"], self.data_dir)
        return attempts.tried(config["names"], ground)
"""


class Tried:
    """A host with one confined plugin that tries what it is asked to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("outside", "plugins"):
            (folder / name).mkdir()
        (folder / "outside" / "secret.txt").write_text("secret")
        (folder / "plugins" / "tries.py").write_text(TRIES)

    def host(self, confine: dict[str, Any], **process: Any) -> Host:
        table = {"isolation": "process", "process": {"confine": confine, **process}}
        config = {
            "host": {
                "plugin_dir": str(self.folder / "plugins"),
                "data_dir": str(self.folder / "data"),
                "allow": ["tries"],
            },
            "plugins": {"tries": table},
        }
        return Host("acme", config=config, environ={})

    async def tell(self, host: Host, names: Any) -> dict[str, Any]:
        asked = {"folder": str(self.folder), "host": os.getpid(), "port": 9, "names": [*names]}
        answer: dict[str, Any] = await host.hooks.open_connection(app_name="try", config=asked)
        return answer


@pytest.fixture
def tried(tmp_path: Path) -> Tried:
    return Tried(tmp_path)


def is_refused(host: Host, wanted: Confinement) -> bool:
    """Whether this kernel cannot keep it; then the plugin must not have started, and say why."""
    record, missing = host.plugins["tries"], lacking(wanted)
    assert (record.state == "failed") is bool(missing), record.reason
    assert all(part in record.reason for part in missing)
    return bool(missing)


@pytest.mark.parametrize("start", ["template", "fresh"])
async def test_what_a_loaded_plugin_tries_is_refused_and_what_it_needs_is_possible(
    start: str, tried: Tried
) -> None:
    async with tried.host({}, start=start) as host:
        if is_refused(host, Confinement()):
            return
        answers = await tried.tell(host, attempts.ALL)
        done = {name for name, answer in answers.items() if not isinstance(answer, dict)}
        assert done == attempts.POSSIBLE.keys()
        assert (tried.folder / "outside" / "secret.txt").read_text() == "secret"
        process = host.plugins["tries"].process
        assert process is not None
        assert {"no privileges", "other processes", "no network", "no programs"} <= {*process.confinement}


@on_asyncio
async def test_the_table_opens_what_it_names_and_nothing_else(tried: Tried) -> None:
    names = ["read a file outside", "begin a file outside", "run a program", "listen"]
    async with tried.host({"read": [str(tried.folder / "outside")], "network": True}) as host:
        if is_refused(host, Confinement(network=True)):
            return
        answers = await tried.tell(host, names)
        assert [isinstance(answers[name], dict) for name in names] == [False, True, True, False]


@on_asyncio
@pytest.mark.parametrize("start", ["template", "fresh"])
async def test_no_file_of_the_host_is_open_in_its_process(start: str, tried: Tried) -> None:
    """What is open is not guarded any more, so it must be what the process itself needs."""
    secret = (tried.folder / "outside" / "secret.txt").open()
    os.set_inheritable(secret.fileno(), True)
    with secret:
        async with tried.host({"best_effort": True}, start=start) as host:
            links = await host.hooks.open_connection(app_name="files", config={})
    own = ("pipe:", "socket:", "anon_inode:", "/memfd:", "/dev/null")
    assert [link for link in links if not link.startswith(own)] == []


@on_asyncio
async def test_after_a_crash_its_next_process_is_confined_as_well(tried: Tried) -> None:
    async with tried.host({}) as host:
        if is_refused(host, Confinement()):
            return
        before = host.plugins["tries"].process
        with pytest.raises(HookCallError):
            await host.hooks.open_connection(app_name="crash", config={})
        answers = await tried.tell(host, ["read a file outside", "write and read its data"])
        after = host.plugins["tries"].process
        assert before is not None
        assert after is not None
        assert (after.pid != before.pid, after.confinement) == (True, before.confinement)
        assert [isinstance(one, dict) for one in answers.values()] == [True, False]


@on_asyncio
@pytest.mark.parametrize("strict", [False, True])
async def test_its_import_is_confined_where_that_is_asked_for_and_its_start_always(
    strict: bool, tried: Tried
) -> None:
    own = str(Path(attempts.__file__).parent)  # where the plugin imports what it tries from
    async with tried.host({"strict": strict, "read": [own]}) as host:
        if is_refused(host, Confinement(strict=strict)):
            return
        early = await host.hooks.open_connection(app_name="early", config={})
        refused = {when: isinstance(*answers.values(), dict) for when, answers in early.items()}
        assert refused == {"import": strict, "start": True}
        process = host.plugins["tries"].process
        assert process is not None
        assert "other processes" in process.confinement


ANSWERS = """
from plughost import Plugin, hookimpl

class Tries(Plugin):
    @hookimpl
    async def misbehave(self, how):
        return how
"""


@on_asyncio
async def test_what_it_may_not_read_of_the_hosts_hooks_keeps_it_from_nothing(tmp_path: Path) -> None:
    write_plugin(tmp_path, ANSWERS, "tries")
    async with housed(configuration(tmp_path, "tries", confine={"strict": True})) as host:
        if not is_refused(host, Confinement(strict=True)):
            assert await host.hooks.misbehave(how="well") == "well"


@on_asyncio
@pytest.mark.parametrize("table", [{"read": ["/nowhere/at/all"]}, {"user": "nobody-of-that-name"}])
async def test_a_table_that_cannot_be_kept_is_the_failure_of_that_plugin_alone(
    table: dict[str, Any], tried: Tried
) -> None:
    async with tried.host(table) as host:
        record = host.plugins["tries"]
        assert (record.state, host.ready) == ("failed", True)
        assert str(next(iter(table.values()))).strip("[]'") in record.reason or record.reason.startswith(
            "plugin 'tries' was not started"
        )
