import keyword
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nlrl.core import UnknownName, UserError
from nlrl.strategies import StrategySpec, get_strategy, parse_strategy, strategies, todays_name

names = st.from_regex(r"[a-z][a-z_0-9]{0,12}", fullmatch=True).filter(lambda s: not keyword.iskeyword(s))
values = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none(), st.text(max_size=20)
)


@example(StrategySpec("a", {"a": "\ufb00"}))
@given(st.builds(StrategySpec, names, st.dictionaries(names, values, max_size=4)))
def test_specs_are_printed_and_parsed_without_loss(spec):
    again = parse_strategy(str(spec))
    assert again == spec
    assert [type(v) for v in again.parameters.values()] == [type(again.parameters[k]) for k in again.parameters]
    assert all(type(again.parameters[k]) is type(v) for k, v in spec.parameters.items())
    assert str(again) == str(spec)


def test_canonical_form_sorts_parameters():
    assert str(parse_strategy(" best_of_n( select = weighted , n=16 ) ")) == "best_of_n(n=16, select=weighted)"


@pytest.mark.parametrize(
    "text",
    ["", "  ", "best of n", "a.b(n=1)", "f(8)", "f(**x)", "f(n=[1])", "f(n=1)(2)", "f(n=1e999)", "1+1", "f(" * 500],
)
def test_what_cannot_be_read_is_refused_with_an_example(text):
    with pytest.raises(UserError, match="best_of_n"):
        parse_strategy(text)


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text):
    with suppress(UserError):
        parse_strategy(text)


def test_unknown_names_come_with_the_nearest():
    with pytest.raises(UnknownName, match="self_consistency"):
        get_strategy("self_consistancy(n=4)")
    with pytest.raises(UnknownName, match="threshold"):
        get_strategy("adaptive_consistency(treshold=0.9)")


@pytest.mark.parametrize("text", ["best_of_n(n=0)", "best_of_n(n=-3)", "best_of_n(n=many)", "best_of_n(n=2.5)"])
def test_counts_must_be_positive_whole_numbers(text):
    with pytest.raises(UserError, match="whole number"):
        get_strategy(text)


def test_every_registered_strategy_exists_and_says_what_it_does():
    about = strategies()
    assert {"direct", "best_of_n", "weighted_vote", "self_consistency", "adaptive_consistency", "self_refine"} <= set(
        about
    )
    assert all(about.values())


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ("best_of_n", "weighted_vote"),
        ("best_of_n(n=8)", "weighted_vote(n=8)"),
        ("best_of_n(n=8, select=weighted, verifier=judge)", "weighted_vote(n=8, verifier=judge)"),
        ("best_of_n(n=8, select=best)", "best_of_n(n=8, select=best)"),
        ("self_consistency(n=8)", "self_consistency(n=8)"),
        ("panel", "panel"),
        ("improved prompt (6)", "improved prompt (6)"),
    ],
)
def test_a_vote_weighted_by_scores_is_called_that_however_it_was_recorded(recorded, shown):
    assert todays_name(recorded) == shown
