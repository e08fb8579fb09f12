"""The catalogue as it was agreed, row by row; whoever changes a promise must change it here too."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import pluggy
import pytest

from plughost.hookspecs import CATALOGUE, PROJECT, SPEC_ATTRIBUTE, SpecOptions

# name: mode, limit in seconds, what a failure does, arguments
PROMISED: dict[str, dict[str, tuple[str, float | None, str, str]]] = {
    "auth": {
        "before_auth": ("waterfall", 5, "abort", "attempt"),
        "authenticate": ("decide", 10, "deny", "attempt"),
        "after_auth": ("broadcast", 5, "isolate", "attempt principal"),
        "auth_failed": ("broadcast", 5, "isolate", "attempt reason"),
        "before_logout": ("broadcast", 5, "isolate", "principal session_handle"),
        "after_logout": ("broadcast", 5, "isolate", "principal session_handle"),
    },
    "users": {
        "before_user_create": ("waterfall", 5, "abort", "user"),
        "create_user": ("first", 10, "abort", "user"),
        "after_user_create": ("broadcast", 5, "isolate", "user"),
        "before_user_update": ("waterfall", 5, "abort", "change"),
        "update_user": ("first", 10, "abort", "change"),
        "after_user_update": ("broadcast", 5, "isolate", "user changed"),
        "before_user_delete": ("waterfall", 5, "abort", "user"),
        "delete_user": ("first", 10, "abort", "user"),
        "after_user_delete": ("broadcast", 5, "isolate", "user"),
        "find_user": ("first", 10, "abort", "user_id username"),
    },
    "backup": {
        "before_backup": ("waterfall", 60, "abort", "plan"),
        "provide_backup_artifacts": ("collect", 300, "abort", "plan"),
        "store_backup": ("first", 300, "abort", "archive"),
        "after_backup": ("broadcast", 60, "isolate", "result"),
        "backup_failed": ("broadcast", 60, "isolate", "plan error"),
        "list_backups": ("collect", 60, "isolate", ""),
        "before_restore": ("waterfall", 60, "abort", "plan"),
        "restore_artifact": ("first", 300, "abort", "artifact plan"),
        "after_restore": ("broadcast", 60, "isolate", "result"),
    },
    "app_registration": {
        "app_registration_started": ("broadcast", 30, "isolate", "app_name config"),
        "open_connection": ("first", 30, "abort", "app_name config"),
        "connection_created": ("broadcast", 30, "isolate", "app_name connection reused"),
        "auto_operations_started": ("broadcast", 30, "isolate", "app_name connection config"),
        "run_migrations": ("first", 300, "abort", "app_name connection config"),
        "run_seeds": ("first", 300, "abort", "app_name connection config"),
        "load_models": ("first", 300, "abort", "app_name connection config"),
        "auto_operations_completed": ("broadcast", 30, "isolate", "app_name result"),
        "app_registered": ("broadcast", 30, "isolate", "app_name connection config"),
    },
    "app_unregistration": {
        "app_unregistration_started": ("broadcast", 30, "isolate", "app_name options"),
        "app_rollback_started": ("broadcast", 300, "isolate", "app_name connection options"),
        "rollback_app": ("first", 300, "abort", "app_name connection options"),
        "app_rollback_completed": ("broadcast", 300, "isolate", "app_name connection options result"),
        "connection_shutdown": ("broadcast", 15, "isolate", "app_name connection options"),
        "app_unregistered": ("broadcast", 30, "isolate", "app_name options"),
    },
    "health": {
        "operation_failed": ("broadcast", 30, "isolate", "app_name operation error context"),
        "health_check": ("collect", 2, "isolate", "app_name health_status"),
    },
    "plugins": {
        "plugin_started": ("broadcast", 5, "isolate", "plugin"),
        "plugin_failed": ("broadcast", 5, "isolate", "plugin phase error"),
        "plugin_stopped": ("broadcast", 5, "isolate", "plugin"),
    },
    "sessions": {
        "session_created": ("broadcast", 5, "isolate", "handle subject reason"),
        "session_rotated": ("broadcast", 5, "isolate", "handle subject reason"),
        "session_ended": ("broadcast", 5, "isolate", "handle subject reason"),
        "describe_device": ("first", 1, "isolate", "user_agent"),
    },
    "cache": {
        "cache_event": ("broadcast", 5, "isolate", "events"),
        "warm_cache": ("collect", 60, "isolate", "cache"),
    },
    "contributions": {
        "register_routes": ("collect", None, "isolate", "context"),
        "register_middleware": ("collect", None, "isolate", "context"),
        "register_admin_panels": ("collect", None, "isolate", "context"),
        "register_commands": ("collect", None, "isolate", ""),
        "register_jobs": ("collect", None, "isolate", ""),
        "describe_metrics": ("collect", 2, "isolate", ""),
    },
}

DECLARED: dict[str, dict[str, Callable[..., Any]]] = {
    module.__name__.rpartition(".")[2]: {
        name: value for name, value in vars(module).items() if hasattr(value, SPEC_ATTRIBUTE)
    }
    for module in CATALOGUE
}
SPECS = {name: spec for family in DECLARED.values() for name, spec in family.items()}

each_spec = pytest.mark.parametrize("name", SPECS)


def options_of(name: str) -> SpecOptions:
    options = getattr(SPECS[name], SPEC_ATTRIBUTE)
    assert isinstance(options, SpecOptions)
    return options


def test_the_catalogue_declares_what_was_promised_and_nothing_else() -> None:
    assert {family: list(specs) for family, specs in DECLARED.items()} == {
        family: list(rows) for family, rows in PROMISED.items()
    }


def test_no_two_families_declare_the_same_hook() -> None:
    assert len(SPECS) == sum(len(family) for family in DECLARED.values())


@pytest.mark.parametrize(
    ("name", "row"), [(name, row) for rows in PROMISED.values() for name, row in rows.items()]
)
def test_a_hook_keeps_its_mode_limit_policy_and_arguments(
    name: str, row: tuple[str, float | None, str, str]
) -> None:
    options = options_of(name)
    arguments = " ".join(inspect.signature(SPECS[name]).parameters)
    assert (options.mode, options.timeout, options.on_error, arguments) == row


@each_spec
def test_every_argument_and_result_has_a_type_that_can_be_looked_up(name: str) -> None:
    hints = get_type_hints(SPECS[name])
    assert set(hints) == {*inspect.signature(SPECS[name]).parameters, "return"}


@each_spec
def test_a_result_is_what_the_mode_can_use(name: str) -> None:
    result = get_type_hints(SPECS[name])["return"]
    told_only = result is type(None)
    assert told_only == (options_of(name).mode == "broadcast")


@each_spec
def test_arguments_can_be_taken_by_pluggy(name: str) -> None:
    kinds = {parameter.kind for parameter in inspect.signature(SPECS[name]).parameters.values()}
    assert kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}


@each_spec
def test_only_registering_hooks_are_called_without_await(name: str) -> None:
    assert options_of(name).sync == name.startswith("register_")


@pytest.mark.parametrize("name", [name for name in SPECS if options_of(name).mode == "waterfall"])
def test_a_waterfall_hands_its_first_argument_on_and_returns_the_same_type(name: str) -> None:
    subject = options_of(name).subject
    hints = get_type_hints(SPECS[name])
    assert subject == next(iter(inspect.signature(SPECS[name]).parameters))
    assert hints["return"] == hints[subject] | None


def test_the_whole_catalogue_registers_in_a_bare_plugin_manager() -> None:
    manager = pluggy.PluginManager(PROJECT)
    for module in CATALOGUE:
        manager.add_hookspecs(module)
    firsts = {
        name
        for name in SPECS
        if (spec := getattr(manager.hook, name).spec) is not None and spec.opts["firstresult"]
    }
    assert firsts == {name for name in SPECS if options_of(name).mode == "first"}
