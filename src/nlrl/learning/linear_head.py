# pyright: reportMissingImports=false
"""A linear head on a frozen language model: logistic regression on hidden states at the end of each step.

The backbone is read once per attempt and never changed; what is learnt is one vector. Kept in the same kind of file as
the trees, with the backbone's fingerprint, so that it cannot be put on another model by mistake. Needs the extra `hf`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nlrl.core import UserError
from nlrl.learning.held_out import FOLDS, folds_of
from nlrl.learning.prm import about, check_labels, report
from nlrl.learning.rollouts import Labelled
from nlrl.verifiers.prm.formats import layout
from nlrl.verifiers.prm.steps import steps_of
from nlrl.verifiers.prm.trees import FORMAT, VERSION, HeadData, PRMFile

if TYPE_CHECKING:
    import numpy as np

# Ridge on standardised columns: there are hundreds of labels and hundreds of columns.
_RIDGE = 1.0
_ROUNDS = 50
_TOKENS = 2_048  # longer attempts are left out


def train_head(labelled: Labelled, encoder: str, *, provenance: dict[str, Any] | None = None, seed: int = 0) -> PRMFile:
    """A head for `get_verifier("prm:FILE")`. Raises UserError where there is too little to learn from, MissingExtra
    without torch, ModelMissing where the encoder cannot be loaded."""
    import numpy as np

    check_labels(labelled.attempts)
    x, kept, print_of_model = _states(labelled, encoder)
    attempts = [labelled.attempts[i] for i in kept]
    check_labels(attempts)
    y = np.array([share for a in attempts for share in a.shares])
    groups = [a.problem.id for a in attempts for _ in a.labelled]
    last = [k == a.labelled[-1] for a in attempts for k in a.labelled]
    fold = np.array(folds_of(groups, seed))
    predicted = np.zeros(len(y))
    for held in range(int(fold.max()) + 1):
        weight, bias = fit(x[fold != held], y[fold != held])
        predicted[fold == held] = _sigmoid(x[fold == held] @ weight + bias)
    weight, bias = fit(x, y)
    kept_labels = Labelled(attempts=attempts, usage=labelled.usage)
    made = about(kept_labels) | {"learner": "logistic regression", "ridge": _RIDGE, "seed": seed, "folds": FOLDS}
    return PRMFile(
        FORMAT,
        VERSION,
        "head",
        provenance=made | (provenance or {}),
        held_out=report(predicted.tolist(), y.tolist(), last, attempts, len(set(groups))),
        head=HeadData(encoder, print_of_model, [float(w) for w in weight], float(bias)),
    )


def fit(x: np.ndarray, y: np.ndarray, ridge: float = _RIDGE) -> tuple[np.ndarray, float]:
    """Logistic regression on soft labels by Newton's method: weights and bias for the columns as they are."""
    import numpy as np

    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = np.concatenate([(x - mean) / spread, np.ones((len(x), 1))], axis=1)
    penalty = np.full(z.shape[1], ridge)
    penalty[-1] = 1e-6  # the bias is free
    w = np.zeros(z.shape[1])
    for _ in range(_ROUNDS):
        p = _sigmoid(z @ w)
        step = np.linalg.solve((z * (p * (1 - p))[:, None]).T @ z + np.diag(penalty), z.T @ (y - p) - penalty * w)
        w += step
        if np.abs(step).max() < 1e-8:
            break
    weight = w[:-1] / spread
    return weight, float(w[-1] - weight @ mean)


def _states(labelled: Labelled, encoder: str) -> tuple[np.ndarray, list[int], str]:
    """Hidden states of all labelled steps, the attempts that fitted, and the model's fingerprint."""
    import numpy as np

    from nlrl.models.transformers.load import fingerprint
    from nlrl.verifiers.prm.huggingface import HuggingFacePRM

    loaded = HuggingFacePRM(encoder, family="bare", layout="plain").load()
    rows, kept = [], []
    for i, attempt in enumerate(labelled.attempts):
        ids, ends = loaded.encode(layout("plain").show(attempt.problem, steps_of(attempt.text), loaded.control))
        if len(ids) <= min(_TOKENS, loaded.context_tokens):
            states = loaded.hidden([ids], [[ends[k] for k in attempt.labelled]])[0]
            rows.append(states.float().cpu().numpy())
            kept.append(i)
    if not rows:
        raise UserError(f"No attempt fits into the context of {encoder!r} ({loaded.context_tokens} tokens).")
    return np.concatenate(rows).astype(float), kept, fingerprint(loaded.backbone, loaded.tokenizer)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    import numpy as np

    return 1.0 / (1.0 + np.exp(-np.clip(x, -500, 500)))
