"""Sphinx directives that make the hook reference out of the hook declarations.

``{hook-family} auth`` is everything about one family; ``{hook-index}`` is the table of all hooks by name.
Nothing about a hook is written in the documentation's own sources, so nothing there can differ from the code.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator

import pluggy
from docutils import nodes
from hook_pages import HookPage, all_pages, family_name, pages
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

import plughost.contracts
from plughost.core.calls.declaration import read_declarations
from plughost.core.wire.crossings import crossing_verdict
from plughost.hookspecs import CATALOGUE

POLICIES = {
    "isolate": "`isolate`: it is reported, its part is missing, the call goes on",
    "abort": "`abort`: the call stops and raises, naming the plugin",
    "deny": "`deny`: it counts as `Deny`",
}


def crossing_markdown() -> Iterator[str]:
    """Which hooks plugins in processes of their own can implement, as lines of a Markdown table."""
    yield "| hook | | |\n|---|---|---|"
    manager = pluggy.PluginManager("plughost")
    for family in CATALOGUE:
        for declaration in read_declarations(manager, family):
            verdict = crossing_verdict(declaration)
            yield f"| `{declaration.name}` | {verdict.kind} | {verdict.reason.replace('|', 'or')} |"


class HookCrossings(SphinxDirective):
    """``{hook-crossings}``: whether plugins in processes of their own can implement each hook."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.env.note_dependency(inspect.getsourcefile(crossing_verdict) or "")
        return self.parse_text_to_nodes("\n".join(crossing_markdown()))


def limit_of(page: HookPage) -> str:
    """The time limit, for people."""
    return "none" if page.options.timeout is None else f"{page.options.timeout:g}\N{NO-BREAK SPACE}s"


def _linked(annotation: str) -> str:
    """The type, linked to the reference when it is one of the payloads."""
    name = annotation.removesuffix(" | None")
    if name not in plughost.contracts.__all__ or not inspect.isclass(getattr(plughost.contracts, name)):
        return f"`{annotation}`"
    return f"{{py:class}}`{name} <plughost.contracts.{name}>`" + " or `None`" * (name != annotation)


def hook_markdown(page: HookPage) -> Iterator[str]:
    """Everything about one hook, as paragraphs of MyST Markdown."""
    mode = page.options.mode + (f" on `{page.options.subject}`" if page.options.subject else "")
    yield page.summary
    yield f"```python\n{page.call}  # -> {page.result}\n```"
    yield (
        "| mode | limit for each implementation | when one fails |\n|---|---|---|\n"
        f"| {mode} | {limit_of(page)} | {POLICIES[page.options.on_error]} |"
    )
    yield page.description
    if page.signature.parameters:
        yield "**Arguments**"
        yield "\n".join(f"- `{name}` ({_linked(type_)}): {text}" for name, type_, text in page.arguments)
    if "Returns" in page.sections:
        yield f"**An implementation returns** `{page.signature.return_annotation}`"
        yield page.sections["Returns"]
    yield "**To stop it**"
    yield page.sections["Refusing"]
    yield "**When it fails**"
    yield page.sections["Failure"]
    yield "**Example**"
    yield f"```python\n{page.example}```"


class HookFamily(SphinxDirective):
    """``{hook-family} NAME``: the introduction of a family, and all its hooks."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        by_name = {family_name(module): module for module in CATALOGUE}
        module = by_name[self.arguments[0]]
        self.env.note_dependency(inspect.getsourcefile(module) or "")
        self.env.note_dependency(__file__)
        introduction = (inspect.getdoc(module) or "").partition("\n\n")[2]
        return [*self.parse_text_to_nodes(introduction), *(self._section(page) for page in pages(module))]

    def _section(self, page: HookPage) -> nodes.section:
        # Built by hand: headings in text that a directive parses are put in front of everything it returns.
        section = nodes.section(names=[f"hook-{page.name}"])
        self.state.document.note_explicit_target(section)
        section += nodes.title("", "", nodes.literal(text=page.name))
        section += addnodes.index(entries=[("single", f"{page.name} (hook)", section["ids"][0], "", None)])
        section += self.parse_text_to_nodes("\n\n".join(hook_markdown(page)))
        return section


class HookIndex(SphinxDirective):
    """``{hook-index}``: all hooks by name, with what each is and where it is described."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        for module in CATALOGUE:
            self.env.note_dependency(inspect.getsourcefile(module) or "")
        return self.parse_text_to_nodes("\n".join(index_markdown(all_pages())))


def index_markdown(hooks: Iterable[HookPage]) -> Iterator[str]:
    """A table of hooks by name, as lines of MyST Markdown."""
    yield "| hook | family | mode | limit | |\n|---|---|---|---|---|"
    for page in sorted(hooks, key=lambda page: page.name):
        link = f"[`{page.name}`](#hook-{page.name})"
        yield f"| {link} | {page.family} | {page.options.mode} | {limit_of(page)} | {page.summary} |"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("hook-crossings", HookCrossings)
    app.add_directive("hook-family", HookFamily)
    app.add_directive("hook-index", HookIndex)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
