"""The questions of the template, with a default for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plughost._dataclasses import dataclass

TEMPLATE = Path(__file__).parent.parent.parent / "template"
"""The folder with the template: what `copier copy` is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateQuestion:
    """One question of the template.

    Attributes:
        name: What the answer is called in the files.
        text: The question; empty for one that is never asked.
        default: The answer when nobody says otherwise; a text is a template of its own.
        choices: What may be answered; empty for anything.
        multiple: Whether several of them may be.
        is_asked: Whether it is a question at all, and not something made of the other answers.
    """

    name: str
    text: str = ""
    default: Any = ""
    choices: tuple[str, ...] = ()
    multiple: bool = False
    is_asked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What ``copier.yml`` says, which is written so that it is JSON as well.

    Attributes:
        folder: The files to render.
        suffix: What a file that is rendered ends in.
        answers_file: Where the answers are kept.
        options: Options of the Jinja environment.
        questions: In the order in which they are asked.
    """

    folder: Path
    suffix: str
    answers_file: str
    options: Mapping[str, Any]
    questions: tuple[TemplateQuestion, ...]

    def question(self, name: str) -> TemplateQuestion:
        """Return the question of that name."""
        return next(question for question in self.questions if question.name == name)


def read_template(folder: Path = TEMPLATE) -> Template:
    """Read the questions and settings of the template."""
    said = json.loads((folder / "copier.yml").read_text(encoding="utf-8"))
    return Template(
        folder=folder / said["_subdirectory"],
        suffix=said["_templates_suffix"],
        answers_file=said["_answers_file"],
        options=said["_envops"],
        questions=tuple(
            TemplateQuestion(
                name=name,
                text=about.get("help", ""),
                default=about["default"],
                choices=tuple(about.get("choices", ())),
                multiple=about.get("multiselect", False),
                is_asked=about.get("when", True),
            )
            for name, about in said.items()
            if not name.startswith("_")
        ),
    )
