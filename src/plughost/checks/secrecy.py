"""Would its configuration show a secret?"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from plughost.checks.findings import CheckProblem, check
from plughost.checks.subject import Subject
from plughost.contracts.masking import is_secret_key
from plughost.contracts.secret import Secret

_NAMES_ONLY = ("_domain", "_variable", "_header", "_column", "_id", "_scheme")
"""What a setting ends in that names something about a secret, and is none itself."""


@check(
    "secrets",
    "no secret of its configuration can show itself",
    applies=lambda subject: subject.is_imported and subject.handle.config_class is not None,
)
def _secrets(subject: Subject) -> Iterator[CheckProblem]:
    kind = subject.handle.config_class
    for path, annotation in _fields(kind, ()):
        members = typing.get_args(annotation) or (annotation,)
        is_plain = str in members and Secret not in members
        if is_plain and is_secret_key(path[-1]) and not path[-1].endswith(_NAMES_ONLY):
            name = ".".join(path)
            yield CheckProblem(
                message=f"setting {name!r} looks like a secret and is a plain text: a log line or a traceback shows it",
                advice=f"declare it as `{path[-1]}: Secret` (plughost.contracts), and take it out with .reveal()",
                level="warning",
            )


def _fields(kind: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, annotation in _hints(kind).items():
        here = (*path, name)
        yield here, annotation
        if len(path) < 4:  # a record that holds itself has no end
            for member in typing.get_args(annotation) or (annotation,):
                yield from _fields(member, here)


def _hints(kind: Any) -> dict[str, Any]:
    is_record = isinstance(kind, type) and (
        issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind) or hasattr(kind, "model_fields")
    )
    if not is_record:
        return {}
    try:
        return {name: hint for name, hint in typing.get_type_hints(kind).items() if not name.startswith("_")}
    except (NameError, TypeError):
        return {}


SECRECY_CHECKS = (_secrets,)
