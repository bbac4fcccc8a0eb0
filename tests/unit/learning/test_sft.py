"""Fine-tuning a checkpoint, on tiny random weights."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from nlrl.core import MissingExtra, Request, Sampling, UserError, user
from nlrl.learning.learner import Recipe
from nlrl.learning.sft import FineTuner

pytestmark = pytest.mark.hf

PAIRS = [("grass", "green"), ("sky", "blue"), ("blood", "red"), ("snow", "white")]
CHAT = "{% for m in messages %}<s>{{ m['content'] }}</s>{% endfor %}{% if add_generation_prompt %}<s>{% endif %}"
QUICK = {
    0: Recipe(epochs=1, least_steps=80, batch=4, learning_rate=5e-3),
    8: Recipe(epochs=1, least_steps=120, batch=4, learning_rate=2e-2),
}
RANKS = [
    0,
    pytest.param(8, marks=pytest.mark.skipif(not importlib.util.find_spec("peft"), reason="peft is not installed")),
]


@pytest.fixture
def pair() -> tuple[Any, Any]:
    """Random weights and a tokenizer of bytes."""
    torch = pytest.importorskip("torch")
    hf = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # pyright: ignore[reportMissingImports]

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {piece: i for i, piece in enumerate(["<s>", "</s>", *sorted(alphabet)])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = CHAT
    config = hf.LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=48,
        bos_token_id=0,
        eos_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return hf.LlamaForCausalLM(config).eval(), tokenizer


async def said(learner_model: Any, prompts: list[str]) -> list[str]:
    greedy = Sampling(temperature=0, max_tokens=12)
    return [(await learner_model.complete(Request((user(p),), greedy)))[0].text for p in prompts]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft uses names that transformers renamed
@pytest.mark.parametrize("rank", RANKS)
def test_it_learns_and_goes_on_learning(pair: tuple[Any, Any], rank: int, tmp_path: Path) -> None:
    async def main() -> None:
        learner = FineTuner(*pair, rank=rank, recipe=QUICK[rank])
        assert learner.model.name == learner.name
        steps: list[int] = []
        first = await learner.fit(PAIRS[:2] * 3, seed=1, on_progress=lambda p: steps.append(p.step))
        assert (first.pairs, first.distinct, first.steps) == (6, 2, QUICK[rank].least_steps)
        assert steps[-1] == first.steps
        old = learner.model
        second = await learner.fit(PAIRS, seed=2)
        prompts, replies = map(list, zip(*PAIRS, strict=True))
        assert await said(learner.model, prompts) == replies
        assert await said(old, prompts[:2]) == replies[:2]  # the old model is what it was
        assert first.name == old.name != second.name == learner.name
        learner.save(tmp_path / "tuned")
        again = FineTuner.load(str(tmp_path / "tuned"), rank=rank, device="cpu")
        assert await said(again.model, prompts) == replies
        for model in (old, learner.model, again.model):
            await model.aclose()

    asyncio.run(main())


def test_the_same_seed_gives_the_same_weights(pair: tuple[Any, Any]) -> None:
    async def name(seed: int) -> str:
        recipe = Recipe(epochs=4, least_steps=1, batch=2, learning_rate=5e-3)
        return (await FineTuner(*pair, rank=0, recipe=recipe).fit(PAIRS, seed=seed)).name

    assert asyncio.run(name(1)) == asyncio.run(name(1)) != asyncio.run(name(2))


def test_what_cannot_be_learned(pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = pair
    learner = FineTuner(model, tokenizer, rank=0)
    name = learner.name
    with pytest.raises(UserError, match="more than 48 tokens"):
        asyncio.run(learner.fit([("x" * 50, "y")], seed=1))
    with pytest.raises(UserError, match="no pairs"):
        asyncio.run(learner.fit([], seed=1))
    assert learner.name == name
    monkeypatch.setitem(__import__("sys").modules, "peft", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"nlrl\[train\]"):
        FineTuner(model, tokenizer, rank=4)
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="no end token"):
        FineTuner(model, tokenizer, rank=0)
