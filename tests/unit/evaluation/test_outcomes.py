"""What an answer counts: ties shared as the curves share them, failures and abstentions in the denominator."""

from __future__ import annotations

import msgspec
import pytest

from nlrl.evaluation.outcomes import outcome, outcomes, silent
from nlrl.evaluation.records import AnswerRecord, Attempt, Failure, ProblemRecord, Record
from nlrl.evaluation.summary import summarise
from nlrl.strategies import registry

WORDS = {"r": "right", "w": "wrong", "a": "abstain", "u": "unparsed"}


def record(said: str, verdicts: str, strategy: str, *, row: int = 0, chosen: int | None = 0, scores=None) -> Record:
    """`said`: one letter an attempt, "-" for unread; `verdicts`: their verdicts. The answer is the chosen attempt."""
    classes = tuple(-1 if s == "-" else ord(s) - 97 for s in said)
    attempts = tuple(
        Attempt(f"s{i}", s, s, True, WORDS[v], tokens=5, prompt_tokens=3, score=scores[i] if scores else None)
        for i, (s, v) in enumerate(zip(said, verdicts, strict=True))
    )
    verdict = "unparsed" if chosen is None else attempts[chosen].verdict
    answer = AnswerRecord(None, "", None, None if chosen is None else f"s{chosen}", verdict=verdict)
    problem = ProblemRecord(f"id{row}", "?", "42", "math")
    return Record(row, problem, strategy, "m", attempts=attempts, classes=classes, answer=answer)


VOTE = "self_consistency(n=4)"


@pytest.mark.parametrize("chosen", [0, 2])
def test_a_tied_vote_counts_what_the_tied_are_worth_whichever_came_first(chosen):
    assert outcome(record("aabb", "rrww", VOTE, chosen=chosen)) == 0.5
    assert outcome(record("abc-", "wrwu", VOTE, chosen=chosen if chosen else 1)) == pytest.approx(1 / 3)


def test_a_clear_vote_counts_as_it_was_judged():
    assert outcome(record("aaab", "rrrw", VOTE)) == 1.0
    assert outcome(record("aaab", "wwwr", VOTE)) == 0.0
    assert outcome(record("----", "uuuu", VOTE, chosen=None)) == 0.0


def test_what_could_not_be_read_takes_no_part_in_a_tie():
    assert outcome(record("ab---", "rwuuu", VOTE)) == 0.5


def test_a_choice_that_the_scores_do_not_explain_counts_as_judged():
    name = "best_of_n(n=2, select=best)"
    assert outcome(record("ab", "wr", name, chosen=1, scores=[0.9, 0.1])) == 1.0
    assert outcome(record("abc", "rww", name, scores=[0.4, 0.4, None])) == 0.5  # without a score it cannot lead


def test_rows_and_curves_have_one_number_for_the_same_samples():
    records = []
    for row, (said, verdicts) in enumerate([("aabb", "rrww"), ("abcd", "wwwr"), ("aaab", "rrrw"), ("abb-", "rwwu")]):
        scores = [0.5, 0.25, 0.25, 0.5]
        panel = msgspec.structs.replace(record(said, verdicts, "panel", row=row, scores=scores), answer=None)
        best = said.index("a")
        votes = {"abb-": 1}.get(said, 0)
        records += [panel, record(said, verdicts, VOTE, row=row, chosen=votes, scores=scores)]
        records.append(record(said, verdicts, "best_of_n(n=4, select=best)", row=row, chosen=best, scores=scores))
        sums = {said[i]: sum(s for x, s in zip(said, scores, strict=True) if x == said[i]) for i in range(4)}
        leader = said.index(max((x for x in sums if x != "-"), key=lambda x: sums[x]))
        records.append(record(said, verdicts, "weighted_vote(n=4)", row=row, chosen=leader, scores=scores))
    whole = summarise(records).domains[0]
    assert whole.panel is not None
    rows = {s.name: s.accuracy for s in whole.strategies}
    for name, curve in (
        (VOTE, "majority"),
        ("best_of_n(n=4, select=best)", "best"),
        ("weighted_vote(n=4)", "weighted"),
    ):
        assert rows[name] == pytest.approx(whole.panel.curves[curve][-1])


def test_equal_scores_are_shared_and_unequal_ones_are_not():
    name = "best_of_n(n=4, select=best)"
    assert outcome(record("abcd", "wrww", name, scores=[0.5] * 4)) == 0.25
    assert outcome(record("abcd", "wrww", name, chosen=1, scores=[0.1, 0.9, 0.2, 0.9])) == 0.5
    assert outcome(record("abcd", "wrww", name, chosen=1, scores=[0.1, 0.9, 0.2, 0.3])) == 1.0


@pytest.mark.parametrize("strategy", ["best_of_n(n=4)", "weighted_vote(n=4)"])
def test_a_weighted_vote_shares_equal_sums(strategy):
    assert outcome(record("aabb", "rrww", strategy, scores=[0.25, 0.25, 0.4, 0.1])) == 0.5
    assert outcome(record("aabb", "rrww", strategy, chosen=2, scores=[0.2, 0.2, 0.4, 0.1])) == 0.0


@pytest.mark.parametrize("strategy", ["self_refine", "mcts", "somebody_elses(n=3)", "not a strategy"])
def test_who_chose_by_other_means_counts_as_judged(strategy):
    assert outcome(record("aabb", "rrww", strategy)) == 1.0
    assert outcome(record("aabb", "rrww", strategy, chosen=2)) == 0.0


def test_a_choice_that_the_votes_do_not_explain_counts_as_judged():
    assert outcome(record("aaab", "wwwr", VOTE, chosen=3)) == 1.0
    assert outcome(msgspec.structs.replace(record("aabb", "rrww", VOTE), classes=())) == 1.0


def test_failures_and_abstentions_stay_in_the_denominator():
    failed = msgspec.structs.replace(record("a", "r", "direct", row=1), error=Failure("ModelUnavailable", "down"))
    records = [record("a", "r", "direct"), failed, record("a", "a", "direct", row=2), record("a", "r", "other", row=2)]
    unknown = silent(records)
    assert unknown == set()
    assert outcomes(records[:3], unknown) == {"id0": 1.0, "id1": 0.0, "id2": 0.0}


def test_only_problems_on_which_nothing_could_be_judged_are_left_out_and_counted():
    records = [record("a", "a", "direct"), record("aa", "aa", VOTE), record("a", "r", "direct", row=1)]
    assert silent(records) == {"id0"}
    summary = summarise(records)
    direct = summary.domains[0].strategies[0]
    assert (summary.unjudged, direct.problems, direct.judged, direct.abstained) == (1, 2, 1, 1)
    assert direct.accuracy.mean == 1.0
    broken = msgspec.structs.replace(
        record("a", "r", "direct"), attempts=(), error=Failure("ModelUnavailable", "down")
    )  # an answer beside an error is none, and no verdict either
    assert silent([broken, record("a", "a", VOTE)]) == {"id0"}
    only = msgspec.structs.replace(record("a", "r", "direct", row=3), error=Failure("ModelUnavailable", "down"))
    assert outcome(only) == 0.0  # what it had drawn before it failed does not count


def test_a_strategy_registered_later_is_known_from_then_on(monkeypatch):
    monkeypatch.setattr(registry, "_PLACES", dict(registry._PLACES))
    assert registry.selection_of("my_vote(n=4)") is None
    registry.register_strategy("my_vote", "nlrl.strategies.self_consistency:self_consistency")
    assert registry.selection_of("my_vote(n=4)") == "majority"
    registry.selection_of.cache_clear()  # of what the others must not see
