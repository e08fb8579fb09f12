"""A Sphinx directive that makes the reference of a configuration section out of its class.

``{config-section} HostSection`` is a table of the section's keys: type, default, and the text of its
docstring.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from plughost import contracts

NAMES = {
    str: "string",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    Any: "anything",
}


class ConfigSection(SphinxDirective):
    """``{config-section} NAME``: the table of a class of ``plughost.contracts``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        section = getattr(contracts, self.arguments[0])
        self.env.note_dependency(inspect.getsourcefile(section) or "")
        self.env.note_dependency(__file__)
        return self.parse_text_to_nodes("\n".join(section_markdown(section)))


def section_markdown(section: type[msgspec.Struct]) -> Iterator[str]:
    """The keys of a section, as lines of a Markdown table."""
    texts = dict(_attributes(inspect.getdoc(section) or ""))
    yield "| key | type | default | |\n|---|---|---|---|"
    for field in msgspec.structs.fields(section):
        yield f"| `{field.name}` | {_type(field.type)} | {_default(field)} | {texts[field.name]} |"


def _attributes(docstring: str) -> Iterator[tuple[str, str]]:
    section = docstring.partition("Attributes:\n")[2]
    for name, text in re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE):
        yield name, re.sub(r"\s*\n\s*", " ", text)


def _type(annotation: Any) -> str:
    """What a person writes for it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0]) + _bound(arguments[1:])
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(_type(one) for one in arguments if one is not types.NoneType)
    if origin is typing.Literal:
        return " or ".join(f'`"{one}"`' for one in arguments)
    if origin is tuple:
        return f"list of {_plural(_type(arguments[0]))}"
    if origin is Mapping:
        return f"table of {_plural(_type(arguments[1]))}"
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return "section"
    return NAMES[annotation]


def _plural(name: str) -> str:
    return re.sub(r"^(whole number|number|string|path|section|table|list)\b", r"\1s", name)


def _bound(meta: tuple[Any, ...]) -> str:
    for one in meta:
        if one.gt is not None:
            return f" over {one.gt}"
        if one.ge is not None:
            return f" from {one.ge}"
    return ""


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default if field.default is not msgspec.NODEFAULT else None
    if value is None or value in ("", ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("config-section", ConfigSection)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
