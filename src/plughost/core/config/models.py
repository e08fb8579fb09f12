"""Plugin configurations declared as pydantic models, which plughost itself never imports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plughost.core.config.decoding import FAILED, UNKNOWN, Decoder, reason_of
from plughost.core.config.paths import SettingPath, folded
from plughost.core.config.records import is_model, keys_of
from plughost.core.config.words import members, read_words
from plughost.core.containment import Point, contained
from plughost.exceptions import did_you_mean


def decode_model(values: Mapping[str, Any], kind: Any, path: SettingPath, decoder: Decoder) -> Any:
    """Return the validated model, or ``FAILED`` with the problems noted.

    Types are pydantic's business, which reads strings leniently wherever they came from. Unknown keys are
    refused here, unless the model says ``extra="allow"``.
    """
    before = len(decoder.problems)
    prepared = _prepared(values, kind, path, decoder)
    try:
        decoded = contained(Point.CONFIG, kind.model_validate, prepared)
    except Exception as error:  # whatever the model's own checks raise
        details = getattr(error, "errors", None)
        if not callable(details):
            decoder.note(path, reason_of(error))
            return FAILED
        for detail in details(include_url=False, include_input=False):  # never the value that was given
            place = tuple(part if isinstance(part, int) else str(part) for part in detail["loc"])
            decoder.note((*path, *place), "missing" if detail["type"] == "missing" else str(detail["msg"]))
    return FAILED if len(decoder.problems) > before else decoded


def _prepared(values: Mapping[str, Any], kind: Any, path: SettingPath, decoder: Decoder) -> dict[str, Any]:
    """Return the values under the keys the model knows, with words read; unknown keys are noted."""
    fields = {
        key: field.annotation for name, field in kind.model_fields.items() for key in keys_of(name, field)
    }
    prepared: dict[str, Any] = {}
    for key, value in values.items():
        here = (*path, key)
        known = key if key in fields else None
        if known is None and decoder.is_lenient(here):
            known = next((field for field in fields if folded(field) == folded(key)), None)
        if known is not None:
            prepared[known] = _prepared_value(value, fields[known], here, decoder)
        elif kind.model_config.get("extra") == "allow":
            prepared[key] = value
        else:
            decoder.note(here, f"{UNKNOWN}{did_you_mean(key, fields)}")
    return prepared


def _prepared_value(value: Any, annotation: Any, path: SettingPath, decoder: Decoder) -> Any:
    if decoder.is_lenient(path):
        value = read_words(value, annotation)
    models = [one for one in members(annotation) if is_model(one)]
    if isinstance(value, Mapping) and len(models) == 1:
        return _prepared(value, models[0], path, decoder)
    return value
