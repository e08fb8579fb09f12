"""Services are found by their class, the newest first, and come back when the newest goes."""

from __future__ import annotations

import gc
import re
import tomllib
import weakref
from abc import ABC, abstractmethod
from itertools import count
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytest

import plughost
from plughost import Host, Plugin
from plughost.blocking import BlockingHost
from plughost.contracts import SessionManager
from plughost.core.services import ServiceRegistry
from plughost.exceptions import HostNotReadyError, PluginError, ServiceError

_numbers = count()


class Mailer:
    """A service."""


class SpecialMailer(Mailer):
    """A service that is also another."""


class AbstractStore(ABC):
    @abstractmethod
    def read(self) -> str: ...


class FileStore(AbstractStore):
    def read(self) -> str:
        return "file"


@runtime_checkable
class Checkable(Protocol):
    def send(self) -> None: ...


class Uncheckable(Protocol):
    def send(self) -> None: ...


def test_a_service_is_found_by_its_class() -> None:
    services = ServiceRegistry()
    mailer = Mailer()
    services.provide(Mailer, mailer, "mail")
    assert services.use(Mailer) is mailer
    assert services.get(Mailer) is mailer


def test_an_implementation_is_found_by_the_abstract_class_it_was_provided_as() -> None:
    services = ServiceRegistry()
    services.provide(AbstractStore, FileStore(), "files")
    assert services.use(AbstractStore).read() == "file"
    assert services.get(FileStore) is None


def test_a_subclass_that_is_provided_does_not_answer_for_its_base() -> None:
    services = ServiceRegistry()
    services.provide(SpecialMailer, SpecialMailer(), "mail")
    assert services.get(Mailer) is None


def test_the_default_is_returned_when_nobody_provides_it() -> None:
    fallback = Mailer()
    assert ServiceRegistry().get(Mailer, fallback) is fallback
    assert ServiceRegistry().get(Mailer) is None


def test_the_newest_provider_wins_and_the_one_before_shows_again() -> None:
    services = ServiceRegistry()
    old, new = Mailer(), Mailer()
    services.provide(Mailer, old, "mail")
    withdraw = services.provide(Mailer, new, "mail")
    assert services.use(Mailer) is new
    withdraw()
    assert services.use(Mailer) is old


def test_a_reload_never_leaves_a_gap() -> None:
    services = ServiceRegistry()
    old, new = Mailer(), Mailer()
    withdraw_old = services.provide(Mailer, old, "mail")
    services.provide(Mailer, new, "mail")
    withdraw_old()
    assert services.use(Mailer) is new


def test_withdrawing_twice_takes_nothing_from_others() -> None:
    services = ServiceRegistry()
    withdraw = services.provide(Mailer, Mailer(), "mail")
    withdraw()
    other = Mailer()
    services.provide(Mailer, other, "post")
    withdraw()
    assert services.use(Mailer) is other


def test_equal_values_of_two_providers_are_told_apart() -> None:
    services = ServiceRegistry()
    services.provide(str, "same", "one")
    withdraw = services.provide(str, "same", "two")
    withdraw()
    assert services.provided() == {"builtins.str": "one"}


def test_what_is_provided_is_listed_with_the_owner_that_answers() -> None:
    services = ServiceRegistry()
    services.provide(Mailer, Mailer(), "mail")
    services.provide(Mailer, Mailer(), "post")
    services.provide(AbstractStore, FileStore(), "")
    assert services.provided() == {
        f"{__name__}.Mailer": "post",
        f"{__name__}.AbstractStore": "application",
    }


def test_a_missing_service_says_what_to_do() -> None:
    with pytest.raises(
        ServiceError, match=r"no running plugin provides Mailer\. Install and enable .*`requires`"
    ):
        ServiceRegistry().use(Mailer)


def test_a_missing_service_names_the_nearest_one() -> None:
    services = ServiceRegistry()
    services.provide(SpecialMailer, SpecialMailer(), "mail")
    near = type("SpecialMailr", (), {})
    with pytest.raises(ServiceError, match="Did you mean 'SpecialMailer'"):
        services.use(near)


def test_a_service_whose_provider_stopped_names_that_provider() -> None:
    services = ServiceRegistry()
    services.provide(Mailer, Mailer(), "mail")()
    with pytest.raises(ServiceError, match=r"'mail' provided it and no longer runs.*`requires`"):
        services.use(Mailer)


def test_a_class_of_the_same_name_from_elsewhere_is_pointed_out() -> None:
    services = ServiceRegistry()
    services.provide(Mailer, Mailer(), "mail")
    other = type("Mailer", (), {"__module__": "elsewhere"})
    with pytest.raises(ServiceError, match=rf"nobody provides elsewhere\.Mailer: ask for {__name__}\.Mailer"):
        services.use(other)


