"""Fixtures every test may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from plughost.testing import MadeDistribution, PluginMaker

# On a machine that has other things to do a first draw may take seconds: that says nothing about the strategy.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

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
def install(make_plugin: PluginMaker) -> Install:
    """Install plugins from source text: ``install("greeter", "source", card="requires = ['cache']")``.

    The entry point names the class ``P`` of the source, or the module with what ``attribute`` says after it.
    """

    def install_one(
        name: str, source: str, *, attribute: str = ":P", module: str | None = None, **about: Any
    ) -> MadeDistribution:
        module = module or f"{name.replace('-', '_')}_plugin"
        return make_plugin(name, source, module=module, reference=module + attribute, **about).distribution

    return install_one
