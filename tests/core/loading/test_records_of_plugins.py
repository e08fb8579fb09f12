"""A record cannot be changed through what was put into it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from plughost.contracts import PluginRecord
from plughost.contracts.processes import ProcessRecord
from plughost.contracts.records import PluginFailure, PluginState, PluginTimings
from plughost.core.loading.registry import _changed

FIXED = (str, int, bool, PluginState, PluginFailure, PluginTimings, ProcessRecord, type(None))
"""What a field may hold that cannot be changed itself."""


@pytest.mark.parametrize("field", [one.name for one in dataclasses.fields(PluginRecord)])
def test_a_field_of_a_record_is_fixed_by_its_kind_or_frozen_when_it_changes(field: str) -> None:
    record = PluginRecord(name="lamp")
    usual = getattr(record, field)
    if isinstance(usual, FIXED):
        return
    given: Any = {"a": ["b"]} if not isinstance(usual, tuple) else ["a", "b"]
    found = getattr(_changed(record, {field: given}), field)
    assert found == getattr(dataclasses.replace(record, **{field: given}), field)
    assert type(found) is not type(given)
