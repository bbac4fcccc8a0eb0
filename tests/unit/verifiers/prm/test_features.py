"""What a small reward model looks at, and how its trees are walked, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nlrl.core import Problem, TaskType, TokenLogprob, UserError
from nlrl.verifiers.prm.features import FEATURES, step_features
from nlrl.verifiers.prm.trees import FORMAT, VERSION, PRMFile, TreeData, forest_of, read_prm, write_prm

NAN = math.nan
PENS = Problem("A box holds 12 red and 5 blue pens. How many pens?", task_type=TaskType.MATH)
LINES = ["First, 12 + 5 = 17 pens.", "Wait, 17 * 2 = 35 and 3 x 4 = 12.", "Wait, 17 * 2 = 35 and 3 x 4 = 12."]
LINES.append("Final Answer: 17")
SURE = [("First, 12 + 5", -0.1), (" = 17 pens.\n", -0.2)]
SURE += [(f"{LINES[1]}\n", -0.3), (f"{LINES[2]}\n", -0.4), (LINES[3], -0.5)]
# one column a step
EXPECTED = {
    "index": (0, 1, 2, 3),
    "chars_so_far": (0, 24, 57, 90),
    "chars": (24, 33, 33, 16),
    "words": (5, 9, 9, 3),
    "digits_share": (5 / 24, 9 / 33, 9 / 33, 2 / 16),
    "is_answer": (0, 0, 0, 1),
    "sums_right": (1, 1, 1, 0),
    "sums_wrong": (0, 1, 1, 0),
    "sums_unknown": (0, 0, 0, 0),
    "wrong_so_far": (0, 1, 2, 2),
    "right_so_far": (1, 2, 3, 3),
    "last_sum_wrong": (0, 1, 1, 1),
    "operands_known_share": (1, 1 / 4, 1, NAN),  # 17 is known; 2, 3 and 4 are from nowhere at first
    "numbers": (3, 6, 6, 1),
    "numbers_known_share": (1, 1 / 2, 1, 1),  # what a sum gives is known, right or wrong
    "new_numbers_so_far": (0, 3, 3, 3),
    "question_numbers_used_share": (1, 1, 1, 1),
    "carries_on": (NAN, 1, 1, 0),
    "answer_is_latest_result": (NAN, NAN, NAN, 0),  # the latest result is 12
    "question_words_share": (3 / 5, 2 / 9, 2 / 9, 0),
    "repeats_line": (0, 0, 1, 0),
    "repeats_so_far": (0, 0, 1, 1),
    "overlap_before": (0, 2 / 12, 1, 1 / 11),
    "distinct_words_share": (1, 1, 1, 1),
    "hedges": (0, 1, 1, 0),
    "logprob_mean": (-0.15, -0.3, -0.4, -0.5),
    "logprob_min": (-0.2, -0.3, -0.4, -0.5),
    "logprob_first": (-0.1, -0.3, -0.4, -0.5),
    "logprob_mean_so_far": (-0.15, -0.2, -0.25, -0.3),
    "logprob_min_so_far": (-0.2, -0.3, -0.4, -0.5),
    "logprob_step_min_mean": (-0.15, -0.3, -0.4, -0.5),
    "tokens": (2, 1, 1, 1),
}


@pytest.mark.parametrize("column", range(len(FEATURES)), ids=FEATURES)
def test_a_feature_of_four_steps_by_hand(column):
    rows = step_features(PENS, "\n".join(LINES), [TokenLogprob(text, value) for text, value in SURE])
    assert [row[column] for row in rows] == pytest.approx(EXPECTED[FEATURES[column]], nan_ok=True)


def test_the_columns_are_in_the_order_of_old_files():
    assert list(EXPECTED) == list(FEATURES)


def test_other_words_and_orders():
    (row,) = step_features(PENS, "So so: 12 red pens, Actually 12 + 5.")
    got = dict(zip(FEATURES, row, strict=True))
    assert (got["distinct_words_share"], got["hedges"], got["question_words_share"]) == (6 / 8, 1, 4 / 6)
    assert got["question_numbers_used_share"] == 1 and math.isnan(got["logprob_mean"]) and math.isnan(got["tokens"])
    rows = step_features(PENS, "12 + 5 = 17\nFinal Answer: 17")
    assert dict(zip(FEATURES, rows[1], strict=True))["answer_is_latest_result"] == 1
    assert step_features(PENS, "") == []
    (low,) = step_features(PENS, "x", [TokenLogprob("x", -99.0), TokenLogprob("", -math.inf)])
    assert low[FEATURES.index("logprob_min")] == -30.0


def model(*trees, baseline=0.5) -> PRMFile:
    return PRMFile(FORMAT, VERSION, "trees", {"a": 1}, {"auc": 0.7}, list(FEATURES), baseline, list(trees))


# is the first feature at most 1.5? then is the second at most 10, the unknown to the right; else -2
DEEP = TreeData([0, 1, -1, -1, -1], [1.5, 10.0, 0.0, 0.0, 0.0], [True, False, False, False, False],
                [1, 2, 0, 0, 0], [4, 3, 0, 0, 0], [0.0, 0.0, 1.0, 0.25, -2.0])  # fmt: skip
LEAF = TreeData([-1], [0.0], [False], [0], [0], [0.125])


@pytest.mark.parametrize(
    ("row", "added"),
    [((1.5, 10), 1.0), ((1.5, 10.1), 0.25), ((1.6, 10), -2.0), ((NAN, 3), 1.0), ((0, NAN), 0.25), ((9, NAN), -2.0)],
)
def test_trees_are_walked_by_hand(tmp_path, row, added):
    write_prm(model(LEAF, DEEP), tmp_path / "new" / "m.json")
    kept = read_prm(tmp_path / "new" / "m.json")
    assert kept == model(LEAF, DEEP) and [p.name for p in (tmp_path / "new").iterdir()] == ["m.json"]
    forest = forest_of(kept)
    rows = np.full((2, len(FEATURES)), NAN)
    rows[1, :2] = row
    assert forest.contributions(rows)[1].tolist() == [0.125, added]
    assert forest.probabilities(rows)[1] == pytest.approx(1 / (1 + math.exp(-(0.5 + 0.125 + added))))
    assert forest.used == {0, 1} and forest.probabilities([]) == []
    assert forest_of(model()).probabilities(rows) == pytest.approx([1 / (1 + math.exp(-0.5))] * 2)


def tree(*features: int) -> dict:
    n = len(features)
    rest = dict.fromkeys(("threshold", "left", "right", "value"), [0] * n)
    return {"feature": features, "missing_left": [True] * n} | rest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "x"}, "not a reward model"),
        ({"version": 99}, "has version 99"),
        ({"kind": "x"}, "unknown kind 'x'"),
        ({"kind": "head"}, "unknown kind 'head'"),
        ({"features": ["index"]}, "other features"),
        ({"trees": [tree(0)]}, "a child outside"),
        ({"trees": [tree(99)]}, "looks at feature 99"),
        ({"trees": [tree()]}, "differ"),
        ({"trees": [tree(-1) | {"threshold": []}]}, "the columns of tree 0 differ"),
    ],
)  # fmt: skip
def test_a_file_that_was_meddled_with_is_refused(tmp_path, change, said):
    import msgspec

    content = msgspec.to_builtins(model(LEAF)) | change
    (tmp_path / "m.json").write_bytes(msgspec.json.encode(content))
    with pytest.raises(UserError, match=said):
        read_prm(tmp_path / "m.json")
