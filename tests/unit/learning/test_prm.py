"""Labels from rollouts, trees from labels, a verifier from trees."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest

from nlrl.bank import Bank
from nlrl.core import Budget, Candidate, Completion, Finish, Phase, Problem, UserError, Verdict
from nlrl.learning.held_out import auc, brier, calibration, calibration_error, folds_of
from nlrl.learning.prm import check_labels, table, train_prm
from nlrl.learning.rollouts import Labelled, LabelledAttempt, label_attempts
from nlrl.testing import ScriptedModel
from nlrl.verifiers.prm.steps import steps_of
from nlrl.verifiers.prm.trained import TrainedPRM, load_prm
from nlrl.verifiers.prm.trees import forest_of, read_prm, write_prm
from nlrl.verifiers.registry import get_verifier


def run(problems, model, **options):
    return asyncio.run(label_attempts(problems, model, **options))


def candidate(text: str) -> Candidate:
    return Candidate("s0", Completion(text, Finish.STOP, 1), None)


# --- labels


def test_a_wrong_step_gets_a_low_label_and_its_followers_too(chains, adder):
    found = run(chains(20), adder(), attempts=4, rollouts=8)
    assert found.steps > 100
    good, bad = [], []
    for a in found.attempts:
        terms = [int(t) for t in a.problem.question.removeprefix("Add up: ").split(", ")]
        for k, share in zip(a.labelled, a.shares, strict=True):
            line = steps_of(a.text)[k]
            if "=" in line:
                (good if int(line.split("=")[1]) == sum(terms[: k + 2]) else bad).append(share)
    assert len(good) > 50 and len(bad) > 20
    assert sum(bad) / len(bad) < 0.15  # another error may mend it by chance
    assert sum(good) / len(good) > 0.5


def test_what_has_ended_is_known_and_costs_no_rollouts(chains, adder):
    found = run(chains(6), adder(), attempts=2, rollouts=3)
    for a in found.attempts:
        assert a.labelled[-1] == len(steps_of(a.text)) - 1
        assert a.rollouts[-1] == 0 and a.shares[-1] == float(a.right)
        assert all(n == 3 for n in a.rollouts[:-1])


def test_everything_is_charged_and_nothing_is_drawn_twice(chains, adder, tmp_path):
    first, second = adder(), adder()
    with Bank(tmp_path / "b.sqlite") as bank:
        one = run(chains(5), first, attempts=2, rollouts=3, bank=bank)
    with Bank(tmp_path / "b.sqlite") as bank:
        two = run(chains(5), second, attempts=2, rollouts=3, bank=bank)
    assert one.attempts == two.attempts and one.usage.total == two.usage.total
    assert first.requests and not second.requests
    assert one.generated == one.usage.total.completion_tokens and two.generated == 0
    assert set(one.usage.phases) == {Phase.SLEEP}


@pytest.mark.parametrize("tokens", [0, 50, 700, 3_000])
def test_the_budget_is_never_exceeded_and_ends_the_work_with_a_reason(chains, adder, tokens, tmp_path):
    def once():
        with Bank(tmp_path / f"{tokens}.sqlite") as bank:
            return run(chains(10), adder(), attempts=3, rollouts=4, budget=Budget(tokens=tokens), bank=bank)

    found = once()
    assert found.usage.tokens <= tokens
    assert found.stopped == "tokens"
    again = once()  # now from the bank
    assert again.attempts == found.attempts and again.usage.total == found.usage.total and again.generated == 0


def test_problems_without_references_are_refused(adder):
    with pytest.raises(UserError, match="None of the 2 problems has a reference"):
        run([Problem("Add up: 1, 2"), Problem("Add up: 3, 4")], adder())


def test_a_model_that_cannot_continue_is_refused(chains):
    class Deaf(ScriptedModel):
        @property
        def can(self):
            import dataclasses

            return dataclasses.replace(super().can, prefill=False)

    with pytest.raises(UserError, match="cannot continue a started text"):
        run(chains(3), Deaf(["x"]))


def test_one_failing_draw_is_data(chains, adder):
    from nlrl.testing.scripted import Reply

    good = adder()
    bad = ScriptedModel(
        lambda request, index: Reply(error="boom") if index % 3 == 2 else good._replies(request, index), name="flaky"
    )
    found = run(chains(4), bad, attempts=3, rollouts=3)
    assert found.attempts and found.skipped["a draw failed"] > 0


def test_long_attempts_are_labelled_at_some_steps_the_last_among_them(chains):
    text = "\n".join([*(f"line {k}" for k in range(30)), "Final Answer: 1"])
    found = run(chains(1), ScriptedModel(lambda r, i: text + "." * i), attempts=1, rollouts=1, max_steps=5)
    (a,) = found.attempts
    assert len(a.labelled) == 5 and a.labelled[-1] == 30 and a.labelled == tuple(sorted(set(a.labelled)))


# --- learning


@pytest.fixture(scope="module")
def labelled(chains, adder) -> Labelled:
    return run(chains(40), adder(), attempts=4, rollouts=4)


@pytest.fixture(scope="module")
def trained(labelled):
    return train_prm(labelled, provenance={"model": "adder", "data": "chains"})


def test_end_to_end_the_file_tells_right_steps_from_wrong_ones(trained, labelled, chains, attempt_text, tmp_path):
    file = trained
    assert file.held_out["auc"] > 0.85 and file.held_out["auc_of_attempts"] > 0.85
    assert file.held_out["brier"] < 0.6 * file.held_out["brier_of_mean"]
    assert file.provenance["problems"] == 40 and file.provenance["tokens"] == labelled.usage.tokens

    path = tmp_path / "deep" / "adder.prm.json"
    write_prm(file, path)
    verifier = get_verifier(f"prm:{path}")
    right, wrong = [], []
    for problem in chains(15, seed=99):  # of none of them was a step seen
        terms = [int(t) for t in problem.question.removeprefix("Add up: ").split(", ")]
        (score,) = asyncio.run(verifier.score(problem, [candidate(attempt_text(terms, None))]))
        assert len(score.steps) == 5 and score.value == score.steps[-1] and score.verdict is Verdict.ABSTAIN
        right += score.steps
        (score,) = asyncio.run(verifier.score(problem, [candidate(attempt_text(terms, 1))]))
        wrong += score.steps[1:]
        right.append(score.steps[0])
    assert auc(right + wrong, [1.0] * len(right) + [0.0] * len(wrong)) > 0.95


def test_partial_texts_get_the_same_values_as_their_part_of_the_whole(trained, chains, attempt_text):
    verifier = TrainedPRM(trained)
    problem = chains(1, seed=5)[0]
    text = attempt_text([int(t) for t in problem.question.removeprefix("Add up: ").split(", ")], 2)
    whole, part, none = asyncio.run(
        verifier.score(problem, [candidate(text), candidate("\n".join(text.splitlines()[:2])), candidate(" \n")])
    )
    assert part.steps == pytest.approx(whole.steps[:2])
    assert none.steps == () and none.reason.startswith("no_steps")


def test_a_file_is_the_same_for_the_same_labels(labelled, trained):
    assert train_prm(labelled, provenance={"model": "adder", "data": "chains"}) == trained


def test_folds_keep_problems_together():
    groups = [f"p{i % 7}" for i in range(70)]
    fold = folds_of(groups, seed=3)
    assert len(set(fold)) == 5
    assert all(len({f for f, g in zip(fold, groups, strict=True) if g == name}) == 1 for name in groups)


def some(shares: list[float], problems: int = 10) -> list[LabelledAttempt]:
    attempts = []
    for i in range(problems):
        problem = Problem(f"What is {i} + {i}?", reference=str(2 * i))
        text = "\n".join(f"step {k}" for k in range(len(shares)))
        attempts.append(
            LabelledAttempt(problem, text, None, tuple(range(len(shares))), tuple(shares), (4,) * len(shares), True)
        )
    return attempts


@pytest.mark.parametrize(
    ("attempts", "why", "step"),
    [
        (some([1.0] * 6), "no mistakes to learn from", "harder problems"),
        (some([0.0] * 6), "nothing right to learn from", "easier problems"),
        (some([0.5], 10), "10 labelled steps of 10 problems", "--limit"),
        (some([0.5] * 60, 2), "of 2 problems", "--attempts"),
        ([], "0 labelled steps", "--budget"),
    ],
)
def test_labels_that_teach_nothing_are_refused_with_the_next_step(attempts, why, step):
    with pytest.raises(UserError) as caught:
        check_labels(attempts)
    assert why in str(caught.value) and step in str(caught.value)


def test_one_problem_with_all_the_mistakes_does_not_break_the_folds():
    attempts = [
        *some([1.0] * 10, 9),
        LabelledAttempt(Problem("odd", reference="1"), "a\nb\nc", None, (0, 1, 2), (0.0, 0.0, 0.0), (4, 4, 4), False),
    ]
    file = train_prm(Labelled(attempts=attempts))
    assert 0 <= file.held_out["brier"] <= 1


def test_the_table_has_a_row_for_each_label():
    attempts = some([0.5, 1.0, 0.0], 4)
    rows, labels, groups, last = table(attempts)
    assert len(rows) == len(labels) == len(groups) == len(last) == 12 and sum(last) == 4


# --- measures, against closed forms


def test_auc_is_that_of_hard_labels_and_of_their_mixtures():
    assert auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert auc([0.5] * 4, [0, 1, 0, 1]) == 0.5
    assert auc([0.3, 0.3, 0.9, 0.9], [0, 1, 0, 1]) == pytest.approx(auc([0.3, 0.9], [0.5, 0.5]))
    assert auc([0.2, 0.9], [1, 1]) is None and auc([], []) is None


def test_brier_and_calibration():
    assert brier([0.5, 1.0], [1.0, 1.0]) == 0.125
    rows = calibration([0.05, 0.05, 0.95, 1.0], [0.0, 0.1, 1.0, 1.0])
    assert [row["steps"] for row in rows] == [2, 2]
    assert calibration_error(rows) == pytest.approx((2 * 0.0 + 2 * 0.025) / 4)


# --- files


@pytest.fixture
def good_file(trained, tmp_path) -> Path:
    path = tmp_path / "good.prm.json"
    write_prm(trained, path)
    return path


def test_the_export_walks_as_scikit_learn_does_also_where_values_are_missing(labelled, good_file):
    file = read_prm(good_file)
    rows, _, _, _ = table(labelled.attempts)
    forest = forest_of(file)
    blind = [row[:25] + (math.nan,) * 7 for row in rows]
    assert forest.probabilities(rows) == pytest.approx(
        [_by_hand(file, row) for row in rows], abs=1e-12
    )  # a plain walk agrees with the vectorised one
    assert forest.probabilities(blind) == pytest.approx([_by_hand(file, row) for row in blind], abs=1e-12)


def _by_hand(file, row):
    total = file.baseline
    for tree in file.trees:
        i = 0
        while tree.feature[i] >= 0:
            x, t = row[tree.feature[i]], tree.threshold[i]
            left = tree.missing_left[i] if math.isnan(x) else (t is None or x <= t)
            i = tree.left[i] if left else tree.right[i]
        total += tree.value[i]
    return 1 / (1 + math.exp(-total))


def _spoilt(data: dict, kind: str) -> bytes:
    tree = data["trees"][0]
    inner = next(i for i, f in enumerate(tree["feature"]) if f >= 0)
    if kind == "cycle":
        tree["left"][inner] = inner
    elif kind == "outside":
        tree["right"][inner] = 10**6
    elif kind == "feature":
        tree["feature"][inner] = 999
    elif kind == "short":
        tree["value"].pop()
    elif kind == "type":
        tree["threshold"][inner] = "__import__('os').system('true')"
    elif kind == "extra":
        data["run"] = "rm -rf"
    elif kind == "features":
        data["features"] = data["features"][::-1]
    elif kind == "kind":
        data["kind"] = "pickle"
    return json.dumps(data).encode()


@pytest.mark.parametrize("kind", ["cycle", "outside", "feature", "short", "type", "extra", "features", "kind"])
def test_a_damaged_file_is_refused(good_file, kind):
    good_file.write_bytes(_spoilt(json.loads(good_file.read_bytes()), kind))
    with pytest.raises(UserError, match=r"is damaged.*Train it again"):
        load_prm(good_file)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no JSON object"),
        (b"\x80\x04\x95 a pickle", "no JSON object"),
        (b"[1, 2]", "no JSON object"),
        (b"[" * 100_000, "no JSON object"),
        (b'{"weights": [1]}', "not a reward model"),
        (b'{"format": "nlrl-prm", "version": 7}', "has version 7.*reads version 1"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, content, why):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=why):
        load_prm(path)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match="nlrl train prm --out"):
        get_verifier(f"prm:{tmp_path / 'none.json'}")


def test_a_file_written_anew_is_read_anew(good_file):
    first = get_verifier(f"prm:{good_file}")
    assert get_verifier(f"prm:{good_file}") is first
    good_file.write_bytes(good_file.read_bytes() + b"\n")
    assert get_verifier(f"prm:{good_file}") is not first
