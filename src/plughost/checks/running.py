"""The grades of a running host's plugins: the same checks as the command line makes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from plughost.checks.candidates import candidates_of, project_of
from plughost.checks.catalogue import CHECKS
from plughost.checks.grades import GradeReport, grade_of
from plughost.checks.subject import Subject, import_subject
from plughost.contracts.logs import get_logger
from plughost.core.threads import run_in_daemon_thread
from plughost.host import Host

_log = get_logger("plughost.checks")


async def grades_of(host: Host, names: Collection[str] | None = None) -> Mapping[str, GradeReport]:
    """Check the plugins that ``host`` found, in a worker thread, and return the grade of each that runs.

    It reads and parses their source, which takes some tenths of a second: keep what it returns until a plugin
    is reloaded. A page that many look at is not the place for it.

    Args:
        host: Whose plugins.
        names: Which of them; None for all.
    """
    loaded = host.loaded_config
    candidates = await run_in_daemon_thread(candidates_of, None, loaded)
    asked = {
        name for name, record in host.plugins.items() if record.running and (names is None or name in names)
    }
    subjects = [await import_subject(one, loaded, project_of(one)) for one in candidates if one.name in asked]
    return await run_in_daemon_thread(_grades, subjects)


def _grades(subjects: list[Subject]) -> dict[str, GradeReport]:
    found: dict[str, GradeReport] = {}
    for subject in subjects:
        try:
            found[subject.name] = grade_of(subject, [check.run(subject) for check in CHECKS])
        except (
            Exception
        ) as error:  # a check that cannot cope with a plugin must not cost the others their grades
            _log.warning("plugin could not be graded", plugin=subject.name, exc_info=error)
    return found
