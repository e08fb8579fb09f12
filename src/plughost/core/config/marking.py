"""Which values of a table its class declares secret: a name such as ``login`` does not look like one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plughost.contracts.secret import Secret
from plughost.core.config.paths import folded
from plughost.core.config.records import is_model, keys_of, record_among, records_of_list, values_of_table
from plughost.core.config.references import is_reference
from plughost.core.config.undecoded import is_undecoded
from plughost.core.config.words import members
from plughost.core.containment import Point, contained

_SECRET_TYPES: Final = frozenset({"Secret", "SecretStr", "SecretBytes"})  # ours, and pydantic's two
_DEEPEST: Final = 10  # classes within classes; one that holds itself ends here as well


def marked(value: Any, kind: Any) -> Any:
    """Return a copy of a table as it was written, in which what the class declares secret is a ``Secret``.

    What does not fit the class is left as it is, and so is everything when the class cannot be read.

    Args:
        value: The table.
        kind: The ``Config`` it is meant for, or None.
    """
    try:
        if is_undecoded(kind):
            return _marked_by_tree(value, kind.secrets)
        return contained(Point.CONFIG, _marked, value, kind)
    except Exception:  # a class may be made so that a mere look at it raises
        return value


def secrets_of(kind: Any, depth: int = 0) -> dict[str, Any]:
    """Return what a class declares secret as a tree of keys, spelled as variables spell them; ``*`` is any of them."""
    if depth > _DEEPEST:
        return {}
    if (fields := _fields(kind)) is not None:
        trees = {key: secrets_of(inner, depth + 1) for key, inner in fields.items()}
        return {key: tree for key, tree in trees.items() if tree}
    inner = values_of_table(kind) or records_of_list(kind)
    if inner is not None and (tree := secrets_of(inner, depth + 1)):
        return {"*": tree}
    return {"": True} if _is_secret(kind) else {}


def _marked_by_tree(value: Any, tree: Mapping[str, Any]) -> Any:
    if not tree or is_reference(value):
        return value
    if isinstance(value, Mapping):
        return {
            key: _marked_by_tree(inner, tree.get(folded(str(key)), tree.get("*", _leaf(tree))))
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_marked_by_tree(inner, tree.get("*", _leaf(tree))) for inner in value]
    return Secret(str(value)) if "" in tree and type(value) in (str, int, float) else value


def _leaf(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """What holds for everything below a secret: it is one."""
    return tree if "" in tree else {}


def _marked(value: Any, kind: Any) -> Any:
    if isinstance(value, Mapping):
        if is_reference(value):
            return value
        fields = _fields(kind)
        if fields is not None:
            return {key: _marked(inner, fields.get(folded(str(key)))) for key, inner in value.items()}
        of_table = values_of_table(kind)
        return {key: _marked(inner, kind if of_table is None else of_table) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        of_list = records_of_list(kind)
        return [_marked(inner, kind if of_list is None else of_list) for inner in value]
    # Also in the wrong place, or of the wrong type: it is somebody's secret all the same.
    return Secret(str(value)) if _is_secret(kind) and type(value) in (str, int, float) else value


def _fields(kind: Any) -> dict[str, Any] | None:
    """Return the type of each key of a record or model, keys spelled as variables spell them."""
    if record := record_among(kind):
        return {folded(key): field.type for key, field in record.fields.items()}
    models = [one for one in members(kind) if is_model(one)]
    if len(models) != 1:
        return None
    return {
        folded(key): field.annotation
        for name, field in models[0].model_fields.items()
        for key in keys_of(name, field)
    }


def _is_secret(kind: Any) -> bool:
    """Whether a secret is among what a type allows, itself or as the items of a list."""
    return any(
        getattr(one, "__name__", "") in _SECRET_TYPES or any(map(_is_secret, getattr(one, "__args__", ())))
        for one in members(kind)
    )
