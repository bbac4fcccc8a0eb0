"""The pairs of modules that the requirement names (9.2), each doing its part for the other.

Classification with prompting, prompting with strategies, strategies with gists, and compute-optimal scaling with a
language policy. The models answer by what they are really sent: a prompt that does not arrive is a wrong answer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import Answer, Budget, Delta, Message, Phase, Problem, Request, Sampling, TaskType, Verdict, blind, user
from nlrl.evaluation import RunConfig, latest, read_records, run_benchmark
from nlrl.evaluation.record_log import outcome
from nlrl.learning.language import language_gpi
from nlrl.learning.language.asking.policy import Evidence, LanguagePolicy, Principle
from nlrl.models.gists import GistResult, stream_gists
from nlrl.scaling.calibrate import calibrate
from nlrl.scaling.policy import save_policy
from nlrl.strategies import solve
from nlrl.tasks import classify_task, get_dynamic_prompt, load_problems, messages_for
from nlrl.testing.scripted import ScriptedModel
from nlrl.verifiers.reference import ReferenceVerifier

KINDS = ("math", "coding", "commonsense")
STRATEGIES = (
    "direct",
    "self_consistency(n=4)",
    "best_of_n(n=4, select=best)",
    "weighted_vote(n=4)",
    "self_refine(rounds=1)",
    "divide_and_conquer(parts=2)",
)
SUM = Problem("What is 17 + 25?", "42", task_type=TaskType.MATH)


def sent(request: Request) -> str:
    return "\n".join(message.content for message in request.messages)


# --- classification and prompting


@pytest.mark.parametrize("kind", KINDS)
def test_every_builtin_problem_is_asked_in_the_way_of_its_own_kind(kind: str) -> None:
    problems, right = load_problems(f"builtin:{kind}").problems, 0
    for problem in problems:
        found = classify_task(problem.question).label
        right += found == kind
        prompt = get_dynamic_prompt(found, problem.question, difficulty="hard", steps=5)
        assert problem.question in prompt and "Chain-of-Thought" in prompt and "Final Answer:" in prompt
        assert "Difficulty: hard, Steps: 5" in prompt
        others = {get_dynamic_prompt(other, problem.question, "hard", 5) for other in KINDS if other != found}
        assert prompt not in others
    assert right >= 0.9 * len(problems)


def test_what_no_one_has_labelled_is_classified_on_its_way_into_a_prompt() -> None:
    labelled, plain = (Problem("What is 17 + 25?", task_type=kind) for kind in (TaskType.MATH, None))
    assert messages_for(plain) == messages_for(labelled)
    code = Problem("Write a Python function that reverses a list.")
    assert "```python" in messages_for(code)[0].content and messages_for(code)[0] != messages_for(plain)[0]


# --- prompting and strategies


def obedient(request: Request, index: int) -> str:
    """Keeps to the form that it is asked for, and to none where it is asked for none."""
    return "17 + 25 = 42\nFinal Answer: 42" if "Final Answer:" in sent(request) else "It is the usual number, I think."


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_reads_the_form_that_the_prompt_has_asked_for(strategy: str) -> None:
    answer = asyncio.run(solve(strategy, blind(SUM), Compute(ScriptedModel(obedient))))
    assert answer.value == "42"
    bare = Compute(ScriptedModel(obedient), prompt=lambda problem: (user(problem.question),))
    assert asyncio.run(solve("direct", blind(SUM), bare)).value is None


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("level", ["easy", "hard"])
def test_how_hard_it_is_said_to_be_reaches_every_first_attempt(strategy: str, level: str) -> None:
    model = ScriptedModel(obedient)
    prompt = partial(messages_for, difficulty=level)
    asyncio.run(solve(strategy, blind(SUM), Compute(model, prompt=prompt)))
    level_in_words = prompt(SUM)[0].content
    assert level_in_words != messages_for(SUM)[0].content
    attempts = [r for r in model.requests if r.messages[-1].content == messages_for(SUM)[-1].content]
    if strategy.startswith("divide"):  # asks for parts first, and then for each part as a problem of its own
        assert any(r.messages[0].content == level_in_words for r in model.requests)
    else:
        assert attempts and all(r.messages[0].content == level_in_words for r in attempts)


# --- strategies and gists


LINE = Sampling(stop_after="Final Answer:")  # an attempt ends with its answer line


def wordy(request: Request, index: int) -> str:
    value = (42, 41, 42, 42)[index % 4]
    return f"Attempt {index} begins.\n17 + 25 = {value}\nFinal Answer: {value}\nAnd now something else entirely."


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gists_of_every_attempt_are_its_text_and_arrive_while_it_works(strategy: str) -> None:
    heard: dict[str, str] = {}

    def watch(candidate: str, delta: Delta) -> None:
        heard[candidate] = heard.get(candidate, "") + delta.text

    answer = asyncio.run(solve(strategy, blind(SUM), Compute(ScriptedModel(wordy), sampling=LINE, watch=watch)))
    assert answer.candidates
    for candidate in answer.candidates:
        gists = candidate.completion.gists
        assert "".join(gist.text for gist in gists) == candidate.completion.text == heard[candidate.id]
        assert sum(gist.tokens for gist in gists) == candidate.completion.completion_tokens
        assert "something else" not in candidate.text  # the stop rule ends an attempt with its answer line


def test_what_was_written_gist_by_gist_is_voted_on_as_what_a_strategy_draws() -> None:
    texts = [wordy(Request(()), index) for index in range(4)]

    async def write() -> list[GistResult]:
        model, prompt = ScriptedModel(texts), get_dynamic_prompt("math", SUM.question)
        return [await stream_gists(model, str(prompt)) for _ in texts]

    results = asyncio.run(write())
    assert all("".join(gist.text for gist in result.gists) == result.text for result in results)
    assert not any("something else" in result.text for result in results)
    voted = asyncio.run(solve("self_consistency(n=4)", SUM, Compute(ScriptedModel([r.text for r in results]))))
    assert (voted.value, voted.confidence) == ("42", 0.75)


# --- compute-optimal scaling and language policies

CARRY = LanguagePolicy(principles=(Principle("Write the carry of every column.", (Evidence("3f0c", "wrong"),)),))


def forgetful(request: Request, index: int) -> str:
    """Right where it was told to write the carry, and else now and then."""
    right = "carry of every column" in sent(request) or index % 4 == 1
    a, b = (int(word.strip("?.")) for word in request.messages[-1].content.split() if word.strip("?.").isdigit())
    return f"{a} + {b}\nFinal Answer: {a + b if right else a + b - 10}"


def sums(count: int, start: int = 11) -> list[Problem]:
    return [Problem(f"What is {start + i} + {start + 2 * i}?", str(2 * start + 3 * i)) for i in range(count)]


def judged(problem: Problem, answer: Answer) -> bool:
    chosen = [c for c in answer.candidates if c.id == answer.chosen]
    return asyncio.run(ReferenceVerifier().score(problem, chosen))[0].verdict is Verdict.RIGHT


def by_auto(
    problem: Problem, prompt: Callable[[Problem], tuple[Message, ...]] | None, **options: object
) -> tuple[Answer, ScriptedModel]:
    model = ScriptedModel(forgetful)
    strategy = "auto" if not options else "auto(" + ", ".join(f"{k}={v!r}" for k, v in options.items()) + ")"
    return asyncio.run(solve(strategy, blind(problem), Compute(model, prompt=prompt))), model


def test_auto_probes_and_spends_under_a_language_policy() -> None:
    (problem,) = sums(1)
    taught, model = by_auto(problem, CARRY.messages)
    untaught, _ = by_auto(problem, None)
    assert judged(problem, taught) and taught.confidence > untaught.confidence
    attempts = [r for r in model.requests if problem.question in r.messages[-1].content]
    assert attempts and all("carry of every column" in sent(r) for r in attempts)
    assert taught.usage.phases[Phase.PROBE].tokens > 0  # the difficulty is found out under the policy, and charged
    assert taught.usage.total.calls < untaught.usage.total.calls  # what a policy makes easy needs fewer attempts


def test_a_policy_that_was_calibrated_goes_on_under_a_language_policy(tmp_path) -> None:
    problems = [replace(p, task_type=TaskType.MATH) for p in sums(24)]
    strategies = ("direct", "self_consistency(n=4)", "self_consistency(n=8)")
    made = asyncio.run(calibrate(problems, ScriptedModel(forgetful), bank=Bank(), samples=8, strategies=strategies))
    save_policy(made.policy, tmp_path / "policy.json")
    held_out = [replace(p, task_type=TaskType.MATH) for p in sums(6, start=71)]
    path = str(tmp_path / "policy.json")
    under = [by_auto(p, CARRY.messages, policy=path) for p in held_out]
    without = [by_auto(p, None, policy=path) for p in held_out]
    assert all(judged(p, answer) for p, (answer, _) in zip(held_out, under, strict=True))
    assert sum(judged(p, answer) for p, (answer, _) in zip(held_out, without, strict=True)) < len(held_out)
    assert not any("built-in default" in note for answer, _ in under for note in answer.notes)


def test_a_benchmark_compares_auto_with_others_under_one_language_policy(tmp_path) -> None:
    model, problems = ScriptedModel(forgetful), sums(6)
    config = RunConfig(strategies=("direct", "auto"), budget=Budget(tokens=20_000), prompt=CARRY.id)
    asyncio.run(run_benchmark(config, model, problems, bank=Bank(), out_dir=tmp_path / "run", prompt=CARRY.messages))
    records = latest(read_records(tmp_path / "run" / "records.jsonl"))
    assert Counter((r.strategy, outcome(r).right) for r in records) == {("direct", 1): 6, ("auto", 1): 6}
    assert all("carry of every column" in sent(request) for request in model.requests)


def test_what_language_gpi_has_learned_is_what_auto_then_asks(tmp_path) -> None:
    """Right where it is shown worked examples of its own, as small models are."""

    def shy(request: Request, index: int) -> str:
        own = sum(m.role == "assistant" and "by columns" in m.content for m in request.messages)
        right = own > 0 or index % 2 == 1 or hash_of(request) % 3 == 0
        if not request.messages[-1].content.startswith("What is"):
            return "It is not clear what went wrong."  # it is no critic
        a, b = (int(w.strip("?.")) for w in request.messages[-1].content.split() if w.strip("?.").isdigit())
        return f"{a} + {b} by columns\nFinal Answer: {a + b if right else a + b + 1}"

    def hash_of(request: Request) -> int:
        return sum(map(ord, request.messages[-1].content)) + (request.sampling.seed or 0)

    model = ScriptedModel(shy)
    rows = [{"question": p.question, "answer": p.reference} for p in sums(60)]
    found = language_gpi(model, None, rows, None, 4, results=tmp_path / "results.json", say=lambda line: None)
    assert found.words and found.policy.examples  # something was learned, and it is worked examples
    asked = ScriptedModel(shy)
    answer = asyncio.run(solve("auto", blind(sums(1, 50)[0]), Compute(asked, prompt=found.policy.messages)))
    assert judged(sums(1, 50)[0], answer)
    examples = [m.content for m in asked.requests[0].messages if m.role == "assistant"]
    assert examples and all("by columns" in text for text in examples)
