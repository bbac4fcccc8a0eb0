"""From labelled steps to a reward model in a file.

    labelled = await label_attempts(problems, model, rollouts=4)
    file = train_prm(labelled, provenance={"model": model.name, "data": "builtin:math"})
    write_prm(file, Path("math.prm.json"))          # then: get_verifier("prm:math.prm.json")

What is reported is measured out of fold: every problem's steps are predicted by a model that saw no step of that
problem. The model in the file has then learnt from all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nlrl.core import UserError
from nlrl.learning.boosting import SETTINGS, fit_trees, require_sklearn
from nlrl.learning.held_out import FOLDS, auc, folds_of, measure
from nlrl.learning.rollouts import Labelled, LabelledAttempt
from nlrl.verifiers.prm.features import FEATURES, step_features
from nlrl.verifiers.prm.trees import FORMAT, VERSION, PRMFile

MIN_STEPS = 40  # labels; with fewer the trees learn the noise, and the report would be one too
MIN_PROBLEMS = 4
_ONE_KIND = 0.02  # a mean label nearer to 0 or 1 than this leaves nothing to tell apart


def train_prm(labelled: Labelled, *, provenance: dict[str, Any] | None = None, seed: int = 0) -> PRMFile:
    """Boosted trees on the labels. Raises UserError, with the next step, where there is too little to learn from."""
    check_labels(labelled.attempts)
    version = require_sklearn()
    rows, labels, groups, last = table(labelled.attempts)
    predicted = _out_of_fold(rows, labels, groups, seed)
    baseline, trees = fit_trees(rows, labels, groups, seed)
    return PRMFile(
        FORMAT,
        VERSION,
        "trees",
        provenance=about(labelled)
        | {"learner": f"scikit-learn {version}", **SETTINGS, "trees": len(trees), "seed": seed}
        | (provenance or {}),
        held_out=report(predicted, labels, last, labelled.attempts, len(set(groups))),
        features=list(FEATURES),
        baseline=baseline,
        trees=trees,
    )


def check_labels(attempts: Sequence[LabelledAttempt]) -> None:
    """Raises UserError where the labels are too few or all alike, saying what to do."""
    steps = sum(len(a.labelled) for a in attempts)
    problems = len({a.problem.id for a in attempts})
    if steps < MIN_STEPS or problems < MIN_PROBLEMS:
        raise UserError(
            f"There are {steps} labelled steps of {problems} problems; "
            f"at least {MIN_STEPS} of {MIN_PROBLEMS} are needed. "
            "Give more problems (--limit), more attempts (--attempts), or a larger --budget."
        )
    mean = sum(share for a in attempts for share in a.shares) / steps
    if mean > 1 - _ONE_KIND:
        raise UserError(
            f"Of {steps} steps {mean:.1%} lead to the right answer: there are no mistakes to learn from. "
            "Give harder problems (--data), a weaker model (--model), or a higher --temperature."
        )
    if mean < _ONE_KIND:
        raise UserError(
            f"Of {steps} steps only {mean:.1%} lead to the right answer: there is nothing right to learn from. "
            "Give easier problems (--data), a stronger model (--model), or more --rollouts."
        )


def table(attempts: Sequence[LabelledAttempt]) -> tuple[list[tuple[float, ...]], list[float], list[str], list[bool]]:
    """Features, label, problem, and whether it is its attempt's last labelled step, for each labelled step."""
    rows, labels, groups, last = [], [], [], []
    for a in attempts:
        features = step_features(a.problem, a.text, a.logprobs)
        for k, share in zip(a.labelled, a.shares, strict=True):
            rows.append(features[k])
            labels.append(share)
            groups.append(a.problem.id)
            last.append(k == a.labelled[-1])
    return rows, labels, groups, last


def _out_of_fold(
    rows: Sequence[tuple[float, ...]], labels: Sequence[float], groups: Sequence[str], seed: int
) -> list[float]:
    from nlrl.verifiers.prm.trees import forest_of

    fold = folds_of(groups, seed)
    predicted = [0.5] * len(rows)
    for held in sorted(set(fold)):
        seen = [i for i, f in enumerate(fold) if f != held]
        kept = [i for i, f in enumerate(fold) if f == held]
        known = [labels[i] for i in seen]
        if 0 < sum(known) < len(known):
            baseline, trees = fit_trees([rows[i] for i in seen], known, [groups[i] for i in seen], seed)
            forest = forest_of(PRMFile(FORMAT, VERSION, "trees", {}, {}, baseline=baseline, trees=trees))
            values = forest.probabilities([rows[i] for i in kept])
        else:
            values = [sum(known) / len(known)] * len(kept)
        for i, value in zip(kept, values, strict=True):
            predicted[i] = value
    return predicted


def about(labelled: Labelled) -> dict[str, Any]:
    """Counts and cost of the labels."""
    attempts = labelled.attempts
    return {
        "problems": len({a.problem.id for a in attempts}),
        "attempts": len(attempts),
        "attempts_right": sum(a.right for a in attempts),
        "steps": labelled.steps,
        "rollouts": sum(n for a in attempts for n in a.rollouts),
        "tokens": labelled.usage.tokens,
    }


def report(
    predicted: Sequence[float],
    labels: Sequence[float],
    last: Sequence[bool],
    attempts: Sequence[LabelledAttempt],
    problems: int,
) -> dict[str, Any]:
    """How good the out-of-fold predictions are: of all steps, of those whose end was not yet known, of attempts."""
    ends = [p for p, end in zip(predicted, last, strict=True) if end]
    known = [n == 0 for a in attempts for n in a.rollouts]
    open_steps = [(p, y) for p, y, k in zip(predicted, labels, known, strict=True) if not k]
    return {
        "how": f"out of fold, {min(FOLDS, problems)} folds by problem",
        **measure(predicted, labels),
        "auc_before_the_answer": auc([p for p, _ in open_steps], [y for _, y in open_steps]) if open_steps else None,
        "auc_of_attempts": auc(ends, [float(a.right) for a in attempts]),
    }
