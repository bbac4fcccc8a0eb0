"""Growing texts step by step, and reward models that say what they cost."""

import asyncio
from dataclasses import dataclass

import pytest

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import Budget, Finish, Phase, Problem, PromptTooLong, Score, Spend, Stopped, Verdict
from nlrl.strategies import solve
from nlrl.testing.scripted import ScriptedModel

PROBLEM = Problem("What is 2 + 3 + 4?", "9")
STEPS = ["2 + 3 = 5", "5 + 4 = 9", "Final Answer: 9"]


def next_line(request, index):
    done = request.prefill.count("\n")
    return "\n".join(STEPS[done:])


def test_a_text_grows_by_one_step_at_a_time_until_it_states_its_answer():
    async def main():
        compute = Compute(ScriptedModel(next_line))
        texts, stem = [], None
        for _ in range(3):
            ((stem,),) = await compute.branch(PROBLEM, [stem])
            texts.append((stem.text, stem.completion.finish, stem.answer))
        return texts, compute

    texts, compute = asyncio.run(main())
    assert texts == [
        ("2 + 3 = 5\n", Finish.LENGTH, None),
        ("2 + 3 = 5\n5 + 4 = 9\n", Finish.LENGTH, None),
        ("2 + 3 = 5\n5 + 4 = 9\nFinal Answer: 9", Finish.STOP, "9"),
    ]
    assert [c.parents for c in compute.candidates] == [(), ("s0",), ("s1",)]
    lengths = [c.completion.completion_tokens for c in compute.candidates]
    assert compute.path_tokens == sum(lengths) == compute.candidates[-1].path_tokens


def test_a_text_with_nothing_more_to_say_is_over():
    async def main():
        compute = Compute(ScriptedModel(lambda request, index: "" if request.prefill else "I do not know."))
        ((stem,),) = await compute.branch(PROBLEM, [None])
        ((end,),) = await compute.branch(PROBLEM, [stem])
        return stem, end

    stem, end = asyncio.run(main())
    assert stem.completion.finish is Finish.LENGTH
    assert end.completion.finish is Finish.STOP and end.text == stem.text


def test_a_text_that_fills_the_context_ends_there_and_spoils_nothing_else():
    def reply(request, index):
        return PromptTooLong("the context is full") if "5 + 4" in request.prefill else next_line(request, index)

    async def main():
        compute = Compute(ScriptedModel(reply))
        ((first,),) = await compute.branch(PROBLEM, [None])
        ((second,),) = await compute.branch(PROBLEM, [first])
        return await compute.branch(PROBLEM, [second, first, None]), compute.notes

    (full, *others), notes = asyncio.run(main())
    assert full == [] and all(len(grown) == 1 for grown in others)
    assert notes == ["A text had filled the model's context and was not continued."]


@pytest.mark.parametrize("tokens", [None, 150, 220, 300])
def test_law_a_tight_budget_cuts_the_branches_and_replays_alike(tokens):
    """Whether all stems fit at once or only some: never over budget, and the same branches again from the bank."""

    async def once(bank):
        compute = Compute(ScriptedModel(next_line), bank=bank, budget=Budget(tokens=tokens))
        grown = await compute.branch(PROBLEM, [None, None, None], 2, tokens=20)
        again = await compute.branch(PROBLEM, [c for cs in grown for c in cs], 1, tokens=20)
        return [[c.text for c in cs] for cs in grown + again], compute.ledger.total, compute.stopped

    with Bank() as bank:
        live = asyncio.run(once(bank))
        replayed = asyncio.run(once(bank))
    assert live[0] == replayed[0] and live[1].tokens == replayed[1].tokens and live[2] == replayed[2]
    if tokens is not None:
        assert live[1].tokens <= tokens and live[2] is Stopped.TOKENS


@dataclass
class Reader:
    """A reward model that reads ten tokens for every candidate."""

    fail: bool = False

    async def price(self, problem, candidates):
        return Spend(calls=1, prompt_tokens=10 * len(candidates))

    async def score(self, problem, candidates):
        if self.fail:
            raise RuntimeError("the reward model broke")
        return [Score(0.9, Verdict.ABSTAIN)] * len(candidates)


def test_what_a_reward_model_reads_is_charged_to_verification():
    async def main(reader):
        compute = Compute(ScriptedModel(["Final Answer: 9"], cycle=True), verifier=reader)
        await compute.score(PROBLEM, await compute.sample(PROBLEM, 3))
        return compute.ledger.usage()

    assert asyncio.run(main(Reader())).phases[Phase.VERIFY].tokens == 30
    with pytest.raises(RuntimeError):
        asyncio.run(main(Reader(fail=True)))


def test_a_reward_model_that_no_longer_fits_abstains_and_the_answer_stands():
    async def main():
        compute = Compute(ScriptedModel(["Final Answer: 9"], cycle=True), verifier=Reader())
        drawn = await compute.sample(PROBLEM, 4)
        used = compute.ledger.total.tokens
        tight = Compute(
            ScriptedModel(["Final Answer: 9"], cycle=True),
            verifier=Reader(),
            budget=Budget(tokens=used + 39 + 100),
        )
        return len(drawn), await solve("best_of_n(n=4)", PROBLEM, tight), used + 139

    _, answer, limit = asyncio.run(main())
    assert answer.value == "9" and answer.usage.tokens <= limit
