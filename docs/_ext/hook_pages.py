"""Takes hook declarations apart, for whoever shows or checks them.

A hook's docstring is a summary, a description, and the sections named in ``SECTIONS``. Its example leaves out
the imports that every plugin has; they are put in front of it here, so that what is shown can be copied and
run.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from textwrap import dedent
from types import ModuleType
from typing import Any

import plughost.contracts
import plughost.exceptions
from plughost.hookspecs import CATALOGUE, SPEC_ATTRIBUTE, SpecOptions

SECTIONS = ("Args", "Returns", "Refusing", "Failure", "Example")

RESULTS: Mapping[str, str] = {
    "broadcast": "None",
    "collect": "list[{}]",
    "first": "{} | None",
    "waterfall": "{}",
    "decide": "Allow | Deny",
}
"""What a call returns, by mode, out of what one implementation returns."""

LEFT_OUT: Mapping[str, str] = {
    "Any": "typing",
    "Mapping": "collections.abc",
    "Sequence": "collections.abc",
    "hookimpl": "plughost",
    **dict.fromkeys(plughost.contracts.__all__, "plughost.contracts"),
    **{
        name: "plughost.exceptions"
        for name, value in vars(plughost.exceptions).items()
        if isinstance(value, type) and issubclass(value, Exception)
    },
}
"""Where the names come from that an example need not import itself."""


@dataclass(frozen=True, slots=True)
class HookPage:
    """One hook, taken apart.

    Attributes:
        name: Its name.
        family: Name of the module that declares it.
        signature: Its arguments, and what one implementation returns, as they are written.
        options: Its mode, limit and policy.
        summary: The first sentence of its docstring.
        description: When it is called and in which order.
        sections: The text of each section of its docstring, by title.
    """

    name: str
    family: str
    signature: inspect.Signature
    options: SpecOptions
    summary: str
    description: str
    sections: Mapping[str, str]

    @property
    def result(self) -> str:
        """Type of what a call returns."""
        one = str(self.signature.return_annotation).removesuffix(" | None")
        return RESULTS[self.options.mode].format(one)

    @property
    def call(self) -> str:
        """A call of it, as one line of Python."""
        arguments = ", ".join(f"{name}=..." for name in self.signature.parameters)
        return f"{'' if self.options.sync else 'await '}host.hooks.{self.name}({arguments})"

    @property
    def arguments(self) -> Iterator[tuple[str, str, str]]:
        """Name, type and description of each argument."""
        described = dict(re.findall(r"^(\w+): (.*(?:\n .*)*)", self.sections.get("Args", ""), re.MULTILINE))
        for name, parameter in self.signature.parameters.items():
            yield name, str(parameter.annotation), re.sub(r"\s*\n\s*", " ", described.get(name, ""))

    @property
    def example(self) -> str:
        """The example with all its imports in front, as a formatter would sort them."""
        lines = self.sections.get("Example", "").splitlines()
        own = [line for line in lines if line.startswith(("import ", "from "))]
        code = "\n".join(line for line in lines if line not in own).strip()
        imports = sorted([*own, *_left_out(code, own)], key=_import_order)
        standard = [line for line in imports if _is_standard(line)]
        others = [line for line in imports if not _is_standard(line)]
        return "\n\n".join("\n".join(part) for part in (standard, others, [code]) if part) + "\n"


def _left_out(code: str, own: list[str]) -> Iterator[str]:
    """The import statements that an example leaves out."""
    bound = {alias.name for node in ast.parse("\n".join(own)).body for alias in node.names}  # type: ignore[attr-defined]
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)} - bound
    needed: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(used & LEFT_OUT.keys()):
        needed[LEFT_OUT[name]].append(name)
    return (f"from {module} import {', '.join(names)}" for module, names in needed.items())


def _is_standard(statement: str) -> bool:
    return statement.split()[1].partition(".")[0] in sys.stdlib_module_names


def _import_order(statement: str) -> tuple[bool, str]:
    return statement.startswith("from "), statement.split()[1]


def read(name: str, family: str, spec: Callable[..., Any]) -> HookPage:
    """Return the page of one hook."""
    head, *rest = re.split(rf"^({'|'.join(SECTIONS)}):\n", inspect.getdoc(spec) or "", flags=re.MULTILINE)
    summary, _, description = head.partition("\n\n")
    return HookPage(
        name=name,
        family=family,
        signature=inspect.signature(spec),
        options=getattr(spec, SPEC_ATTRIBUTE),
        summary=summary.strip(),
        description=description.strip(),
        sections={title: dedent(text).strip() for title, text in zip(rest[::2], rest[1::2], strict=True)},
    )


def family_name(module: ModuleType) -> str:
    """``auth`` for ``plughost.hookspecs.auth``."""
    return module.__name__.rpartition(".")[2]


def pages(module: ModuleType) -> list[HookPage]:
    """The hooks that a module declares, in the order of its text."""
    specs = {name: value for name, value in vars(module).items() if hasattr(value, SPEC_ATTRIBUTE)}
    return [read(name, family_name(module), spec) for name, spec in specs.items()]


def all_pages() -> list[HookPage]:
    """All hooks of the catalogue, in its order."""
    return [page for module in CATALOGUE for page in pages(module)]
