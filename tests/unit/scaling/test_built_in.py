"""The built-in policy: revisions for easy problems, best of N for harder ones, sized by this model's own lengths."""

import asyncio
import random
from itertools import pairwise

import pytest

from nlrl.compute import Compute
from nlrl.core import Budget, Candidate, Completion, Finish, Phase, Problem, Sampling, Score, TaskType
from nlrl.scaling.auto import follow, within
from nlrl.scaling.built_in import EASY, HARD, MEDIUM, Lengths, lengths_of, strategy_for, ways
from nlrl.scaling.policy import Bin, Option, Policy, default_policy, load_policy, save_policy
from nlrl.strategies import attempts_of, parse_strategy, solve
from nlrl.testing import ScriptedModel
from nlrl.testing.scripted import Reply

PROBLEM = Problem("What is 17 + 25?", task_type=TaskType.MATH)
SHORT, LONG = Lengths(50, 20.0, 30), Lengths(50, 200.0, 300)


class Likes42:
    """A reward model that knows."""

    async def score(self, problem, candidates):
        return [Score(0.9 if c.answer == "42" else 0.1) for c in candidates]


def writer(words, wrong=0.0):
    """Answers in so many words, wrongly in that share of the draws."""

    def reply(request, index):
        luck = random.Random(f"{len(request.messages)}:{index}").random()
        return " ".join(["so"] * words) + f"\nFinal Answer: {100 + index if luck < wrong else 42}"

    return ScriptedModel(reply)


def auto(model, known=None, *, verifier=None, samples=None, **budget):
    compute = Compute(model, budget=Budget(**budget), verifier=verifier, sampling=Sampling(max_tokens=300))
    return asyncio.run(follow(default_policy(), PROBLEM, compute, known=known, samples=samples))


def way_of(answer):
    return next(note for note in answer.notes if "bin " in note).split(": ", 1)[1].rstrip(".")


@pytest.mark.parametrize(("known", "way"), [(0.9, "revisions"), (0.5, "best_of_n"), (0.1, "best_of_n")])
def test_revisions_where_it_is_easy_and_best_of_n_where_it_is_harder(known, way):
    answer = auto(writer(5), known, verifier=Likes42())
    spec = parse_strategy(way_of(answer))
    assert spec.name == way and spec.parameters["select"] == "best"
    assert answer.usage.total.calls == {0.9: 4, 0.5: 16, 0.1: 32}[known]


def test_without_a_verifier_best_of_n_is_the_vote_that_does_better():
    assert way_of(auto(writer(5), 0.1)) == "weighted_vote(n=32)"
    assert way_of(auto(writer(5), 0.9)) == "revisions(chains=1, n=4)"


def test_a_probe_that_agrees_is_revised_and_one_that_does_not_is_widened():
    easy, hard = auto(writer(5)), auto(writer(5, wrong=1.0))
    assert way_of(easy) == "revisions(chains=2, n=4)" and easy.usage.total.calls == 4 + 2
    assert way_of(hard) == "weighted_vote(n=32)" and hard.usage.total.calls == 32
    assert easy.usage.phases[Phase.PROBE].calls == hard.usage.phases[Phase.PROBE].calls == 4


@pytest.mark.parametrize("known", [None, 0.1])
def test_the_same_budget_holds_more_of_the_attempts_of_a_model_that_writes_less(known):
    """Not a fixed number of tokens decides, but what the first attempts were long."""
    short, long = (auto(writer(words, wrong=1.0), known, tokens=2500) for words in (8, 180))
    few, many = (attempts_of(way_of(answer)) for answer in (long, short))
    assert few < 16 < many == 32
    for answer in (short, long):
        assert answer.usage.tokens <= 2500
        assert any("Sized by " in note and "of 2500 tokens" in note for note in answer.notes)


def test_a_first_attempt_that_was_measured_is_one_of_those_that_are_made():
    answer = auto(writer(5), 0.1, tokens=20_000)
    assert answer.usage.total.calls == 32 and answer.usage.phases[Phase.PROBE].calls == 1
    assert len({c.id for c in answer.candidates}) == 32


def test_a_budget_for_nothing_more_leaves_it_at_what_there_is():
    answer = auto(writer(180, wrong=1.0), tokens=1500)
    assert way_of(answer) == "self_consistency(n=4)" and answer.usage.total.calls == 4
    assert auto(writer(180), 0.9, tokens=400).usage.total.calls == 1


@pytest.mark.parametrize("lengths", [SHORT, LONG])
@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("at", [EASY, MEDIUM, HARD])
def test_each_way_costs_more_than_those_before_it(at, heads, judged, lengths):
    found = ways(at, lengths, judged=judged, heads=heads)
    assert len(found) >= 2
    assert all(a.tokens < b.tokens and a.most < b.most for a, b in pairwise(found))
    assert all(w.tokens <= w.most for w in found)
    assert attempts_of(found[0].strategy) == heads  # nothing more is asked than there is


