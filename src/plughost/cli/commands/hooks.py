"""``plughost hooks``: which hooks there are, who implements them, and what was observed where they do not enforce."""

from __future__ import annotations

import inspect

import click
import msgspec

from plughost.cli.documents import Document
from plughost.cli.program import Program, verbose_option
from plughost.cli.tables import local_time, seconds, table
from plughost.contracts.commands import json_option
from plughost.contracts.counting import counted
from plughost.core.calls.declaration import Declaration
from plughost.core.calls.declared import HookSetup, declared_in
from plughost.core.finding.survey import survey
from plughost.core.observed import ObservedHook, observed_in
from plughost.exceptions import UnknownHookError, did_you_mean
from plughost.host import Host


@click.command()
@json_option
@verbose_option
@click.option(
    "--started", is_flag=True, help="Start the host: shows plugins' own hooks and who implements what."
)
@click.option(
    "--observed",
    is_flag=True,
    help="Show what plugins with enforce = false would have decided, in hosts that run or ran here.",
)
@click.argument("name", required=False)
@click.pass_obj
def hooks(program: Program, name: str | None, started: bool, observed: bool) -> None:
    """List the hooks of the catalogue and the application, or show all that is promised about hook NAME.

    Without --started, who implements a hook is what the plugins' cards say.
    """
    if observed:
        _show_observed(program, name)
        return
    documents = program.run(_of_running_host) if started else _of_cards(program)
    if name is None:
        rows = [
            (
                document["name"],
                document["mode"],
                seconds(document["timeout"]),
                ", ".join(document["arguments"]),
                ", ".join(document["implemented_by"]),
            )
            for document in documents
        ]
        text = table(("HOOK", "MODE", "LIMIT", "ARGUMENTS", "IMPLEMENTED BY"), rows)
        program.show({"hooks": documents}, text)
        return
    found = next((document for document in documents if document["name"] == name), None)
    if found is None:
        hint = did_you_mean(name, [document["name"] for document in documents])
        raise UnknownHookError(
            f"nobody declares a hook {name!r}.{hint} Hooks of plugins are seen with --started", hook=name
        )
    head = click.style(found["name"] + found["signature"], bold=True)
    facts = f"{found['mode']}, limit {seconds(found['timeout'])}, on error {found['on_error']}"
    nobody = "nobody" if started else "nobody whose card tells it; --started asks the plugins themselves"
    who = ", ".join(found["implemented_by"]) or nobody
    program.show(found, f"{head}\n{facts}; implemented by {who}\n\n{found['description']}")


def _show_observed(program: Program, name: str | None) -> None:
    observed = observed_in(program.load_config().data_dir)
    rows = [row for row in observed if name in (None, row.hook)]

    def told(row: ObservedHook) -> str:
        head = click.style(f"{row.hook}: {row.plugin}", bold=True)
        cases = [f"  {local_time(case.at)}  {case.what}" for case in row.last]
        return "\n".join([f"{head}, {counted(row.count, 'case')} since {local_time(row.since)}", *cases])

    said = "\n\n".join(map(told, rows))
    if not said:
        known = {row.hook for row in observed} | {document["name"] for document in _of_cards(program)}
        which = "any hook" if name is None else f"hook {name!r}"
        hint = "" if name is None or name in known else did_you_mean(name, known)
        said = (
            f"Nothing was observed of {which}.{hint} What plugins decide and refuse is written down, a second later,"
            " when their tables of the configuration say enforce = false."
        )
    program.show({"observed": msgspec.to_builtins(rows)}, said)


def _of_cards(program: Program) -> list[Document]:
    loaded = program.load_config()
    candidates = [one for one in survey(loaded) if one.wanted]
    return [
        _document(declaration, [one.name for one in candidates if declaration.name in one.card.hooks])
        for declaration in HookSetup.of(loaded.config.host).declarations()
    ]


async def _of_running_host(host: Host) -> list[Document]:
    records = host.plugins.values()
    return [
        _document(declaration, [record.name for record in records if declaration.name in record.hooks])
        for declaration in declared_in(host.pluggy, host.hook_setup.terms)
    ]


def _document(declaration: Declaration, implementers: list[str]) -> Document:
    options = declaration.options
    return {
        "name": declaration.name,
        "family": declaration.origin.rpartition(".")[2],
        "origin": declaration.origin,
        "mode": options.mode,
        "timeout": options.timeout,
        "on_error": options.on_error,
        "sync": options.sync,
        "arguments": declaration.arguments,
        "signature": str(inspect.signature(declaration.function)),
        "description": inspect.getdoc(declaration.function) or "",
        "implemented_by": implementers,
    }
