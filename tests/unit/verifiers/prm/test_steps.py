"""Steps, their tokens, and the sums in them."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import Candidate, Completion, Finish, Problem, Score, TokenLogprob, UserError, Verdict
from nlrl.verifiers.prm.align import tokens_by_step
from nlrl.verifiers.prm.arithmetic import check_equations, numbers_in
from nlrl.verifiers.prm.confidence import ConfidencePRM
from nlrl.verifiers.prm.features import FEATURES, step_features
from nlrl.verifiers.prm.steps import step_ends, step_score, steps_of

PROBLEM = Problem("Ann has 3 apples and buys 4. How many has she?", reference="7")


def tokens(*parts: str, logprob: float = -0.5) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(p, logprob) for p in parts)


def score(verifier, text: str, logprobs=None) -> Score:
    candidate = Candidate("s0", Completion(text, Finish.LENGTH, 1, logprobs=logprobs), None)
    return asyncio.run(verifier.score(PROBLEM, [candidate]))[0]


# --- steps


@given(st.text())
def test_a_prefix_at_a_step_end_has_exactly_the_steps_so_far(text):
    steps, ends = steps_of(text), step_ends(text)
    assert len(steps) == len(ends) and all(s and s == s.strip() for s in steps)
    for k, end in enumerate(ends):
        assert steps_of(text[:end]) == steps[: k + 1]


@given(st.text())
def test_features_are_one_row_a_step_and_know_only_the_past(text):
    rows = step_features(PROBLEM, text)
    assert len(rows) == len(steps_of(text)) and all(len(row) == len(FEATURES) for row in rows)
    ends = step_ends(text)
    if len(ends) > 1:
        before = step_features(PROBLEM, text[: ends[-2]])
        assert repr(before) == repr(rows[:-1])  # repr: NaN equals NaN


def test_huge_texts_take_linear_time():
    text = "\n".join(f"{i} + {i} = {2 * i}" for i in range(3_000)) + "\n" + "9" * 200_000 + "=" * 100_000
    assert len(step_features(PROBLEM, text)) == 3_001


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.5], "wrong_count"),
        ([0.5, math.nan], "not_a_number"),
        ([math.inf, 0.2], "not_a_number"),
        ([0.5, 1.5], "out_of_range"),
        ([-0.5, 1.0], "out_of_range"),
    ],
)
def test_values_that_make_no_sense_are_an_abstention_with_a_name(values, kind):
    found = step_score(values, 2, "r")
    assert (found.value, found.verdict, found.steps) == (0.5, Verdict.ABSTAIN, ()) and found.reason.startswith(
        kind + ":"
    )


def test_the_value_is_that_of_the_last_step():
    assert step_score([0.2, 0.9], 2, "r") == Score(0.9, Verdict.ABSTAIN, (0.2, 0.9), "r")
    assert step_score([], 0, "r").reason.startswith("no_steps")


# --- tokens and steps


def test_the_newline_that_ended_a_step_has_no_token():
    groups = tokens_by_step("a b\nc\n", tokens("a", " b", "c"))
    assert [[t.token for t in g] for g in groups] == [["a", " b"], ["c"]]


def test_newline_tokens_belong_to_the_step_before():
    groups = tokens_by_step("a b\n\n c d", tokens("a", " b", "\n\n", " c", " d"))
    assert [[t.token for t in g] for g in groups] == [["a", " b", "\n\n"], [" c", " d"]]


def test_special_and_broken_tokens_are_passed_over():
    groups = tokens_by_step("a é b\nc", tokens("<s>", "a", "\ufffd", " b", "c", "</s>"))
    assert [[t.token for t in g] for g in groups] == [["a", " b"], ["c"]]


@given(st.lists(st.sampled_from(["a", " b", "cd", "\n", " ", "\n\n", "é", "="]), max_size=40), st.booleans())
def test_every_token_lands_in_one_step_in_order(parts, drop_newlines):
    text = "".join(parts)
    given_tokens = tokens(*(p for p in parts if not (drop_newlines and not p.strip())))
    groups = tokens_by_step(text, given_tokens)
    assert len(groups) == len(steps_of(text))
    for step, group in zip(steps_of(text), groups, strict=True):
        assert "".join("".join(t.token for t in group).split()) == "".join(step.split())


# --- sums


@pytest.mark.parametrize(
    ("line", "right", "wrong", "unknown"),
    [
        ("3 * 4 + 1 = 13", 1, 0, 0),
        ("So 3 apples + 4 apples = 8 apples", 0, 1, 0),
        ("48/2 = 24 clips, then 48 + 24 = 73.", 1, 1, 0),
        ("$1,200 + $300 = $1,500", 1, 0, 0),
        (r"\frac{1}{2} + \frac{1}{3} = \frac{5}{6}", 1, 0, 0),
        ("5 x 3 = 15", 1, 0, 0),
        ("5 × 3 − 1 = 14", 1, 0, 0),
        ("10 / 3 = 3.33", 1, 0, 0),
        ("10 / 3 = 3.43", 0, 1, 0),
        ("10 / 3 = 3", 0, 1, 0),
        ("7 - 9 = -2", 1, 0, 0),
        ("(3 + 4) * 2 = 14 = 7 * 2", 1, 0, 1),
        ("2x + 3 = 7", 0, 0, 1),
        ("x + 3 - 1 = 7", 0, 0, 1),
        ("2 + 3 = 5x", 0, 0, 1),
        ("x = 5", 0, 0, 1),
        ("6 / 0 = 3", 0, 0, 1),
        ("9 ** 9 ** 9 ** 9 = 3", 0, 0, 1),
        ("no sums here", 0, 0, 0),
        ("= = =", 0, 0, 3),
    ],
)
def test_sums_are_judged_exactly_or_left_alone(line, right, wrong, unknown):
    found = check_equations(line)
    assert (found.right, found.wrong, found.unknown) == (right, wrong, unknown)


@given(st.integers(-999, 999), st.integers(-999, 999), st.sampled_from("+-*"), st.integers(-3, 3))
def test_two_numbers_against_python(a, b, op, off):
    value = {"+": a + b, "-": a - b, "*": a * b}[op]
    found = check_equations(f"({a}) {op} ({b}) = {value + off}")
    assert (found.right, found.wrong) == ((1, 0) if off == 0 else (0, 1))


@given(st.text(alphabet="0123456789+-*/^()=.,x$% \\ab", max_size=200))
def test_no_line_is_too_odd(line):
    check_equations(line)
    numbers_in(line)


# --- confidence


def test_each_line_has_its_own_confidence():
    text = "a b\nc d\nFinal Answer: 7"
    sure = (*tokens("a", " b", logprob=-0.1), *tokens("c", " d", logprob=-2.0))
    sure += tokens("Final", " Answer", ":", " 7", logprob=-0.01)
    found = score(ConfidencePRM(), text, sure)
    assert found.steps == pytest.approx((math.exp(-0.1), math.exp(-2), math.exp(-0.01)))
    assert found.value == found.steps[-1] and found.verdict is Verdict.ABSTAIN


def test_so_far_takes_all_up_to_the_line():
    sure = (*tokens("a", logprob=-1.0), *tokens("b", logprob=-3.0))
    assert score(ConfidencePRM(over="so_far"), "a\nb", sure).steps == pytest.approx((math.exp(-1), math.exp(-2)))


@pytest.mark.parametrize("measure", ["mean_logprob", "self_certainty", "lowest_group"])
def test_all_measures_rank_a_sure_line_above_an_unsure_one(measure):
    def token(text: str, p: float) -> TokenLogprob:
        return TokenLogprob(text, math.log(p), ((text, math.log(p)), ("other", math.log((1 - p) / 4))))

    found = score(ConfidencePRM(measure), "a\nb", (token("a", 0.99), token("b", 0.4)))
    assert 0 <= found.steps[1] < found.steps[0] <= 1


def test_without_logprobs_it_abstains_and_half_covered_texts_go_on():
    assert score(ConfidencePRM(), "a\nb").reason.startswith("no_logprobs")
    assert score(ConfidencePRM(), "a\nb\nc", tokens("a")).reason.startswith("no_logprobs")
    assert score(ConfidencePRM(), "a\nb", tokens("a", logprob=-1.0)).steps == pytest.approx((math.exp(-1),) * 2)
    assert score(ConfidencePRM(), "a", (TokenLogprob("a", math.nan),)).reason.startswith("no_logprobs")
    assert score(ConfidencePRM(), " \n ").reason.startswith("no_steps")


def test_options_are_checked():
    with pytest.raises(UserError, match="measure must be"):
        ConfidencePRM("luck")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="window"):
        ConfidencePRM(window=0)


def test_it_follows_what_branch_grows():
    from nlrl.compute import Compute
    from nlrl.core import Sampling
    from nlrl.testing import ScriptedModel

    async def grow():
        said = {"": "one two\nthree", "one two\n": "three four\nfive"}
        model = ScriptedModel(lambda request, index: said.get(request.prefill, "Final Answer: 7"))
        compute = Compute(model)
        stems = [None]
        for _ in range(3):
            ((stem,),) = await compute.branch(PROBLEM, stems, sampling=Sampling(logprobs=2))
            stems = [stem]
        return (await ConfidencePRM().score(PROBLEM, [stem]))[0], stem.text

    found, text = asyncio.run(grow())
    assert steps_of(text) == ["one two", "three four", "Final Answer: 7"]
    assert found.steps == pytest.approx((math.exp(-0.1),) * 3)
