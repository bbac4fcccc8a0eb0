"""What language GPI is measured against, in the same runner: the same rollouts, judge, bank and ledger.

memory = await reflexion(roller, critic, problems)         # a policy: the lessons of failed attempts
shown = await random_examples(roller, problems, rng)       # a policy: right attempts of its own, whichever come
found = await gepa_policy(roller, critic, feedback, validation)    # needs the package gepa
"""

from __future__ import annotations

import asyncio
import importlib
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from nlrl.core import BudgetExhausted, MissingExtra, Problem, Sampling, user
from nlrl.learning.language.asking.critique import Critic, cut, judgement
from nlrl.learning.language.asking.policy import (
    LONGEST_INSTRUCTION,
    LONGEST_LINE,
    Example,
    LanguagePolicy,
    Principle,
    fit_to_say,
)
from nlrl.learning.language.asking.proposals import EXAMPLES, may_be_shown, worked_example
from nlrl.learning.language.asking.rollouts import Roller, value_of, values_of
from nlrl.tasks.prompts import messages_for

MEMORY = 3  # reflections kept, as in Reflexion (Shinn et al. 2023, 2303.11366, section 3)
RETRIES = 2
_IDLE_ROUNDS = 20


async def reflexion(roller: Roller, critic: Critic, problems: Sequence[Problem]) -> LanguagePolicy:
    """Try each problem; after a failure write down why, and try again with the last reflections in the prompt.

    The memory goes on from problem to problem, and is what comes out, as principles: nothing is ever validated.
    Retries are judged as first attempts are. Ends with the problems or the budget.
    """
    policy = LanguagePolicy()
    try:
        for problem in problems:
            for _ in range(1 + RETRIES):
                rollout = (await roller.roll(policy, [problem]))[problem.id][0]
                if rollout.value is None or rollout.value == 1.0:
                    break
                note = (await critic.evaluate([(problem, rollout)]))[0]
                text = cut(note.text, LONGEST_LINE)
                if not fit_to_say(text, LONGEST_LINE):
                    continue
                memory = [p for p in policy.principles if p.text != text]
                policy = replace(policy, principles=(*memory, Principle(text, (note.evidence,)))[-MEMORY:])
    except BudgetExhausted:
        pass
    return policy


async def random_examples(
    roller: Roller, problems: Sequence[Problem], rng: random.Random, *, number: int = EXAMPLES
) -> LanguagePolicy:
    """The base policy with `number` of its own right attempts as worked examples: the first ones in a random order of
    the problems, neither chosen among nor validated.

    What counts as right in form is what `improve` may show too, so that only the choice and the check differ. Ends with
    the problems or the budget, and then has fewer.
    """
    order = list(problems)
    rng.shuffle(order)
    shown: list[Example] = []
    try:
        for problem in order:
            if len(shown) == number:
                break
            rolled = (await roller.roll(LanguagePolicy(), [problem]))[problem.id]
            shown += [worked_example(problem, r) for r in rolled if may_be_shown(problem, r)][:1]
    except BudgetExhausted:
        pass
    return LanguagePolicy(examples=tuple(shown)) if shown else LanguagePolicy()


