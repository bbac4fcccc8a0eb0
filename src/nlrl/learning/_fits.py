# pyright: reportMissingImports=false
"""What every fit has around its steps: a thread, progress, cancellation, a report."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from nlrl.core import MissingExtra, ModelError, UserError
from nlrl.learning.learner import FitProgress, FitReport, OnProgress, Pair, Recipe

if TYPE_CHECKING:
    import torch

    from nlrl.learning.text.fit import Example

_T = TypeVar("_T")
_REPORT_STEPS = 20  # steps whose losses a progress report averages


def require(package: str, purpose: str) -> None:
    """Raises MissingExtra where a package of the extra `train` is not installed."""
    try:
        __import__(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingExtra(package, "train", purpose) from error


def check_lengths(examples: Sequence[Example], pairs: Sequence[Pair], longest: int) -> None:
    """Raises UserError where prompt and reply together are too long."""
    too_long = [i for i, example in enumerate(examples) if len(example.ids) > longest]
    if too_long:
        raise UserError(
            f"{len(too_long)} of {len(pairs)} distinct pairs have more than {longest} tokens, which is all this model "
            f"takes (the first begins {pairs[too_long[0]][0][:60]!r}). Shorten them, or take a longer context."
        )


class Fit:
    """One fit on its way. `steps` of it run in a thread."""

    def __init__(self, recipe: Recipe, examples: int, seed: int, on_progress: OnProgress | None):
        self.recipe, self.seed = recipe, seed
        self._an_epoch = -(-examples // recipe.batch)
        self.steps = max(recipe.epochs * self._an_epoch, recipe.least_steps)
        self._stop = threading.Event()
        self._recent: list[float] = []
        self._losses: list[float] = []
        self._begun = time.monotonic()
        self._loop, self._on_progress = asyncio.get_running_loop(), on_progress

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run `work`, which calls `learn`, in a thread. Cancelled, it ends after its current step."""
        try:
            return await asyncio.to_thread(work)
        finally:
            self._stop.set()

    def learn(
        self,
        optimisers: Sequence[torch.optim.Optimizer],
        loss_of: Callable[[Sequence[Example]], torch.Tensor],
        examples: Sequence[Example],
    ) -> None:
        """All steps. Raises ModelError where the loss diverges."""
        from nlrl.learning.text.fit import Diverged, learn

        recipe = self.recipe
        try:
            self._losses = learn(
                optimisers,
                loss_of,
                examples,
                steps=self.steps,
                batch=recipe.batch,
                seed=self.seed,
                stop=self._stop,
                on_step=self._on_step,
            )
        except Diverged:
            raise ModelError(
                f"The loss diverged at a learning rate of {recipe.learning_rate}; the weights are as before. Lower it."
            ) from None

    def _on_step(self, step: int, loss: float) -> None:
        self._recent.append(loss)
        if step % _REPORT_STEPS == 0 or step == self.steps:
            progress = FitProgress(step, self.steps, sum(self._recent) / len(self._recent))
            self._recent.clear()
            if self._on_progress is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._on_progress, progress)

    def report(self, name: str, pairs: Sequence[Pair], examples: Sequence[Example]) -> FitReport:
        """What it came to."""
        n = self._an_epoch
        return FitReport(
            pairs=len(pairs),
            distinct=len(examples),
            steps=self.steps,
            tokens=sum(len(e.ids) - e.given for e in examples),
            first_loss=sum(self._losses[:n]) / n,
            loss=sum(self._losses[-n:]) / n,
            seconds=time.monotonic() - self._begun,
            name=name,
        )
