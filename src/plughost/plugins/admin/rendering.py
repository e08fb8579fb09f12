"""Templates, and the words for figures in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib import resources
from types import CodeType
from typing import Any

import anyio
import anyio.to_thread
import jinja2
import jinja2.bccache
from markupsafe import Markup, escape
from msgspec import Struct, field

from plughost.contracts import Clock, counted, visible
from plughost.http import HttpRuntime, Identity, Problem
from plughost.plugins.admin import charts
from plughost.plugins.admin.actions import ACTIONS, Done
from plughost.plugins.admin.charts import milliseconds, span
from plughost.plugins.admin.documents import Document
from plughost.plugins.admin.offers import standing
from plughost.plugins.admin.tabs import Tab
from plughost.plugins.admin.told_once import FailuresToldOnce
from plughost.plugins.admin.views import ListView, part_of

STATIC: Mapping[str, str] = {
    "style.css": "text/css",
    "page.js": "text/javascript",
    "live.js": "text/javascript",
}
"""The files that pages load, with their types."""

_ACTIONS = {action.verb: action for action in ACTIONS}
_PANEL_TEMPLATES = 64
"""So many are kept compiled: a plugin that makes its template anew each time cannot fill the memory."""

_ADVICE_SHOWN = 30
_HOOKS_SHOWN = 20  # implementations of one hook
_CODE = re.compile(r"`{1,2}([^`]+)`{1,2}")
_UP = {"": "../", "system/": "", "../": "../../"}


class _Compiled(jinja2.BytecodeCache):
    """Compiled templates, for all renderers of the process: who reloads the plugin compiles nothing again."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, CodeType]] = {}

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Give the code of a template, unless its text has changed."""
        checksum, code = self._kept.get(bucket.key, ("", None))
        bucket.code = code if checksum == bucket.checksum else None

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Keep the code of a template."""
        if bucket.code is not None:
            self._kept[bucket.key] = bucket.checksum, bucket.code


_COMPILED = _Compiled()


class PageFrame(Struct, frozen=True, kw_only=True):
    """What stands around the figures of a tab.

    Attributes:
        identity: Who looks; buttons for what they may not do are left out.
        tabs: The tabs they may see.
        base: What leads from the page's address to that of the tabs: empty, ``system/`` or ``../``.
        shape: The shape of the pieces that may change.
        problem: Why there are no figures.
        notice: What an action said.
        view: What somebody wants to see of a long list.
    """

    identity: Identity
    tabs: list[Tab]
    base: str
    shape: str = ""
    problem: str = ""
    notice: Done | None = None
    view: ListView = field(default_factory=ListView)


