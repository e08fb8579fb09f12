"""The template and the answers become files."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from plughost.cli.scaffold.questions import Template


def environment(template: Template) -> Any:
    """Return the Jinja environment that Copier would make.

    Raises:
        click.ClickException: Jinja is not installed.
    """
    try:
        from jinja2 import StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment
    except ModuleNotFoundError:
        raise click.ClickException(
            "new plugins are made with Jinja, which is not installed: pip install 'plughost[dev]'"
        ) from None
    made = SandboxedEnvironment(undefined=StrictUndefined, **template.options)

    def yaml(answers: Mapping[str, Any]) -> str:
        """Write answers as YAML: texts in double quotes, lists with dashes, which is what JSON and YAML share."""
        lines: list[str] = []
        for key, value in sorted(answers.items()):
            if isinstance(value, list | tuple):
                lines += [f"{key}:", *(f"- {json.dumps(one)}" for one in value)]
            else:
                lines.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
        return "\n".join(lines) + "\n"

    made.filters["to_nice_yaml"] = yaml
    return made


def complete(template: Template, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers to all questions, those that are made of others included."""
    made = environment(template)
    found: dict[str, Any] = {}
    for question in template.questions:
        given = answers.get(question.name, question.default)
        is_default = question.name not in answers and isinstance(given, str)
        found[question.name] = made.from_string(given).render(found) if is_default else given
    return found


def render(template: Template, answers: Mapping[str, Any], target: Path) -> list[Path]:
    """Write the files of the template to the folder ``target``, all or none; return them, relative, sorted.

    Raises:
        FileExistsError: ``target`` is there already.
    """
    if target.exists() or target.is_symlink():
        raise FileExistsError(
            f"{target} is there already, and nothing is ever overwritten: choose another --path"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name, text in rendered(template, answers).items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).write_text(text, encoding="utf-8")
        aside.chmod(0o755)  # the temporary folder was for its owner alone
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return sorted(path.relative_to(target) for path in target.rglob("*") if path.is_file())


def rendered(template: Template, answers: Mapping[str, Any]) -> dict[str, str]:
    """Return path and text of each file."""
    made = environment(template)
    known = dict(answers)
    known["_copier_conf"] = {"answers_file": template.answers_file}
    known["_copier_answers"] = {
        question.name: answers[question.name] for question in template.questions if question.is_asked
    }
    files: dict[str, str] = {}
    for source in sorted(template.folder.rglob("*")):
        if source.is_file():
            inner = source.relative_to(template.folder).as_posix()
            name = made.from_string(inner.removesuffix(template.suffix)).render(known)
            if not name or name.endswith("/"):
                continue  # a name that comes to nothing leaves its file out
            text = source.read_text(encoding="utf-8")
            files[name] = made.from_string(text).render(known) if inner.endswith(template.suffix) else text
    return files
