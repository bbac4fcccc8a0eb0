"""What every function of the plain face needs: one run to its end, and a text that knows how it came about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import Answer, Budget, Model, Problem, Sampling, Usage, Verifier, user
from nlrl.core.sync import run_sync
from nlrl.models.given import as_model
from nlrl.tasks.prompts import messages_for
from nlrl.tasks.rows import as_problem

Question = str | Problem | dict[str, Any]
Work = Callable[[Problem, Compute], Awaitable[Answer]]


class AnswerText(str):
    """The text of an answer, and with it the whole `Answer`: value, usage, candidates, notes.

    Where no attempt holds an answer that can be read, it is the text of the first one, and `value` is None.
    """

    __slots__ = ("answer",)

    answer: Answer

    def __new__(cls, answer: Answer) -> AnswerText:
        text = answer.text
        if answer.chosen is None and answer.candidates:  # no answer could be read out of any: a text is still one
            text = answer.candidates[0].text
        self = super().__new__(cls, text)
        self.answer = answer
        return self

    @property
    def value(self) -> str | None:
        """The answer that was read out of the text, None if there is none."""
        return self.answer.value

    @property
    def usage(self) -> Usage:
        """What it cost."""
        return self.answer.usage

    def __getnewargs__(self) -> tuple[Answer]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return (self.answer,)  # for pickle and copy


def open_model(model: Any, tokenizer: Any, problems: list[Problem] | None = None) -> tuple[Model, bool]:
    """The model, and whether it was made here, so that it is to be closed here."""
    if isinstance(model, str) and model.startswith("stochastic:"):
        from nlrl.models import load_model

        return load_model(model, problems=problems or ()), True
    return as_model(model, tokenizer), isinstance(model, str)


def answer_text(
    work: Work,
    question: Question,
    model: Any,
    tokenizer: Any,
    *,
    verifier: Verifier | None = None,
    budget: Budget | None = None,
    sampling: Sampling | None = None,
    bank: Bank | None = None,
) -> AnswerText:
    """Run `work` on one question to its end.

    A text is sent as it stands, as the guide's prompts are; a row or a `Problem` with the instructions and worked
    examples of its kind.
    """
    problem = as_problem(question)
    as_it_stands = isinstance(question, str)

    async def run() -> Answer:
        opened, ours = open_model(model, tokenizer, [problem])
        try:
            compute = Compute(
                opened,
                budget=budget,
                bank=bank,
                verifier=verifier,
                sampling=sampling,
                prompt=(lambda p: (user(p.question),)) if as_it_stands else messages_for,
            )
            return await work(problem, compute)
        finally:
            if ours:
                await opened.aclose()

    return AnswerText(run_sync(run()))


def with_default(sampling: Sampling | None, **defaults: Any) -> Sampling:
    """The sampling with `defaults` where it sets nothing."""
    sampling = sampling or Sampling()
    return replace(sampling, **{name: value for name, value in defaults.items() if getattr(sampling, name) is None})
