"""Fixtures every test may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from plughost.testing.distributions import MadeDistribution, make_distribution

_numbers = count()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run an async test on both event loops."""
    return str(request.param)


@pytest.fixture(autouse=True)
def data_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the data of plugins out of the home of whoever runs the tests, and apart from those of other tests.

    The folder is made only when a host needs one.
    """
    before = os.environ.get("XDG_DATA_HOME")
    folder = tmp_path_factory.getbasetemp() / f"data-{next(_numbers)}"
    os.environ["XDG_DATA_HOME"] = str(folder)
    yield folder
    if before is None:
        os.environ.pop("XDG_DATA_HOME", None)
    else:
        os.environ["XDG_DATA_HOME"] = before


Install = Callable[..., MadeDistribution]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install plugins from source text: ``install("greeter", "source", card="requires = ['cache']")``.

    The entry point names the class ``P`` of the source, or what ``attribute`` says.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def install_one(
        name: str,
        source: str,
        *,
        attribute: str = ":P",
        card: str | None = None,
        version: str = "1.0.0",
        distribution: str | None = None,
        group: str = "plughost.plugins",
        module: str | None = None,
    ) -> MadeDistribution:
        module = module or name.replace("-", "_") + "_plugin"
        modules = {f"{module}/__init__.py": source}
        if card is not None:
            modules[f"{module}/plugin.toml"] = card
        return make_distribution(
            site,
            distribution or f"acme-{name}",
            version=version,
            modules=modules,
            entry_points={group: {name: f"{module}{attribute}"}},
        )

    yield install_one
    for name in set(sys.modules) - before:
        if name.partition(".")[0].endswith("_plugin"):
            del sys.modules[name]