class Renderer:
    """Makes pages out of documents.

    Args:
        clock: Tells how long ago something was.
        refresh: Seconds between two looks, for the footer.
        title: What the page is called; the host's name when empty.
    """

    def __init__(self, clock: Clock, *, refresh: float, title: str) -> None:
        self._clock, self._title, self._refresh = clock, title, refresh
        self._failures = FailuresToldOnce()
        self._env = jinja2.Environment(
            loader=jinja2.PackageLoader("plughost.plugins.admin"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.ChainableUndefined,
            finalize=_shown,
            bytecode_cache=_COMPILED,
        )
        self._env.filters |= {
            "ago": self._ago,
            "bytes": readable_bytes,
            "coded": coded,
            "counted": _counted,
            "facts": facts,
            "facts_table": facts_table,
            "ms": milliseconds,
            "number": number,
            "percent": percent,
            "span": span,
            "without": lambda document, name: {key: v for key, v in document.items() if key != name},
        }
        self._env.globals |= {
            "actions": _ACTIONS,
            "line": charts.line,
            "bars": charts.bars,
            "waterfall": charts.waterfall,
            "advice_shown": _ADVICE_SHOWN,
            "hooks_shown": _HOOKS_SHOWN,
            "version": static_version(),
        }
        self._panel_template = lru_cache(_PANEL_TEMPLATES)(self._env.from_string)

    async def compile(self) -> None:
        """Compile all templates in a thread, one after the other, so that no visitor waits for it."""
        for name in self._env.list_templates(extensions=["html"]):
            await anyio.to_thread.run_sync(self._env.get_template, name)

    def page(
        self,
        runtime: HttpRuntime,
        tab: Tab,
        document: Document | None,
        frame: PageFrame,
    ) -> str:
        """Return the page of a tab.

        Args:
            runtime: Whose.
            tab: Which.
            document: Its figures; None when there are none, for which the frame has the reason.
            frame: What stands around them.
        """
        writable, identity = not runtime.settings.read_only, frame.identity
        told = {
            "identity": identity,
            "tabs": frame.tabs,
            "base": frame.base,
            "up": _UP[frame.base],
            "shape": frame.shape,
            "problem": frame.problem,
            "notice": frame.notice,
            "read_only": not writable,
            "environment": runtime.environment,
            "may": lambda action: writable and identity.holds(action.scope),
            "may_configure": writable and identity.holds("plugins:configure"),
            "may_press": lambda action: writable and identity.holds(action.scope),
            **_derived(tab, document or {}, frame.view),
        }
        return self._render(runtime, tab, document, told, {})

    def parts(self, runtime: HttpRuntime, tab: Tab, document: Document, view: ListView) -> dict[str, str]:
        """Return the pieces of a tab's page that may change, as HTML by name."""
        parts: dict[str, str] = {}
        told = {"may": _never, "may_press": _never, "up": "", "base": "", **_derived(tab, document, view)}
        self._render(runtime, tab, document, told, parts)
        return parts

    def sign_in(self, runtime: HttpRuntime, *, up: str, refusal: str = "") -> str:
        """Return the page on which an administrator signs in."""
        template = self._env.get_template("sign_in.html")
        return template.render(up=up, refusal=refusal, title=self._title_of(runtime))

    def _render(
        self,
        runtime: HttpRuntime,
        tab: Tab,
        document: Document | None,
        told: Mapping[str, Any],
        parts: dict[str, str],
    ) -> str:
        part = _collector(parts)
        values = {
            **told,
            "tab": tab,
            "data": document or {},
            "title": self._title_of(runtime),
            "standing": standing(runtime.host),
            "refresh": self._refresh,
            "part": part,
        }
        if tab.panel is not None:
            values["panel_html"] = self._panel(tab, document, part, values["may_press"])
        return self._env.get_template("layout.html").render(values)

    def _panel(self, tab: Tab, document: Document | None, part: Any, may_press: Any) -> Markup | None:
        if tab.panel is None or tab.panel.template is None or document is None:
            return None
        allowed = {action.name: may_press(action) for action in tab.panel.actions}
        try:
            template = self._panel_template(tab.panel.template)
            page = template.render(data=document, part=part, allowed=allowed)
        except Exception as error:
            what = f"The template of the panel {tab.title!r}"
            self._failures.note(what, error)
            raise Problem(500, f"{what} failed; the log knows more.", code="panel_failed") from error
        return Markup(page)  # noqa: S704 - it was autoescaped

    def _title_of(self, runtime: HttpRuntime) -> str:
        return self._title or runtime.host.name

    def _ago(self, moment: Any) -> str:
        if not isinstance(moment, int | float):
            return "never"
        seconds = self._clock.time() - moment
        if abs(seconds) < 1:
            return "now"
        return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def _shown(value: Any) -> Any:
    """Return what a template puts out, without signs that nobody sees."""
    if isinstance(value, Markup):
        return Markup(visible(str(value)))  # noqa: S704 - it was markup before
    return visible(value) if isinstance(value, str) else value


def _never(_: Any) -> bool:
    return False


def _collector(parts: dict[str, str]) -> Callable[..., Markup]:
    """Return what marks a piece that may change, and notes what is in it."""

    def part(
        name: str, tag: str = "span", kind: str = "", *, focus: str = "", label: str = "", caller: Any
    ) -> Markup:
        html = str(caller()).strip()
        parts[name] = html
        attributes = Markup(' class="{}"').format(kind) if kind else Markup("")
        if label:  # what a narrow screen shows before the value, in place of the head of the table
            attributes += Markup(' data-label="{}"').format(label)
        if focus:  # what scrolls must be reachable by keyboard, and say what it is
            attributes += Markup(' tabindex="0" role="region" aria-label="{}"').format(focus)
        return Markup('<{tag} data-live="{name}"{attributes}>{html}</{tag}>').format(
            tag=tag, name=name, attributes=attributes, html=Markup(html)  # noqa: S704 - it was autoescaped
        )  # fmt: skip

    return part


def _derived(tab: Tab, document: Document, view: ListView) -> dict[str, Any]:
    if tab.name == "plugins" and "plugins" in document:
        plugins = document["plugins"]
        timings = {name: plugin["timings"] for name, plugin in plugins.items()}

        def is_wanted(plugin: Document) -> bool:
            words = (plugin["name"], plugin["state"], plugin["distribution"], *plugin["hooks"])
            return view.fits(" ".join(words), plugin["state"])

        return {"timings": timings, "listed": part_of(plugins, view, is_wanted)}
    if tab.name == "cache" and "caches" in document:
        return {"listed": part_of(document["caches"], view, lambda cache: view.fits(cache["name"]))}
    if tab.name == "health" and "http" in document:
        minutes = document["http"]["minutes"]
        return {"minutes": [[m["minute"], m["requests"], m["failed"]] for m in minutes]}
    return {}


@cache
def static_file(name: str) -> bytes:
    """Return the content of a file that pages load."""
    return resources.files(__package__).joinpath("static", name).read_bytes()


@cache
def static_version() -> str:
    """Return what changes when one of the files does."""
    return hashlib.sha256(b"".join(static_file(name) for name in sorted(STATIC))).hexdigest()[:12]


def number(value: Any) -> str:
    """Return a count with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else str(value or 0)


def _counted(count: int, noun: str, many: str = "") -> str:
    return counted(count, noun, many).replace(str(count), number(count), 1)


def percent(value: Any) -> str:
    """Return a share for people."""
    return f"{value * 100:.1f} %" if isinstance(value, int | float) else "-"


def readable_bytes(value: float) -> str:
    """Return a size for people."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def coded(text: str) -> Markup:
    """Return a sentence in which code stands between backticks, single or double, as HTML."""
    pieces = _CODE.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else escape(piece)
        for place, piece in enumerate(pieces)
    )


def facts(figures: Any) -> str:
    """Return a mapping of for_json figures as one line."""
    if not isinstance(figures, Mapping):
        return ""
    short = {
        k: v
        for k, v in figures.items()
        if isinstance(v, str | int | float) and not isinstance(v, bool) and v != ""
    }
    return ", ".join(f"{_worded(key)} {_short(value)}" for key, value in short.items())


def facts_table(value: Any) -> Markup:
    """Return any document as nested tables."""
    if isinstance(value, Mapping):
        rows = (
            Markup('<tr><th scope="row">{}</th><td>{}</td></tr>').format(_worded(key), facts_table(item))
            for key, item in value.items()
        )
        return (
            Markup("<table><tbody>{}</tbody></table>").format(Markup("").join(rows)) if value else Markup("-")
        )
    if isinstance(value, list):
        return Markup("<br>").join(facts_table(item) for item in value) if value else Markup("-")
    return escape(_short(value))


def _worded(key: str) -> str:
    """Return the name of a figure as words; what has capitals, such as a variable's name, stays as it is."""
    return key.replace("_", " ") if key.islower() else key


def _short(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, float) and abs(value) < 1_000_000:
        return f"{value:g}"
    return number(round(value))
