"""Programs that nobody here wrote, with plugins that nobody here wrote: on a host they say what they say on pluggy.

``tox -e conformance-programs`` runs all of it, ``.ci/run`` datasette alone. What was compared is printed with ``-s``.
"""

import importlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pluggy
import pytest

from plughost import Host

sys.path.insert(0, str(Path(__file__).parent.parent))
from misbehaved import MISDEEDS, install

MOVED = Path(__file__).with_name("moved.py")
LEAST = {"datasette": 8, "kedro": 1, "llm": 4, "pytest": 1, "tox": 1}
"""How many plugins of its own ecosystem each program must have loaded, beside those it brings."""


def run(program, mode, folder="", seconds=600):
    environ = os.environ | {"PYTHONPATH": str(folder), "MOVED_LOAD_TIMEOUT": "5" if folder else "30"}
    command = [sys.executable, MOVED, mode, program]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=seconds, check=False)


def said(done):
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.rstrip().rpartition("\n")[2])


CATALOGUES = {
    "datasette": "datasette.hookspecs",
    "devpiclient": "devpi.hookspecs",
    "hatch": "hatchling.plugin.specs",
    "kedro": "kedro.framework.hooks.specs",
    "llm": "llm.hookspecs",
    "pylsp": "pylsp.hookspecs",
    "pytest": "_pytest.hookspec",
    "sqlite_utils": "sqlite_utils.hookspecs",
    "tox": "tox.plugin.spec",
}
"""Where hosts of the field declare their hooks, by the name in their markers."""


@pytest.mark.parametrize("project", CATALOGUES)
def test_a_catalogue_of_the_field_is_accepted_whole(project):
    module = importlib.import_module(CATALOGUES[project])
    spaces = [value for name, value in vars(module).items() if name.endswith("Specs")] or [module]
    bare = pluggy.PluginManager(project)
    for space in spaces:
        bare.add_hookspecs(space)
    host = Host.for_pluggy(project, spaces, config={}, environ={})
    declared = {name for name in dir(bare.hook) if not name.startswith("_")}
    assert declared
    assert {name for name in dir(host.pluggy.hook) if not name.startswith("_")} == declared
    for name in declared:
        assert getattr(host.hooks, name)
        assert getattr(host.sync_hooks, name)
    print(f"\n{project}: a catalogue of {len(declared)} hooks accepted")


@cache
def said_by(program, mode):
    return said(run(program, mode))


def foreign(program, answer):
    return [name for name in answer["plugins"] if not name.startswith((f"{program}.", "Trace", "toxfile"))]


def in_any_order(answer):
    """Leave out the one difference that is accepted: in which order equal plugins add their lines to a page.

    pluggy asks distributions in the order in which they lie on the disk; a host loads them in the order of their
    names, so that every machine has the same.
    """
    if isinstance(answer, str):
        return answer.splitlines()
    return [sorted(part.splitlines()) if isinstance(part, str) else part for part in answer]


@pytest.mark.parametrize("mode", ["pluggy", "hooks"])
@pytest.mark.parametrize("program", LEAST)
def test_a_program_says_the_same_on_a_host(program, mode, record_property):
    own, moved = said_by(program, "own"), said_by(program, mode)
    assert not moved.get("report"), moved["report"]
    assert moved["plugins"] == own["plugins"]
    assert len(foreign(program, own)) >= LEAST[program]
    assert own["answers"]
    for asked, answer in own["answers"].items():
        assert in_any_order(moved["answers"][asked]) == in_any_order(answer), asked
    record_property("plugins", foreign(program, own))
    print(
        f"\n{program} through {mode}: {len(foreign(program, own))} plugins, {len(own['answers'])} answers equal"
    )


def test_datasette_serves_with_plugins_that_would_end_it(tmp_path):
    answers = said(run("datasette", "hooks", install(tmp_path, "datasette", *MISDEEDS)))
    assert answers["report"].keys() == MISDEEDS.keys()
    assert answers["answers"]["/shop/goods.json"][0] == 200


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_on_its_own_manager_each_of_them_ends_it(tmp_path, misdeed):
    folder = install(tmp_path, "datasette", misdeed)
    if misdeed == "hanging":
        with pytest.raises(subprocess.TimeoutExpired):
            run("datasette", "own", folder, seconds=30)
    else:
        assert run("datasette", "own", folder).returncode != 0
