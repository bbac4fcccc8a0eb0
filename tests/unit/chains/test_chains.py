"""The small world of the compute-optimal benchmark: its task, its choice per bin, its batched model."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from nlrl.bank import Bank
from nlrl.compute import Compute
from nlrl.core import ANSWER_PHRASE, Finish, Phase, Request, Sampling, user
from nlrl.strategies import solve

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from chains.choice import (
    Seed,
    cross_validate,
    one_bin,
    quantile_bins,
    quotient_intervals,
    ratio_intervals,
    ratios,
    tokens_for,
)
from chains.task import make_chains, right_steps, solve_lines
from chains.text import NEWLINE, decode, encode, mark

# --- the task


def test_a_chain_is_worked_out_from_left_to_right():
    assert solve_lines("17+5*3-20") == ["17+5=22", "22*3=66", "66-20=46", "Final Answer: 46"]
    with pytest.raises(ValueError, match="not a chain"):
        solve_lines("17+")


def test_chains_are_different_repeatable_and_right():
    chains = make_chains(140, 3)
    assert len({c.question for c in chains}) == 140
    assert chains == make_chains(140, 3) and chains != make_chains(140, 4)
    assert {c.steps for c in chains} == set(range(2, 9)) and {c.digits for c in chains} == {1, 2}
    assert all(list(c.lines) == solve_lines(c.question) and c.problem.reference == c.answer for c in chains)
    asked = frozenset(c.question for c in chains)
    assert not asked & {c.question for c in make_chains(50, 3, exclude=asked)}
    assert chains[0].problem.id == make_chains(1, 3)[0].problem.id


def test_a_step_is_right_only_if_all_before_it_are():
    assert right_steps("2+3*4", "2+3=5\n5*4=21\nFinal Answer: 21") == [True, False, False]
    assert right_steps("2+3*4", "2+3=5\n\n5*4=20\nFinal Answer: 20\nmore") == [True, True, True, False]


def test_text_survives_the_tokens_and_marks_follow_the_text():
    text = f"17+5=22\n22*30=660\n{ANSWER_PHRASE} 660"
    assert decode(encode(text)) == text and len(encode(f"{ANSWER_PHRASE} ")) == 1
    ids = np.array([[*encode("17+5*3"), NEWLINE, *encode("17+5=22\n22*3")]])
    whole = mark(ids)
    assert whole[0, :, 0].tolist() == [0, 0, 1, 1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    for cut in range(1, ids.shape[1]):  # piece by piece as at once
        rest = mark(ids[:, cut:], whole[:, cut - 1])
        assert (rest == whole[:, cut:]).all()


# --- the choice


def test_tokens_for_an_accuracy_lie_on_the_line_between_two_points():
    rights, tokens = np.array([0.5, 0.9, 0.8]), np.array([100.0, 400.0, 200.0])
    assert tokens_for(0.65, rights, tokens) == pytest.approx(150.0)
    assert tokens_for(0.5, rights, tokens) == 100.0 and tokens_for(0.95, rights, tokens) == float("inf")
    assert tokens_for(0.4, rights, tokens) == 100.0


def test_a_policy_takes_the_cheap_arm_where_it_is_as_good():
    """Easy problems are right either way, hard ones only with the dear arm: the known optimum is found."""
    hard = np.arange(80) % 8 < 4
    right = np.stack([~hard, np.ones(80)]).astype(float)
    tokens = np.stack([np.full(80, 10.0), np.full(80, 100.0)])
    got = cross_validate(right, tokens, quantile_bins(np.where(hard, 0.1, 0.9), 2))
    i = int(np.argmin(np.where(got.right.mean(1) == 1, got.tokens.mean(1), np.inf)))
    assert got.right[i].all() and got.tokens[i].mean() == 55.0
    seed = Seed(right[1:], tokens[1:], got.right, got.tokens)
    assert ratios([seed])[0] == pytest.approx(100 / 55)
    low, high = ratio_intervals([seed, seed], resamples=50)
    assert low[0] <= 100 / 55 <= high[0]
    fixed = cross_validate(right, tokens, one_bin(80))  # it can be right on all or cheap on all, not both
    whole = fixed.right.mean(1) == 1
    assert whole.any() and (fixed.tokens.mean(1)[whole] == 100).all() and set(fixed.tokens.ravel()) == {10, 100}
    low, high = quotient_intervals([seed, seed], [Seed(right[1:], tokens[1:], fixed.right, fixed.tokens)] * 2)
    assert 1 < low[0] <= 100 / 55 <= high[0]


# --- the model


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def model(torch):
    from chains.model import ChainModel
    from chains.net import ChainNet, Size

    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = ChainNet(Size(width=32, layers=2, heads=2))
    for weight in net.parameters():  # as initialised, all logits are nearly equal
        if weight.dim() == 2:
            torch.nn.init.normal_(weight, std=0.3)
    return ChainModel(net.eval(), rows=16)


SAMPLING = Sampling(temperature=1.0, max_tokens=24)


@pytest.mark.hf
def test_a_draw_does_not_depend_on_who_else_is_in_the_batch(model):
    async def main():
        requests = [Request((user(q),), SAMPLING, n=6) for q in ("1+2", "3*4-5", "77+8*2-9", "9")]
        together = await asyncio.gather(*map(model.complete, requests))
        alone = [[(await model.complete(Request(r.messages, SAMPLING, first_index=i)))[0] for i in (0, 3, 5)]
                 for r in requests]  # fmt: skip
        return together, alone

    together, alone = asyncio.run(main())
    for group, single in zip(together, alone, strict=True):
        assert [(group[i].text, group[i].completion_tokens) for i in (0, 3, 5)] == [
            (c.text, c.completion_tokens) for c in single
        ]
    assert len({c.text for group in together for c in group}) > 12


@pytest.mark.hf
def test_the_model_keeps_its_contract(model):
    async def main():
        request = Request((user("1+2"),), Sampling(temperature=1.0, max_tokens=9, stop=("\n",)), n=5, prefill="1+")
        drawn = await model.complete(request)
        again = await model.complete(request)
        length = await model.count_prompt_tokens(request.messages, request.prefill)
        stream = model.stream(Request((user("2+2"),), Sampling(max_tokens=150), n=3))
        waiting = asyncio.create_task(anext(stream))
        await asyncio.sleep(0.01)
        await stream.aclose()
        waiting.cancel()
        after = await model.complete(Request((user("1+2"),), SAMPLING))
        return drawn, again, length, stream, after

    drawn, again, length, stream, after = asyncio.run(main())
    assert [c.text for c in drawn] == [c.text for c in again]
    assert [c.prompt_tokens for c in drawn] == [length, 0, 0, 0, 0] == [6, 0, 0, 0, 0]
    assert all(c.completion_tokens <= 9 and "\n" not in c.text for c in drawn)
    assert all((c.completion_tokens == 9) or c.finish is Finish.STOP for c in drawn)
    assert stream.prompt_tokens in (0, 4) and len(stream.tokens) == 3 and after[0].ok


@pytest.mark.hf
def test_the_reward_model_reads_every_line_once_and_its_cache_changes_nothing(model, torch):
    from chains.prm import ChainPRM, Reader
    from chains.world import prompt

    prm = ChainPRM(Reader(model.decoder.net))
    (chain,) = make_chains(1, 9)
    texts = ["1+2=3", "1+2=3\n3*4=12", "1+2=3\n3*4=12", "1+2=4\nFinal Answer: 4"]

    async def main():
        from nlrl.core import Candidate, Completion

        made = [Candidate(str(i), Completion(t, Finish.STOP, 0)) for i, t in enumerate(texts)]
        stepwise = prm.opened()
        first = await stepwise.score(chain.problem, made[:1])
        rest = await stepwise.score(chain.problem, made[1:])
        at_once = ChainPRM(Reader(model.decoder.net))
        spend = await at_once.price(chain.problem, made)
        whole = await at_once.score(chain.problem, made)
        return first + rest, whole, stepwise, at_once, spend

    parts, whole, stepwise, at_once, spend = asyncio.run(main())
    for a, b in zip(parts, whole, strict=True):
        assert a.steps == pytest.approx(b.steps, abs=1e-5) and len(a.steps) in (1, 2)
    lines = {"1+2=3": 6, "1+2=3\n3*4=12": 7, "1+2=4": 6, "Final": 3}
    assert spend.prompt_tokens == at_once.read == stepwise.read == len(encode(chain.question)) + sum(lines.values())

    async def solved(bank):
        account = prm.opened()
        compute = Compute(model, bank=bank, verifier=account, sampling=SAMPLING, prompt=prompt)
        answer = await solve("best_of_n(n=4)", chain.problem, compute)
        return answer, account

    with Bank() as bank:
        live, account = asyncio.run(solved(bank))
        replayed, _ = asyncio.run(solved(bank))
    assert live.usage.verifier_tokens == account.read > 0
    assert live.value == replayed.value and live.usage.phases[Phase.SAMPLE] == replayed.usage.phases[Phase.SAMPLE]
    assert live.usage.phases[Phase.VERIFY] == replayed.usage.phases[Phase.VERIFY]
