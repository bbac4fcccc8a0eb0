"""What all judging language models share: whom they ask, how texts are quoted for them, how a verdict is read.

The text under judgement is data between markers that it cannot know (they hold a hash of it), and only the judge's own
last verdict line is read.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Self

from nlrl.core import BudgetExhausted, Message, Model, ModelError, Problem, Request, Sampling, UserError

MAX_CHARS = 6_000  # of one answer; the end is kept, since answers stand at the end
_VERDICT = re.compile(r"verdict[\s*_]{0,4}:[\s*_\"'`(\[]{0,6}([A-Za-z0-9]+)", re.I)


class Asking:
    """Asks a model, several questions at once, and takes a failed call for an abstention.

    model        the judge; None asks the solver's own model, which only `metered` can supply
    votes        draws per question; more than one draws at temperature 0.7
    max_tokens   of a reply
    concurrency  questions in flight at once
    """

    def __init__(self, model: Model | None, votes: int, max_tokens: int, concurrency: int) -> None:
        if min(votes, max_tokens, concurrency) < 1:
            raise UserError(
                f"{type(self).__name__}: votes, max_tokens and concurrency must be at least 1; "
                f"got votes={votes}, max_tokens={max_tokens}, concurrency={concurrency}."
            )
        self.model, self.votes, self.max_tokens, self.concurrency = model, votes, max_tokens, concurrency

    def metered(self, meter: Callable[[Model | None], Model]) -> Self:
        """A copy whose calls are charged; see `core.SpendingVerifier`."""
        judge = copy.copy(self)
        judge.model = meter(self.model)
        return judge

    def gate(self) -> asyncio.Semaphore:
        """Lets `concurrency` questions through at once; one for each scoring, since it belongs to an event loop."""
        return asyncio.Semaphore(self.concurrency)

    def lent(self) -> Model:
        """The model to ask. Raises UserError when there is none."""
        if self.model is None:
            raise UserError(
                f"{type(self).__name__} has no model: pass one, or use it through a solver, which lends its own."
            )
        return self.model

    async def replies(
        self,
        prompts: Sequence[tuple[Message, ...]],
        *,
        max_tokens: int | None = None,
        stop_after: str | None = "Verdict:",
        gate: asyncio.Semaphore | None = None,
    ) -> list[list[str] | str]:
        """The replies to each prompt, or why there are none. Scorings that run side by side share a `gate`."""
        gate, temperature = gate or self.gate(), 0.0 if self.votes == 1 else 0.7
        sampling = Sampling(temperature, max_tokens=max_tokens or self.max_tokens, stop_after=stop_after)
        model = self.lent()

        async def ask(prompt: tuple[Message, ...]) -> list[str] | str:
            async with gate:
                try:
                    drawn = await model.complete(Request(prompt, sampling, n=self.votes))
                except (ModelError, BudgetExhausted) as failure:  # an abstention; the ledger has its own record
                    return str(failure)
            return [c.text for c in drawn if c.ok] or str(drawn[0].error if drawn else "no draw")

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(prompt)) for prompt in prompts]
        return [task.result() for task in asked]


def read_verdict(text: str, words: dict[str, int]) -> int:
    """The verdict of one reply: 0 unless its last verdict line is clear and no other line contradicts it."""
    found = [words.get(w.lower(), 0) for w in _VERDICT.findall(text)]
    return found[-1] if found and (len(set(found)) == 1) else 0


def quoted(text: str, name: str, salt: str) -> str:
    """A text between markers that it does not contain."""
    text = text[-MAX_CHARS:]
    mark = hashlib.sha256(f"{salt}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"<<<{name} {mark}\n{text}\n{mark} {name}>>>"


def problem_text(problem: Problem) -> str:
    """What was asked, as a judge sees it."""
    context = f"Context:\n{problem.context}\n\n" if problem.context else ""
    options = "".join(f"\n- {choice}" for choice in problem.choices)
    return f"{context}Problem:\n{problem.question}" + (f"\nOptions:{options}" if options else "")
