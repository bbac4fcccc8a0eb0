"""Divide and conquer, self-refinement, best of n, self-consistency: the guide's reasoning strategies as functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from nlrl.answers.extraction import extract_answer
from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import Answer, Budget, Candidate, Completion, Finish, Problem, Sampling, UserError
from nlrl.core.sync import run_sync
from nlrl.functions.texts import AnswerText, Question, answer_text, with_default
from nlrl.strategies import solve
from nlrl.strategies.self_refine import refine
from nlrl.strategies.voting import count_votes
from nlrl.tasks.rows import as_problem
from nlrl.verifiers.functions import FunctionVerifier, RewardModel, as_verifier

GOOD_ENOUGH = 0.9  # a text with a reward above it is not refined further: the guide's threshold
SAMPLING = Sampling(temperature=0.7, top_p=0.95)  # of several attempts: the guide's
ROUNDS = 3


def divide_and_conquer(
    problem: Question,
    num_subtasks: int = 3,
    *,
    model: Any = None,
    tokenizer: Any = None,
    budget: Budget | None = None,
    sampling: Sampling | None = None,
    bank: Bank | None = None,
) -> str:
    """Break a problem into at most `num_subtasks`, solve them in order, then the whole with their answers in view.

    With a model the text is an `AnswerText`. Without one nothing can be solved: what comes back names the sub-tasks and
    the places of their solutions, a line each, as the guide does.

    Raises UserError for less than one sub-task, or an empty problem.
    """
    if isinstance(num_subtasks, bool) or not isinstance(num_subtasks, int) or num_subtasks < 1:
        raise UserError(f"num_subtasks must be a whole number of at least 1, got {num_subtasks!r}.")
    if model is None:
        question = as_problem(problem).question
        steps = [f"Step {i}: Solve {question} (sub-task {i})" for i in range(1, num_subtasks + 1)]
        return "\n".join(f"{step}\nSolution to {step}" for step in steps)
    work = partial(solve, f"divide_and_conquer(parts={num_subtasks})")
    return answer_text(work, problem, model, tokenizer, budget=budget, sampling=sampling, bank=bank)


def self_refine(
    output: str,
    reward_model: RewardModel | Mapping[str, RewardModel],
    *,
    model: Any = None,
    tokenizer: Any = None,
    prompt: Question | None = None,
    rounds: int = ROUNDS,
    budget: Budget | None = None,
    sampling: Sampling | None = None,
    bank: Bank | None = None,
    **kwargs: Any,
) -> str:
    """Refine a text until its reward is above 0.9, at most `rounds` times.

    reward_model  a function of the text, a mapping of them by kind of problem, a verifier or its name
    kwargs        passed on to a function, such as `test_cases=`; `prompt` too where it has a parameter of that name
    model         criticises the text and writes it anew, at `prompt` (what the text answers); a revision is kept only
                  where the reward likes it better. Without a model nobody can refine: as in the guide, each round then
                  appends a note that asks for it

    Raises UserError for what is no reward model, or a model without the prompt; and what the reward model raises.
    """
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 0:
        raise UserError(f"rounds must be a whole number, 0 or more, got {rounds!r}.")
    judge: Any = as_verifier(reward_model)
    if judge is None:
        raise UserError("self_refine needs a reward model: a function of the text, a verifier or its name.")
    if isinstance(judge, FunctionVerifier):  # `prompt` is a word of ours and may be one of theirs
        own = {} if prompt is None or not judge.takes("prompt") else {"prompt": prompt}
        judge = FunctionVerifier(judge.function, keywords=own | kwargs)
    elif kwargs:
        raise UserError(f"{', '.join(kwargs)}: keywords are passed on to a reward function, and this is none.")
    if model is None:
        return run_sync(_with_notes(output, judge, as_problem(prompt or "(no prompt)"), rounds))
    if prompt is None:
        raise UserError("To refine with a model, say what the text answers: self_refine(..., model=model, prompt=...).")

    async def work(problem: Problem, compute: Compute) -> Answer:
        draft = as_candidate(output, problem)
        return await refine(problem, compute, draft, judge, rounds=rounds, enough=GOOD_ENOUGH)

    async def whole(problem: Problem, compute: Compute) -> Answer:
        return await solve(work, problem, compute)

    refined = answer_text(whole, prompt, model, tokenizer, budget=budget, sampling=sampling, bank=bank)
    return refined if refined else AnswerText(replace(refined.answer, text=output))


async def _with_notes(output: str, judge: Any, problem: Problem, rounds: int) -> str:
    for at in range(1, rounds + 1):
        score = (await judge.score(problem, [as_candidate(output, problem)]))[0]
        if score.value > GOOD_ENOUGH:
            break
        output += f"\n[Critique Attempt {at}: Identify logical mistakes and correct them]\n"
    return output


def self_consistency_selection(candidates: Sequence[str], *, prompt: Question | None = None) -> str:
    """Of several solutions, the one whose final answer most of them reach (the first such; "" if there are none).

    Answers are read out of the texts and compared by meaning: "1/2" and "0.5" vote together. Texts in which no answer
    can be found vote as they are.
    """
    problem = Problem("") if prompt is None else as_problem(prompt)
    attempts = [
        Candidate(f"s{i}", Completion(t, Finish.STOP, 0), extract_answer(t, problem).answer or t.strip() or None)
        for i, t in enumerate(candidates)
    ]
    leader = run_sync(count_votes(problem, attempts)).leader
    return leader.text if leader else ""


def best_of_n_generate(
    model: Any,
    tokenizer: Any,
    prompt: Question,
    n: int = 5,
    self_consistency: bool = False,
    *,
    reward_model: RewardModel | Mapping[str, RewardModel] | None = None,
    budget: Budget | None = None,
    sampling: Sampling | None = None,
    bank: Bank | None = None,
) -> AnswerText:
    """n attempts, and the text of the best.

    self_consistency  the best is the one whose answer most attempts reach
    reward_model      else the one it scores highest: a function of the text, a mapping of them by kind of problem, a
                      verifier or its name. Without one: by public tests or constraints where the problem has them, else
                      by the model's own certainty, where it tells log-probabilities

    For the answer with the largest sum of scores use `solve("weighted_vote(n=8)", ...)`. Raises UserError for what is
    no model or no reward model, an empty prompt, or n below 1.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UserError(f"n must be a whole number of at least 1, got {n!r}.")
    strategy = f"self_consistency(n={n})" if self_consistency else f"best_of_n(n={n}, select=best)"
    return answer_text(
        partial(solve, strategy),
        prompt,
        model,
        tokenizer,
        verifier=as_verifier(reward_model),
        budget=budget,
        sampling=with_default(sampling, temperature=SAMPLING.temperature, top_p=SAMPLING.top_p),
        bank=bank,
    )


def as_candidate(text: str, problem: Problem) -> Candidate:
    """A text that was given and not drawn here, as an attempt."""
    return Candidate("given", Completion(text, Finish.STOP, 0), extract_answer(text, problem).answer)