async def gepa_policy(
    roller: Roller,
    critic: Critic,
    feedback: Sequence[Problem],
    validation: Sequence[Problem],
    *,
    minibatch: int = 3,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> LanguagePolicy:
    """The instruction that GEPA finds (Agrawal et al. 2025, 2507.19457), every token through our ledger.

    GEPA's own loop and prompts: it evolves the instruction, by reflection on minibatches, with Pareto selection. Its
    best candidate is that with the highest mean on the whole validation split. Ends with the budget. Raises
    MissingExtra without the package.
    """
    try:
        api: Any = importlib.import_module("gepa")
        batch_type: Any = importlib.import_module("gepa.core.adapter").EvaluationBatch
    except ImportError:
        raise MissingExtra("gepa", "gepa", "The GEPA baseline") from None
    loop = asyncio.get_running_loop()
    adapter = _Adapter(roller, loop, batch_type, {p.id for p in validation})

    def reflect(prompt: str | list[Mapping[str, str]]) -> str:
        text = prompt if isinstance(prompt, str) else "\n".join(str(m.get("content", "")) for m in prompt)
        messages = (user(text),)
        return adapter.wait(critic.ask(messages, sampling=Sampling(temperature=0.7, max_tokens=256)))

    def run() -> None:
        api.optimize(
            seed_candidate={"instruction": seed_instruction(validation[0])},
            trainset=list(feedback),
            valset=list(validation),
            adapter=adapter,
            reflection_lm=reflect,
            reflection_minibatch_size=minibatch,
            stop_callbacks=lambda state: adapter.over(),
            logger=_Logger(say),
            seed=seed,
        )

    try:
        await asyncio.to_thread(run)
    except asyncio.CancelledError as cancelled:  # a thread cannot be cancelled, but it can be refused
        adapter.end(cancelled)
        raise
    except Exception:  # GEPA wraps and swallows what its adapter raises: what ended it stands there
        if adapter.ended is None:
            raise
    if adapter.ended is not None and not isinstance(adapter.ended, BudgetExhausted):
        raise adapter.ended
    return adapter.best()


def seed_instruction(problem: Problem) -> str:
    """What GEPA starts from: the instruction of the task, as the base policy says it."""
    return messages_for(problem)[0].content


class _Adapter:
    """GEPA's side of our rollouts; it runs in a thread of its own and asks this loop."""

    propose_new_texts = None

    def __init__(self, roller: Roller, loop: asyncio.AbstractEventLoop, batch_type: Any, validation: set[str]) -> None:
        self._roller, self._loop, self._batch, self._validation = roller, loop, batch_type, validation
        self._means: dict[LanguagePolicy, float] = {}
        self._idle, self._seen = 0, 0  # rounds in which nothing was spent, and what was spent by then
        self._asked: Future[Any] | None = None
        self.ended: BaseException | None = None

    def end(self, reason: BaseException) -> None:
        """Nothing more is asked, and what is being asked is given up."""
        self.ended = self.ended or reason
        if self._asked is not None:
            self._asked.cancel()

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of a coroutine of the loop; what it raises ends the run."""
        if self.ended is not None:
            work.close()
            raise self.ended
        try:
            self._asked = asyncio.run_coroutine_threadsafe(work, self._loop)
            return self._asked.result()
        except Exception as error:
            self.ended = self.ended or error
            raise

    def over(self) -> bool:
        """Whether to stop: something ended it, or GEPA turns in circles on what it has seen."""
        spent = self._roller.ledger.total.calls
        self._idle = self._idle + 1 if spent == self._seen else 0
        self._seen = spent
        return self.ended is not None or self._idle > _IDLE_ROUNDS

    def evaluate(self, batch: list[Problem], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """Values of a candidate on a batch; one that must not be said to a model is worth nothing."""
        policy = as_policy(candidate["instruction"], batch[0])
        if policy is None:
            blank = [(p, "", "the instruction is empty, too long, or holds control text") for p in batch]
            return self._batch(outputs=blank, scores=[0.0] * len(batch), trajectories=blank)
        rolled = self.wait(self._roller.roll(policy, batch))
        if {p.id for p in batch} == self._validation:
            values = values_of(rolled)
            self._means.setdefault(policy, sum(values.values()) / max(len(values), 1))
        seen = [(p, rolled[p.id][0].text, judgement(p, rolled[p.id][0])) for p in batch]
        scores = [value_of(rolled[p.id]) or 0.0 for p in batch]
        return self._batch(outputs=seen, scores=scores, trajectories=seen if capture_traces else None)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, str]]]:
        """What GEPA's reflection reads of each rollout."""
        rows = [
            {"Inputs": cut(p.question, 600), "Generated Outputs": cut(text, 600), "Feedback": said}
            for p, text, said in eval_batch.trajectories
        ]
        return dict.fromkeys(components_to_update, rows)

    def best(self) -> LanguagePolicy:
        """The candidate with the highest mean on the whole validation split, the earlier of equals."""
        return max(self._means, key=lambda p: self._means[p], default=LanguagePolicy())


def as_policy(instruction: str, problem: Problem) -> LanguagePolicy | None:
    """GEPA's instruction as a policy: its own seed is the base policy. None if it must not be said to a model."""
    if instruction == seed_instruction(problem):
        return LanguagePolicy()
    return LanguagePolicy(instruction=instruction) if fit_to_say(instruction, LONGEST_INSTRUCTION) else None


class _Logger:
    def __init__(self, say: Callable[[str], None]) -> None:
        self.log = say
