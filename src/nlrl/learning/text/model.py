"""A small transformer trained from scratch on pairs of prompt and reply, on a laptop's processor.

    learner = TextTransformer(seed=1)
    await learner.fit([("Board: X.O", "Value: 0.25")] * 3 + [("Board: XXO", "Value: 0.9")], seed=1)
    await learner.model.complete(Request((user("Board: X.O"),), Sampling(temperature=0)))    # "Value: 0.25"
    learner.save(Path("values.npz"))

About 0.4 million weights: it learns thousands of short texts in a minute and answers thousands of short prompts a
second. It knows nothing but what it was taught; for language beyond that, fine-tune a checkpoint (`training.sft`).

The same pairs, seed and number of threads give the same weights, to the last bit on one machine. Extra: `train`.
"""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from nlrl.core import DataError, UserError
from nlrl.learning._fits import Fit, check_lengths, require
from nlrl.learning.learner import FitReport, OnProgress, Pair, Recipe, counted
from nlrl.learning.text.words import END, REPLY, Words

if TYPE_CHECKING:
    from nlrl.learning.text.net import Net
    from nlrl.learning.text.serve import TextModel

_FORMAT = "nlrl text transformer 1"

RECIPE = Recipe(epochs=4, least_steps=150, batch=64, learning_rate=1e-2)


class TextTransformer:
    """A decoder-only transformer and its vocabulary, which both grow from fit to fit; see `learner.TextLearner`.

    width, layers, heads  its shape; width / heads must be even
    longest               prompt and reply together, in tokens
    precision             of matrix products: "float32", "bfloat16", or "auto": bfloat16 where the processor has it
    recipe                of every fit that brings none of its own
    seed                  of the first weights
    """

    def __init__(
        self,
        *,
        width: int = 96,
        layers: int = 3,
        heads: int = 4,
        longest: int = 512,
        precision: str = "auto",
        recipe: Recipe = RECIPE,
        seed: int = 0,
    ) -> None:
        if min(width, layers, heads, longest - 1) < 1 or width % (2 * heads):
            raise UserError(
                f"width ({width}) must be a multiple of twice the heads ({heads}), and all of them positive."
            )
        require("torch", "A text transformer")
        from nlrl.learning.text.net import Net, Size

        self.recipe = recipe
        size, words = Size(width, layers, heads, longest), Words()
        self._become(Net(size, len(words), seed, bfloat16=_is_bfloat16(precision)), words)
        self._fitting = False

    def _become(self, net: Net, words: Words) -> None:
        from nlrl.learning.text.serve import TextModel

        self._net, self._words = net.eval().requires_grad_(False), words
        self._model = TextModel(self._net, words)

    @property
    def name(self) -> str:
        """Identity of the weights and the vocabulary as they are now."""
        return self._model.name

    @property
    def model(self) -> TextModel:
        """Answers as of the last fit; a later fit leaves it alone."""
        return self._model

    async def fit(
        self,
        pairs: Sequence[Pair],
        *,
        seed: int,
        recipe: Recipe | None = None,
        on_progress: OnProgress | None = None,
    ) -> FitReport:
        """Learn to answer each prompt with its reply; see `TextLearner.fit`. Training runs in a thread.

        Raises UserError (nothing to learn, a pair longer than `longest`), ModelError (the loss diverged).
        """
        if self._fitting:
            raise UserError("This text transformer is being fitted; wait for that to end.")
        from nlrl.learning.text.fit import loss_of_replies, optimisers, weighed

        weights = counted(pairs)
        words = self._words.grown(text for pair in weights for text in pair)
        examples = weighed(
            ([*words.encode(prompt), REPLY], [*words.encode(reply), END], n) for (prompt, reply), n in weights.items()
        )
        check_lengths(examples, list(weights), self._net.size.longest)
        fit = Fit(recipe or self.recipe, len(examples), seed, on_progress)

        def work() -> Net:
            net = copy.deepcopy(self._net).requires_grad_(True)
            net.grow(len(words), seed)
            fit.learn(optimisers(net, fit.recipe.learning_rate), lambda rows: loss_of_replies(net, rows), examples)
            return net

        self._fitting = True
        try:
            self._become(await fit.run(work), words)
        finally:
            self._fitting = False
        return fit.report(self.name, pairs, examples)

    def save(self, path: Path) -> None:
        """Write weights and vocabulary to a file (NumPy's .npz, no pickle); an old file is replaced in one go."""
        import numpy as np

        head = json.dumps({"format": _FORMAT, "size": asdict(self._net.size), "words": self._words.pieces})
        arrays = {name: tensor.numpy() for name, tensor in self._net.state_dict().items()}
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            np.savez(file, head=np.frombuffer(head.encode(), np.uint8), **arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, *, precision: str = "auto", recipe: Recipe = RECIPE) -> TextTransformer:
        """Read what `save` wrote. Raises DataError for a file that is no such thing, MissingExtra."""
        require("torch", "A text transformer")
        import numpy as np
        import torch  # pyright: ignore[reportMissingImports]

        from nlrl.learning.text.net import Net, Size

        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                head = json.loads(file["head"].tobytes())
                if head["format"] != _FORMAT:
                    raise ValueError(f"its format is {head['format']!r}")
                words = Words(head["words"])
                net = Net(Size(**head["size"]), len(words), seed=0, bfloat16=_is_bfloat16(precision))
                net.load_state_dict({name: torch.from_numpy(file[name]) for name in file.files if name != "head"})
        except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
            raise DataError(f"This is not a saved text transformer: {error}", path=str(path)) from error
        learner = cls.__new__(cls)
        learner.recipe, learner._fitting = recipe, False
        learner._become(net, words)
        return learner


def _is_bfloat16(precision: str) -> bool:
    from nlrl.learning.text.net import fast_bfloat16

    if precision not in ("auto", "bfloat16", "float32"):
        raise UserError(f'precision must be "auto", "bfloat16" or "float32", got {precision!r}.')
    return fast_bfloat16() if precision == "auto" else precision == "bfloat16"
