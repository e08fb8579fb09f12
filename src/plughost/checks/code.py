"""Checks of the imported plugin; it is not started."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from plughost.checks.findings import CheckProblem, check
from plughost.checks.repairs import set_on_card
from plughost.checks.subject import Subject, is_imported
from plughost.contracts.value_text import value_text
from plughost.core.calls.annotations import type_misfits
from plughost.core.calls.declaration import specs_of
from plughost.core.calls.declared import Implementation
from plughost.core.calls.marks import projects_marking
from plughost.core.calls.verify import options_of, shape_misfits
from plughost.exceptions import ConfigError, PluginError, did_you_mean
from plughost.hookspecs import PROJECT


@check(
    "import",
    "it can be imported within its limit and is a plugin",
    applies=lambda subject: subject.candidate.error is None,
)
def _import(subject: Subject) -> Iterator[CheckProblem]:
    if subject.error is not None:
        yield CheckProblem(message=str(subject.error))


@check("card", "its card says what its code does", applies=is_imported)
def _card(subject: Subject) -> Iterator[CheckProblem]:
    card, handle = subject.candidate.card, subject.handle
    said = {"requires": card.requires, "after": card.after, "host_api": card.host_api}
    done = {"requires": handle.requires, "after": handle.after, "host_api": handle.host_api}
    for key, promised in said.items():
        if promised and done[key] and promised != done[key]:
            yield CheckProblem(
                message=f"{key} is {_words(promised)} on the card and {_words(done[key])} in the code",
                advice="the card is enough: remove the other one, or make them alike",
            )
    listed, found = set(card.hooks), {one.hook for one in implementations_of(subject)}
    if listed and listed != found:
        differences = (("not listed:", found - listed), ("listed but not implemented:", listed - found))
        parts = [f"{what} {', '.join(sorted(names))}" for what, names in differences if names]
        yield CheckProblem(
            message=f"hooks of the card: {'; '.join(parts)}",
            advice="correct `hooks` on the card",
            repair=set_on_card(subject, "hooks", sorted(found)),
        )


@check("hooks", "its hook implementations fit their specs", applies=is_imported)
def _hooks(subject: Subject) -> Iterator[CheckProblem]:
    # Names of the hooks that modules of the plugin's own package declare, as far as they are imported
    package = subject.candidate.finding.reference.partition(":")[0].partition(".")[0]
    modules = [
        module
        for name, module in list(sys.modules.items())
        if name == package or name.startswith(f"{package}.")
    ]
    manager = subject.hooks.manager()
    own = {name for module in modules for name, _ in specs_of(manager, module)}
    known = [declaration.name for declaration in subject.hooks.declarations()]
    found = implementations_of(subject)
    project = subject.hooks.project
    others = sorted(projects_marking(subject.handle.target, "_impl") - {project, PROJECT})
    if others and not found:
        yield CheckProblem(
            message=f"its hooks are marked for {', '.join(others)}, which is not read here: none will be called",
            advice=f'mark them with HookimplMarker({project!r}), or write project = "{others[0]}" into [host]',
            level="warning",
        )
    for hook, function, opts, declaration in found:
        if declaration is not None:
            blocking = options_of(subject.handle.target, function).blocking
            for misfit in shape_misfits(declaration, function, opts, blocking):
                yield CheckProblem(message=f"hook {hook!r}: {misfit}")
        elif hook not in own and not opts.get("optionalhook"):
            yield CheckProblem(
                message=f"hook {hook!r} is not in the catalogue.{did_you_mean(hook, known)}",
                advice="mark it optionalhook=True if another plugin declares it; what the application declares is read "
                "from hookspecs in [host]",
                level="warning",
            )


@check("hook-types", "the types of its hook implementations fit their specs", applies=is_imported)
def _hook_types(subject: Subject) -> Iterator[CheckProblem]:
    for hook, function, opts, declaration in implementations_of(subject):
        if declaration is not None and not (opts.get("wrapper") or opts.get("hookwrapper")):
            for misfit in type_misfits(declaration, function):
                yield CheckProblem(message=f"hook {hook!r}: {misfit.message}", advice=misfit.advice)


@check("deprecated-hooks", "it implements no deprecated hook", applies=is_imported)
def _deprecated(subject: Subject) -> Iterator[CheckProblem]:
    here, beside = subject.hooks.deprecations(), subject.hooks.absent.deprecations()
    for hook, _, _, declaration in implementations_of(subject):
        old = beside if declaration is not None and not declaration.foreign and hook not in here else here
        if hook in old:
            yield CheckProblem(message=f"hook {hook!r} is deprecated: {old[hook]}", level="warning")


@check("config-class", "a configuration can be made into its Config", applies=is_imported)
def _config_class(subject: Subject) -> Iterator[CheckProblem]:
    """A configuration of nothing at all tells the class's own faults from settings that are missing."""
    place = f"plugins.{subject.name}.config"
    try:
        subject.loaded.decode_plugin(subject.name, subject.handle.config_class, {})
    except ConfigError as error:
        for problem in error.problems:
            if problem.path.strip('"') == place or problem.message.startswith("the annotations"):
                yield CheckProblem(message=problem.message)
    except PluginError as error:
        yield CheckProblem(message=str(error))


@check(
    "configuration",
    "the present configuration fits its Config",
    applies=lambda subject: subject.is_imported and subject.loaded.section_of(subject.name) is not None,
)
def _configuration(subject: Subject) -> Iterator[CheckProblem]:
    try:
        subject.loaded.decode_plugin(subject.name, subject.handle.config_class, subject.candidate.wish.config)
    except ConfigError as error:
        for problem in error.problems:
            yield CheckProblem(message=str(problem))


def implementations_of(subject: Subject) -> list[Implementation]:
    """Return each hook implementation in an imported plugin."""
    return list(subject.hooks.implementations(subject.handle.target))


def _words(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else value_text(value)


CODE_CHECKS = (_import, _card, _hooks, _hook_types, _deprecated, _config_class, _configuration)
