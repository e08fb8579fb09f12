"""Services are found by their class, the newest first, and come back when the newest goes."""

from __future__ import annotations

import gc
import weakref
from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import pytest

from plughost.core.services import ServiceRegistry
from plughost.exceptions import ServiceError


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
