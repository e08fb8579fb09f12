"""What a plugin registered is undone once, last first, and nothing is taken afterwards."""

from __future__ import annotations

import pytest

from plughost.core.loading.ledger import Ledger
from plughost.exceptions import PluginGoneError


def effect(log: list[str], name: str, *, fails: bool = False):
    def undo() -> None:
        log.append(f"-{name}")
        if fails:
            raise RuntimeError(name)

    def apply():
        log.append(f"+{name}")
        return undo

    return apply


def test_effects_happen_at_commit_and_are_undone_in_reverse() -> None:
    log: list[str] = []
    ledger = Ledger("p")
    ledger.add(effect(log, "a"))
    ledger.add(effect(log, "b"))
    assert log == []
    ledger.commit()
    ledger.add(effect(log, "c"))
    assert ledger.undo() == []
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]


def test_a_second_undo_does_nothing() -> None:
    log: list[str] = []
    ledger = Ledger("p")
    ledger.add(effect(log, "a"))
    ledger.commit()
    ledger.undo()
    ledger.undo()
    assert log.count("-a") == 1


def test_what_was_never_committed_leaves_no_trace() -> None:
    log: list[str] = []
    ledger = Ledger("p")
    ledger.add(effect(log, "a"))
    ledger.undo()
    assert log == []


def test_a_failing_undo_keeps_no_other_from_happening() -> None:
    log: list[str] = []
    ledger = Ledger("p")
    ledger.add(effect(log, "a"))
    ledger.add(effect(log, "b", fails=True))
    ledger.commit()
    (failure,) = ledger.undo()
    assert str(failure) == "b"
    assert log[-1] == "-a"


def test_a_commit_that_fails_half_way_undoes_the_first_half() -> None:
    log: list[str] = []
    ledger = Ledger("p")
    ledger.add(effect(log, "a"))
    ledger.add(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ledger.commit()
    assert log == ["+a", "-a"]


def test_a_closed_ledger_refuses_and_says_why() -> None:
    ledger = Ledger("late")
    ledger.undo()
    with pytest.raises(PluginGoneError, match="'late' is not running any more"):
        ledger.add(lambda: None)
