"""Does it wait where it must not, or longer than anybody would?"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from plughost.checks.findings import CheckProblem, check
from plughost.checks.source import sources_of
from plughost.checks.subject import Subject, is_imported

_BLOCKING = {
    "time.sleep": "await anyio.sleep(...)",
    "os.system": "await anyio.run_process(...)",
    "subprocess.run": "await anyio.run_process(...)",
    "subprocess.call": "await anyio.run_process(...)",
    "subprocess.check_call": "await anyio.run_process(...)",
    "subprocess.check_output": "await anyio.run_process(...)",
    "urllib.request.urlopen": "an asynchronous HTTP client",
    "socket.create_connection": "await anyio.connect_tcp(...)",
    "socket.gethostbyname": "await anyio.getaddrinfo(...)",
    "sqlite3.connect": "a worker thread",
    "builtins.input": "a setting",
}
"""Calls that stop the event loop, and with it everybody else -> what to do instead."""

_BLOCKING_MODULES = {"requests": "an asynchronous HTTP client"}

_NEEDS_TIMEOUT = frozenset(
    {
        "requests.get",
        "requests.post",
        "requests.put",
        "requests.patch",
        "requests.delete",
        "requests.head",
        "requests.request",
        "subprocess.run",
        "subprocess.call",
        "subprocess.check_call",
        "subprocess.check_output",
        "urllib.request.urlopen",
        "socket.create_connection",
    }
)
"""Calls that wait for ever unless they are told how long."""

_FOREVER = frozenset({"anyio.sleep_forever", "trio.sleep_forever"})


@check("blocking-calls", "no async function of it stops the event loop", applies=is_imported)
def _blocking_calls(subject: Subject) -> Iterator[CheckProblem]:
    for file, tree in sources_of(subject):
        names = _imported(tree)
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
        for function, call in ((one.name, call) for one in functions for call in _own_calls(one)):
            name = _full_name(call.func, names)
            instead = _BLOCKING.get(name) or _BLOCKING_MODULES.get(name.partition(".")[0])
            if instead is not None:
                yield CheckProblem(
                    message=f"{file.name}, line {call.lineno}: {name}() in async {function}() stops the whole host",
                    advice=f"use {instead}, a plain function marked blocking=True, or anyio.to_thread.run_sync",
                )


@check("unbounded-waits", "it waits for nothing without a limit", applies=is_imported)
def _unbounded_waits(subject: Subject) -> Iterator[CheckProblem]:
    for file, tree in sources_of(subject):
        names = _imported(tree)
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = _full_name(call.func, names)
            if said := _endless(name, call):
                yield _unbounded(file.name, call.lineno, said)
        for function in _phases(tree):
            for call in _own_calls(function):
                if _full_name(call.func, names) in _FOREVER:
                    yield _unbounded(file.name, call.lineno, f"{function.name}() never returns")


def _endless(name: str, call: ast.Call) -> str:
    for keyword in call.keywords:
        if (
            keyword.arg == "timeout"
            and isinstance(keyword.value, ast.Constant)
            and keyword.value.value is None
        ):
            return f"{name or 'a call'}(timeout=None) waits for ever"
    given = {keyword.arg for keyword in call.keywords}
    if name in _NEEDS_TIMEOUT and not given & {"timeout", None}:
        return f"{name}() waits for ever unless it is given a timeout"
    return ""


def _unbounded(file: str, line: int, said: str) -> CheckProblem:
    return CheckProblem(
        message=f"{file}, line {line}: {said}",
        advice="give it a limit that its callers can live with; long work belongs into context.spawn(...)",
        level="warning",
    )


def _phases(tree: ast.AST) -> Iterator[ast.AsyncFunctionDef]:
    """Functions that somebody waits for: phases of a plugin's life, and hooks."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef):
            # Of a name that ends so: programs on pluggy call their markers impl or hook_impl as well.
            marked = any("impl'" in ast.dump(decorator) for decorator in node.decorator_list)
            if marked or node.name in {"start", "stop", "check_config"}:
                yield node


def _own_calls(function: ast.AST) -> Iterator[ast.Call]:
    """Calls it makes itself; what it only defines may run in a thread, or in a task of its own."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _own_calls(child)


def _imported(tree: ast.AST) -> dict[str, str]:
    """Name in the file -> what it stands for."""
    names: dict[str, str] = {"input": "builtins.input"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _full_name(function: ast.expr, names: dict[str, str]) -> str:
    """Dotted name of what is called, imports followed; empty when it is not a plain name."""
    parts: list[str] = []
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if not isinstance(function, ast.Name) or function.id not in names:
        return ""
    return ".".join([names[function.id], *reversed(parts)])


WAIT_CHECKS = (_blocking_calls, _unbounded_waits)
