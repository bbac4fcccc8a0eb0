"""The reward model that `nlrl train prm` made: `get_verifier("prm:FILE")`.

Trees need neither scikit-learn nor a second model: a few hundred comparisons a step. A head on a frozen Hugging Face
model (`nlrl train prm --head PATH`) reads every text with that model and is charged for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nlrl.core import Candidate, Problem, Score, UserError, Verifier
from nlrl.verifiers.prm.features import LOGPROB_FEATURES, TEXT_FEATURES, step_features
from nlrl.verifiers.prm.steps import step_score
from nlrl.verifiers.prm.trees import PRMFile, forest_of, read_prm


class TrainedPRM:
    """Step values by boosted trees: the chance that a right answer can still come of it.

    file  what `read_prm` gave; its `provenance` and `held_out` say where it comes from and how good it is

    Costs no tokens. It knows the model and the kind of problems that it was trained on, and nothing else.
    """

    def __init__(self, file: PRMFile) -> None:
        if file.kind != "trees":
            raise UserError(f"This reward model is a {file.kind!r}, not trees. Load it with load_prm.")
        self.file = file
        self._forest = forest_of(file)
        surenesses = range(len(TEXT_FEATURES), len(TEXT_FEATURES) + len(LOGPROB_FEATURES))
        self.needs_logprobs = bool(self._forest.used.intersection(surenesses))

    async def score(self, problem: Problem, candidates: Sequence[Candidate]) -> list[Score]:
        """One score each, in order."""
        rows = [step_features(problem, c.text, c.completion.logprobs) for c in candidates]
        values = self._forest.probabilities([row for each in rows for row in each])
        scores, at = [], 0
        for candidate, each in zip(candidates, rows, strict=True):
            blind = self.needs_logprobs and not candidate.completion.logprobs
            note = ", without the log-probabilities it was trained with" if blind else ""
            scores.append(step_score(values[at : at + len(each)], len(each), f"trained reward model{note}"))
            at += len(each)
        return scores


def load_prm(path: str | Path) -> Verifier:
    """The verifier in a file of `nlrl train prm`. Raises UserError for any other file, MissingExtra for a head
    without torch."""
    path = Path(path).expanduser()
    file = read_prm(path)
    if file.head is None:
        return TrainedPRM(file)
    from nlrl.verifiers.prm.huggingface import HuggingFacePRM

    return HuggingFacePRM.with_head(file.head)