def test_a_second_copy_of_the_same_class_is_pointed_out() -> None:
    services = ServiceRegistry()
    services.provide(Mailer, Mailer(), "mail")
    copy = type("Mailer", (), {"__module__": __name__, "__qualname__": "Mailer"})
    with pytest.raises(ServiceError, match="another copy of the class"):
        services.use(copy)


def test_a_value_that_is_no_instance_is_refused() -> None:
    with pytest.raises(TypeError, match="str is not a Mailer"):
        ServiceRegistry().provide(Mailer, "mailer", "mail")


def test_a_service_is_a_class() -> None:
    with pytest.raises(TypeError, match="by its class or Protocol"):
        ServiceRegistry().provide("mailer", "mailer", "mail")


def test_a_checkable_protocol_asks_for_its_members() -> None:
    with pytest.raises(TypeError, match="Mailer is not a Checkable"):
        ServiceRegistry().provide(Checkable, Mailer(), "mail")


def test_a_protocol_that_cannot_be_checked_is_not_checked() -> None:
    services = ServiceRegistry()
    mailer = Mailer()
    services.provide(Uncheckable, mailer, "mail")
    assert services.use(Uncheckable) is mailer


def test_a_withdrawn_service_is_not_kept_alive() -> None:
    services = ServiceRegistry()
    kind = type("Transient", (), {})
    services.provide(kind, kind(), "plugin")()
    gone = weakref.ref(kind)
    del kind
    gc.collect()
    assert gone() is None


# a service whose plugin does not run


def failing_provider(folder: Path, body: str, *, card: str = "", name: str = "lamp_oil") -> dict[str, Any]:
    """Write a plugin whose card promises a service; return the configuration of a host that finds it."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").write_text("from plughost import Plugin\nclass Oil: ...\n" + body)
    (package / "plugin.toml").write_text(f'provides = ["{name}.Oil"]\n{card}')
    return {"host": {"allow": ["lamp"]}, "plugins": {"lamp": {"module": f"{name}:Lamp"}}}


START = "class Lamp(Plugin):\n    async def start(self, context):\n        raise OSError('no wick')"
CHECK = "class Lamp(Plugin):\n    async def check_config(self, config):\n        raise ValueError('no wick')"
IMPORT = "raise OSError('no wick')"
NEEDY = "class Lamp(Plugin):\n    requires = ('no wick',)"


@pytest.mark.anyio
@pytest.mark.parametrize("body", [START, CHECK, IMPORT, NEEDY])
async def test_who_asks_for_the_service_of_a_failed_plugin_hears_which_failed_and_why(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = f"lamp_oil_{next(_numbers)}"
    asked = type("Oil", (), {"__module__": f"{name}.inner"})  # by whichever module of the package it is known

    class Asking(Plugin):
        name = "asking"

        async def start(self, context: Any) -> None:
            context.use(asked)

    async with Host(config=failing_provider(tmp_path, body, name=name), environ={}) as host:
        with pytest.raises(ServiceError) as by_host:
            host.use(asked)
        with pytest.raises(PluginError) as by_plugin:
            await host.load_plugin(Asking)
    for said in (str(by_host.value), str(by_plugin.value)):
        assert "plugin 'lamp', which is failed" in said
        assert "no wick" in said
        assert "Did you mean" not in said


@pytest.mark.anyio
async def test_sessions_that_failed_at_their_configuration_say_so_to_whoever_uses_them() -> None:
    config = {
        "host": {"allow": ["sessions"]},
        "plugins": {"sessions": {"config": {"idle_timeout": "no number"}}},
    }
    async with Host(config=config, environ={}) as host:
        with pytest.raises(ServiceError, match=r"plugin 'sessions', which is failed .*idle_timeout"):
            host.use(SessionManager)
        with pytest.raises(HostNotReadyError, match=r"plugin 'sessions', which is failed .*idle_timeout"):
            await host.auth.logout("no such session")


def test_a_thread_hears_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = f"lamp_oil_{next(_numbers)}"
    oil = type("Oil", (), {"__module__": name})
    config = failing_provider(tmp_path, START, name=name)
    with (
        BlockingHost(config=config, environ={}) as host,
        pytest.raises(ServiceError, match=r"plugin 'lamp', which is failed .*no wick"),
    ):
        host.use(oil)


def test_every_service_that_a_first_party_plugin_provides_is_on_its_card() -> None:
    plugins = Path(plughost.__file__).parent / "plugins"
    for card in plugins.glob("*/plugin.toml"):
        code = "".join(file.read_text("utf-8") for file in card.parent.rglob("*.py"))
        provided = set(re.findall(r"context\.provide\((\w+),", code)) - {"HookTrace"}  # its own, for its page
        promised = {
            name.rpartition(".")[2] for name in tomllib.loads(card.read_text("utf-8")).get("provides", ())
        }
        assert promised == provided, card.parent.name
