"""Plugins that misbehave in one point each, as source text, and the doors by which a host may get them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Fate = Literal["fails", "goes on"]

HEAD = """
import msgspec
from plughost import Plugin, hookimpl
from strange_errors import Odd, raising
raises = raising({kind!r})
"""

GOOD = HEAD + "class P(Plugin):\n    pass\n"


@dataclass(frozen=True, slots=True)
class Misdeed:
    """What a plugin does.

    Attributes:
        body: Its source; ``raises`` raises.
        fate: Whether such a plugin fails, or is ready all the same.
        threaded: Whether the host runs that code in a thread of its own, wherever the host itself runs.
        told: Whether the reason it fails for is what was raised.
    """

    body: str
    fate: Fate
    threaded: bool = False
    told: bool = True

    def source(self, kind: str) -> str:
        return HEAD.format(kind=kind) + self.body


def members(text: str) -> str:
    return "class P(Plugin):\n" + "".join(f"    {line}\n" for line in text.splitlines())


MISDEEDS: Mapping[str, Misdeed] = {
    "import": Misdeed(f"{members('pass')}raises()\n", "fails", threaded=True),
    "constructor": Misdeed(members("def __init__(self):\n    raises()"), "fails", threaded=True),
    "metaclass": Misdeed(
        "class Meta(type):\n    __call__ = raises\nclass P(Plugin, metaclass=Meta):\n    pass\n",
        "fails",
        threaded=True,
    ),
    "any attribute": Misdeed(members("__getattribute__ = raises"), "fails", threaded=True),
    "missing attribute": Misdeed(members("__getattr__ = raises"), "fails", threaded=True),
    "property": Misdeed(members("version = property(raises)"), "fails", threaded=True),
    "odd names": Misdeed(members("requires = (Odd(raises),)"), "fails", threaded=True),
    "no tuple of names": Misdeed(members("requires = Odd(raises)"), "fails", told=False),
    "odd text": Misdeed(
        "class Text(str):\n    __str__ = __repr__ = __hash__ = __eq__ = __len__ = __format__ = raises\n"
        + members("version = host_api = Text('>=1')\nname = Text('lamp')"),
        "goes on",
    ),
    "comparing": Misdeed(members("__eq__ = __hash__ = raises"), "fails", threaded=True),
    "truth": Misdeed(members("__bool__ = __len__ = __iter__ = __repr__ = __str__ = raises"), "goes on"),
    "annotation": Misdeed(
        members(
            "@hookimpl\ndef after_auth(self, attempt: 'raises()', principal: Odd(raises)) -> Odd(raises):\n    pass"
        ),
        "goes on",
    ),
    "Config": Misdeed(members("class Config(msgspec.Struct):\n    __post_init__ = raises"), "fails"),
    "no Config": Misdeed(members("Config = Odd(raises)"), "fails", told=False),
    "check_config": Misdeed(members("async def check_config(self, config):\n    raises()"), "fails"),
    "start": Misdeed(members("async def start(self, context):\n    raises()"), "fails"),
    "plain start": Misdeed(members("def start(self, context):\n    raises()"), "fails", threaded=True),
    "plain stop": Misdeed(members("def stop(self):\n    raises()"), "goes on", threaded=True),
    "stop": Misdeed(members("async def stop(self):\n    raises()"), "goes on"),
    "status": Misdeed(members("status = raises"), "goes on"),
    "odd status": Misdeed(
        members("def status(self):\n    return {'odd': [Odd(raises)], 'more': {'odd': {1: Odd(raises)}}}"),
        "goes on",
    ),
    "jobs": Misdeed(members("register_jobs = hookimpl(lambda self: raises())"), "fails"),
    "odd jobs": Misdeed(members("register_jobs = hookimpl(lambda self: [Odd(raises)])"), "fails", told=False),
    "commands": Misdeed(members("register_commands = hookimpl(lambda self: raises())"), "goes on"),
    "odd commands": Misdeed(members("register_commands = hookimpl(lambda self: Odd(raises))"), "goes on"),
    "health": Misdeed(members("health_check = hookimpl(lambda self, app_name: raises())"), "goes on"),
    "odd health": Misdeed(members("health_check = hookimpl(lambda self, app_name: Odd(raises))"), "goes on"),
}
"""What a plugin may do -> the plugin."""


@dataclass(frozen=True, slots=True)
class Yard:
    """Where plugins are put.

    Attributes:
        folder: An empty folder.
        on_path: Puts a folder on the import path.
    """

    folder: Path
    on_path: Callable[[str], None]


Config = dict[str, Any]
Door = Callable[[Yard, Mapping[str, str]], Config]
"""Puts sources there, by plugin name, and returns the configuration of a host that finds them."""


def by_module(yard: Yard, sources: Mapping[str, str]) -> Config:
    for name, source in sources.items():
        (yard.folder / f"{name}_code.py").write_text(source, "utf-8")
    yard.on_path(str(yard.folder))
    plugins = {name: {"module": f"{name}_code:P"} for name in sources}
    return {"host": {"allow": [*sources]}, "plugins": plugins}


def by_file(yard: Yard, sources: Mapping[str, str]) -> Config:
    for name, source in sources.items():
        (yard.folder / f"{name}.py").write_text(source, "utf-8")
    return {"host": {"allow": [*sources], "plugin_dir": str(yard.folder)}}


def by_folder(yard: Yard, sources: Mapping[str, str]) -> Config:
    for name, source in sources.items():
        package = yard.folder / name / f"{name}_package"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("", "utf-8")
        (package / "code.py").write_text(source, "utf-8")
        (package.parent / "pyproject.toml").write_text(
            f'[project]\nname = "acme-{name}"\nversion = "1.0"\n'
            f'[project.entry-points."plughost.plugins"]\n{name} = "{name}_package.code:P"\n',
            "utf-8",
        )
    return {"host": {"allow": [*sources], "plugin_dir": str(yard.folder)}}


def by_entry_point(yard: Yard, sources: Mapping[str, str]) -> Config:
    for name, source in sources.items():
        (yard.folder / f"{name}_installed.py").write_text(source, "utf-8")
        metadata = yard.folder / f"acme_{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.0\n", "utf-8"
        )
        (metadata / "RECORD").write_text("", "utf-8")
        (metadata / "entry_points.txt").write_text(
            f"[plughost.plugins]\n{name} = {name}_installed:P\n", "utf-8"
        )
    yard.on_path(str(yard.folder))
    return {"host": {"allow": [*sources]}}


DOORS: Mapping[str, Door] = {
    "module in configuration": by_module,
    "single file": by_file,
    "folder": by_folder,
    "entry point": by_entry_point,
}
