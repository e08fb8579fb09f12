"""The table "What is equal and what differs" of the documentation: each row of it is proved by tests, named here."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from documented_hooks import DOCS
from housed import configuration, housed, until, write_plugin
from plughost import Host
from plughost.contracts import AuthAttempt
from plughost.contracts.clock import SYSTEM_CLOCK
from plughost.core.wire.frames import MOST_BYTES
from plughost.exceptions import HookCallError, NotCrossableError
from plughost.http import HttpRuntime, HttpSettings

HERE = Path(__file__).parent
PROVED = {
    "entry point": (
        "test_own_process.py::test_a_plugin_in_its_own_process_answers_hooks_as_any_other",
        "test_own_process.py::test_what_was_asked_for_at_its_end_is_done_there",
        "test_own_process.py::test_a_reload_under_load_loses_no_call",
        "test_own_process.py::test_one_that_crashes_too_often_is_put_in_quarantine",
        "test_context_elsewhere.py::test_jobs_tasks_and_events_happen_in_the_process",
        "test_examples_elsewhere.py::test_examples_that_can_cross_answer_as_they_do_inside",
        "test_equal_and_different.py::test_order_modes_limits_and_figures_are_those_of_a_plugin_inside",
    ),
    "messages when": (
        "test_own_process.py::test_a_configuration_is_refused_in_the_same_words_as_inside",
        "test_own_process.py::test_what_is_wrong_with_a_plugin_is_said_in_the_same_words_as_inside",
    ),
    "time limits": (
        "test_own_process.py::test_what_holds_its_event_loop_is_killed_and_where_it_stood_is_told",
        "test_faults.py::test_a_fault_is_told_and_stays_where_it_is",  # at import and at stop
    ),
    "arguments and answers": (
        "test_wire.py::test_plain_data_arrives_as_it_was_where_anything_may_stand",
        "test_wire.py::test_of_several_records_the_right_one_arrives",
        "test_equal_and_different.py::test_values_arrive_as_copies_of_the_declared_type",
        "test_equal_and_different.py::test_a_call_with_what_has_no_copy_elsewhere_fails_alone",
    ),
    "a hook with an argument or answer": (
        "test_own_process.py::test_a_hook_that_cannot_cross_is_refused_at_load_with_what_to_do",
    ),
    "exceptions": (
        "test_own_process.py::test_an_exception_of_plughost_is_itself_though_it_is_a_value_error_too",
        "test_wire.py::test_plughosts_own_exceptions_arrive_as_themselves_and_others_as_remote_ones",
        "test_wire.py::test_what_is_derived_from_an_exception_of_plughost_arrives_as_that_one",
        "test_last_words.py::test_what_is_no_exception_is_named_in_every_phase",
    ),
    "`context.hooks`": (
        "test_context_elsewhere.py::test_hooks_of_the_host_are_called_from_within_a_call",
        "test_context_elsewhere.py::test_its_subscriptions_hear_events_of_contracts",
        "test_equal_and_different.py::test_event_classes_of_its_own_module_do_not_leave_it",
    ),
    "`every`": (
        "test_context_elsewhere.py::test_jobs_tasks_and_events_happen_in_the_process",
        "test_context_elsewhere.py::test_a_job_of_the_fleet_knows_its_run_there",
    ),
    "`context.log`": (
        "test_context_elsewhere.py::test_its_logs_are_told_by_the_host",
        "test_floods.py::test_of_a_flood_of_lines_some_are_told_and_the_rest_is_counted",
    ),
    "`status()`": ("test_equal_and_different.py::test_what_it_says_of_itself_is_told_again_and_again",),
    "`register_routes`": (
        "test_routes_elsewhere.py::test_requests_are_answered_alike",
        "test_routes_elsewhere.py::test_a_stream_ends_when_its_client_leaves",
        "test_routes_elsewhere.py::test_a_web_socket_talks_and_is_closed",
        "test_routes_elsewhere.py::test_a_reader_who_takes_nothing_holds_up_who_sends",
        "test_routes_elsewhere.py::test_a_crash_is_503_and_the_next_request_is_answered",
        "test_routes_elsewhere.py::test_a_route_that_cannot_be_served_from_there_is_named",
    ),
    "`register_admin_panels`": (
        "test_routes_elsewhere.py::test_a_panel_shows_figures_and_presses_buttons",
        "test_equal_and_different.py::test_a_panel_with_a_template_is_refused",
    ),
    "wrappers": (
        "test_own_process.py::test_a_hook_that_cannot_cross_is_refused_at_load_with_what_to_do",
        "test_equal_and_different.py::test_commands_are_refused_at_load",
    ),
    "`provide`": (
        "test_services_elsewhere.py::test_a_service_of_a_process_is_used_in_the_host",
        "test_services_elsewhere.py::test_a_service_that_cannot_be_called_from_elsewhere_is_refused_by_its_member",
        "test_services_elsewhere.py::test_who_holds_a_service_goes_on_when_its_process_is_another_one",
    ),
    "`register_hookspecs`": ("test_equal_and_different.py::test_hooks_cannot_be_declared_from_there",),
    "a class, module or instance": (
        "test_own_process.py::test_an_object_cannot_be_put_into_another_process",
    ),
    "threads that are no daemons": (
        "test_odd_plugins.py::test_its_process_ends_as_an_interpreter_does_and_loses_no_words",
    ),
    "globals of modules": ("test_equal_and_different.py::test_globals_of_modules_are_not_shared",),
    "code that clears `sys.modules`": (
        "test_odd_plugins.py::test_the_call_after_one_that_forgot_all_modules_waits_for_no_limit",
    ),
}
"""How the first cell of a row begins -> the tests that prove it."""


def rows() -> list[str]:
    """The first cell of each row of the table."""
    page = (DOCS / "explanation" / "processes.md").read_text("utf-8")
    table = page.partition("## What is equal and what differs\n\n")[2].partition("\n\n")[0]
    return [line.split("|")[1].strip() for line in table.splitlines()[2:]]


def test_every_row_of_the_table_is_proved_by_tests_that_are_there() -> None:
    assert [next((one for one in PROVED if row.startswith(one)), row) for row in rows()] == [*PROVED]
    there = {
        f"{file.name}::{node.name}"
        for file in HERE.glob("test_*.py")
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {test for tests in PROVED.values() for test in tests} - there == set()


ODD = """
import json, os, sys
from dataclasses import dataclass

