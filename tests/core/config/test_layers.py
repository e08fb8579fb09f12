"""Whatever is laid over what: the last layer that sets a value wins, and its name is the origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from plughost.core.config.layers import Layers
from plughost.core.config.paths import SettingPath, dotted

KEYS = st.sampled_from(["a", "b", "c", "d.e", "f g"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 9),
    st.sampled_from(["", "x"]),
    st.lists(st.integers(0, 9), max_size=2),
    st.just({"$env": "NAME"}),
    st.just({"$file": "path"}),
)
TABLES = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=3),
    lambda inner: st.dictionaries(KEYS, st.one_of(LEAVES, inner), max_size=3),
    max_leaves=8,
)


def is_table(value: object) -> bool:
    return isinstance(value, Mapping) and not ({"$env", "$file"} & set(value))


def leaves(value: Any, path: SettingPath = ()) -> Iterator[tuple[SettingPath, Any]]:
    """Yield each value that is not a table, and each empty table."""
    if is_table(value) and (value or not path):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


def at(value: Any, path: SettingPath) -> Any:
    for key in path:
        value = value[key]
    return value


def laid(*layers: Mapping[str, Any]) -> Layers:
    result = Layers()
    for number, layer in enumerate(layers):
        result.lay(layer, f"layer {number}")
    return result


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The same in the plainest words."""
    result = dict(below)
    for key, value in above.items():
        both = is_table(value) and is_table(result.get(key))
        result[key] = merged(result[key], value) if both else merged({}, value) if is_table(value) else value
    return result


@settings(deadline=None)
@given(st.lists(TABLES, max_size=4))
def test_layers_are_merged_table_by_table(layers: list[dict[str, Any]]) -> None:
    expected: dict[str, Any] = {}
    for layer in layers:
        expected = merged(expected, layer)
    assert laid(*layers).values == expected


@settings(deadline=None)
@given(st.lists(TABLES, min_size=1, max_size=4))
def test_every_value_of_the_last_layer_is_there_with_its_origin(layers: list[dict[str, Any]]) -> None:
    result = laid(*layers)
    for path, value in leaves(layers[-1]):
        if value != {}:
            assert at(result.values, path) == value
            assert result.origins[dotted(path)] == f"layer {len(layers) - 1}"


@settings(deadline=None)
@given(st.lists(TABLES, max_size=4))
def test_each_value_has_one_origin_and_each_origin_one_value(layers: list[dict[str, Any]]) -> None:
    result = laid(*layers)
    found = {dotted(path) for path, _ in leaves(result.values) if path}
    assert set(result.origins) == found


@settings(deadline=None)
@given(st.lists(TABLES, max_size=4))
def test_an_origin_names_a_layer_that_holds_the_value(layers: list[dict[str, Any]]) -> None:
    result = laid(*layers)
    for path, value in leaves(result.values):
        if path:
            number = int(result.origins[dotted(path)].removeprefix("layer "))
            assert at(layers[number], path) == value


@settings(deadline=None)
@given(TABLES, TABLES)
def test_the_layers_themselves_are_not_changed(below: dict[str, Any], above: dict[str, Any]) -> None:
    before = repr((below, above))
    result = laid(below, above)
    for path, value in list(leaves(result.values)):
        if isinstance(value, list):
            value.append(99)
        elif path:
            at(result.values, path[:-1])[path[-1]] = "changed"
    assert repr((below, above)) == before


def test_a_reference_is_replaced_and_not_merged() -> None:
    assert laid({"a": {"$env": "X"}}, {"a": {"$file": "y"}}).values == {"a": {"$file": "y"}}
    assert laid({"a": {"b": 1}}, {"a": {"$env": "X"}}).values == {"a": {"$env": "X"}}
    assert laid({"a": {"$env": "X"}}, {"a": {"b": 1}}).values == {"a": {"b": 1}}
