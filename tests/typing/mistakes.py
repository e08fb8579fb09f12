"""Mistakes that a type checker must find, each with the code it is found under; read by mypy, never run."""

from __future__ import annotations

from plughost.contracts import AuthAttempt, HttpContext, NewUser, Principal
from plughost.hookspecs import Hooks


async def calls(hooks: Hooks, attempt: AuthAttempt, principal: Principal, context: HttpContext) -> None:
    await hooks.before_auth(atempt=attempt)  # error: call-arg
    await hooks.before_auth(attempt="ada")  # error: arg-type
    await hooks.before_auth()  # error: call-arg
    await hooks.after_auth(attempt=attempt)  # error: call-arg
    await hooks.after_auth(attempt=principal, principal=attempt)  # error: arg-type arg-type
    await hooks.before_auth.report(attempt=None)  # error: arg-type
    hooks.before_auth(attempt=attempt)  # error: unused-coroutine
    hooks.after_auth(attempt=attempt, principal=principal)  # error: unused-coroutine
    print(hooks.authenticate(attempt=attempt).principal)  # error: attr-defined
    await hooks.register_routes(context=context)  # error: misc
    print((await hooks.create_user(user=NewUser(username="ada"))).user_id)  # error: union-attr
    print((await hooks.authenticate(attempt=attempt)).reason)  # error: union-attr
