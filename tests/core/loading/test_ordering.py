"""Who waits for whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plughost.core.loading.ordering import Needs, plan_load


def test_dependencies_come_first_whatever_the_names() -> None:
    plan = plan_load({"a": Needs(requires=("b",)), "b": Needs(after=("c",)), "c": Needs()})
    assert plan.order == ("c", "b", "a")


def test_the_longest_chain_goes_first() -> None:
    needs = {"a": Needs(), "b": Needs(), "c": Needs(requires=("b",))}
    assert plan_load(needs).order[0] == "b"
    assert plan_load(needs, durations={"a": 9.0}).order[0] == "a"


def test_an_absent_after_is_no_matter() -> None:
    assert plan_load({"a": Needs(after=("gone",))}).order == ("a",)


def test_a_missing_requirement_is_a_reason_and_not_a_crash() -> None:
    plan = plan_load({"a": Needs(requires=("gone",)), "b": Needs(requires=("a",)), "c": Needs()})
    assert plan.order == ("c",)
    assert "requires 'gone', which is not installed" in str(plan.hopeless["a"])
    assert "requires 'a'" in str(plan.hopeless["b"])


def test_a_requirement_that_will_not_run_says_why() -> None:
    plan = plan_load({"a": Needs(requires=("b",))}, unavailable={"b": "disabled in the configuration"})
    assert "disabled in the configuration" in str(plan.hopeless["a"])


def test_a_circle_is_named_and_the_others_go_on() -> None:
    plan = plan_load(
        {"a": Needs(requires=("b",)), "b": Needs(after=("a",)), "c": Needs(requires=("a",)), "d": Needs()}
    )
    assert plan.order == ("d",)
    assert "circle" in str(plan.hopeless["a"])
    assert "a -> b" in str(plan.hopeless["a"]) or "b -> a" in str(plan.hopeless["a"])
    assert "requires 'a'" in str(plan.hopeless["c"])


@given(
    st.dictionaries(
        st.sampled_from("abcdefgh"),
        st.tuples(st.sets(st.sampled_from("abcdefghz")), st.sets(st.sampled_from("abcdefghz"))),
    )
)
def test_every_plugin_is_either_ordered_after_its_needs_or_hopeless(graph) -> None:
    needs = {name: Needs(requires=tuple(hard), after=tuple(soft)) for name, (hard, soft) in graph.items()}
    plan = plan_load(needs)
    assert set(plan.order) | set(plan.hopeless) == set(needs)
    assert not set(plan.order) & set(plan.hopeless)
    for place, name in enumerate(plan.order):
        before = set(plan.order[:place])
        assert set(needs[name].requires) <= before
        assert set(needs[name].after) & set(plan.order) <= before