import plughost.core.guest.life as life
from plughost import Plugin, hookimpl
from plughost.contracts import AuthAttempt

life._STATUS_EVERY = 0.05  # in this process
json.mine = "set by the plugin"


@dataclass(frozen=True)
class Own:
    text: str = ""


class Odd(Plugin):
    asked = 0

    async def start(self, context):
        self.context = context

    def status(self):
        self.asked += 1
        return {"asked": self.asked, "pid": os.getpid()}

    @hookimpl
    async def before_auth(self, attempt):
        return AuthAttempt(username=type(attempt).__name__)

    @hookimpl
    async def open_connection(self, app_name, config):
        if app_name == "publish":
            await self.context.events.publish(Own("x"))
        if app_name == "declare":
            self.context.register_hookspecs(sys.modules[__name__])
        config["changed"] = True
        return {"json": json.mine, "config": config}
"""
pytestmark = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""What is refused is refused by the same words on either event loop."""


@pytest.fixture
def odd(tmp_path: Path) -> dict[str, Any]:
    """A host's configuration with a plugin that tries what differs."""
    write_plugin(tmp_path, ODD, "odd")
    return configuration(tmp_path, "odd")


async def test_values_arrive_as_copies_of_the_declared_type(odd: dict[str, Any]) -> None:
    class Mine(AuthAttempt):
        pass

    async with housed(odd) as host:
        assert (await host.hooks.before_auth(attempt=Mine(username="ann"))).username == "AuthAttempt"
        given = {"a": [1]}
        answer = await host.hooks.open_connection(app_name="", config=given)
        assert (answer["config"], given) == ({"a": [1], "changed": True}, {"a": [1]})


async def failure(host: Host, how: str, config: dict[str, Any]) -> NotCrossableError:
    """Why the plugin's answer cannot be had."""
    with pytest.raises(HookCallError) as raised:
        await host.hooks.open_connection(app_name=how, config=config)
    assert isinstance(raised.value.__cause__, NotCrossableError)
    assert (await host.hooks.open_connection(app_name="", config={}))["config"] == {"changed": True}
    return raised.value.__cause__


async def test_a_call_with_what_has_no_copy_elsewhere_fails_alone(odd: dict[str, Any]) -> None:
    async with housed(odd) as host:
        error = await failure(host, "", {"x": object()})
        assert (error.hook, error.argument) == ("open_connection", "config")
        assert "its argument 'config' cannot leave this one, because it holds an object" in str(error)


@on_asyncio
async def test_arguments_that_are_too_big_are_told_as_those_of_the_call(odd: dict[str, Any]) -> None:
    async with housed(odd) as host:
        error = await failure(host, "", {"x": b"x" * MOST_BYTES})
        assert "its arguments cannot leave this one: it takes" in str(error)
        assert error.argument == ""


@on_asyncio
async def test_event_classes_of_its_own_module_do_not_leave_it(odd: dict[str, Any]) -> None:
    async with housed(odd) as host:
        error = await failure(host, "publish", {})
        assert "events of odd.Own from a process of its own" in str(error)
        assert 'use a name, events.publish("name", data)' in str(error)


