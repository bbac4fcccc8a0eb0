"""The implementation guide's functions on a real Hugging Face pair: SmolLM2-135M-Instruct, from the tests' weights.

What it writes is short and mostly wrong; what is tested is that every function runs as the guide types it, returns its
types, counts, and writes its files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nlrl
from nlrl.core import Sampling
from nlrl.models import installed, weight_file

pytestmark = pytest.mark.hf

SHORT = Sampling(max_tokens=24)
ROWS = [{"question": "What is 2 + 2?", "answer": "4"}, {"question": "What is the capital of Italy?", "answer": "Rome"}]


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    weights = installed(weight_file("smollm2-135m"))
    if weights is None:
        pytest.skip("needs: nlrl models pull smollm2-135m")
    folder, file = str(weights.parent), weights.name
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype="float32")
    return model, tokenizer


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_gists_are_the_greedy_tokens_of_generate(pair: tuple[Any, Any]):
    model, tokenizer = pair
    question = "What is the capital of France? Answer in one word."
    text, gists = nlrl.generate_with_gist(model, tokenizer, question, False, 8, stop_phrases=())
    turns = [{"role": "user", "content": question}]
    inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    expected = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert text == "".join(gists) == expected
    assert len(gists) > 1 and "Paris" in text


def test_best_of_n_and_self_consistency(pair: tuple[Any, Any]):
    model, tokenizer = pair
    prompt = nlrl.get_dynamic_prompt("math", "What is 2 + 2?")
    for self_consistency in (False, True):
        text = nlrl.best_of_n_generate(model, tokenizer, prompt, 2, self_consistency, sampling=SHORT)
        assert isinstance(text, str) and text.strip()
        assert (text.usage.total.calls, 0 < text.usage.total.completion_tokens <= 48) == (2, True)


def test_refining_and_dividing(pair: tuple[Any, Any]):
    model, tokenizer = pair
    refined = nlrl.self_refine(
        "Final Answer: 5", nlrl.mock_math_reward_model, model=model, tokenizer=tokenizer, prompt="What is 2 + 2?"
    )
    assert refined == "Final Answer: 5"  # the mock likes any final answer
    refined = nlrl.self_refine(
        "5", lambda text: len(text) / 1000, model=model, tokenizer=tokenizer, prompt="What is 2 + 2?", rounds=1,
        sampling=SHORT,
    )  # fmt: skip
    assert len(refined) > 1
    text = nlrl.divide_and_conquer("What is 2 + 2?", 2, model=model, tokenizer=tokenizer, sampling=SHORT)
    assert isinstance(text, str) and text


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_allocation(pair: tuple[Any, Any], difficulty: str):
    text = nlrl.compute_optimal_scaling("What is 2 + 2?", difficulty, 2, *pair, sampling=SHORT)
    assert isinstance(text, str) and 0 < text.usage.total.calls <= 2
    assert any("calibrated" in note for note in text.answer.notes)


def test_benchmarking(pair: tuple[Any, Any]):
    code = {"problem": "Write a Python function that adds two numbers.", "answer": "def add(a, b): return a + b"}
    sets = {"Mixed": [*ROWS, {**code, "test_cases": [{"input": [1, 3], "expected": 4}]}]}
    rewards = {"math": nlrl.mock_math_reward_model, "coding": nlrl.mock_coding_reward_model}
    rows = nlrl.run_tests(*pair, sets, rewards, True, max_steps=16)
    assert json.loads(Path("cache/benchmark_results.json").read_text("utf-8")) == rows
    assert [row["task_type"] for row in rows] == ["math", "commonsense", "coding"]
    assert all(row["model_output"] and row["error"] is None and row["tokens"] > 16 for row in rows)


def test_language_policy_iteration(pair: tuple[Any, Any]):
    rewards = {"math": nlrl.mock_math_reward_model, "commonsense": nlrl.mock_commonsense_reward_model}
    result = nlrl.language_gpi(*pair, ROWS, rewards, 1, False, sampling=Sampling(max_tokens=16))
    assert len(result.metrics) == 1 and result.tokens > 0
    assert len(json.loads(Path("cache/language_gpi_results.json").read_text("utf-8"))) == len(result) > 0


def test_tokens_are_kept(pair: tuple[Any, Any]):
    tokenizer = pair[1]
    first = nlrl.tokenize_with_cache(tokenizer, "What is 2 + 2?")
    assert nlrl.tokenize_with_cache(tokenizer, "What is 2 + 2?") is first
    assert first["input_ids"].shape[0] == 1
