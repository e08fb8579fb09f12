"""The ASGI application made of what plugins contribute: routes with guards, health, metrics, tokens, audit.

    from plughost.http import PUBLIC, SIGNED_IN, Route, create_app, scope

This module is the table of contents.
"""

from __future__ import annotations

from plughost.contracts.http_settings import HttpSettings
from plughost.http.access_file import AccessFile
from plughost.http.app import HostApplication, create_app
from plughost.http.audit import AuditEntry, AuditTrail
from plughost.http.bodies import form_body, json_body
from plughost.http.figures import FailedRequest, HttpFigures, MinuteFigures, RouteFigures
from plughost.http.guards import (
    ANONYMOUS,
    LOOPBACK,
    PUBLIC,
    SIGNED_IN,
    Guard,
    Identity,
    any_of,
    from_loopback,
    scope,
)
from plughost.http.problems import Problem
from plughost.http.response_cache import CachePolicy
from plughost.http.routes import Route, WebSocketRoute
from plughost.http.runtime import HttpRuntime, host_from, identity_of, note_detail, runtime_of
from plughost.http.sign_ins import SignIns
from plughost.http.streams import EventStream
from plughost.http.tokens import TokenRecord, Tokens

__all__ = [
    "ANONYMOUS",
    "LOOPBACK",
    "PUBLIC",
    "SIGNED_IN",
    "AccessFile",
    "AuditEntry",
    "AuditTrail",
    "CachePolicy",
    "EventStream",
    "FailedRequest",
    "Guard",
    "HostApplication",
    "HttpFigures",
    "HttpRuntime",
    "HttpSettings",
    "Identity",
    "MinuteFigures",
    "Problem",
    "Route",
    "RouteFigures",
    "SignIns",
    "TokenRecord",
    "Tokens",
    "WebSocketRoute",
    "any_of",
    "create_app",
    "form_body",
    "from_loopback",
    "host_from",
    "identity_of",
    "json_body",
    "note_detail",
    "runtime_of",
    "scope",
]
