"""Fixtures every test may use."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from zlib import crc32

import hypothesis
import pytest

from plughost.testing import MadeDistribution, PluginMaker

# On a machine that has other things to do a first draw may take seconds: that says nothing about the strategy.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

_numbers = count()

TESTS = Path(__file__).parent
BEYOND_A_LAPTOP = {
    "adapters/test_adapters.py": "Celery, Django, Flask, Litestar",
    "adapters/test_root_path.py": "Litestar",
    "adapters/test_wsgi.py": "Django, Flask",
    "adapters/test_forks.py::test_a_celery": "Celery",
    "cli/test_behind_nginx.py": "nginx",
    "cli/test_from_nothing_to_https.py": "nginx",
    "flows/test_apps_host.py": "PostgreSQL",
    "http/test_loopback.py::test_nginx": "nginx",
    "plugins/admin/test_browser.py": "a browser",
    "plugins/admin/test_openapi.py": "Schemathesis",
    "plugins/admin/test_served_page.py": "a browser",
    "plugins/database/test_postgresql.py": "PostgreSQL",
    "plugins/fleet/test_page.py": "a browser",
    "plugins/fleet/test_pooler.py": "PostgreSQL, PgBouncer",
    "plugins/fleet/test_postgresql_store.py": "PostgreSQL",
    "plugins/database/test_processes.py": "PostgreSQL",
    "plugins/sessions/test_served.py::test_cve_2023_30861": "nginx",
    "plugins/database/test_urls.py::test_a_database_that_cannot_be_opened": "the driver of PostgreSQL",
    "test_docs.py::test_the_documentation_builds": "Sphinx",
    "test_docs.py::test_the_python_of_a_page_runs[docs/how-to/embed-": "the frameworks",
}
"""What `pytest --laptop` leaves out, and what it would need: `.[test-all]`, or packages of the machine."""

EXAMPLES_BEYOND_A_LAPTOP = {
    "plughost-media/tests/test_anything.py": "Schemathesis",
    "plughost-media/tests/test_browser.py": "a browser",
}
"""The same of the tests of examples."""


LONG = ("tests/test_examples.py::test_its_own_tests_pass", "tests/testing/test_plugin_suite.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="run every cell of the tests marked `matrix`")
    parser.addoption(
        "--laptop", action="store_true", help="leave out what needs more than `.[test]` installs"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not (config.getoption("--laptop") and collection_path.is_relative_to(TESTS)):
        return None
    return collection_path.relative_to(TESTS).as_posix() in BEYOND_A_LAPTOP or None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector from looking at fifteen thousand collected tests again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out: set[pytest.Item] = set()
    if config.getoption("--laptop"):
        places = tuple(f"tests/{place}" for place in BEYOND_A_LAPTOP)
        left_out.update(item for item in items if item.nodeid.startswith(places))
    if not config.getoption("--whole"):
        left_out.update(beyond_a_sample(items))
    # What takes a minute is begun first, so that nobody waits for it in the end.
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=[*left_out])


def beyond_a_sample(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Iterate over what is left out of matrices: each value of each parameter is tried, then one cell in so many.

    The choice follows from the names alone, so every run makes the same.
    """
    tried: set[tuple[str, str, str]] = set()
    for item in items:
        mark = item.get_closest_marker("matrix")
        if mark is None or not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
            continue
        test = item.nodeid.partition("[")[0]
        values = {(test, name, repr(value)) for name, value in item.callspec.params.items()}
        if values <= tried and crc32(item.nodeid.encode()) % mark.kwargs["one_in"]:
            yield item
        tried |= values


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


@pytest.fixture(autouse=True)
def import_path_as_it_was(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget the folders of plugins that a host put on the import path: the next test may have one of that name."""
    before = set(sys.path)
    yield
    base = tmp_path_factory.getbasetemp()
    left = [Path(place) for place in sys.path if place not in before and Path(place).is_relative_to(base)]
    if not left:
        return
    sys.path[:] = [place for place in sys.path if Path(place) not in left]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and any(Path(file).is_relative_to(place) for place in left):
            del sys.modules[name]


@pytest.fixture(scope="session", autouse=True)
def processes_measured() -> Iterator[None]:
    """Have processes of plugins measured too when these are: they see no variable of the host but those it lists."""
    with pytest.MonkeyPatch.context() as patch:
        if "COVERAGE_PROCESS_CONFIG" in os.environ:
            from plughost.core.wire import births

            patch.setattr(births, "_KEPT", births._KEPT | {"COVERAGE_PROCESS_CONFIG"})
        yield


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Leave logging as a test found it: whoever runs a command or a framework in its process has it set up anew."""
    loggers = [logging.getLogger(), *_loggers_of_plughost()]
    before = [(log, log.handlers[:], log.level, log.propagate) for log in loggers]
    yield
    made_since = set(_loggers_of_plughost()).difference(loggers)
    before.extend((log, [], logging.NOTSET, True) for log in made_since)
    for log, handlers, level, propagate in before:
        log.handlers[:], log.propagate = handlers, propagate
        log.disabled = False
        if log.level != level:
            log.setLevel(level)


def _loggers_of_plughost() -> list[logging.Logger]:
    known = logging.Logger.manager.loggerDict.items()
    return [log for name, log in known if name.startswith("plughost") and isinstance(log, logging.Logger)]


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
