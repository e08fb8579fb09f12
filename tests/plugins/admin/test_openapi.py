"""Schemathesis against the API's own description: thousands of requests nobody thought of, over a real socket."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from plughost import Plugin
from plughost.http import HttpSettings
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.cache.plugin import CachePlugin
from plughost.plugins.sessions.plugin import SessionsPlugin

GENEROUS = HttpSettings(rate_limits=dict.fromkeys(("read", "write", "code", "auth", "refused"), 1_000_000))


class Harmless(Plugin):
    name = "harmless"


@pytest.fixture
def described(live_server: Any) -> tuple[Any, dict[str, str]]:
    server = live_server(
        SessionsPlugin, (CachePlugin, {"debug": True}), AdminPlugin, Harmless, settings=GENEROUS
    )
    headers = {"Authorization": f"Bearer {server.token('*')}"}
    schema = schemathesis.openapi.from_url(f"{server.address}/admin/api/openapi.json", headers=headers)
    return schema, headers


def test_the_description_holds_whatever_is_sent(described):
    schema, headers = described
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 30
    for operation in operations:
        if operation.path.endswith("/events"):  # it never ends
            continue
        # What changes the plugins themselves is asked for names that are not there, most of the time.
        _try(operation.as_strategy(), headers)


def _try(cases: st.SearchStrategy[Any], headers: dict[str, str]) -> None:
    @settings(
        max_examples=15, deadline=None, database=None, derandomize=True, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases)
    def holds(case: Any) -> None:
        case.call_and_validate(
            headers=headers, checks=[not_a_server_error, status_code_conformance, response_schema_conformance]
        )

    holds()
