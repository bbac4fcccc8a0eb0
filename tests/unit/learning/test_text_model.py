"""The small text transformer: what it must learn, and what must not depend on who else is in the batch."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.core import (
    DataError,
    Finish,
    MissingExtra,
    ModelError,
    PromptTooLong,
    Request,
    Sampling,
    UserError,
    assistant,
    user,
)
from nlrl.learning.learner import Recipe, counted
from nlrl.learning.text.model import TextTransformer
from nlrl.learning.text.words import MOST_WORDS, Words

GREEDY = Sampling(temperature=0, max_tokens=24)
QUICK = Recipe(epochs=1, least_steps=60, batch=32, learning_rate=2e-2)
SUMS = [(f"{a} + {b} =", f"The sum is {a + b}.") for a in range(5) for b in range(5)]


# --- words


@given(st.lists(st.text(max_size=30), max_size=4), st.text(max_size=60))
def test_no_text_is_lost(learned: list[str], text: str) -> None:
    words = Words().grown(learned)
    assert words.decode(words.encode(text)) == text.encode("utf-8", "replace").decode()


@given(st.lists(st.text(max_size=20), max_size=3), st.lists(st.text(max_size=20), max_size=3))
def test_a_vocabulary_grows_and_ids_stay(first: list[str], second: list[str]) -> None:
    old = Words().grown(first)
    new = old.grown(second)
    assert new.pieces[: len(old.pieces)] == old.pieces
    for text in first:
        assert new.encode(text) == old.encode(text)


def test_words_are_words_and_boards_are_cells() -> None:
    words = Words().grown(["Action: take 5", "X.O"])
    assert [words.text(i) for i in words.encode("Action: take 5")] == ["Action", ":", " take", " 5"]
    assert [words.text(i) for i in words.encode("X.O")] == ["X", ".", "O"]


def test_a_vocabulary_has_an_end() -> None:
    full = Words([f"w{i}" for i in range(MOST_WORDS)])
    assert len(full.grown(["something new"])) == len(full)
    assert full.decode(full.encode("something new")) == "something new"


def test_pairs_are_counted() -> None:
    assert counted([("a", "b"), ("c", "d"), ("a", "b")]) == {("a", "b"): 2, ("c", "d"): 1}
    with pytest.raises(UserError, match="no pairs"):
        counted([])
    with pytest.raises(UserError, match="Pair 1 has an empty reply"):
        counted([("a", "b"), ("c", " ")])


def test_without_torch_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"pip install 'nlrl\[train\]'"):
        TextTransformer()


# --- the transformer


def tiny(**options: object) -> TextTransformer:
    return TextTransformer(**({"width": 32, "layers": 2, "heads": 2, "longest": 64, "recipe": QUICK} | options))  # type: ignore[arg-type]


async def reply(model: object, prompt: str, sampling: Sampling = GREEDY) -> str:
    return (await model.complete(Request((user(prompt),), sampling)))[0].text  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def taught() -> TextTransformer:
    learner = tiny()
    asyncio.run(learner.fit(SUMS, seed=1, recipe=Recipe(epochs=1, least_steps=100, batch=25, learning_rate=2e-2)))
    return learner


@pytest.mark.hf
def test_it_learns(taught: TextTransformer) -> None:
    async def right() -> int:
        replies = await asyncio.gather(*(reply(taught.model, prompt) for prompt, _ in SUMS))
        return sum(said == wanted for said, (_, wanted) in zip(replies, SUMS, strict=True))

    assert asyncio.run(right()) == len(SUMS)


@pytest.mark.hf
def test_a_fit_adds_to_the_last_one_and_leaves_the_old_model_alone() -> None:
    async def main() -> None:
        learner = tiny()
        before = learner.model
        first = await learner.fit([("colour of grass", "green")], seed=1)
        old = learner.model
        second = await learner.fit([("colour of grass", "green"), ("colour of the sky", "blue today")], seed=2)
        assert len({before.name, first.name, second.name}) == 3
        assert learner.name == learner.model.name == second.name
        assert await reply(learner.model, "colour of the sky") == "blue today"
        assert await reply(old, "colour of the sky") == "green"
        assert second.loss < second.first_loss

    asyncio.run(main())


@pytest.mark.hf
def test_what_stands_more_often_is_said_more_often() -> None:
    async def main() -> None:
        learner = tiny()
        report = await learner.fit(
            [("coin", "heads")] * 3 + [("coin", "tails")],
            seed=1,
            recipe=Recipe(epochs=1, least_steps=150, batch=32, learning_rate=2e-2),
        )
        assert (report.pairs, report.distinct) == (4, 2)
        request = Request((user("coin"),), Sampling(temperature=1.0, max_tokens=8, seed=5), n=400)
        said = [c.text for c in await learner.model.complete(request)]
        heads, tails = said.count("heads"), said.count("tails")
        assert heads + tails > 380  # the rest is what a minute's learning leaves to chance
        assert 0.66 < heads / (heads + tails) < 0.84  # 0.75, four standard deviations to each side

    asyncio.run(main())


@pytest.mark.hf
def test_the_same_seed_gives_the_same_weights() -> None:
    async def name(seed: int) -> str:
        learner = tiny(seed=3)
        return (await learner.fit(SUMS, seed=seed)).name

    assert asyncio.run(name(1)) == asyncio.run(name(1)) != asyncio.run(name(2))


@pytest.mark.hf
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_draw_does_not_depend_on_its_batch(precision: str, tmp_path: Path) -> None:
    """Bits of log-probabilities, alone and beside others of other lengths."""
    import torch  # pyright: ignore[reportMissingImports]

    if precision == "bfloat16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor only emulates bfloat16")
    learner = tiny(width=96, heads=4, longest=128, precision=precision)
    dice = random.Random(0)
    prompts = ["".join(dice.choice("XO.\n ") for _ in range(dice.randrange(1, 80))) for _ in range(24)]
    sampling = Sampling(temperature=1.0, max_tokens=12, seed=7, logprobs=0)

    async def alone() -> list[object]:
        learner.save(tmp_path / "weights.npz")
        other = TextTransformer.load(tmp_path / "weights.npz", precision=precision)
        assert other.name == learner.name
        return [(await other.model.complete(Request((user(p),), sampling)))[0].logprobs for p in prompts]

    async def together() -> list[object]:
        asked = (learner.model.complete(Request((user(p),), sampling)) for p in prompts)
        return [found[0].logprobs for found in await asyncio.gather(*asked)]

    assert asyncio.run(alone()) == asyncio.run(together())


@pytest.mark.hf
def test_draws_of_one_request(taught: TextTransformer) -> None:
    async def main() -> None:
        hot = Sampling(temperature=2.0, max_tokens=6, seed=1)
        both = await taught.model.complete(Request((user("1 + 1 ="),), hot, n=6))
        later = await taught.model.complete(Request((user("1 + 1 ="),), hot, n=2, first_index=4))
        assert [c.text for c in later] == [c.text for c in both[4:]]
        assert [c.seed for c in later] == [5, 6]
        assert len({c.text for c in both}) > 1
        length = await taught.model.count_prompt_tokens((user("1 + 1 ="),))
        assert [c.prompt_tokens for c in both] == [length, 0, 0, 0, 0, 0]
        assert all(c.completion_tokens <= 6 for c in both)

    asyncio.run(main())


@pytest.mark.hf
def test_stops_limits_and_prefill(taught: TextTransformer) -> None:
    async def main() -> None:
        model = taught.model
        stopped = (await model.complete(Request((user("1 + 2 ="),), Sampling(temperature=0, stop=(" sum",)))))[0]
        assert (stopped.text, stopped.finish, stopped.completion_tokens) == ("The", Finish.STOP, 2)
        short = (await model.complete(Request((user("1 + 2 ="),), Sampling(temperature=0, max_tokens=3))))[0]
        assert (short.text, short.finish, short.completion_tokens) == ("The sum is", Finish.LENGTH, 3)
        whole = (await model.complete(Request((user("1 + 2 ="),), Sampling(temperature=0))))[0]
        assert (whole.text, whole.finish) == ("The sum is 3.", Finish.STOP)
        assert whole.completion_tokens == len(model.words.encode("The sum is 3.")) + 1  # the end counts
        rest = (await model.complete(Request((user("1 + 2 ="),), GREEDY, prefill="The sum is")))[0]
        assert rest.text == " 3."
        none = (await model.complete(Request((user("1 + 2 ="),), Sampling(temperature=0, max_tokens=0))))[0]
        assert (none.text, none.finish, none.completion_tokens) == ("", Finish.LENGTH, 0)
        ruled = Sampling(temperature=0, stop_after="sum is")
        assert (await model.complete(Request((user("2 + 2 ="),), ruled)))[0].text == "The sum is 4."

    asyncio.run(main())


@pytest.mark.hf
def test_a_greedy_reply_is_remembered_but_charged(taught: TextTransformer) -> None:
    async def main() -> None:
        request = Request((user("2 + 1 ="),), GREEDY, n=2)
        first, again = await taught.model.complete(request), await taught.model.complete(request)
        both = await asyncio.gather(taught.model.complete(request), taught.model.complete(request))
        for found in (again, *both):
            assert [(c.text, c.prompt_tokens, c.completion_tokens) for c in found] == [
                (c.text, c.prompt_tokens, c.completion_tokens) for c in first
            ]

    asyncio.run(main())


@pytest.mark.hf
def test_cancelled_draws_end_and_others_go_on() -> None:
    async def main() -> None:
        learner = tiny(longest=512)
        endless = Sampling(temperature=1.0, max_tokens=500, seed=1)
        long = asyncio.create_task(learner.model.complete(Request((user("on"),), endless, n=4)))
        short = asyncio.create_task(learner.model.complete(Request((user("on"),), Sampling(max_tokens=2, seed=2))))
        await asyncio.sleep(0.02)
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
        assert (await short)[0].completion_tokens == 2
        stream = learner.model.stream(Request((user("on"),), endless, n=3))
        waiting = asyncio.create_task(anext(stream))
        while not stream.prompt_tokens:  # noqa: ASYNC110  # the decoder's thread tells nobody that it has begun
            await asyncio.sleep(0.001)
        await stream.aclose()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert len(stream.tokens) == 3 and all(0 < n < 500 for n in stream.tokens)

    asyncio.run(main())


@pytest.mark.hf
def test_a_cancelled_fit_changes_nothing() -> None:
    async def main() -> None:
        learner = tiny()
        name = learner.name
        slow = Recipe(epochs=10_000, least_steps=1, batch=32, learning_rate=1e-3)
        begun = asyncio.Event()
        fit = asyncio.create_task(learner.fit(SUMS, seed=1, recipe=slow, on_progress=lambda _: begun.set()))
        await begun.wait()
        with pytest.raises(UserError, match="being fitted"):
            await learner.fit(SUMS, seed=1)
        fit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fit
        assert learner.name == name
        await learner.fit(SUMS, seed=1)

    asyncio.run(main())


@pytest.mark.hf
def test_what_cannot_be_answered(taught: TextTransformer) -> None:
    async def ask(*messages: str, **options: object) -> None:
        sampling = Sampling(max_tokens=4, **options)  # type: ignore[arg-type]
        await taught.model.complete(Request(tuple(map(user, messages)), sampling))

    with pytest.raises(PromptTooLong, match="takes 64"):
        asyncio.run(ask("1 " * 100))
    with pytest.raises(UserError, match="at least one message"):
        asyncio.run(ask())
    with pytest.raises(ModelError, match="grammar"):
        asyncio.run(ask("1", grammar="root ::= x"))
    asyncio.run(ask("", temperature=0.5))  # nothing, bytes it never saw, half a character: strange but answered
    asyncio.run(ask("東京 \x00 🙂", "\ud800"))


@pytest.mark.hf
def test_what_cannot_be_learned() -> None:
    learner = tiny()
    name = learner.name
    with pytest.raises(UserError, match="1 of 2 distinct pairs have more than 64 tokens"):
        asyncio.run(learner.fit([("a", "b"), ("c " * 100, "d")], seed=1))
    with pytest.raises(UserError):
        Recipe(epochs=0, least_steps=1, batch=1, learning_rate=1e-3)
    with pytest.raises(UserError, match="multiple of twice the heads"):
        tiny(width=33)
    assert learner.name == name
    learner.model.net.embed.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="diverged"):
        asyncio.run(learner.fit(SUMS, seed=1))


@pytest.mark.hf
def test_saved_and_loaded(taught: TextTransformer, tmp_path: Path) -> None:
    file = tmp_path / "sums.npz"
    taught.save(file)
    again = TextTransformer.load(file)
    assert again.name == taught.name
    assert asyncio.run(reply(again.model, "3 + 4 =")) == "The sum is 7."
    asyncio.run(again.fit([("3 + 4 =", "seven")], seed=1, recipe=QUICK))
    assert again.name != taught.name
    for bad in (b"", b"not a zip", file.read_bytes()[:1000]):
        (tmp_path / "bad.npz").write_bytes(bad)
        with pytest.raises(DataError, match="not a saved text transformer"):
            TextTransformer.load(tmp_path / "bad.npz")
    with pytest.raises(DataError):
        TextTransformer.load(tmp_path / "missing.npz")


@pytest.mark.hf
def test_through_compute(taught: TextTransformer) -> None:
    """Exact charges, and a bank that keeps the draws of two fits apart."""
    from nlrl.bank import Bank
    from nlrl.compute import Compute

    async def main() -> None:
        bank = Bank()
        compute = Compute(taught.model, bank=bank)
        asked = [compute.ask((user(p), assistant("so")), sampling=Sampling(max_tokens=9, seed=1)) for p, _ in SUMS]
        drawn = await asyncio.gather(*asked)
        spent = compute.ledger.usage().total
        assert spent.completion_tokens == sum(c.completion_tokens for c in drawn)
        assert spent.prompt_tokens == sum(len(taught.model.words.encode(f"{p}\n\nso")) + 1 for p, _ in SUMS)
        assert spent.flops == 2 * taught.model.net.parameter_count * spent.tokens
        assert bank.models() == {taught.name: len(SUMS)}
        bank.close()

    asyncio.run(main())


@settings(max_examples=25)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50), st.integers(0, 10_000))
@pytest.mark.hf
def test_random_numbers_are_numbers(keys: list[int], count: int) -> None:
    from nlrl.learning.text.decode import uniforms

    assert all(0 <= u < 1 for u in uniforms(keys, count))
