"""What a type checker knows about hook calls; read by mypy, never run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

import click

from plughost.contracts import (
    AdminPanel,
    Allow,
    Archive,
    Artifact,
    AuthAttempt,
    BackupLocation,
    BackupPlan,
    Deny,
    Device,
    GuardedRoute,
    HealthReport,
    HookReport,
    HttpContext,
    NewUser,
    OperationResult,
    Principal,
    User,
)
from plughost.hookspecs import Hooks


async def a_waterfall_returns_its_subject(hooks: Hooks, attempt: AuthAttempt, plan: BackupPlan) -> None:
    assert_type(await hooks.before_auth(attempt=attempt), AuthAttempt)
    assert_type(await hooks.before_backup(plan=plan), BackupPlan)


async def a_decision_is_a_verdict_and_never_an_abstention(hooks: Hooks, attempt: AuthAttempt) -> None:
    verdict = await hooks.authenticate(attempt=attempt)
    assert_type(verdict, Allow | Deny)
    if isinstance(verdict, Allow):
        assert_type(verdict.principal, Principal | None)
    else:
        assert_type(verdict.reason, str)


async def the_first_answer_may_be_missing(hooks: Hooks, user: NewUser, archive: Archive) -> None:
    assert_type(await hooks.create_user(user=user), User | None)
    assert_type(await hooks.store_backup(archive=archive), BackupLocation | None)
    assert_type(await hooks.describe_device(user_agent="curl/8"), Device | None)
    assert_type(await hooks.run_seeds(app_name="shop", connection=1, config={}), OperationResult | None)
    assert_type(await hooks.open_connection(app_name="shop", config={}), Any | None)


async def collected_answers_are_a_list_without_none(
    hooks: Hooks, plan: BackupPlan, so_far: HealthReport
) -> None:
    assert_type(await hooks.provide_backup_artifacts(plan=plan), list[Sequence[Artifact]])
    # Where answers are of several types, mypy joins them instead of keeping their union.
    assert_type(await hooks.health_check(app_name=None, health_status=so_far), list[object])


async def a_broadcast_returns_nothing(hooks: Hooks, attempt: AuthAttempt) -> None:
    telling = hooks.auth_failed(attempt=attempt, reason="wrong password")
    assert_type(await telling, None)


def set_up_time_hooks_need_no_await(hooks: Hooks, context: HttpContext) -> None:
    assert_type(hooks.register_routes(context=context), list[Sequence[GuardedRoute]])
    assert_type(hooks.register_admin_panels(context=context), list[Sequence[AdminPanel]])
    assert_type(hooks.register_commands(), list[Sequence[click.Command]])
    assert_type(hooks.register_commands.report(), HookReport)


async def a_report_is_typed_like_the_call(hooks: Hooks, attempt: AuthAttempt) -> None:
    assert_type(await hooks.before_auth.report(attempt=attempt), HookReport)


async def a_hook_of_somebody_else_may_be_anything(hooks: Hooks) -> None:
    assert_type(await hooks.order_placed(order=7), Any)