@pytest.mark.parametrize("known", [None, 0.9, 0.5, 0.1])
def test_what_it_is_thought_to_cost_is_about_what_it_costs(known):
    answer = auto(writer(60, wrong=1.0 if known is None else 0.0), known, tokens=30_000)
    said = next(note for note in answer.notes if note.startswith("Sized by"))
    about = float(said.split("about ")[1].split()[0])
    assert answer.usage.tokens == pytest.approx(about, rel=0.35)


@pytest.mark.parametrize(
    ("at", "samples", "heads", "way"),
    [
        (EASY, 1, 0, "direct"), (EASY, 3, 0, "revisions(chains=1, n=3, select=best)"),
        (EASY, 9, 0, "revisions(chains=1, n=4, select=best)"), (EASY, 4, 4, "self_consistency(n=4)"),
        (EASY, 5, 4, "revisions(chains=1, n=2, select=best)"), (EASY, 9, 4, "revisions(chains=2, n=4, select=best)"),
        (MEDIUM, 5, 0, "direct"), (MEDIUM, 6, 0, "best_of_n(n=5, select=best)"),
        (MEDIUM, 5, 4, "best_of_n(n=4, select=best)"), (HARD, 1, 0, "direct"),
        (HARD, 7, 0, "best_of_n(n=7, select=best)"),
    ],
)  # fmt: skip
def test_a_number_of_attempts_as_the_guide_spends_it(at, samples, heads, way):
    assert strategy_for(at, samples, judged=True, heads=heads) == way


@pytest.mark.parametrize("samples", [1, 2, 4, 5, 8, 20])
@pytest.mark.parametrize("known", [None, 0.9, 0.5, 0.1])
@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_no_more_attempts_are_made_than_there_may_be(samples, known, wrong):
    answer = auto(writer(5, wrong), known, samples=samples)
    assert 1 <= answer.usage.total.calls <= samples
    if known == 0.1 or (known is None and wrong):
        assert answer.usage.total.calls == samples
    assert any("a rough guess" in note for note in answer.notes) is (known is None and samples < 4)


@pytest.mark.parametrize(("known", "calls", "made"), [(0.1, 7, 7), (0.5, 6, 5), (0.5, 5, 1), (0.9, 9, 4), (None, 2, 2)])
def test_a_limit_of_calls_is_one_of_samples(known, calls, made):
    answer = auto(writer(5, wrong=1.0), known, calls=calls)
    assert answer.usage.total.calls == made and answer.stopped == "done"


def test_both_limits_hold_together():
    answer = auto(writer(5, wrong=1.0), 0.1, calls=9, tokens=20_000)
    assert way_of(answer) == "weighted_vote(n=8)" and answer.usage.total.calls == 8


def test_samples_choose_among_what_was_calibrated():
    options = tuple(
        Option(way, tokens, int(tokens), accuracy, 0.0, 1.0)
        for way, tokens, accuracy in (("direct", 100.0, 0.3), ("self_refine(rounds=2)", 300.0, 0.35),
                                      ("best_of_n(n=4, select=best)", 400.0, 0.4), ("weighted_vote(n=8)", 800.0, 0.5))
    )  # fmt: skip
    plan = Policy("scripted", (), 0, "default", None, (), (Bin(9, 0.5, options),))
    names = [within(plan, 0, n).choose(0.5).strategy for n in (None, 8, 7, 3, 1)]
    assert names == [options[i].strategy for i in (3, 3, 2, 1, 0)]
    dear = Policy("scripted", (), 0, "default", None, (), (Bin(9, 0.5, options[2:]),))
    assert within(dear, 0, 2).choose(0.5).strategy == options[2].strategy  # nothing makes fewer
    answer = asyncio.run(follow(plan, PROBLEM, Compute(writer(5)), samples=4))
    assert answer.usage.total.calls == 4


def test_lengths_are_what_was_seen():
    def made(n, tokens, prompt):
        return Candidate(f"s{n}", Completion("x", Finish.STOP, tokens, prompt_tokens=prompt), "1")

    assert lengths_of([made(0, 10, 50), made(1, 30, 0)]) == Lengths(50, 20.0, 30)
    assert lengths_of([]) is None and lengths_of([made(0, 0, 50)]) is None


def test_a_model_that_tells_no_lengths_is_sized_by_assumed_ones():
    model = ScriptedModel([Reply("Final Answer: 42")], cycle=True)
    assert auto(model, 0.1, tokens=100_000).value == "42"


def test_the_answer_says_that_nothing_was_calibrated_and_a_kept_file_is_sized_too(tmp_path):
    answer = asyncio.run(solve("auto", PROBLEM, Compute(writer(5))))
    assert any("built-in default" in note for note in answer.notes)
    save_policy(default_policy(), tmp_path / "p.json")
    assert load_policy(tmp_path / "p.json").assumed
    kept = asyncio.run(
        solve(f"auto(policy='{tmp_path / 'p.json'}')", PROBLEM, Compute(writer(5), budget=Budget(tokens=9000)))
    )
    assert any(note.startswith("Sized by") for note in kept.notes)