@on_asyncio
async def test_hooks_cannot_be_declared_from_there(odd: dict[str, Any]) -> None:
    async with housed(odd) as host:
        error = await failure(host, "declare", {})
        assert "cannot declare hooks from a process of its own, because the host would have to import" in str(
            error
        )
        assert 'Take isolation = "process" out of [plugins.odd]' in str(error)


@on_asyncio
async def test_globals_of_modules_are_not_shared(odd: dict[str, Any]) -> None:
    import json

    async with housed(odd) as host:
        assert (await host.hooks.open_connection(app_name="", config={}))["json"] == "set by the plugin"
        assert not hasattr(json, "mine")
        assert "odd" not in sys.modules


async def test_what_it_says_of_itself_is_told_again_and_again(odd: dict[str, Any]) -> None:
    async with housed(odd) as host:
        assert host.plugins["odd"].status["pid"] != os.getpid()
        await until(lambda: int(str(host.plugins["odd"].status["asked"])) > 3)


PANEL = """
from plughost import Plugin, hookimpl
from plughost.contracts import AdminPanel

class P(Plugin):
    @hookimpl
    def register_admin_panels(self):
        return [AdminPanel(name="lamp", title="Lamp", data=dict, scope="lamp:read", template="lamp.html")]
"""


@on_asyncio
async def test_a_panel_with_a_template_is_refused(tmp_path: Path) -> None:
    write_plugin(tmp_path, PANEL, "odd")
    async with housed(configuration(tmp_path, "odd")) as host:
        runtime = HttpRuntime(host, HttpSettings(), SYSTEM_CLOCK)
        report = host.hooks.register_admin_panels.report(context=runtime.context)
        runtime.close()
        (outcome,) = [one for one in report.outcomes if one.plugin == "odd"]
        assert (
            "has a template, which would be code of its process in the host. Leave the template out"
            in str(outcome.error)
        )


@on_asyncio
async def test_commands_are_refused_at_load(tmp_path: Path) -> None:
    source = (
        "from plughost import Plugin, hookimpl\nclass P(Plugin):\n    @hookimpl\n"
        "    def register_commands(self): return []\n"
    )
    write_plugin(tmp_path, source, "odd")
    async with housed(configuration(tmp_path, "odd")) as host:
        error = host.plugins["odd"].error
        assert error is not None
        assert error.kind == NotCrossableError.__name__
        assert "called in the host" in error.message


MEMBER = """
from plughost import Plugin, hookimpl
from plughost.contracts import Abstain, Allow, AuthAttempt, Deny, Device, Principal

class P(Plugin):
    @hookimpl(%s)
    async def before_auth(self, attempt):
        return AuthAttempt(username=attempt.username + %r)

    @hookimpl(timeout=0.2)
    async def authenticate(self, attempt):
        return Allow(Principal("7", attempt.username)) if %r == "b" else Abstain()

    @hookimpl(%s)
    async def describe_device(self, user_agent):
        return Device(name=%r) if user_agent != %r else None
"""
MARKS = {
    "marked_last": "trylast=True",
    "not_marked": "",
    "marked_first": "tryfirst=True",
    "early_by_number": "priority=3",
    "late_by_number": "priority=-3",
}


async def test_order_modes_limits_and_figures_are_those_of_a_plugin_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in MARKS:  # loaded inside by the test on the other event loop
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name, mark in MARKS.items():
        write_plugin(tmp_path, MEMBER % (mark, name, name, mark, name, name), name)
    told = []
    for isolation in ("none", "process"):
        table = configuration(tmp_path)
        table["host"]["allow"] = [*MARKS]
        table["plugins"] = {name: {"isolation": isolation} for name in MARKS}
        async with housed(
            table, timeouts={"not_marked.describe_device": 2.0}, order={"describe_device": ["late_by_number"]}
        ) as host:
            reports = [
                await host.hooks.before_auth.report(attempt=AuthAttempt(username="")),
                await host.hooks.authenticate.report(attempt=AuthAttempt(username="ann")),
                await host.hooks.describe_device.report(user_agent="late_by_number"),
            ]
            figures = sorted(
                (one.hook, one.plugin, one.calls, one.errors)
                for one in host.metrics.snapshot()
                if one.plugin in MARKS
            )
            told.append(
                (
                    [(r.result, [(one.plugin, one.kind, one.value) for one in r.outcomes]) for r in reports],
                    figures,
                )
            )
    inside, elsewhere = told
    assert inside == elsewhere
    assert len(inside[1]) == 15
    assert inside[0][2][1][0][0] == "late_by_number"  # as the configuration says, over the heads of the marks
