"""The ASGI application made of what plugins contribute: routes with guards, health, metrics, tokens, audit.

    from plughost.http import PUBLIC, SIGNED_IN, Route, create_app, scope

This module is the table of contents. The names are looked up when they are first used: its rooms that know no
framework (``csrf``, ``middleware``, ``problems``) serve those who installed none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plughost._names import looked_up
from plughost.contracts.http_settings import HttpSettings
from plughost.http.guards import (
    ANONYMOUS,
    LOOPBACK,
    PUBLIC,
    SIGNED_IN,
    Guard,
    Identity,
    any_of,
    scope,
)
from plughost.http.loopback import from_loopback

if TYPE_CHECKING:
    from plughost.http.access_file import AccessFile
    from plughost.http.app import HostApplication, create_app
    from plughost.http.audit import AuditEntry, AuditTrail
    from plughost.http.bodies import form_body, json_body
    from plughost.http.figures import FailedRequest, HttpFigures, MinuteFigures, RouteFigures
    from plughost.http.problems import Problem
    from plughost.http.response_cache import CachePolicy
    from plughost.http.routes import Route, WebSocketRoute
    from plughost.http.runtime import HttpRuntime, host_from, identity_of, note_detail, runtime_of
    from plughost.http.sign_ins import SignIns
    from plughost.http.streams import EventStream
    from plughost.http.subrequests import Subanswer, subrequest
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
    "Subanswer",
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
    "subrequest",
]

_HOMES = {
    "AccessFile": "plughost.http.access_file",
    "AuditEntry": "plughost.http.audit",
    "AuditTrail": "plughost.http.audit",
    "CachePolicy": "plughost.http.response_cache",
    "EventStream": "plughost.http.streams",
    "FailedRequest": "plughost.http.figures",
    "HostApplication": "plughost.http.app",
    "HttpFigures": "plughost.http.figures",
    "HttpRuntime": "plughost.http.runtime",
    "MinuteFigures": "plughost.http.figures",
    "Problem": "plughost.http.problems",
    "Route": "plughost.http.routes",
    "RouteFigures": "plughost.http.figures",
    "SignIns": "plughost.http.sign_ins",
    "Subanswer": "plughost.http.subrequests",
    "TokenRecord": "plughost.http.tokens",
    "Tokens": "plughost.http.tokens",
    "WebSocketRoute": "plughost.http.routes",
    "create_app": "plughost.http.app",
    "form_body": "plughost.http.bodies",
    "host_from": "plughost.http.runtime",
    "identity_of": "plughost.http.runtime",
    "json_body": "plughost.http.bodies",
    "note_detail": "plughost.http.runtime",
    "runtime_of": "plughost.http.runtime",
    "subrequest": "plughost.http.subrequests",
}

__getattr__, __dir__ = looked_up(__name__, _HOMES)
